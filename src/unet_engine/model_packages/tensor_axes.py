"""Axes of the tensors of a package: which are known here, and how long they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unet_engine.errors import DataError

_SPATIAL = "zyx"
_MICROMETRES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}
"""In each of the units that pixels are measured in."""

_ASSUMED = {2: (64, 64), 3: (8, 32, 32)}
"""Pixels of a halo that no package states, by dimensions: most of what an output pixel
of a usual U-Net depends on, and in a volume what can be paid for."""

_MOST_OF_FIXED = 4
"""Of an input of one size the assumed halo is a quarter at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAxes:
    """What is known of the axes of a tensor; the lists are per spatial axis.

    Attributes
    ----------
    letters
        As in ``ImportedNetwork``.
    channels
        Names of the channels, one where there is no such axis.
    least, step
        Of an input; sizes are ``least + n * step``, or ``least`` alone if that is 0.
    halo
        Of an output, as the package states it; None where it states none.
    crop
        Of an output, by how much it is smaller on each side.
    pixel_size_um, elongation
        Of an input, where it is stated.
    """

    letters: str
    channels: tuple[str, ...]
    least: tuple[int, ...] = ()
    step: tuple[int, ...] = ()
    halo: tuple[int, ...] | None = None
    crop: tuple[int, ...] = ()
    pixel_size_um: float | None = None
    elongation: float | None = None

    def assumed_halo(self, crop: tuple[int, ...]) -> tuple[int, ...]:
        """Return a halo for an output of which none is stated.

        Parameters
        ----------
        crop
            Of the output.
        """
        halo = []
        for number, usual in enumerate(_ASSUMED[len(self.least)]):
            most = usual
            if not self.step[number]:
                left = self.least[number] - 2 * crop[number]
                most = left // _MOST_OF_FIXED
            halo.append(max(0, min(usual, most)))
        return tuple(halo)


def input_axes(tensor: Any) -> TensorAxes:
    """Return what is known of the axes of an input.

    Raises
    ------
    DataError
        When an axis or a size is not known here.
    """
    letters, channels = _letters(tensor)
    axes = {str(axis.id): axis for axis in tensor.axes}
    sizes = [_input_size(axes, name, tensor) for name in _SPATIAL if name in letters]
    spacing = [
        _MICROMETRES[str(axes[name].unit)] * float(axes[name].scale)
        for name in _SPATIAL
        if name in letters and str(axes[name].unit) in _MICROMETRES
    ]
    known = len(spacing) == len(sizes) and spacing[-1] == spacing[-2]
    return TensorAxes(
        letters=letters,
        channels=channels,
        least=tuple(least for least, _ in sizes),
        step=tuple(step for _, step in sizes),
        pixel_size_um=spacing[-1] if known else None,
        elongation=spacing[0] / spacing[-1] if known and len(sizes) == 3 else None,
    )


def output_axes(tensor: Any, source: Any, taken: TensorAxes) -> TensorAxes:
    """Return what is known of the axes of an output that has the pixels of the input.

    Parameters
    ----------
    tensor, source
        The output, and the input.
    taken
        The axes of the input.

    Raises
    ------
    DataError
        When it has other pixels, or an axis is not known here.
    """
    letters, channels = _letters(tensor)
    if set(letters) & set(_SPATIAL) != set(taken.letters) & set(_SPATIAL):
        raise DataError(
            f"the output {tensor.id} has the axes {letters!r} and the input "
            f"{taken.letters!r}"
        )
    axes = {str(axis.id): axis for axis in tensor.axes}
    before = {str(axis.id): axis for axis in source.axes}
    names = [name for name in _SPATIAL if name in letters]
    halo = tuple(int(getattr(axes[name], "halo", 0) or 0) for name in names)
    crop = tuple(
        _crop(axes[name], before[name], str(source.id), tensor, taken, number)
        for number, name in enumerate(names)
    )
    stated = any(halo) or any(crop)
    return TensorAxes(
        letters=letters,
        channels=channels,
        halo=halo if stated else None,
        crop=crop,
    )


def _letters(tensor: Any) -> tuple[str, tuple[str, ...]]:
    letters = ""
    channels: tuple[str, ...] = (str(tensor.id),)
    for axis in tensor.axes:
        name = str(axis.id)
        if axis.type == "batch":
            letters += "b"
        elif axis.type == "channel":
            letters += "c"
            channels = tuple(map(str, axis.channel_names))
        elif axis.type == "space" and name in _SPATIAL:
            letters += name
        else:
            raise DataError(
                f"{tensor.id} has the axis {name} ({axis.type}), which images have "
                "not here"
            )
    if "b" in letters[1:] or not {"y", "x"} <= set(letters):
        raise DataError(f"{tensor.id} has the axes {letters!r}, which are not known")
    return letters, channels


def _input_size(axes: dict[str, Any], name: str, tensor: Any) -> tuple[int, int]:
    """Return the least size of an axis, and the step; of a fixed one 0."""
    size = axes[name].size
    if isinstance(size, int):
        return size, 0
    if hasattr(size, "min") and hasattr(size, "step"):
        return int(size.min), int(size.step)
    other = axes.get(str(getattr(size, "axis_id", "")))
    same = other is not None and str(getattr(size, "tensor_id", "")) == str(tensor.id)
    if (
        not same
        or other is axes[name]
        or size.offset
        or _scale(other) != _scale(axes[name])
    ):
        raise DataError(f"the size of the axis {name} of {tensor.id} is not known here")
    return _input_size({**axes, name: other}, name, tensor)


def _scale(axis: Any) -> float:
    return float(getattr(axis, "scale", 1.0))


def _crop(
    axis: Any, before: Any, source: str, tensor: Any, taken: TensorAxes, number: int
) -> int:
    """Return by how many pixels an output is smaller than the input on each side."""
    size = axis.size
    if isinstance(size, int) and not taken.step[number]:
        less = taken.least[number] - size
    elif hasattr(size, "axis_id") and str(size.tensor_id) == source:
        if str(size.axis_id) != str(axis.id) or _scale(axis) != _scale(before):
            raise DataError(
                f"the output {tensor.id} has another scale than the input along "
                f"{axis.id}"
            )
        less = -int(size.offset)
    else:
        raise DataError(
            f"the size of {tensor.id} along {axis.id} does not follow that of the input"
        )
    if less < 0 or less % 2:
        raise DataError(
            f"the output {tensor.id} is {-less} pixels larger than the input along "
            f"{axis.id}"
        )
    return less // 2

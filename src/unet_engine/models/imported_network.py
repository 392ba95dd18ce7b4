"""``ImportedNetwork``: what is known of a network of another program.

It came as ONNX, which is run as it is: nothing here can build or train it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from unet_engine.errors import SpecError
from unet_engine.images.brightness.steps import MEASURED, Step
from unet_engine.tiling.tiles import Footprint

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTS = "onnx"
"""Name of the only tensor of such a model: the bytes of an ONNX file, uint8."""

_LARGEST = 2**15
"""Pixels of an edge of an input, and of a halo: far above any that fits a computer."""

_LAYOUT = re.compile(r"b?(?=[czyx]+$)(?!.*(.).*\1)[czyx]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedNetwork:
    """How a network of another program is run.

    Attributes
    ----------
    input_axes, output_axes
        One letter for each axis of its tensors, in their order: ``b`` (of size 1),
        ``c``, ``z``, ``y``, ``x``.
    output
        Which of its outputs is the mask, counted from 0.
    least, step
        Input sizes are ``least + n * step`` pixels, per spatial axis; a step of 0:
        ``least`` alone.
    halo
        Pixels on each side of the output that are not used, per spatial axis.
    halo_is_stated
        Whether its package states the halo; else it is assumed.
    crop
        Pixels by which the output is smaller on each side, per spatial axis.
    preprocessing, postprocessing
        What is done with an image before, and with the output after it.
    exclusive
        Whether the channels of the output are probabilities of classes that exclude
        each other, background among them; else each is one of its own, and background
        is what is left of 1 by the largest.
    background
        Which channel is the background, where they exclude each other.
    source
        Who made it and where it was found, for people.
    """

    input_axes: str
    output_axes: str
    output: int = 0
    least: tuple[int, ...]
    step: tuple[int, ...]
    halo: tuple[int, ...]
    halo_is_stated: bool = True
    crop: tuple[int, ...]
    preprocessing: tuple[Step, ...] = ()
    postprocessing: tuple[Step, ...] = ()
    exclusive: bool = False
    background: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        for name, least in ("least", 1), ("step", 0), ("halo", 0), ("crop", 0):
            _check_sizes(name, getattr(self, name), least)
        if len({len(self.least), len(self.step), len(self.halo), len(self.crop)}) > 1:
            raise SpecError("least, step, halo and crop have different lengths")
        for axes in self.input_axes, self.output_axes:
            spatial = "zyx"[-self.ndim :]
            known = isinstance(axes, str) and _LAYOUT.fullmatch(axes)
            if not known or set(axes) - {*"bc"} != set(spatial):
                raise SpecError(
                    f"axes {axes!r} are not b, c and {', '.join(spatial)}, once each"
                )
        _check_whole("output", self.output)
        _check_whole("background", self.background)
        if any(step.kind in MEASURED for step in self.postprocessing):
            raise SpecError("its output is prepared by figures that tiles do not have")
        for axis in range(self.ndim):
            if not self.step[axis] and self.least[axis] <= 2 * self.context[axis]:
                raise SpecError(
                    f"an input of {self.least[axis]} pixels has nothing left without "
                    f"a halo of {self.context[axis]}"
                )

    @property
    def ndim(self) -> int:
        """Spatial dimensions, 2 or 3."""
        return len(self.least)

    @property
    def context(self) -> tuple[int, ...]:
        """Pixels around an output pixel that are read, per spatial axis."""
        return tuple(a + b for a, b in zip(self.halo, self.crop, strict=True))

    @property
    def footprint(self) -> Footprint:
        """What of an image a tile needs; mirrored beyond its border."""
        return Footprint(
            halo=self.context,
            divisor=tuple(max(1, step) for step in self.step),
            remainder=(0,) * self.ndim,
        )

    def allowed_size(self, size: int, axis: int) -> int:
        """Return the smallest input size that is at least ``size``, or the only one."""
        least, step = self.least[axis], self.step[axis]
        return least + -(-max(0, size - least) // step) * step if step else least

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, tuple):
                values[name] = [
                    one.to_dict() if isinstance(one, Step) else one for one in value
                ]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ImportedNetwork:
        """Read what ``to_dict`` returned.

        Raises
        ------
        SpecError
            When it is anything else.
        """
        try:
            found: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
            }
            for name in "preprocessing", "postprocessing":
                found[name] = tuple(map(Step.from_dict, found[name]))
            return cls(**found)
        except (TypeError, KeyError, AttributeError) as error:
            raise SpecError(
                f"the imported network is not described as known here ({error}); "
                "update napari-unet-finetune"
            ) from error


def _check_sizes(name: str, sizes: Any, least: int) -> None:
    good = isinstance(sizes, tuple) and len(sizes) in (2, 3)
    if not good or not all(
        type(size) is int and least <= size <= _LARGEST for size in sizes
    ):
        raise SpecError(
            f"{name} is {sizes!r:.100}; use 2 or 3 numbers of pixels from {least} to "
            f"{_LARGEST}"
        )


def _check_whole(name: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value < 1024:
        raise SpecError(f"{name} is {value!r:.100}; use a whole number from 0 to 1023")

"""The pixels of an image on which its brightness is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images.no_data import SampleBlock, equals, find_fill
from unet_engine.images.stains import Stain, dye_of_nuclei, full_light, is_stain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.images.brightness.preparation import Colour
    from unet_engine.images.image import Image
    from unet_engine.images.no_data import Fill

_SAMPLE_PIXELS = 2**24
"""Pixels per channel that are measured: 16 million; smaller images are taken whole."""

_SAMPLE_PLANES = 64
"""Planes of a larger image that are measured: opening each costs time of its own."""

_SAMPLE_BLOCK = 512
"""Edge of a measured block in pixels, about that of a chunk or tile on disk."""

_FEWEST_BLOCKS = 16
"""Blocks of a plane at least, so that they do not all lie on one structure."""

_CONVERTED = 2**20
"""Colours that are converted at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Evenly spread blocks of an image, or all of a small one.

    Attributes
    ----------
    values
        ``(C, pixels)`` as the model takes them.
    shapes
        ``(h, w)`` of the blocks, in the order in which they are in ``values``.
    filled
        ``(pixels,)`` for each channel, or for all colours: the fill of a border, or
        None where there is none.
    fills
        What fills it; ``()`` if nothing does.
    stain
        How ``values`` are the optical density of a dye; None where they are not.
    """

    values: npt.NDArray[Any]
    shapes: tuple[tuple[int, int], ...]
    filled: list[npt.NDArray[np.bool_] | None]
    fills: tuple[Fill, ...]
    stain: Stain | None = None

    @classmethod
    def read(cls, image: Image, colour: Colour) -> Sample:
        """Read the sample into one array: twice would be too much."""
        places = list(_places(image))
        shapes = [
            (rows.stop - rows.start, columns.stop - columns.start)
            for _, (rows, columns) in places
        ]
        coloured = replace(image, grey=False, rgb=True) if image.grey else image
        raw = np.empty((coloured.channels, sum(map(prod, shapes))), coloured.dtype)
        blocks, start = [], 0
        for (index, region), shape in zip(places, shapes, strict=True):
            part = raw[:, start : start + prod(shape)]
            part[:] = coloured.read(index, region).reshape(len(raw), -1)
            sides = _sides(region, image.plane_shape)
            blocks.append(SampleBlock(part.reshape(-1, *shape), sides))
            start += prod(shape)
        step = len(raw) if coloured.rgb else 1
        parts = [slice(first, first + step) for first in range(0, len(raw), step)]
        fills = tuple(find_fill([b.of(part) for b in blocks]) for part in parts)
        filled = [
            equals(raw[part], fill) if fill else None
            for part, fill in zip(parts, fills, strict=True)
        ]
        stain = _stain_of(raw, filled[0], colour) if image.grey else None
        return cls(
            values=_as_read(image, raw, stain),
            shapes=tuple(shapes),
            filled=filled,
            fills=fills if any(fills) else (),
            stain=stain,
        )

    def planes(self, channel: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the blocks of a channel, ``(h, w)``; NaN where nothing is known."""
        lost = self.filled[channel if channel < len(self.filled) else 0]
        start = 0
        for shape in self.shapes:
            part = slice(start, start + prod(shape))
            block = self.values[channel, part]
            if lost is not None and lost[part].any():
                block = np.where(lost[part], np.nan, block)
            yield block.reshape(shape)
            start += prod(shape)


def _stain_of(
    raw: npt.NDArray[Any], lost: npt.NDArray[np.bool_] | None, colour: Colour
) -> Stain | None:
    """Return how ``(3, n)`` colours are read as a stain; None where they are not."""
    if colour == "luminance" or not is_stain(raw, lost):
        return None
    full = full_light(raw)
    if colour == "haematoxylin":
        return Stain(full)
    return Stain(full, dye_of_nuclei(raw, full, lost))


def _as_read(
    image: Image, raw: npt.NDArray[Any], stain: Stain | None
) -> npt.NDArray[Any]:
    """Return one channel of colours, some at a time to spare memory."""
    if not image.grey:
        return raw
    values = np.empty((1, raw.shape[1]), image.dtype)
    for start in range(0, raw.shape[1], _CONVERTED):
        part = raw[:, start : start + _CONVERTED]
        values[:, start : start + _CONVERTED] = (
            image.luminance(part) if stain is None else stain.density(part)
        )
    return values


def _sides(
    region: tuple[slice, slice], shape: tuple[int, int]
) -> tuple[bool, bool, bool, bool]:
    """Find at which of its four sides a region ends with the plane."""
    rows, columns = region
    return (
        rows.start == 0,
        rows.stop == shape[0],
        columns.start == 0,
        columns.stop == shape[1],
    )


def _places(image: Image) -> Iterator[tuple[tuple[int, ...], tuple[slice, slice]]]:
    """Choose the planes and regions that are measured, evenly spread."""
    planes = prod(image.leading_shape)
    pixels = prod(image.plane_shape)
    if planes * pixels <= _SAMPLE_PIXELS:
        chosen, per_plane = planes, pixels
    else:
        chosen = min(planes, _SAMPLE_PLANES)
        per_plane = _SAMPLE_PIXELS // chosen
    for number in _spread(planes, chosen):
        index = tuple(int(i) for i in np.unravel_index(number, image.leading_shape))
        for region in _regions(image.plane_shape, per_plane):
            yield index, region


def _regions(shape: tuple[int, int], budget: int) -> Iterator[tuple[slice, slice]]:
    if prod(shape) <= budget:
        yield slice(0, shape[0]), slice(0, shape[1])
        return
    block = min(_SAMPLE_BLOCK, isqrt(budget // _FEWEST_BLOCKS))
    # An elongated plane gets its blocks along its long axis.
    wanted = budget // block**2
    fits = [-(-n // block) for n in shape]
    rows = min(fits[0], max(1, round((wanted * shape[0] / shape[1]) ** 0.5)))
    columns = min(fits[1], max(1, wanted // rows))
    starts = [
        _spread(max(1, n - block + 1), count)
        for n, count in zip(shape, (rows, columns), strict=True)
    ]
    for y, x in product(*starts):
        yield (
            slice(y, min(y + block, shape[0])),
            slice(x, min(x + block, shape[1])),
        )


def _spread(size: int, count: int) -> list[int]:
    """Return ``count`` positions in ``range(size)``, from its first to its last."""
    if count >= size:
        return list(range(size))
    if count == 1:
        return [size // 2]
    return [i * (size - 1) // (count - 1) for i in range(count)]

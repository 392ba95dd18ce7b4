"""The pixels that a tile is made from: cut out here, found at their places there.

A worker predicts a tile of an image of which it has that part alone. Where a part is
asked for that was not sent, it names it, and gets it: so no rule about halos, scales or
neighbouring slices is repeated here, and what is computed equals the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import EngineError
from unet_engine.remote.packing import Packed, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.places import Index, Interval
    from unet_engine.tiling.tiles import Tile

    Box = tuple[Interval, ...]


class MissingPixelsError(EngineError):
    """A part of an image was read that was not sent.

    Attributes
    ----------
    box
        Start and stop along each axis of the data.
    source
        The array that was read.
    """

    def __init__(self, box: Box, source: object = None) -> None:
        super().__init__(box)
        self.box = box
        self.source = source


@dataclass(frozen=True, slots=True)
class SentPixels:
    """A part of an image on its way.

    Attributes
    ----------
    box
        Start and stop along each axis of the data.
    packed
        The pixels.
    """

    box: Box
    packed: Packed


class PartialArray:
    """An array of which one part is there.

    Parameters
    ----------
    shape, dtype
        Of the whole.
    """

    def __init__(self, shape: Sequence[int], dtype: Any) -> None:
        self.shape = tuple(shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(dtype)
        self._box: Box = ()
        self._pixels: npt.NDArray[Any] = np.empty(0, self.dtype)
        self._whole: Any = None

    def read_from(self, whole: Any) -> None:
        """Take all parts from an array of the whole."""
        self._whole = whole

    def hold(self, sent: SentPixels) -> None:
        """Have this part, and no other."""
        self._box, self._pixels = sent.box, unpack(sent.packed)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Return what a key of whole numbers and slices selects.

        Raises
        ------
        MissingPixelsError
            When not all of it is there.
        """
        if self._whole is not None:
            return np.asarray(self._whole[key])
        box = box_of(key, self.shape)
        held = self._box and all(
            low <= start and stop <= high
            for (low, high), (start, stop) in zip(self._box, box, strict=True)
        )
        if not held:
            raise MissingPixelsError(box)
        inside = tuple(
            start - low
            if isinstance(one, (int, np.integer))
            else slice(start - low, stop - low)
            for one, (low, _), (start, stop) in zip(key, self._box, box, strict=True)
        )
        return self._pixels[inside]


def box_of(key: Sequence[int | slice], shape: Sequence[int]) -> Box:
    """Return start and stop along each axis of what a key selects."""
    box = []
    for one, size in zip(key, shape, strict=True):
        if isinstance(one, slice):
            start, stop, _ = one.indices(size)
            box.append((start, stop))
        else:
            box.append((int(one), int(one) + 1))
    return tuple(box)


def without_pixels(image: Image) -> Image:
    """Return an image that has the place of its pixels alone, to be sent."""
    data = PartialArray(image.data.shape, image.data.dtype)
    return replace(image, data=data, source=None)


class PixelSender:
    """Cuts out what tiles of an image are made from.

    Parameters
    ----------
    image
        As a predictor takes it.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._margins = [(0, 0)] * len(image.axes)

    def cut(self, index: Index, tile: Tile) -> SentPixels:
        """Return the part that a tile needs, as far as is known from those before.

        Raises
        ------
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        around = zip(self._box(index, tile), self._margins, strict=True)
        return self._cut(
            [(s - before, e + after) for (s, e), (before, after) in around]
        )

    def cut_more(
        self, index: Index, tile: Tile, sent: SentPixels, more: Box
    ) -> SentPixels:
        """Return a larger part, with what a worker found to be missing.

        The tiles that follow get as much at once.
        """
        box = [
            (min(one[0], other[0]), max(one[1], other[1]))
            for one, other in zip(sent.box, more, strict=True)
        ]
        self._margins = [
            (max(before, start - low), max(after, high - stop))
            for (before, after), (start, stop), (low, high) in zip(
                self._margins, self._box(index, tile), box, strict=True
            )
        ]
        return self._cut(box)

    def _box(self, index: Index, tile: Tile) -> Box:
        where: list[int | slice] = [*index]
        where += (slice(max(0, low), high) for low, high in tile.outer)
        return box_of(self._image.key(where), self._image.data.shape)

    def _cut(self, box: Sequence[Interval]) -> SentPixels:
        shape = self._image.data.shape
        inside = tuple(
            (max(0, start), min(size, stop))
            for (start, stop), size in zip(box, shape, strict=True)
        )
        pixels = self._image.read_raw(tuple(starmap(slice, inside)))
        if self._image.source is not None:
            self._image.source.check_unchanged()
        return SentPixels(inside, pack(pixels))

"""An image in squares: each goes to a worker once, when it is first needed."""

from __future__ import annotations

from itertools import product, starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.prediction.remote.pixels import (
    MissingPixelsError,
    SentPixels,
    box_of,
)
from unet_engine.remote.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.prediction.remote.pixels import Box

_EDGE = 128
"""Edge of a square in pixels: 16 kB of grey, some milliseconds of a line of 20
Mbit/s."""


def chunk_boxes(box: Box, axes: str, shape: Sequence[int]) -> Iterator[Box]:
    """Yield the squares that meet a part of an image.

    They have all channels of one plane.

    Parameters
    ----------
    box
        Start and stop along each axis of the data.
    axes, shape
        Of the image.
    """
    sides = []
    for axis, (start, stop), size in zip(axes, box, shape, strict=True):
        edge = {"Y": _EDGE, "X": _EDGE, "C": size, "S": size}.get(axis, 1)
        first, last = start // edge, -(-stop // edge)
        sides.append(
            [(k * edge, min((k + 1) * edge, size)) for k in range(first, last)]
        )
    yield from product(*sides)


class ChunkSender:
    """Cuts out the squares of an image that a worker has not got.

    Parameters
    ----------
    image
        As it is painted on.
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self._sent: set[Box] = set()

    def cut(self, box: Box) -> tuple[SentPixels, ...]:
        """Return the squares that meet a part and were not returned before.

        Raises
        ------
        DataError
            When they cannot be read, or the file changed.
        """
        image, found = self._image, []
        for one in chunk_boxes(box, image.axes, image.data.shape):
            if one in self._sent:
                continue
            pixels = image.read_raw(tuple(starmap(slice, one)))
            found.append(SentPixels(one, pack(pixels)))
            self._sent.add(one)
        if found and image.source is not None:
            image.source.check_unchanged()
        return tuple(found)


class ChunkedArray:
    """An array of which some squares are there.

    Parameters
    ----------
    shape, dtype
        Of the whole.
    axes
        A letter for each of its axes.
    """

    def __init__(self, shape: Sequence[int], dtype: Any, axes: str) -> None:
        self.shape = tuple(shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(dtype)
        self._axes = axes
        self._chunks: dict[Box, npt.NDArray[Any]] = {}

    def hold(self, sent: SentPixels) -> None:
        """Have one more square."""
        self._chunks[sent.box] = unpack(sent.packed)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Return what a key of whole numbers and slices selects.

        Raises
        ------
        MissingPixelsError
            When not all of it is there.
        """
        box = box_of(key, self.shape)
        boxes = list(chunk_boxes(box, self._axes, self.shape))
        if any(one not in self._chunks for one in boxes):
            raise MissingPixelsError(box, self)
        found = np.empty([stop - start for start, stop in box], self.dtype)
        for one in boxes:
            common = [
                (max(low, start), min(high, stop))
                for (low, high), (start, stop) in zip(one, box, strict=True)
            ]
            there = tuple(
                slice(low - start, high - start)
                for (low, high), (start, _) in zip(common, box, strict=True)
            )
            here = tuple(
                slice(low - start, high - start)
                for (low, high), (start, _) in zip(common, one, strict=True)
            )
            found[there] = self._chunks[one][here]
        whole = tuple(
            0 if isinstance(part, (int, np.integer)) else slice(None) for part in key
        )
        return found[whole]

"""``FeatureCache``: the features of an image's blocks, computed once and kept."""

from __future__ import annotations

from collections import OrderedDict
from itertools import product
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.images import match_channels
from unet_engine.images.no_data import unrecorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.pixel_classification.features import FeatureExtractor
    from unet_engine.places import Index, Region

    Key = tuple[Index, int, int]
    Halves = npt.NDArray[np.float16]

BLOCK = 256
"""Edge in pixels of the squares whose features are kept."""

TILE = 128
"""Edge in pixels of what is predicted at a time; divides a block."""

_CACHE_BYTES = 1 << 30
"""Bytes of features that are kept by default, 1 GiB; the oldest blocks go first."""


class FeatureCache:
    """The features of the blocks of an image, computed once and kept.

    Live, a training and a prediction may use it at the same time, in their threads.

    Parameters
    ----------
    image
        With the channels of the extractor's model, if it has one.
    normalisation
        As for prediction.
    extractor
        Gives the features.
    cache_bytes
        About the most memory that features may take; the oldest go first.
    other
        Features of the same image that are kept elsewhere, as those of Live: blocks
        that are there are taken from it, if they are the same as would be computed.

    Attributes
    ----------
    image
        As the features see it.
    normalisation, extractor
        See above.
    """

    def __init__(
        self,
        image: Image,
        normalisation: Normalisation,
        extractor: FeatureExtractor,
        *,
        cache_bytes: int = _CACHE_BYTES,
        other: FeatureCache | None = None,
    ) -> None:
        channels = extractor.channels
        matched = match_channels(image, channels) if channels else image
        self.image = normalisation.marked(matched)
        self.normalisation = normalisation
        self.extractor = extractor
        self._cache: OrderedDict[Key, Halves] = OrderedDict()
        self._limit = cache_bytes
        self._lock = RLock()
        self._lost: dict[Key, npt.NDArray[np.bool_]] = {}
        self._tuned: dict[Key, npt.NDArray[np.float32]] = {}
        same = other is not None and self._gives_same_as(other)
        self._other = other if same else None

    def _gives_same_as(self, other: FeatureCache) -> bool:
        """Return whether another cache of the image has the features of this one."""
        ours, theirs = self.extractor, other.extractor
        return (
            ours.tuned is None
            and ours.device == theirs.device
            and ours.gives_same_as(theirs)
            and self.normalisation == other.normalisation
            and self.image.channels == other.image.channels
        )

    def kept(self, key: Key) -> Halves | None:
        """Return the features of a block if they are kept, ``(h, w, features)``.

        Parameters
        ----------
        key
            Position along the leading axes, row and column of the block.
        """
        with self._lock:
            return self._cache.get(key)

    @property
    def fine(self) -> int:
        """Number of features as fine as the pixels."""
        return self.extractor.count_fine(self.image.channels)

    @property
    def n_tuned_channels(self) -> int:
        """Number of the last features, which are probabilities of a tuned model."""
        return self.extractor.n_tuned_channels

    def blocks(self, region: Sequence[slice]) -> Iterator[tuple[int, int]]:
        """Yield row and column of the blocks that meet a region of the plane."""
        yield from product(*_spans(region, self.image.plane_shape, BLOCK))

    def inner(self, row: int, column: int) -> Region:
        """Return the part of the plane that a block covers."""
        return _cell(row, column, self.image.plane_shape, BLOCK)

    def tiles(
        self, region: Sequence[slice], near: tuple[float, float] | None = None
    ) -> list[Region]:
        """Return the tiles that meet a region of the plane, those near a point first.

        The tiles of a block follow each other, so that its features are there.

        Parameters
        ----------
        region
            Rows and columns.
        near
            ``(y, x)`` in pixels; the middle of the region when it is None.
        """
        shape = self.image.plane_shape
        bounds = [p.indices(n)[:2] for p, n in zip(region, shape, strict=True)]
        at = near or tuple(sum(b) / 2 for b in bounds)

        def order(tile: tuple[int, ...]) -> tuple[float, int, int, float]:
            row, column = (k * TILE // BLOCK for k in tile)
            return _apart((row, column), BLOCK, at), row, column, _apart(tile, TILE, at)

        tiles = sorted(product(*_spans(region, shape, TILE)), key=order)
        return [_cell(row, column, shape, TILE) for row, column in tiles]

    def features(self, index: Index, row: int, column: int) -> Halves:
        """Return the features of a block, computed if need be.

        ``(h, w, features)`` float16; those in the cache, not to be changed.
        """
        key = (index, row, column)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
            else:
                self._add(key)
            return self._cache[key]

    def _add(self, key: Key) -> None:
        """Compute a block, and let the oldest ones go."""
        region = self.inner(*key[1:])
        self._cache[key] = self._compute(key, region)
        lost = unrecorded(self.image.read(key[0], region))
        if lost is not None:
            self._lost[key] = lost
        size = next(iter(self._cache.values())).nbytes
        while len(self._cache) > max(1, self._limit // max(size, 1)):
            oldest, _ = self._cache.popitem(last=False)
            self._tuned.pop(oldest, None)
            self._lost.pop(oldest, None)

    def tuned_probabilities(
        self, index: Index, row: int, column: int
    ) -> npt.NDArray[np.float32] | None:
        """Return the probabilities of a tuned model in a block, ``(h, w, classes)``.

        They are those among the features before these were rounded to 16 bits; None
        without a tuned model.
        """
        self.features(index, row, column)
        return self._tuned.get((index, row, column))

    def region(self, index: Index, region: Region) -> Halves:
        """Return the features of a region of a plane, ``(h, w, features)`` float16.

        They are those of its blocks, put together.
        """
        bands = []
        for row in _spans(region, self.image.plane_shape, BLOCK)[0]:
            parts = []
            for column in _spans(region, self.image.plane_shape, BLOCK)[1]:
                inner = self.inner(row, column)
                within = tuple(
                    slice(
                        max(side.start, wanted.start) - side.start,
                        min(side.stop, wanted.stop) - side.start,
                    )
                    for side, wanted in zip(inner, region, strict=True)
                )
                parts.append(self.features(index, row, column)[within])
            bands.append(np.concatenate(parts, axis=1))
        return np.concatenate(bands, axis=0)

    def lost(self, index: Index, row: int, column: int) -> npt.NDArray[np.bool_] | None:
        """Return where a block has no data, ``(h, w)`` bool; None if nowhere.

        It is known while the features of the block are kept.
        """
        return self._lost.get((index, row, column))

    def forget_blocks(self) -> None:
        """Free the memory of the blocks; what was learned from is kept."""
        with self._lock:
            self._cache.clear()
            self._tuned.clear()

    def _compute(self, key: Key, region: Region) -> Halves:
        kept = self._other.kept(key) if self._other is not None else None
        if kept is not None:
            return kept[..., : self.extractor.count(self.image.channels)]
        index, (rows, columns) = key[0], region
        found = self.extractor.read(
            lambda at: self.normalisation.apply(self.image.read(index, at)),
            (rows, columns),
            self.image.plane_shape,
        )
        if self.n_tuned_channels:
            self._tuned[key] = found[..., -self.n_tuned_channels :].numpy().copy()
        halves: Halves = found.half().numpy()
        return halves


def _spans(region: Sequence[slice], shape: Sequence[int], edge: int) -> list[range]:
    """Return which rows and columns of squares meet a region."""
    bounds = [part.indices(size)[:2] for part, size in zip(region, shape, strict=True)]
    return [range(start // edge, -(-stop // edge)) for start, stop in bounds]


def _cell(row: int, column: int, shape: Sequence[int], edge: int) -> Region:
    height, width = shape
    return (
        slice(row * edge, min((row + 1) * edge, height)),
        slice(column * edge, min((column + 1) * edge, width)),
    )


def _apart(square: Sequence[int], edge: int, at: Sequence[float]) -> float:
    """Return the squared distance of the middle of a square from a point."""
    return sum(((k + 0.5) * edge - c) ** 2 for k, c in zip(square, at, strict=True))

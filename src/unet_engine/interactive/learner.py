"""The instant learner: a classifier that is fitted anew after every stroke.

What takes time, the features of the pixels, is computed once per block and kept; a
stroke needs a fit of well under a second on the touched pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.errors import Cancelled, DataError
from unet_engine.images import match_channels
from unet_engine.images.no_data import describe_unrecorded, unrecorded
from unet_engine.interactive.pixel_classifier import (
    MOST_UNLABELLED,
    PixelClassifier,
    class_probabilities,
    fit_classifier,
)
from unet_engine.labels import IGNORE, most_probable_class
from unet_engine.prediction.events import TileDone
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image, Normalisation
    from unet_engine.interactive.features import FeatureExtractor
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

    Key = tuple[Index, int, int]
    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]
    Ids = npt.NDArray[np.uint8]

__all__ = ["BLOCK", "TILE", "FeatureCache", "InstantLearner", "PixelClassifier"]

BLOCK = 256
"""Edge in pixels of the squares whose features are kept."""

TILE = 128
"""Edge in pixels of what is predicted at a time; divides a block."""

_CACHE_BYTES = 1 << 30
"""Bytes of features that are kept by default, 1 GiB; the oldest blocks go first."""

_BLOCK_UNLABELLED = 512
"""Pixels of a block with strokes that nobody touched and that are learned from."""

_BLOCK_PIXELS = 8192
"""Most touched pixels of a block that are learned from: an accepted view must neither
fill the memory nor outweigh the strokes beside it."""


class FeatureCache:
    """An image that is painted on, with the features of its blocks.

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
    """

    def __init__(
        self,
        image: Image,
        normalisation: Normalisation,
        extractor: FeatureExtractor,
        *,
        cache_bytes: int = _CACHE_BYTES,
    ) -> None:
        channels = extractor.channels
        matched = match_channels(image, channels) if channels else image
        self.image = normalisation.marked(matched)
        self._normalisation = normalisation
        self._extractor = extractor
        self._cache: OrderedDict[Key, Halves] = OrderedDict()
        self._limit = cache_bytes
        self._touched: dict[Key, Touched] = {}
        self._lost: dict[Key, npt.NDArray[np.bool_]] = {}

    @property
    def fine(self) -> int:
        """Number of features as fine as the pixels."""
        return self._extractor.count_fine(self.image.channels)

    @property
    def n_tuned_channels(self) -> int:
        """Number of the last features, which are probabilities of a tuned model."""
        return self._extractor.n_tuned_channels

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
        if key in self._cache:
            self._cache.move_to_end(key)
        else:
            region = self.inner(row, column)
            self._cache[key] = self._compute(index, *region)
            lost = unrecorded(self.image.read(index, region))
            if lost is not None:
                self._lost[key] = lost
            size = next(iter(self._cache.values())).nbytes
            while len(self._cache) > max(1, self._limit // max(size, 1)):
                self._cache.popitem(last=False)
        return self._cache[key]

    def lost(self, index: Index, row: int, column: int) -> npt.NDArray[np.bool_] | None:
        """Return where a block has no data, ``(h, w)`` bool; None if nowhere.

        It is known once the features of the block are.
        """
        return self._lost.get((index, row, column))

    @property
    def unrecorded(self) -> int:
        """Number of touched pixels without data, which are not learned from."""
        return sum(touched.unrecorded for touched in self._touched.values())

    def forget_blocks(self) -> None:
        """Free the memory of the blocks; what was learned from is kept."""
        self._cache.clear()

    def touched(self, annotations: Annotations, stop: Stop = never) -> list[Touched]:
        """Return what is learned from the blocks with touched pixels.

        Parameters
        ----------
        annotations
            What was painted on the image.
        stop
            Polled before every block.

        Raises
        ------
        DataError
            When the annotations are of an image of another size.
        Cancelled
            When ``stop`` returned True; the blocks so far are kept.
        """
        shape = (*self.image.leading_shape, *self.image.plane_shape)
        if annotations.shape != shape:
            raise DataError(
                f"the strokes are of an image of {annotations.shape}, and this one is "
                f"{shape}; was it replaced? Predict it, and paint on the new mask"
            )
        current = set()
        for index in annotations.planes():
            for region in annotations.regions(index):
                for row, column in self.blocks(region):
                    if stop():
                        raise Cancelled("learning was stopped")
                    current.add((index, row, column))
                    self._touch(annotations, (index, row, column))
        # In order, so that the same strokes give the same classifier.
        self._touched = {key: self._touched[key] for key in sorted(current)}
        return [t for t in self._touched.values() if len(t.labels)]

    def _touch(self, annotations: Annotations, key: Key) -> None:
        """Read the strokes on a block, unless they are the same as before."""
        index, row, column = key
        target = annotations.target(index, self.inner(row, column))
        known = self._touched.get(key)
        if known is not None and np.array_equal(known.target, target):
            return
        touched = target.ravel() != IGNORE
        found = self.features(index, row, column) if touched.any() else _NO_FEATURES
        recorded = np.ones_like(touched)
        if (lost := self.lost(index, row, column)) is not None:
            recorded = ~lost.ravel()
        random = np.random.default_rng((*index, row, column))
        where = _some(np.flatnonzero(touched & recorded), _BLOCK_PIXELS, random)
        other = _some(np.flatnonzero(~touched & recorded), _BLOCK_UNLABELLED, random)
        rows = found.reshape(-1, found.shape[-1])
        self._touched[key] = Touched(
            target,
            rows[where],
            target.ravel()[where],
            rows[other] if touched.any() else rows,
            unrecorded=int(np.count_nonzero(touched & ~recorded)),
        )

    def _compute(self, index: Index, rows: slice, columns: slice) -> Halves:
        found = self._extractor.read(
            lambda at: self._normalisation.apply(self.image.read(index, at)),
            (rows, columns),
            self.image.plane_shape,
        )
        halves: Halves = found.half().numpy()
        return halves


@dataclass(frozen=True, slots=True, eq=False)
class Touched:
    """The strokes on a block, and what is learned from them.

    Attributes
    ----------
    target
        ``(h, w)`` class ids, ``IGNORE`` where nobody painted.
    features, labels
        Of touched pixels, ``(n, features)`` and ``(n,)``.
    unlabelled
        ``(m, features)`` of some pixels that nobody touched.
    unrecorded
        How many touched pixels were left out because the image has no data there.
    """

    target: Ids
    features: Halves
    labels: Ids
    unlabelled: Halves
    unrecorded: int


_NO_FEATURES = np.zeros((0, 0, 1), np.float16)
"""Of a block without strokes."""


def _some(
    places: npt.NDArray[np.intp], most: int, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    if len(places) <= most:
        return places
    return np.sort(random.choice(places, most, replace=False))


def _spans(region: Sequence[slice], shape: Sequence[int], edge: int) -> list[range]:
    """Return which rows and columns of squares meet a region."""
    bounds = [part.indices(size)[:2] for part, size in zip(region, shape, strict=True)]
    return [range(start // edge, -(-stop // edge)) for start, stop in bounds]


def _spread(unlabelled: Sequence[Halves]) -> Halves:
    """Join some rows of each, so that they are not too many."""
    each = -(-MOST_UNLABELLED // len(unlabelled))
    return np.concatenate([rows[:: -(-len(rows) // each) or 1] for rows in unlabelled])


def _cell(row: int, column: int, shape: Sequence[int], edge: int) -> Region:
    height, width = shape
    return (
        slice(row * edge, min((row + 1) * edge, height)),
        slice(column * edge, min((column + 1) * edge, width)),
    )


def _apart(square: Sequence[int], edge: int, at: Sequence[float]) -> float:
    """Return the squared distance of the middle of a square from a point."""
    return sum(((k + 0.5) * edge - c) ** 2 for k, c in zip(square, at, strict=True))


class InstantLearner:
    """Learns from the strokes on one or several images and predicts the viewport.

    Parameters
    ----------
    classes
        How many classes there are; those without a stroke are never predicted.
    seed
        Same seed, same result.

    Attributes
    ----------
    note
        What was left out when it learned, as a text; empty for nothing.
    """

    def __init__(self, classes: int, *, seed: int = 0) -> None:
        self._count = classes
        self._seed = seed
        self._classifier: PixelClassifier | None = None
        self.note = ""

    def learn(
        self, painted: Sequence[tuple[FeatureCache, Annotations]], stop: Stop = never
    ) -> int:
        """Fit to all strokes; the newest of a pixel counts.

        Parameters
        ----------
        painted
            Images that give the same features, and what was painted on them.
        stop
            Polled before the features of a block are computed.

        Returns
        -------
        int
            Touched pixels that were learned from.

        Raises
        ------
        DataError
            Without strokes of two classes, or when strokes do not fit their image.
        Cancelled
            When ``stop`` returned True; what was learned before stays.
        """
        found = [t for image, strokes in painted for t in image.touched(strokes, stop)]
        note = describe_unrecorded(sum(image.unrecorded for image, _ in painted))
        if not found:
            raise DataError(
                f"{note}, and nothing else is painted; paint where the image has data"
                if note
                else "nothing is painted yet; paint a stroke of two classes"
            )
        classes = np.concatenate([t.labels for t in found])
        if note and (classes == classes[0]).all():
            raise DataError(
                f"{note}, and all others are of one class; paint another class where "
                "the image has data"
            )
        source = painted[0][0]
        classifier = fit_classifier(
            PixelClassifier(source.fine, self._seed),
            np.concatenate([t.features for t in found]),
            classes,
            _spread([t.unlabelled for t in found]),
            source.n_tuned_channels,
        )
        self._count = max(self._count, int(classifier.classes[-1]) + 1)
        self._classifier = classifier
        self.note = note
        return len(classes)

    def probabilities(
        self, source: FeatureCache, index: Index, inner: Region
    ) -> Floats:
        """Return the probabilities of a part of a block, ``(classes, h, w)`` float32.

        Where the image has no data, class 0 has probability 1.
        """
        assert self._classifier is not None
        row, column = (part.start // BLOCK for part in inner)
        within = tuple(
            slice(part.start % BLOCK, part.stop - part.start // BLOCK * BLOCK)
            for part in inner
        )
        features = source.features(index, row, column)[within]
        rows = features.reshape(-1, features.shape[-1])
        known = class_probabilities(
            self._classifier, rows, self._count, source.n_tuned_channels
        )
        found = known.T.reshape(self._count, *features.shape[:2])
        lost = source.lost(index, row, column)
        if lost is not None and lost[within].any():
            found = found.copy()
            found[:, lost[within]] = 0
            found[0, lost[within]] = 1
        return found

    def iter_predict(
        self,
        source: FeatureCache,
        index: Index,
        region: Sequence[slice],
        *,
        near: tuple[float, float] | None = None,
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict the tiles that meet a region, the nearest to a point first.

        Parameters
        ----------
        source
            The image.
        index
            Position along its leading axes.
        region
            Slices of the plane, such as what the camera shows.
        near
            ``(y, x)`` in pixels; the middle of the region when it is None.
        stop
            Polled before every tile.

        Yields
        ------
        TileDone
            With probabilities.

        Returns
        -------
        bool
            False when it was stopped before the end.
        """
        return (
            yield from self.iter_tiles(source, index, source.tiles(region, near), stop)
        )

    def iter_tiles(
        self,
        source: FeatureCache,
        index: Index,
        tiles: Sequence[Region],
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict tiles of a plane in the order in which they are given.

        See `iter_predict`; ``tiles`` are some of those that `FeatureCache.tiles` gives.
        """
        for done, inner in enumerate(tiles, start=1):
            if stop():
                return False
            probabilities = self.probabilities(source, index, inner)
            yield TileDone(
                index=index,
                inner=inner,
                labels=most_probable_class(probabilities),
                probabilities=probabilities,
                done=done,
                total=len(tiles),
            )
        return True

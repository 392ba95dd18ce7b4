"""The instant learner: a classifier that is fitted anew after every stroke.

What is dear, the features of the pixels, is computed once per block and kept; what a
stroke asks for is a fit of well under a second on the touched pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from unet_engine.errors import DataError
from unet_engine.events import TileDone, never
from unet_engine.features import GRID, MARGIN
from unet_engine.images import match_channels
from unet_engine.predictor import likeliest
from unet_engine.spec import IGNORE
from unet_engine.tiling import read_reflected

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from unet_engine.annotations import Annotations
    from unet_engine.events import Stop
    from unet_engine.features import FeatureExtractor
    from unet_engine.images import Image, Normalisation

    Index = tuple[int, ...]
    Key = tuple[Index, int, int]
    Floats = npt.NDArray[np.float32]

BLOCK = 256
_TREES = 100
_DEPTH = 10
_BAG = 0.05
"""Share of the touched pixels that a tree learns from. Neighbours in a stroke tell the
same, so small bags make trees differ; more of them only memorise the strokes."""
_PENALTY = 1e-3
"""Inverse strength of the regression's regularisation: strokes are few and the maps of
a network many."""
_MOST_PIXELS = 30_000
_CACHE_BYTES = 1 << 30


class PixelClassifier:
    """A forest on the fine features and a regression on all, averaged.

    The forest follows brightness and texture where the strokes show them; the strongly
    regularised regression carries what the network knows to where nobody painted.

    Parameters
    ----------
    fine
        How many of the first features the forest sees.
    seed
        Same seed, same classifier.
    """

    def __init__(self, fine: int, seed: int = 0) -> None:
        self._fine = fine
        self._seed = seed
        self.classes: npt.NDArray[np.intp] = np.empty(0, dtype=np.intp)

    def fit(self, features: Floats, labels: npt.NDArray[np.uint8]) -> None:
        """Learn from pixels: ``(n, features)`` and ``(n,)`` class ids, two at least."""
        if len(labels) > _MOST_PIXELS:
            random = np.random.default_rng(self._seed)
            chosen = random.choice(len(labels), _MOST_PIXELS, replace=False)
            features, labels = features[chosen], labels[chosen]
        self.classes = np.unique(labels).astype(np.intp)
        if len(self.classes) < 2:
            raise DataError(
                "all strokes are of one class; paint at least one stroke of another"
            )
        self._mean = features.mean(axis=0)
        self._scale = features.std(axis=0) + 1e-6
        bag = min(1.0, max(_BAG, 50 / len(labels)))
        self._forest = RandomForestClassifier(
            _TREES,
            max_depth=_DEPTH,
            max_samples=bag,
            n_jobs=-1,
            random_state=self._seed,
        ).fit(features[:, : self._fine], labels)
        self._regression = LogisticRegression(C=_PENALTY, max_iter=200)
        self._regression.fit((features - self._mean) / self._scale, labels)

    def probabilities(self, features: Floats) -> Floats:
        """Return ``(n, known classes)`` float32, in the order of ``classes``."""
        trees = self._forest.predict_proba(features[:, : self._fine])
        line = self._regression.predict_proba((features - self._mean) / self._scale)
        mean: Floats = ((trees + line) / 2).astype(np.float32)
        return mean


class LiveImage:
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
        self.image = match_channels(image, channels) if channels else image
        self._normalisation = normalisation
        self._extractor = extractor
        self._cache: OrderedDict[Key, npt.NDArray[np.float16]] = OrderedDict()
        self._limit = cache_bytes
        self._touched: dict[Key, _Touched] = {}

    @property
    def fine(self) -> int:
        """Number of features as fine as the pixels."""
        return self._extractor.count_fine(self.image.channels)

    def blocks(self, region: Sequence[slice]) -> Iterator[tuple[int, int]]:
        """Yield row and column of the blocks that meet a region of the plane."""
        spans = (
            range(part.indices(size)[0] // BLOCK, -(-part.indices(size)[1] // BLOCK))
            for part, size in zip(region, self.image.plane_shape, strict=True)
        )
        yield from product(*spans)

    def inner(self, row: int, column: int) -> tuple[slice, slice]:
        """Return the part of the plane that a block covers."""
        height, width = self.image.plane_shape
        return (
            slice(row * BLOCK, min((row + 1) * BLOCK, height)),
            slice(column * BLOCK, min((column + 1) * BLOCK, width)),
        )

    def features(self, index: Index, row: int, column: int) -> Floats:
        """Return the features of a block, ``(h, w, features)``, computed if need be."""
        key = (index, row, column)
        if key in self._cache:
            self._cache.move_to_end(key)
        else:
            self._cache[key] = self._compute(index, *self.inner(row, column))
            size = next(iter(self._cache.values())).nbytes
            while len(self._cache) > max(1, self._limit // max(size, 1)):
                self._cache.popitem(last=False)
        return self._cache[key].astype(np.float32)

    def touched(
        self, annotations: Annotations
    ) -> tuple[list[Floats], list[npt.NDArray[np.uint8]]]:
        """Return the features and classes of all touched pixels, a pair per block."""
        current: dict[Key, _Touched] = {}
        for index in annotations.planes():
            for row, column in self.blocks((slice(None),) * 2):
                target = annotations.target(index, self.inner(row, column))
                if (target == IGNORE).all():
                    continue
                key = (index, row, column)
                known = self._touched.get(key)
                if known is None or not np.array_equal(known.target, target):
                    features = self.features(*key)[target != IGNORE]
                    known = _Touched(target, features)
                current[key] = known
        self._touched = current
        return (
            [t.features for t in current.values()],
            [t.target[t.target != IGNORE] for t in current.values()],
        )

    def _compute(
        self, index: Index, rows: slice, columns: slice
    ) -> npt.NDArray[np.float16]:
        shape = self.image.plane_shape
        outer = [
            (part.start - MARGIN, part.start - MARGIN + _padded(part))
            for part in (rows, columns)
        ]
        block = read_reflected(
            lambda region: self.image.read(index, region), outer, shape
        )
        features = self._extractor(self._normalisation.apply(block))
        part = features[: rows.stop - rows.start, : columns.stop - columns.start]
        return part.half().numpy()


@dataclass(frozen=True, slots=True, eq=False)
class _Touched:
    """What was said of a block, and the features of the pixels it was said of."""

    target: npt.NDArray[np.uint8]
    features: Floats


def _padded(part: slice) -> int:
    whole = -(-(part.stop - part.start) // GRID) * GRID
    return int(whole) + 2 * MARGIN


class LiveLearner:
    """Learns from the strokes on one or several images and predicts what is seen.

    Parameters
    ----------
    classes
        How many classes there are; those without a stroke are never predicted.
    seed
        Same seed, same result.
    """

    def __init__(self, classes: int, *, seed: int = 0) -> None:
        self._count = classes
        self._seed = seed
        self._classifier: PixelClassifier | None = None

    def learn(self, painted: Sequence[tuple[LiveImage, Annotations]]) -> int:
        """Fit to all strokes; the newest of a pixel counts.

        Returns
        -------
        int
            Touched pixels that were learned from.

        Raises
        ------
        DataError
            Without strokes of two classes.
        """
        features: list[Floats] = []
        labels: list[npt.NDArray[np.uint8]] = []
        for source, strokes in painted:
            found = source.touched(strokes)
            features += found[0]
            labels += found[1]
        if not labels:
            raise DataError("nothing is painted yet; paint a stroke of two classes")
        classifier = PixelClassifier(painted[0][0].fine, self._seed)
        classifier.fit(np.concatenate(features), np.concatenate(labels))
        self._classifier = classifier
        return sum(map(len, labels))

    def probabilities(
        self, source: LiveImage, index: Index, row: int, column: int
    ) -> Floats:
        """Return the probabilities of a block, ``(classes, h, w)``."""
        assert self._classifier is not None
        features = source.features(index, row, column)
        known = self._classifier.probabilities(features.reshape(-1, features.shape[-1]))
        all_classes = np.zeros((self._count, len(known)), dtype=np.float32)
        all_classes[self._classifier.classes] = known.T
        return all_classes.reshape(self._count, *features.shape[:2])

    def iter_predict(
        self,
        source: LiveImage,
        index: Index,
        region: Sequence[slice],
        *,
        near: tuple[float, float] | None = None,
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict the blocks that meet a region, the nearest to a point first.

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
            Polled before every block.

        Yields
        ------
        TileDone
            With probabilities.

        Returns
        -------
        bool
            False when it was stopped before the end.
        """
        shape = source.image.plane_shape
        bounds = [p.indices(n)[:2] for p, n in zip(region, shape, strict=True)]
        at = near or tuple(sum(b) / 2 for b in bounds)
        blocks = sorted(
            source.blocks(region),
            key=lambda b: sum(
                ((k + 0.5) * BLOCK - c) ** 2 for k, c in zip(b, at, strict=True)
            ),
        )
        for done, (row, column) in enumerate(blocks, start=1):
            if stop():
                return False
            probabilities = self.probabilities(source, index, row, column)
            yield TileDone(
                index=index,
                inner=source.inner(row, column),
                labels=likeliest(probabilities),
                probabilities=probabilities,
                done=done,
                total=len(blocks),
            )
        return True

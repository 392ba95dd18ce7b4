"""Soft targets for the pixels that nobody labelled, from the labelled ones.

A network that learns from strokes alone is unconstrained elsewhere. The pixel
classifier of Live gives probabilities everywhere, from the same strokes; as soft
targets they constrain the network, whose receptive field is larger than that of a
classifier of pixels (Hinton, Vinyals, Dean 2015, section 2). What they gain is in "A
few strokes on images of a new kind" in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product, zip_longest
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.cross_validation import StrokeCheck, cross_validate
from unet_engine.interactive.stages import (
    BLOCK_SAMPLE,
    NEVER,
    LabelledRows,
    fit_in_stages,
    join_images,
)
from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.pixel_classification.classifier_runner import ClassifierRunner
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unet_engine.interactive.pixel_classifier import PixelClassifier
    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.pixel_classification.features import FeatureExtractor
    from unet_engine.stopping import Stop
    from unet_engine.training.data.pairs import TrainingPair

    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]
    Part = tuple[int | slice, ...]

_MOST_BLOCKS = 36
"""Blocks that get soft targets, over all images: those nearest to the strokes."""

_MOSTLY = 0.5
"""Labelled share of an image above which it needs no soft targets."""


class StrokeClassifier:
    """The pixel classifier that Live would fit to sparse labels, and its features.

    Parameters
    ----------
    pairs
        What is learned from, with the labels that may be: held-out ones are not used.
        Of volumes each slice is taken for itself.
    extractor
        Gives the features of planes of pairs that do not have their own.
    classes
        Number of classes of the model that is trained.
    stop
        Polled before every block.
    seconds
        After which no block without strokes is begun.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        extractor: FeatureExtractor,
        classes: int,
        stop: Stop,
        *,
        seconds: float = inf,
    ) -> None:
        self._extractor, self._classes, self._stop = extractor, classes, stop
        self._features: dict[tuple[int, str], Halves] = {}
        self._images: list[Floats] = []
        self._compared: dict[int, bool] = {}
        self._started, self._seconds = time.monotonic(), seconds
        self.classifier = self.fit(pairs)
        if self.classifier is not None:
            self._runner = ClassifierRunner(self.classifier.part, classes)

    def part(self, pairs: Sequence[TrainingPair]) -> ClassifierPart | None:
        """Fit to all labels of pairs, and return it as the part of a model."""
        # A training that was stopped has its classifier all the same.
        fitted = self.fit(pairs, stop=never)
        if fitted is None:
            return None
        return replace(
            fitted.part,
            network=self._extractor.network,
            averaged=self._extractor.averaged,
        )

    def fit(
        self, pairs: Sequence[TrainingPair], *, stop: Stop | None = None
    ) -> PixelClassifier | None:
        """Fit a classifier to the labels of sparse pairs; None where it cannot be."""
        stop = stop or self._stop
        images = [rows for _, rows in self._labelled(pairs, stop)]
        if not images or stop():
            return None
        if len(np.unique(np.concatenate([one.labels for one in images]))) < 2:
            return None
        rows = join_images(images)
        fine = self._extractor.count_fine(len(pairs[0].image))
        return fit_in_stages(rows, fine)

    def cross_validated(self, pairs: Sequence[TrainingPair]) -> StrokeCheck:
        """Return how classifiers do on strokes of pairs that they did not learn."""
        known = self._labelled(pairs, self._stop)
        fine = self._extractor.count_fine(len(pairs[0].image)) if pairs else 0
        return cross_validate(
            [rows for _, rows in known],
            [_strokes_of(pair) for pair, _ in known],
            fine,
            self._stop,
        )

    def _labelled(
        self, pairs: Sequence[TrainingPair], stop: Stop
    ) -> list[tuple[TrainingPair, LabelledRows]]:
        """Return the sparse pairs, and the labelled pixels of each."""
        found = []
        for pair in pairs:
            blocks = parts_with_labels(pair)
            if not is_sparse(pair) or not blocks:
                continue
            if stop():
                break
            found.append((pair, self._rows(pair, blocks)))
        return found

    def predict(self, pair: TrainingPair, parts: Iterable[Part]) -> Halves:
        """Return the probabilities of some blocks of a pair, 0 in the others.

        ``(classes, *spatial)`` float16; what ``stop`` or the time left out is 0 too.
        """
        assert self.classifier is not None
        found = np.zeros((self._classes, *pair.target.shape), np.float16)
        for part in parts:
            late = time.monotonic() - self._started > self._seconds
            if self._stop():
                break
            # The features of later ones may be known.
            if late and not self._is_known(pair, part):
                continue
            features = self._block(pair, part)
            known = self._runner(features.reshape(-1, features.shape[-1]))
            found[:, *part] = known.T.reshape(self._classes, *features.shape[:2])
        return found

    def _rows(self, pair: TrainingPair, parts: Sequence[Part]) -> LabelledRows:
        times = pair.times if pair.times is not None else np.zeros(pair.target.shape)
        features, labels, when, sample, sample_times = [], [], [], [], []
        for part in parts:
            found = self._block(pair, part)
            found = found.reshape(-1, found.shape[-1])
            target = pair.target[part].ravel()
            labelled = target < HELD_OUT
            at = np.where(labelled, times[part].ravel(), NEVER)
            # As Live draws: of the block of the image, wherever the region begins.
            random = np.random.default_rng(_block_of_image(pair, part))
            chosen = np.sort(random.permutation(len(target))[:BLOCK_SAMPLE])
            # A held-out pixel is no example of what is unlabelled, either.
            chosen = chosen[target[chosen] != HELD_OUT]
            features.append(found[labelled])
            labels.append(target[labelled])
            when.append(at[labelled])
            sample.append(found[chosen])
            sample_times.append(at[chosen])
        return LabelledRows(
            features=np.concatenate(features),
            labels=np.concatenate(labels),
            times=np.concatenate(when),
            sample=np.concatenate(sample),
            sample_times=np.concatenate(sample_times),
        )

    def _is_known(self, pair: TrainingPair, part: Part) -> bool:
        return (self._number(pair), str(part)) in self._features

    def _fits(self, extractor: FeatureExtractor) -> bool:
        """Return whether kept features are those that are wanted here."""
        if id(extractor) not in self._compared:
            self._compared[id(extractor)] = self._extractor.gives_same_as(extractor)
        return self._compared[id(extractor)]

    def _number(self, pair: TrainingPair) -> int:
        """Number the images: pairs of the same one share its features."""
        for number, image in enumerate(self._images):
            if image is pair.image:
                return number
        self._images.append(pair.image)
        return len(self._images) - 1

    def _block(self, pair: TrainingPair, part: Part) -> Halves:
        key = (self._number(pair), str(part))
        if key not in self._features:
            kept = pair.features
            if kept is not None and self._fits(kept.cache.extractor):
                self._features[key] = kept(part)
            else:
                self._features[key] = _compute(pair, part, self._extractor)
        return self._features[key]


def with_soft_targets(
    pairs: Sequence[TrainingPair], classifier: StrokeClassifier
) -> tuple[TrainingPair, ...]:
    """Return the pairs with soft targets around their strokes.

    Images that are mostly labelled and strokes of one class alone stay as they are.

    Parameters
    ----------
    pairs
        What the classifier was fitted to.
    classifier
        Gives the soft targets.
    """
    sparse = [i for i, pair in enumerate(pairs) if is_sparse(pair)]
    if not sparse or classifier.classifier is None:
        return tuple(pairs)
    each = max(1, _MOST_BLOCKS // len(sparse))
    near = [[(i, p) for p in _nearest_parts(pairs[i], each)] for i in sparse]
    # Of all images in turn: the time may end before the last block.
    blocks = [block for turn in zip_longest(*near) for block in turn if block]
    parts: dict[int, list[Part]] = {}
    for i, part in blocks:
        parts.setdefault(i, []).append(part)
    return tuple(
        replace(pair, soft_target=classifier.predict(pair, parts[i]))
        if i in parts
        else pair
        for i, pair in enumerate(pairs)
    )


def is_sparse(pair: TrainingPair) -> bool:
    """Return whether so little is labelled that the rest needs soft targets."""
    # The same whether or not a part of it is held out.
    labelled = float(np.mean(pair.target != IGNORE))
    return 0 < labelled < _MOSTLY


def parts_with_labels(pair: TrainingPair) -> list[Part]:
    """Return the blocks of planes that have labels."""
    return [part for part in parts_of(pair) if (pair.target[part] < HELD_OUT).any()]


def parts_of(pair: TrainingPair) -> list[Part]:
    """Cut all planes of a pair into blocks."""
    *depth, height, width = pair.target.shape
    steps = [*(1 for _ in depth), BLOCK, BLOCK]
    ranges = [
        range(0, n, step) for n, step in zip(pair.target.shape, steps, strict=True)
    ]
    return [
        (*z, slice(y, min(y + BLOCK, height)), slice(x, min(x + BLOCK, width)))
        for *z, y, x in product(*ranges)
    ]


def _strokes_of(pair: TrainingPair) -> npt.NDArray[np.intp]:
    """Return the stroke of each labelled pixel, block by block."""
    numbers = stroke_map(pair.target, HELD_OUT)
    blocks = [numbers[part] for part in parts_with_labels(pair)]
    return np.concatenate([block[block >= 0] for block in blocks])


def _corner(part: Part) -> list[int]:
    return [p if isinstance(p, int) else p.start // BLOCK for p in part]


def _block_of_image(pair: TrainingPair, part: Part) -> list[int]:
    """Return the number of the plane and of the block in its image."""
    index = () if pair.features is None else pair.features.index
    first = pair.origin or (0,) * len(part)
    inner = [
        p + start if isinstance(p, int) else (p.start + start) // BLOCK
        for p, start in zip(part, first, strict=True)
    ]
    return [*index, *inner]


def _nearest_parts(pair: TrainingPair, most: int) -> list[Part]:
    """Return blocks of planes, those with strokes and those nearest to them first."""
    parts = parts_of(pair)
    there = np.array([_corner(part) for part in parts])
    painted = np.array([bool((pair.target[part] < HELD_OUT).any()) for part in parts])
    # One block at a time: of a deep volume there are many.
    apart = np.full(len(parts), np.inf)
    for place in there[painted]:
        apart = np.minimum(apart, np.abs(there - place).max(axis=1))
    return [parts[n] for n in np.argsort(apart, kind="stable")[:most]]


def _compute(pair: TrainingPair, part: Part, extractor: FeatureExtractor) -> Halves:
    *index, rows, columns = part
    plane = pair.image[:, *index]
    assert isinstance(rows, slice)
    assert isinstance(columns, slice)
    found = extractor.read(lambda at: plane[:, *at], (rows, columns), plane.shape[1:])
    halves: Halves = found.half().numpy()
    return halves

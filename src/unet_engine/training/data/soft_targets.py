"""Soft targets for the pixels that nobody labelled, from the labelled ones.

A network that learns from strokes alone is unconstrained elsewhere. The instant learner
gives probabilities everywhere, from the same strokes; as soft targets they constrain
the network, whose receptive field is larger than that of a classifier of pixels
(Hinton, Vinyals, Dean 2015, section 2). What they gain is in "A few strokes on images
of a new kind" in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product, zip_longest
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.pixel_classifier import (
    MOST_UNLABELLED,
    PixelClassifier,
    class_probabilities,
    fit_classifier,
)
from unet_engine.labels import HELD_OUT, IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.pixel_classification.features import FeatureExtractor
    from unet_engine.stopping import Stop
    from unet_engine.training.data.pairs import TrainingPair

    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]
    Part = tuple[int | slice, ...]

_EDGE = 256
"""Edge of a block in pixels, as of the blocks of the instant learner."""

_MOST_BLOCKS = 36
"""Blocks that get soft targets, over all images: those nearest to the strokes."""

_MOSTLY = 0.5
"""Labelled share of an image above which it needs no soft targets."""


def with_soft_targets(
    pairs: Sequence[TrainingPair],
    extractor: FeatureExtractor,
    classes: int,
    stop: Stop,
    *,
    seconds: float = inf,
) -> tuple[TrainingPair, ...]:
    """Return the pairs with soft targets around their strokes.

    Of volumes each slice is taken for itself, those with strokes first. Images that are
    mostly labelled and strokes of one class alone stay as they are, and so does
    everything when ``stop`` returns True.

    Parameters
    ----------
    pairs
        What is learned from; held-out pixels are not used.
    extractor
        Gives the features of planes.
    classes
        Number of classes of the model that is trained.
    stop
        Polled before every block.
    seconds
        After which no further block is begun: those with strokes come first.
    """
    started = time.monotonic()
    sparse = [i for i, pair in enumerate(pairs) if _is_sparse(pair)]
    if not sparse:
        return tuple(pairs)
    each = _MOST_BLOCKS // len(sparse)
    near = [[(i, p) for p in _nearest_parts(pairs[i].target, each)] for i in sparse]
    # Of all images in turn: the time may end before the last block.
    blocks = [block for turn in zip_longest(*near) for block in turn if block]
    features: dict[tuple[int, int], Halves] = {}
    for number, (i, part) in enumerate(blocks):
        if stop():
            return tuple(pairs)
        if features and time.monotonic() - started > seconds:
            break
        features[number, i] = _features(extractor, pairs[i].image, part)
    classifier = _fit(pairs, blocks, features, extractor)
    if classifier is None:
        return tuple(pairs)
    soft_targets = {
        i: np.zeros((classes, *pairs[i].target.shape), np.float16) for i in sparse
    }
    for (number, i), found in features.items():
        rows = found.reshape(-1, found.shape[-1])
        known = class_probabilities(
            classifier, rows, classes, extractor.n_tuned_channels
        )
        part = blocks[number][1]
        soft_targets[i][:, *part] = known.T.reshape(classes, *found.shape[:2])
    return tuple(
        replace(pair, soft_target=soft_targets[i]) if i in soft_targets else pair
        for i, pair in enumerate(pairs)
    )


def _is_sparse(pair: TrainingPair) -> bool:
    labelled = float(np.mean(pair.target < HELD_OUT))
    return 0 < labelled < _MOSTLY


def _nearest_parts(target: npt.NDArray[np.uint8], most: int) -> Iterator[Part]:
    """Yield blocks of planes, those with strokes and those nearest to them first."""
    *depth, height, width = target.shape
    steps = np.array([*(1 for _ in depth), _EDGE, _EDGE])
    ranges = [range(0, n, step) for n, step in zip(target.shape, steps, strict=True)]
    grid = np.array(list(product(*ranges)), dtype=np.intp)
    parts: list[Part] = [
        (*z, slice(y, min(y + _EDGE, height)), slice(x, min(x + _EDGE, width)))
        for *z, y, x in grid.tolist()
    ]
    painted = np.array([bool((target[part] < HELD_OUT).any()) for part in parts])
    there = grid // steps
    # One block at a time: of a deep volume there are many.
    apart = np.full(len(grid), np.inf)
    for place in there[painted]:
        apart = np.minimum(apart, np.abs(there - place).max(axis=1))
    for number in np.argsort(apart, kind="stable")[: max(1, most)]:
        yield parts[number]


def _features(extractor: FeatureExtractor, image: Floats, part: Part) -> Halves:
    *index, rows, columns = part
    plane = image[:, *index]
    assert isinstance(rows, slice)
    assert isinstance(columns, slice)
    found = extractor.read(lambda at: plane[:, *at], (rows, columns), plane.shape[1:])
    halves: Halves = found.half().numpy()
    return halves


def _fit(
    pairs: Sequence[TrainingPair],
    blocks: Sequence[tuple[int, Part]],
    features: dict[tuple[int, int], Halves],
    extractor: FeatureExtractor,
) -> PixelClassifier | None:
    rows, labels, unlabelled = [], [], []
    each = max(1, MOST_UNLABELLED // len(features))
    for (number, i), found in features.items():
        target = pairs[i].target[blocks[number][1]]
        labelled = target < HELD_OUT
        rows.append(found[labelled])
        labels.append(target[labelled])
        rest = np.argwhere(target == IGNORE)
        chosen = rest[np.random.default_rng(number).permutation(len(rest))[:each]]
        unlabelled.append(found[tuple(chosen.T)])
    classes = np.concatenate(labels)
    if len(np.unique(classes)) < 2:
        return None
    return fit_classifier(
        PixelClassifier(extractor.count_fine(len(pairs[0].image))),
        np.concatenate(rows),
        classes,
        np.concatenate(unlabelled),
        extractor.n_tuned_channels,
    )

"""Fit a pixel classifier in stages: to the first strokes, to more of them, to all.

Strokes are painted where the mask is wrong. The later ones show less and less of what
most of the image looks like, and a classifier that is fitted to them alone, and then to
its own predictions of the rest, drifts from one mask to another. So the pseudo-labels
of each stage come half from the classifiers of the stages before it (Laine and Aila
2017, "Temporal ensembling for semi-supervised learning", section 2.2: the targets are a
mean of what was predicted earlier). As the stages follow from the times of the strokes,
the same strokes give the same classifier, whenever and wherever it is fitted; a stroke
that was painted over is in no stage any more.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.pixel_classifier import PixelClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    Halves = npt.NDArray[np.float16]
    Ids = npt.NDArray[np.uint8]
    Times = npt.NDArray[np.float64]
    Weights = npt.NDArray[np.float64]

_FIRST_STAGE = 8
"""Strokes of the first stage: about as many as show two classes in several places.
Each stage has twice as many as the one before, so that they stay few."""

BLOCK_SAMPLE = 512
"""Pixels that stand for a block with strokes."""

_MOST_SAMPLED = 2048
"""Pixels that nobody touched, of all images, that are learned from."""

_MOST_WEIGHT = 4.0
"""Of a pixel of an image with few strokes, in that of the mean image: a single short
stroke must not count as much as fifty on another image."""

_KEPT = 16
"""Classifiers of earlier stages that are kept: for more than a hundred thousand
strokes, and for what was just undone."""

NEVER = np.inf
"""Time of a pixel that nobody touched."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledRows:
    """Pixels with their features, of one or several images.

    Attributes
    ----------
    features, labels, times
        Of touched pixels: ``(n, features)`` float16, ``(n,)`` class ids, and ``(n,)``
        when each was painted, in seconds, comparable between all images.
    weights
        ``(n,)``, 1 on average; None where all pixels count alike.
    sample, sample_times
        Pixels that stand for the images: ``(m, features)`` float16, and when each was
        painted, ``NEVER`` where nobody did.
    """

    features: Halves
    labels: Ids
    times: Times
    sample: Halves
    sample_times: Times
    weights: Weights | None = None

    def until(self, end: float) -> LabelledRows:
        """Return what there was at a time: what was painted later is untouched."""
        there = self.times <= end
        return LabelledRows(
            features=self.features[there],
            labels=self.labels[there],
            times=self.times[there],
            weights=None if self.weights is None else self.weights[there],
            sample=self.sample,
            sample_times=np.where(self.sample_times <= end, self.sample_times, NEVER),
        )

    def digest(self) -> bytes:
        """Return a hash of all that a fit depends on."""
        found = hashlib.blake2b(digest_size=16)
        untouched = self.sample_times == NEVER
        for part in (self.features, self.labels, self.weights, self.sample, untouched):
            if part is not None:
                found.update(np.ascontiguousarray(part).data)
        return found.digest()


def join_images(images: Sequence[LabelledRows]) -> LabelledRows:
    """Join the labelled pixels of images, so that each image counts as much.

    Parameters
    ----------
    images
        Those of one image each, without weights.
    """
    mean = np.mean([len(one.labels) for one in images])
    each = -(-_MOST_SAMPLED // len(images))
    steps = [-(-len(one.sample) // each) or 1 for one in images]
    sampled = list(zip(images, steps, strict=True))
    return LabelledRows(
        features=np.concatenate([one.features for one in images]),
        labels=np.concatenate([one.labels for one in images]),
        times=np.concatenate([one.times for one in images]),
        weights=np.concatenate(
            [
                np.full(len(one.labels), min(_MOST_WEIGHT, mean / len(one.labels)))
                for one in images
                if len(one.labels)
            ]
        ),
        sample=np.concatenate([one.sample[::step] for one, step in sampled]),
        sample_times=np.concatenate(
            [one.sample_times[::step] for one, step in sampled]
        ),
    )


class StageMemory:
    """Classifiers of earlier stages, which a further stroke does not change."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, PixelClassifier] = OrderedDict()

    def find(self, key: bytes) -> PixelClassifier | None:
        """Return what was kept under a key, or None."""
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def keep(self, key: bytes, classifier: PixelClassifier) -> None:
        """Keep a classifier; of many the one that was not used for longest goes."""
        self._known[key] = classifier
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)


def stage_ends(times: Times) -> list[float]:
    """Return the time of the last stroke of each stage but the last, which has all.

    Parameters
    ----------
    times
        ``(n,)`` of touched pixels; those of a stroke have the same.
    """
    strokes = np.unique(times)
    ends, count = [], _FIRST_STAGE
    while count < len(strokes):
        ends.append(float(strokes[count - 1]))
        count *= 2
    return ends


def fit_in_stages(
    rows: LabelledRows,
    fine: int,
    *,
    seed: int = 0,
    memory: StageMemory | None = None,
) -> PixelClassifier:
    """Fit a classifier to touched pixels, in stages.

    Parameters
    ----------
    rows
        All that is labelled.
    fine
        How many of the first features are as fine as the pixels.
    seed
        Same seed and rows, same classifier.
    memory
        Where classifiers of earlier stages are kept from call to call.

    Raises
    ------
    DataError
        When the touched pixels are all of one class.
    """
    memory = memory or StageMemory()
    earlier: list[PixelClassifier] = []
    for end in stage_ends(rows.times):
        stage = rows.until(end)
        if not len(stage.labels) or (stage.labels == stage.labels[0]).all():
            continue
        # A stage depends on those before it, whose rows are among its own.
        key = stage.digest()
        found = memory.find(key)
        if found is None:
            found = _fit(stage, fine, seed, earlier)
            memory.keep(key, found)
        earlier.append(found)
    return _fit(rows, fine, seed, earlier)


def _fit(
    rows: LabelledRows, fine: int, seed: int, earlier: Sequence[PixelClassifier]
) -> PixelClassifier:
    untouched = rows.sample[rows.sample_times == NEVER].astype(np.float32)
    classifier = PixelClassifier(fine, seed)
    classifier.fit(
        rows.features.astype(np.float32),
        rows.labels,
        weights=rows.weights,
        unlabelled=untouched,
        earlier=earlier,
    )
    return classifier

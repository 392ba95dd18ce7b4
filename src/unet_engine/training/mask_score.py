"""How right a mask is, by probabilities, and whether that can be shown.

Strokes are made where the mask is wrong, so their share of right pixels is far below
that of the image. Probabilities give how many of the mask's pixels are expected to be
right: with ``p`` the probability of a class, the expected intersection is the sum of
``p`` over the pixels that got it, and the expected union their number and the sum of
``p`` over the others (the soft Jaccard index). That holds as far as the probabilities
are right, which strokes that were not learned from show: where the mask is wrong on
many of these, it is wrong elsewhere, too, and no score is shown. Pure: arrays in,
numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.interactive.cross_validation import StrokeCheck

    Floats = npt.NDArray[np.float32]

FEWEST_STROKES = 15
"""Checked strokes below which no score is shown: the first ones are alike, and so are
right on one another however wrong the mask is; see "The shown score" in
benchmarks/RESULTS.md, as for the numbers that follow."""

LEAST_RIGHT = 0.85
"""Share of the checked strokes that must be right for a score to be shown."""

_SHARPNESS = 1.5
"""Power of the classifier's probabilities with which they are as sure as right: it is a
mean of two kinds of classifiers, which is less sure than either."""

_MODEL_ERROR = 0.1
"""Half the width of the interval that remains with any number of tiles: nine tenths of
the scores that are shown lie so near to the truth."""

_LEAST_UNION = 1e-9
"""Pixels of a union that is divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """The expected score of a mask.

    Attributes
    ----------
    ious
        Expected IoU of each class, in [0, 1]; NaN of a class that is nowhere, or
        has no stroke that was checked.
    low, high
        Ends of the interval of each.
    strokes, images
        How many strokes that were not learned from, on how many images, it was checked
        on.
    right
        Share of their pixels that are right, each class and stroke alike, in [0, 1].
    """

    ious: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    strokes: int
    images: int
    right: float

    @property
    def is_known(self) -> bool:
        """Whether the strokes that it was checked on bear the number out."""
        return self.strokes >= FEWEST_STROKES and self.right >= LEAST_RIGHT

    @property
    def mean(self) -> float:
        """Mean over the classes."""
        known = [iou for iou in self.ious if not np.isnan(iou)]
        return float(np.mean(known)) if known else float("nan")


def sharpened(probabilities: Floats) -> Floats:
    """Return probabilities of the classifier that are as sure as they are right.

    Parameters
    ----------
    probabilities
        ``(classes, *spatial)`` float32.
    """
    powers = probabilities**_SHARPNESS
    known: Floats = powers / np.maximum(powers.sum(axis=0), _LEAST_UNION)
    return known


def score_mask(
    masks: Sequence[Floats], known: Sequence[Floats], *, check: StrokeCheck
) -> MaskScore:
    """Return the expected score of a mask.

    Parameters
    ----------
    masks
        Probabilities of parts of the images, ``(classes, pixels)`` float32; the mask
        has the most probable class.
    known
        How probable each class is there, as far as is known.
    check
        How the mask does on strokes.
    """
    counts = np.array(
        [
            _counts(mask, probable)
            for mask, probable in zip(masks, known, strict=True)
            if mask.size
        ]
    )
    ious = spread = np.empty(0)
    if len(counts):
        ious = _ious(counts.sum(axis=0))
        # Of a class without a checked stroke nothing is known.
        ious[~np.isin(np.arange(len(ious)), check.classes)] = np.nan
        spread = _MODEL_ERROR + _jackknife(counts)
    return MaskScore(
        ious=tuple(ious.tolist()),
        low=tuple(np.clip(ious - spread, 0, 1).tolist()),
        high=tuple(np.clip(ious + spread, 0, 1).tolist()),
        strokes=check.strokes,
        images=check.images,
        right=check.right,
    )


def _counts(mask: Floats, probable: Floats) -> npt.NDArray[np.float64]:
    """Return the expected intersection and union of each class, ``(2, classes)``."""
    labels = mask.argmax(axis=0)
    predicted = np.arange(len(mask))[:, None] == labels
    inside = np.where(predicted, probable, 0).sum(axis=1, dtype=np.float64)
    outside = np.where(predicted, 0, probable).sum(axis=1, dtype=np.float64)
    union = predicted.sum(axis=1) + outside
    return np.stack([inside, union])


def _ious(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    inside, union = counts
    # A class without a pixel of the mask has a union of faint probabilities only.
    known = inside > 0
    ious: npt.NDArray[np.float64] = np.where(
        known, inside / np.maximum(union, _LEAST_UNION), np.nan
    )
    return ious


def _jackknife(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the standard error of the IoUs by leaving out one tile after the other."""
    if len(counts) < 2:
        return np.zeros(counts.shape[-1])
    # A class that is nowhere has no error.
    without = np.nan_to_num([_ious(counts.sum(axis=0) - one) for one in counts])
    apart = without - without.mean(axis=0)
    factor = (len(counts) - 1) / len(counts)
    errors: npt.NDArray[np.float64] = np.sqrt(factor * np.sum(apart**2, axis=0))
    return errors

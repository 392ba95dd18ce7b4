"""How right a mask is, by its own probabilities and held-out strokes.

Strokes are made where the mask is wrong, so their share of right pixels is far below
that of the image. The probabilities of the mask give how many of its pixels are
expected to be right: with ``p`` the probability of a class, the expected intersection
is the sum of ``p`` over the pixels that got it, and the expected union their number and
the sum of ``p`` over the others (the soft Jaccard index). Held-out strokes decide
whether there is enough behind it to be shown. Pure: arrays in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

FEWEST_STROKES = 5
"""Held-out strokes below which no score is shown: probabilities that came from so
little are too sure of themselves."""

_MODEL_ERROR = 0.06
"""Half the width of the interval that remains with any number of tiles: two thirds of
the scores lie so near to the truth; see "The shown score" in benchmarks/RESULTS.md."""


_LEAST_UNION = 1e-9
"""Pixels of a union that is divided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskScore:
    """The expected score of a mask.

    Attributes
    ----------
    ious
        Expected IoU of each class, in [0, 1]; NaN of a class that is nowhere.
    low, high
        Ends of the interval of each.
    strokes, images
        How many held-out strokes, on how many images, it was checked on.
    """

    ious: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    strokes: int
    images: int

    @property
    def is_known(self) -> bool:
        """Whether there are enough held-out strokes for a number to mean anything."""
        return self.strokes >= FEWEST_STROKES

    @property
    def mean(self) -> float:
        """Mean over the classes."""
        known = [iou for iou in self.ious if not np.isnan(iou)]
        return float(np.mean(known)) if known else float("nan")


def score_mask(tiles: Sequence[Floats], *, strokes: int, images: int) -> MaskScore:
    """Return the expected score of a mask.

    Parameters
    ----------
    tiles
        Probabilities of parts of the images, ``(classes, pixels)`` float32; the mask
        has the most probable class.
    strokes, images
        Held-out strokes, and the images that they are on.
    """
    counts = np.array([_counts(tile) for tile in tiles if tile.size])
    if not len(counts):
        return MaskScore(ious=(), low=(), high=(), strokes=strokes, images=images)
    ious = _ious(counts.sum(axis=0))
    spread = _MODEL_ERROR + _jackknife(counts)
    return MaskScore(
        ious=tuple(ious.tolist()),
        low=tuple(np.clip(ious - spread, 0, 1).tolist()),
        high=tuple(np.clip(ious + spread, 0, 1).tolist()),
        strokes=strokes,
        images=images,
    )


def _counts(tile: Floats) -> npt.NDArray[np.float64]:
    """Return the expected intersection and union of each class, ``(2, classes)``."""
    labels = tile.argmax(axis=0)
    predicted = np.arange(len(tile))[:, None] == labels
    inside = np.where(predicted, tile, 0).sum(axis=1, dtype=np.float64)
    union = predicted.sum(axis=1) + np.where(predicted, 0, tile).sum(
        axis=1, dtype=np.float64
    )
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

"""How good probabilities are, over several images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_BINS = 1000
"""Of the histogram of probabilities: scores are exact to a thousandth of them."""


class Scores(NamedTuple):
    """Figures of the foreground, of the pixels of all images together.

    Attributes
    ----------
    iou
        Where the probability is 0.5 or more.
    best_iou
        At the best threshold, which is not known before.
    ap
        Average precision: the area below precision against recall.
    """

    iou: float
    best_iou: float
    ap: float


class Scoring:
    """Counts of probabilities, to a thousandth."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, _BINS + 1), dtype=np.int64)

    def add(
        self, truth: npt.NDArray[np.uint8], probability: npt.NDArray[np.float32]
    ) -> None:
        """Count an image; both ``(Y, X)``, the truth 0 or 1."""
        bins = (probability * _BINS + 0.5).astype(np.intp).ravel()
        for label in (0, 1):
            of_label = bins[truth.ravel() == label]
            self._counts[label] += np.bincount(of_label, minlength=_BINS + 1)

    def scores(self) -> Scores:
        """Return the figures of what was counted."""
        false, true = np.cumsum(self._counts[:, ::-1], axis=1)
        recall = true / max(true[-1], 1)
        precision = true / np.maximum(true + false, 1)
        iou = true / np.maximum(true[-1] + false, 1)
        return Scores(
            iou=round(float(iou[_BINS - _BINS // 2]), 4),
            best_iou=round(float(iou.max()), 4),
            ap=round(float(np.sum(np.diff(recall, prepend=0) * precision)), 4),
        )

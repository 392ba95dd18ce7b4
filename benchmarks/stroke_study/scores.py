"""How good probabilities are, over several images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from unet_engine.metrics import report

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
    object_ap50
        Average precision of connected objects at an IoU of 0.5, the mean over the
        images; None where the truth has no objects.
    """

    iou: float
    best_iou: float
    ap: float
    object_ap50: float | None = None


class Scoring:
    """Counts of probabilities, to a thousandth."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, _BINS + 1), dtype=np.int64)
        self._objects: list[float] = []

    def add(
        self,
        truth: npt.NDArray[np.uint8],
        probability: npt.NDArray[np.float32],
        objects: npt.NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Count an image; all ``(Y, X)``, the truth 0 or 1, ``objects`` ids."""
        if objects is not None:
            found = ndimage.label(probability >= 0.5)[0]
            self._objects.append(report(objects, found, "instances")["ap_50"])
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
            object_ap50=(
                round(float(np.mean(self._objects)), 4) if self._objects else None
            ),
        )

"""Objects found, missed and invented: average precision, AJI and SEG.

Every function takes the table of `count_overlaps` and treats the arrays as one image:
objects of a stack are its objects in 3-D. To predict nothing where there is nothing is
perfect (1); to predict something there, or nothing elsewhere, is worst (0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

IOU_THRESHOLDS = tuple(step / 100 for step in range(50, 100, 5))
"""0.5, 0.55, ..., 0.95: those of the 2018 Data Science Bowl and of COCO."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """How many objects were found, invented and missed at one IoU threshold."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def average_precision(self) -> float:
        """``TP / (TP + FP + FN)``, as the 2018 Data Science Bowl defines it."""
        found, wrong = self.true_positives, self.false_positives + self.false_negatives
        return found / (found + wrong) if found + wrong else 1.0

    @property
    def f1(self) -> float:
        """``2 TP / (2 TP + FP + FN)``: harmonic mean of precision and recall."""
        found, wrong = self.true_positives, self.false_positives + self.false_negatives
        return 2 * found / (2 * found + wrong) if found + wrong else 1.0


def match_objects(table: sparse.csr_array, threshold: float) -> Matches:
    """Match each true object with at most one predicted object and count.

    Two objects match when their IoU is above ``threshold``. From 0.5 on no object has
    two partners; below, the pairing with the most matches is taken.

    Raises
    ------
    DataError
        When ``threshold`` is not in [0, 1).
    """
    if not 0 <= threshold < 1:
        raise DataError(f"IoU threshold {threshold} is not in [0, 1); use 0.5 to 0.95")
    pairs = _Pairs(table)
    hits = pairs.iou > threshold
    if threshold >= 0.5:
        matched = int(hits.sum())
    else:
        partners = maximum_bipartite_matching(
            sparse.csr_array(
                (hits[hits], (pairs.true[hits], pairs.predicted[hits])),
                shape=(pairs.true_areas.size, pairs.predicted_areas.size),
            ),
            perm_type="column",
        )
        matched = int((partners >= 0).sum())
    return Matches(
        true_positives=matched,
        false_positives=pairs.predicted_areas.size - matched,
        false_negatives=pairs.true_areas.size - matched,
    )


def average_precision(
    table: sparse.csr_array, thresholds: Sequence[float] = IOU_THRESHOLDS
) -> float:
    """Average ``TP / (TP + FP + FN)`` over IoU thresholds.

    The score of Caicedo et al. 2019, "Nucleus segmentation across imaging experiments:
    the 2018 Data Science Bowl", Nature Methods 16, for one image.
    """
    scores = [match_objects(table, t).average_precision for t in thresholds]
    return sum(scores) / len(scores)


def aggregated_jaccard(table: sparse.csr_array) -> float:
    """Measure the aggregated Jaccard index (AJI).

    Each true object takes the predicted one of highest IoU, which another may have
    taken too; their intersections are summed and divided by their unions, the areas of
    the true objects without overlap and of the predicted ones that none took (Kumar
    et al. 2017, "A dataset and a technique for generalized nuclear segmentation for
    computational pathology", IEEE TMI 36, algorithm 1).
    """
    pairs = _Pairs(table)
    if not pairs.true_areas.size and not pairs.predicted_areas.size:
        return 1.0
    # Of equal IoU the larger overlap, then the object that comes first in the image.
    order = np.lexsort((pairs.predicted, -pairs.shared, -pairs.iou, pairs.true))
    best = order[np.unique(pairs.true[order], return_index=True)[1]]
    lost = np.delete(pairs.true_areas, pairs.true[best])
    unused = np.delete(pairs.predicted_areas, pairs.predicted[best])
    union = pairs.union[best].sum() + lost.sum() + unused.sum()
    return float(pairs.shared[best].sum() / union)


def seg_score(table: sparse.csr_array) -> float:
    """Measure SEG of the Cell Tracking Challenge: mean Jaccard index of true objects.

    A true object has a partner when one predicted object covers more than half of it;
    without one it counts 0. Invented objects cost nothing by themselves (Maška et al.
    2014, "A benchmark for comparison of cell tracking algorithms", Bioinformatics 30).
    The challenge averages over the objects of all frames.
    """
    pairs = _Pairs(table)
    if not pairs.true_areas.size:
        return float(not pairs.predicted_areas.size)
    partners = 2 * pairs.shared > pairs.true_areas[pairs.true]
    return float(pairs.iou[partners].sum() / pairs.true_areas.size)


class _Pairs:
    """The pairs of objects that overlap, background left out; ids start at 0."""

    def __init__(self, table: sparse.csr_array) -> None:
        self.true_areas: npt.NDArray[np.int64] = table.sum(axis=1)[1:]
        self.predicted_areas: npt.NDArray[np.int64] = table.sum(axis=0)[1:]
        inside = table[1:, 1:].tocoo()
        self.true, self.predicted = inside.coords
        self.shared: npt.NDArray[np.int64] = inside.data
        self.union = (
            self.true_areas[self.true]
            + self.predicted_areas[self.predicted]
            - self.shared
        )
        self.iou = self.shared / self.union

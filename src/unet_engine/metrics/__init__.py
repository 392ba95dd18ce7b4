"""How good a prediction is: the scores of the literature, NumPy in and float out.

Two arrays of one shape go in, truth and prediction. For classes ``confusion`` counts
their pixels; for objects ``contingency`` tabulates which of them overlap, from which
``objects`` and ``rand`` compute their scores. ``membranes`` and ``warping`` have the
scores of the ISBI 2012 challenge. ``report`` collects all that fit a kind of labels.
"""

from unet_engine.metrics.confusion import Confusion
from unet_engine.metrics.contingency import count_overlaps
from unet_engine.metrics.membranes import (
    MembraneScores,
    measure_membrane_probability,
    measure_membranes,
    thin,
)
from unet_engine.metrics.objects import (
    IOU_THRESHOLDS,
    Matches,
    aggregated_jaccard,
    average_precision,
    match_objects,
    seg_score,
)
from unet_engine.metrics.rand import information_score, rand_error, rand_score
from unet_engine.metrics.report import LabelKind, average_reports, report
from unet_engine.metrics.warping import Warping, warp

__all__ = [
    "IOU_THRESHOLDS",
    "Confusion",
    "LabelKind",
    "Matches",
    "MembraneScores",
    "Warping",
    "aggregated_jaccard",
    "average_precision",
    "average_reports",
    "count_overlaps",
    "information_score",
    "match_objects",
    "measure_membrane_probability",
    "measure_membranes",
    "rand_error",
    "rand_score",
    "report",
    "seg_score",
    "thin",
    "warp",
]

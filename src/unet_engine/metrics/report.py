"""The scores that fit a kind of labels, by name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, assert_never

import numpy as np
import numpy.typing as npt

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.metrics.confusion import Confusion
from unet_engine.metrics.contingency import count_overlaps
from unet_engine.metrics.membranes import (
    measure_membrane_probability,
    measure_membranes,
)
from unet_engine.metrics.objects import (
    aggregated_jaccard,
    average_precision,
    match_objects,
    seg_score,
)
from unet_engine.metrics.rand import information_score, rand_score

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LabelKind = Literal["classes", "membranes", "instances"]
"""Class ids; class ids of which 1 is membrane between cells; object ids."""

Array = npt.NDArray[Any]


def report(
    truth: Array, predicted: Array, kind: LabelKind, *, names: Sequence[str] = ()
) -> dict[str, float]:
    """Measure a prediction by every score that fits its labels.

    Parameters
    ----------
    truth
        Integer class ids with `IGNORE` where nobody labelled (``"classes"``,
        ``"membranes"``), or object ids with 0 for background (``"instances"``); any
        shape, of ``"membranes"`` ``(..., Y, X)``.
    predicted
        Ids of the same shape; or probabilities, floating: of class 1 in the shape of
        the truth, or ``(classes, *truth.shape)``. ``"instances"`` takes ids only.
    kind
        What the labels mean.
    names
        Of the classes, background first; their numbers when empty.

    Returns
    -------
    dict
        Name to score. ``"classes"``: pixel error and accuracy, mean accuracy, mean IoU
        and Dice, frequency-weighted IoU, IoU and Dice of each class that occurs.
        ``"membranes"``: these and the scores of the ISBI 2012 challenge, with a
        probability also ``best_*``, each at its best threshold. ``"instances"``: AP at
        0.5, at 0.75 and from 0.5 to 0.95, F1 at 0.5, AJI, SEG, V_Rand and V_Info
        without thinning, IoU and Dice of foreground, and the numbers of objects.

    Raises
    ------
    DataError
        When shapes differ, a class is unknown, probabilities came for object ids, or
        no pixel of the truth is labelled.
    """
    match kind:
        case "classes":
            return _report_classes(truth, _choose_classes(truth, predicted), names)
        case "membranes":
            return _report_membranes(truth, predicted, names)
        case "instances":
            return _report_instances(truth, predicted)
        case _:
            assert_never(kind)


def average_reports(reports: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the reports of several images, each name over the images that have it."""
    names = dict.fromkeys(name for report in reports for name in report)
    return {
        name: float(np.mean([report[name] for report in reports if name in report]))
        for name in names
    }


def _report_classes(
    truth: Array, predicted: Array, names: Sequence[str]
) -> dict[str, float]:
    known = truth != IGNORE
    if not known.any():
        raise DataError("no pixel of the truth is labelled; label some first")
    highest = max(int(truth[known].max()), int(predicted[known].max()))
    if highest >= IGNORE:
        raise DataError(
            f"class {highest} is not below {IGNORE}; if these are object ids, measure "
            "them as 'instances'"
        )
    confusion = Confusion(len(names) or max(highest + 1, 2))
    confusion.add(truth, predicted)
    scores = {
        "pixel_error": confusion.pixel_error,
        "pixel_accuracy": confusion.pixel_accuracy,
        "mean_accuracy": confusion.mean_accuracy,
        "mean_iou": confusion.mean_iou,
        "frequency_weighted_iou": confusion.frequency_weighted_iou,
        "mean_dice": confusion.mean_dice,
    }
    titles = names or [str(i) for i in range(len(confusion.counts))]
    for score, values in (("iou", confusion.iou), ("dice", confusion.dice)):
        for title, value in zip(titles, values, strict=True):
            if value is not None:
                scores[f"{score}_{title}"] = value
    return scores


def _report_membranes(
    truth: Array, predicted: Array, names: Sequence[str]
) -> dict[str, float]:
    classes = _choose_classes(truth, predicted)
    scores = _report_classes(truth, classes, names)
    membrane = np.where(truth == IGNORE, truth, truth == 1)
    scores |= asdict(measure_membranes(membrane, classes == 1))
    if predicted.dtype.kind == "f":
        probability = predicted if predicted.shape == truth.shape else predicted[1]
        best = asdict(measure_membrane_probability(membrane, probability))
        scores |= {f"best_{name}": value for name, value in best.items()}
    return scores


def _report_instances(truth: Array, predicted: Array) -> dict[str, float]:
    table = count_overlaps(truth, predicted)
    at_half = match_objects(table, 0.5)
    foreground = Confusion(2)
    foreground.add((truth > 0).astype(np.uint8), (predicted > 0).astype(np.uint8))
    empty = not truth.any() and not predicted.any()
    return {
        "ap_50": at_half.average_precision,
        "ap_75": match_objects(table, 0.75).average_precision,
        "ap": average_precision(table),
        "f1_50": at_half.f1,
        "aji": aggregated_jaccard(table),
        "seg": seg_score(table),
        "v_rand": rand_score(table),
        "v_info": information_score(table),
        "iou": 1.0 if empty else foreground.iou[1] or 0.0,
        "dice": 1.0 if empty else foreground.dice[1] or 0.0,
        "true_objects": float(table.shape[0] - 1),
        "predicted_objects": float(table.shape[1] - 1),
    }


def _choose_classes(truth: Array, predicted: Array) -> npt.NDArray[np.integer[Any]]:
    """Return predicted class ids: the most probable class, class 1 from a half on."""
    if predicted.dtype.kind == "f":
        if predicted.shape == truth.shape:
            return (predicted >= 0.5).astype(np.uint8)
        if predicted.ndim and predicted.shape[1:] == truth.shape:
            classes: npt.NDArray[np.intp] = predicted.argmax(axis=0)
            return classes
    if predicted.shape != truth.shape:
        raise DataError(
            f"truth {truth.shape} and prediction {predicted.shape} differ in shape; "
            "give class ids of the same shape, or probabilities with the classes first"
        )
    return predicted

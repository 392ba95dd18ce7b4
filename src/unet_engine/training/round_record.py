"""What the history of a model holds of a round: what was labelled, and the score."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import HELD_OUT
from unet_engine.versions import versions_of_trainings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.mask_score import MaskScore

_LONGEST_PAUSE = 60.0
"""Seconds between two strokes of which no more counts as painting: longer ones are
trainings, other work and nights."""


def round_record(
    pairs: Sequence[TrainingPair], classes: Sequence[str], score: MaskScore | None
) -> dict[str, Any]:
    """Return what is recorded of a round, as JSON types.

    Parameters
    ----------
    pairs
        What was learned from.
    classes
        Of the model.
    score
        Of its mask; None where all is labelled densely.

    Returns
    -------
    dict
        ``labels``: how many strokes (connected pixels of a class) and pixels each class
        has, on how many images, and the seconds of painting; ``score``, if there is
        one: the expected IoU of each class with its interval, and what it was checked
        on; ``versions`` of the libraries.
    """
    record: dict[str, Any] = {
        "labels": {
            "images": len({pair.name for pair in pairs}),
            "painting_seconds": painting_seconds(pairs),
            **_counts(pairs, classes),
        },
        "versions": versions_of_trainings(),
    }
    if score is not None:
        record["score"] = _score(score, classes)
    return record


def painting_seconds(pairs: Sequence[TrainingPair]) -> float:
    """Return how long painting took, from the times of the strokes; 0 if unknown.

    Of a longer pause between two strokes one minute counts. Strokes of which nothing
    is left, since they were undone or painted over, count nothing.
    """
    times = [pair.times for pair in pairs if pair.times is not None]
    if not times:
        return 0.0
    known = np.unique(np.concatenate([each[each > 0] for each in times]))
    return float(np.minimum(np.diff(known), _LONGEST_PAUSE).sum().round(1))


def _counts(
    pairs: Sequence[TrainingPair], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Return strokes and pixels of the classes that are labelled anywhere."""
    strokes = np.zeros(len(classes), int)
    pixels = np.zeros(len(classes), int)
    for pair in pairs:
        labelled = pair.target < HELD_OUT
        ids = pair.target[labelled]
        pixels += np.bincount(ids, minlength=len(classes))[: len(classes)]
        # Label images have no strokes.
        if pair.times is not None:
            numbers = stroke_map(pair.target, HELD_OUT)[labelled]
            _, firsts = np.unique(numbers, return_index=True)
            found = np.bincount(ids[firsts], minlength=len(classes))
            strokes += found[: len(classes)]
    return {
        what: {n: int(v) for n, v in zip(classes, found, strict=True) if v}
        for what, found in (("strokes", strokes), ("pixels", pixels))
    }


def _score(score: MaskScore, classes: Sequence[str]) -> dict[str, Any]:
    parts = zip(classes, score.ious, score.low, score.high, strict=False)
    ious = {
        name: [round(float(value), 4) for value in (iou, low, high)]
        for name, iou, low, high in parts
        if not isnan(iou)
    }
    return {
        "classes": ious,
        "shown": score.is_known,
        "strokes": score.strokes,
        "images": score.images,
        "right": round(float(score.right), 4),
    }

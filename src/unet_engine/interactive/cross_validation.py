"""How right the pixel classifier is on strokes that it did not learn from.

A few held-out strokes prove little. The classifier is fitted in a second, so it is
fitted without each third of the strokes in turn and checked on that third: every stroke
takes part, and a stroke is never in both (Arlot and Celisse 2010, "A survey of
cross-validation procedures", section 4.3; grouped by stroke, as the pixels of a stroke
are alike).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.stages import LabelledRows, fit_in_stages, join_images
from unet_engine.interactive.stroke_numbers import mean_of_strokes
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.stopping import Stop

    Numbers = npt.NDArray[np.intp]
    Mask = npt.NDArray[np.bool_]

_FOLDS = 3
"""Parts of the strokes: a fit costs about a second, and two thirds of some strokes
already give most of what all of them do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeCheck:
    """On which strokes a mask was checked, and how it did.

    Attributes
    ----------
    strokes, images
        How many strokes that it did not learn from, on how many images.
    classes
        Those of the strokes: no other was checked.
    right
        Mean over the classes of the share of their pixels that it is right on, each
        stroke counting once, in [0, 1]; 0 without strokes.
    """

    strokes: int
    images: int
    classes: tuple[int, ...]
    right: float


def cross_validate(
    images: Sequence[LabelledRows],
    strokes: Sequence[Numbers],
    fine: int,
    stop: Stop = never,
) -> StrokeCheck:
    """Fit without each part of the strokes, and check on that part.

    Parameters
    ----------
    images
        The labelled pixels of one image each, without weights.
    strokes
        ``(n,)`` for each image: the number of the stroke of each labelled pixel, from
        0.
    fine
        As of `fit_in_stages`.
    stop
        Polled before every fit; the check is of what was done until then.
    """
    parts = _parts(images, strokes)
    labels: list[int] = []
    rights: list[float] = []
    seen = set()
    for part in range(_FOLDS):
        if stop():
            break
        held = [one == part for one in parts]
        kept = [_chosen(rows, ~out) for rows, out in zip(images, held, strict=True)]
        kept = [rows for rows in kept if len(rows.labels)]
        if len({label for rows in kept for label in np.unique(rows.labels)}) < 2:
            continue
        classifier = fit_in_stages(join_images(kept), fine)
        for number, (rows, out) in enumerate(zip(images, held, strict=True)):
            if not out.any():
                continue
            found = classifier.probabilities(rows.features[out]).argmax(axis=1)
            right = classifier.classes[found] == rows.labels[out]
            firsts, means = mean_of_strokes(right, strokes[number][out])
            classes = rows.labels[out][firsts]
            # The only stroke of its class proves nothing.
            checked = np.isin(classes, classifier.classes)
            labels += classes[checked].tolist()
            rights += means[checked].tolist()
            if checked.any():
                seen.add(number)
    return StrokeCheck(
        strokes=len(rights),
        images=len(seen),
        classes=tuple(sorted(set(labels))),
        right=balanced(labels, rights),
    )


def balanced(labels: Sequence[int], rights: Sequence[float]) -> float:
    """Return the mean over the classes of what is right of their strokes.

    Parameters
    ----------
    labels
        The class of each stroke.
    rights
        The share of its pixels that a mask is right on.
    """
    means = [
        np.mean([right for one, right in zip(labels, rights, strict=True) if one == k])
        for k in sorted(set(labels))
    ]
    return float(np.mean(means)) if means else 0.0


def _parts(images: Sequence[LabelledRows], strokes: Sequence[Numbers]) -> list[Numbers]:
    """Divide the strokes of each class evenly; return the part of each pixel."""
    random = np.random.default_rng(0)
    firsts = [np.unique(one, return_index=True) for one in strokes]
    labels = [rows.labels[at] for rows, (_, at) in zip(images, firsts, strict=True)]
    places = [(i, k) for i, one in enumerate(labels) for k in range(len(one))]
    found = [np.zeros(len(one), np.intp) for one in labels]
    for label in sorted({int(k) for one in labels for k in one}):
        of_class = [(i, k) for i, k in places if labels[i][k] == label]
        for turn, at in enumerate(random.permutation(len(of_class))):
            image, stroke = of_class[at]
            found[image][stroke] = turn % _FOLDS
    return [
        part[np.searchsorted(numbers, one)]
        for part, (numbers, _), one in zip(found, firsts, strokes, strict=True)
    ]


def _chosen(rows: LabelledRows, there: Mask) -> LabelledRows:
    return replace(
        rows,
        features=rows.features[there],
        labels=rows.labels[there],
        times=rows.times[there],
    )

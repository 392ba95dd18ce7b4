"""How right a mask is expected to be, in words: each class, and on what that stands."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from unet_engine.training.mask_score import FEWEST_STROKES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.training.mask_score import MaskScore


def describe_scores(
    before: MaskScore | None, after: MaskScore | None, classes: Sequence[str]
) -> str:
    """Return the score of a mask beside that of the mask before.

    Parameters
    ----------
    before, after
        Of both masks; None where there is none, as for trainings without strokes.
    classes
        Their names.

    Returns
    -------
    str
        A sentence or two; empty where there is no score at all.
    """
    if after is None:
        return ""
    strokes = _number(after.strokes, "stroke")
    if after.strokes < FEWEST_STROKES:
        return (
            f"No score: the mask could be checked on {strokes} that were not learned "
            f"from, and takes {FEWEST_STROKES}. Paint more, on other places."
        )
    if not after.is_known:
        return (
            f"No score: {after.right:.0%} are right of {strokes} that were not learned "
            "from, each class counting alike, so the mask is less right than its "
            "probabilities are. Paint more where it is wrong."
        )
    shown = [
        f"{name} {iou:.2f} ({low:.2f} to {high:.2f}{_earlier(before, value)})"
        for value, (name, iou, low, high) in enumerate(
            zip(classes, after.ious, after.low, after.high, strict=False)
        )
        if not isnan(iou)
    ]
    images = _number(after.images, "image")
    return (
        f"Expected IoU of the mask: {', '.join(shown)}; {after.right:.0%} right on "
        f"{strokes} ({images}) that it did not learn from."
    )


def _earlier(before: MaskScore | None, value: int) -> str:
    """Return the score of a class in the mask before, if it is known."""
    if before is None or not before.is_known or value >= len(before.ious):
        return ""
    return "" if isnan(before.ious[value]) else f", before {before.ious[value]:.2f}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

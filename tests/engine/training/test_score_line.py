"""The score of a mask in words."""

from __future__ import annotations

from math import nan

from unet_engine.training.mask_score import FEWEST_STROKES, MaskScore
from unet_engine.training.score_line import describe_scores

CLASSES = ("background", "nucleus", "debris")


def score(*ious: float, strokes: int = 40, right: float = 0.93) -> MaskScore:
    return MaskScore(
        ious=ious,
        low=tuple(iou - 0.1 for iou in ious),
        high=tuple(iou + 0.05 for iou in ious),
        strokes=strokes,
        images=1,
        right=right,
    )


def test_each_class_has_its_interval_and_the_score_before():
    text = describe_scores(score(0.9, 0.5), score(0.91, 0.7, nan), CLASSES)
    assert text == (
        "Expected IoU of the mask: background 0.91 (0.81 to 0.96, before 0.90), "
        "nucleus 0.70 (0.60 to 0.75, before 0.50); 93% right on 40 strokes (1 image) "
        "that it did not learn from."
    )


def test_without_a_score_before():
    text = describe_scores(None, score(0.9, 0.7), CLASSES)
    assert "nucleus 0.70 (0.60 to 0.75);" in text
    few = score(0.9, 0.7, strokes=FEWEST_STROKES - 1)
    assert "before" not in describe_scores(few, score(0.9, 0.7), CLASSES)


def test_too_few_strokes_show_none():
    few = score(0.9, 0.7, strokes=FEWEST_STROKES - 1)
    text = describe_scores(score(0.5, 0.5), few, CLASSES)
    assert f"on {FEWEST_STROKES - 1} strokes" in text
    assert f"takes {FEWEST_STROKES}" in text
    assert "0." not in text


def test_wrong_strokes_show_none():
    wrong = score(0.9, 0.7, right=0.61)
    text = describe_scores(score(0.5, 0.5), wrong, CLASSES)
    assert text.startswith("No score: 61% are right of 40 strokes")
    assert "0." not in text


def test_a_training_without_strokes_has_none():
    assert describe_scores(None, None, CLASSES) == ""

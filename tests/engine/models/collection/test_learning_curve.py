"""The rounds that led to a model, from the histories of its lineage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from unet_engine.models.checkpoint import ModelInfo
from unet_engine.models.collection.description import describe_model
from unet_engine.models.collection.learning_curve import learning_curve
from unet_engine.models.collection.scores import recorded_score
from unet_engine.models.spec import ModelSpec


def info(name: str, *history: dict[str, Any], bundled: bool = False) -> ModelInfo:
    return ModelInfo(
        name=name, path=Path(f"{name}.safetensors"), spec=ModelSpec(), size=1,
        history=history, bundled=bundled,
    )  # fmt: skip


def entry(name: str, parent: str, strokes: int, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "parent": parent, "created": f"2026-01-01T00:00:{strokes:02}",
        "seconds": 90.0, "after": {"iou": 0.4}, "before": {"iou": 0.1},
        "labels": {"images": 1, "strokes": {"cell": strokes}, "pixels": {"cell": 9},
                   "painting_seconds": 6.0 * strokes},
        **more,
    }  # fmt: skip


SCORE = {"classes": {"a": [0.8, 0.7, 0.9], "b": [0.6, 0.4, 0.8]}, "shown": True}

GENERAL = info("general", {"name": "general", "parent": ""}, bundled=True)
ONE = info("one", entry("one", "general", 5))
TWO = info("two", entry("two", "one", 10, score=SCORE))
THREE = info("three", entry("three", "two", 15, score={**SCORE, "shown": False}))


def test_rounds_come_in_their_order_with_what_was_recorded() -> None:
    one, two, three = learning_curve(THREE, (GENERAL, THREE, TWO, ONE))
    assert [row.model for row in (one, two, three)] == ["one", "two", "three"]
    assert [row.stroke_count for row in (one, two, three)] == [5, 10, 15]
    assert two.painting_minutes == 1.0 and two.training_minutes == 1.5
    assert one.score is not None and one.basis == "held-out"
    assert two.score is not None and two.basis == "mask"
    assert two.score.value == pytest.approx(0.7)
    assert two.score.low == pytest.approx(0.55) and two.classes["a"].high == 0.9
    assert three.score is None and not three.basis


def test_a_round_that_is_deleted_is_left_out() -> None:
    rows = learning_curve(THREE, (GENERAL, THREE, ONE))
    assert [row.model for row in rows] == ["three"]


def test_rounds_of_before_records_and_of_other_programs() -> None:
    old = info("old", {"name": "old", "parent": "general", "after": {"iou": 0.3}})
    (row,) = learning_curve(old, (GENERAL, old))
    assert row.stroke_count is None and row.images is None and not row.pixels
    labels = {"strokes": {"a": "x"}, "images": -1}
    record = {"labels": labels, "score": {"classes": {"a": [1]}, "shown": True}}
    odd = replace(old, history=(record,))
    (row,) = learning_curve(odd, (odd,))
    assert row.stroke_count is None and row.images is None and row.score is None
    assert learning_curve(GENERAL, (GENERAL,)) == ()


def test_a_model_of_strokes_is_described_by_the_score_of_its_mask() -> None:
    assert describe_model(TWO).get("score") == "expected IoU 0.70 (0.55 to 0.85)"
    assert describe_model(THREE).get("score") == ""
    assert describe_model(ONE).get("score") == (
        "IoU 0.400 on held-out labels (0.100 before)"
    )
    assert recorded_score(GENERAL).mean is None

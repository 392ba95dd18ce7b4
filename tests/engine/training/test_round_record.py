"""What a model remembers of the round that made it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.labels import IGNORE
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.mask_score import MaskScore
from unet_engine.training.round_record import painting_seconds, round_record

CLASSES = ("background", "cell", "other")


def pair(target: Any, times: Any = None, name: str = "a") -> TrainingPair:
    target = np.asarray(target, np.uint8)
    image = np.zeros((1, *target.shape), np.float32)
    return TrainingPair(image, target, name, times=times)


def painted(*times: float) -> TrainingPair:
    """Return a pair with a pixel of each time."""
    target = np.full((1, max(1, 2 * len(times))), IGNORE, np.uint8)
    target[0, : 2 * len(times) : 2] = 1
    when = np.full(target.shape, np.nan)
    when[0, : 2 * len(times) : 2] = times
    return pair(target, when)


def test_strokes_are_connected_pixels_of_a_class() -> None:
    target = [[0, 0, 1, IGNORE, 1], [IGNORE, 1, IGNORE, IGNORE, 0]]
    times = np.ones((2, 5))
    labels = round_record([pair(target, times), pair([[1]], np.ones((1, 1)), "b")],
                          CLASSES, None)["labels"]  # fmt: skip
    assert labels["strokes"] == {"background": 2, "cell": 3}
    assert labels["pixels"] == {"background": 3, "cell": 4}
    assert labels["images"] == 2


def test_label_images_have_pixels_and_no_strokes() -> None:
    labels = round_record([pair([[0, 2, 2]])], CLASSES, None)["labels"]
    assert labels["strokes"] == {} and labels["pixels"] == {"background": 1, "other": 2}
    assert labels["painting_seconds"] == 0


def test_a_long_pause_counts_a_minute() -> None:
    assert painting_seconds([painted(100.0, 110.0, 5000.0), painted(5004.0)]) == 74.0


@given(st.lists(st.integers(1, 10**6), max_size=12, unique=True), st.integers(0, 12))
def test_the_time_is_the_same_however_strokes_lie_on_images(
    times: list[int], cut: int
) -> None:
    together = painting_seconds([painted(*times)])
    apart = painting_seconds([painted(*times[:cut]), painted(*times[cut:])])
    assert together == apart <= 60 * max(0, len(times) - 1)


def test_a_score_is_recorded_with_what_it_stands_on() -> None:
    nan = math.nan
    score = MaskScore(
        ious=(0.8, nan, 0.6), low=(0.7, nan, 0.5), high=(0.9, nan, 0.7), strokes=20,
        images=2, right=0.9,
    )  # fmt: skip
    record = round_record([pair([[0]])], CLASSES, score)
    assert record["score"]["classes"] == {
        "background": [0.8, 0.7, 0.9], "other": [0.6, 0.5, 0.7]
    }  # fmt: skip
    assert record["score"]["shown"] and record["score"]["strokes"] == 20
    assert "score" not in round_record([pair([[0]])], CLASSES, None)
    assert record["versions"]["torch"] and record["versions"]["Python"]


@pytest.mark.parametrize("right", [0.5, 0.84])
def test_a_score_that_was_not_shown_says_so(right: float) -> None:
    score = MaskScore(ious=(0.8,), low=(0.7,), high=(0.9,), strokes=20, images=1,
                      right=right)  # fmt: skip
    assert round_record([pair([[0]])], CLASSES, score)["score"]["shown"] is False

"""Tests of the expected score of a mask."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.interactive.cross_validation import StrokeCheck
from unet_engine.training.mask_score import (
    FEWEST_STROKES,
    LEAST_RIGHT,
    MaskScore,
    score_mask,
    sharpened,
)


def scored(
    tiles: list[np.ndarray], strokes: int = 40, right: float = 0.95
) -> MaskScore:
    check = StrokeCheck(strokes=strokes, images=2, classes=(0, 1, 2), right=right)
    return score_mask(tiles, tiles, check=check)


def tile(rng: np.random.Generator, pixels: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of a class, and the truth drawn from them."""
    known = rng.beta(0.5, 0.9, pixels).astype(np.float32)
    return np.stack([1 - known, known]), rng.random(pixels) < known


def test_calibrated_probabilities_give_the_true_score():
    rng = np.random.default_rng(0)
    tiles, truths = zip(*(tile(rng) for _ in range(20)), strict=True)
    found = scored(list(tiles))
    mask = np.concatenate([t[1] > t[0] for t in tiles])
    truth = np.concatenate(truths)
    iou = np.sum(mask & truth) / np.sum(mask | truth)
    assert found.ious[1] == pytest.approx(iou, abs=0.02)
    assert found.low[1] < iou < found.high[1]
    assert found.mean == pytest.approx(np.mean(found.ious))


def test_sure_tiles_give_one_and_unsure_ones_little():
    sure = np.array([[1, 1, 0], [0, 0, 1]], np.float32)
    assert scored([sure]).ious == (1, 1)
    unsure = np.full((2, 10), 0.5, np.float32)
    assert scored([unsure]).ious[0] == pytest.approx(0.5)


def test_tiles_that_differ_widen_the_interval():
    sure = np.array([[0.99] * 50 + [0.01] * 50], np.float32)
    sure = np.concatenate([sure, 1 - sure])
    unsure = np.array([[0.6] * 50 + [0.4] * 50], np.float32)
    unsure = np.concatenate([unsure, 1 - unsure])
    alike, apart = (scored(tiles) for tiles in ([sure] * 4, [sure, unsure] * 2))
    width = [s.high[0] - s.low[0] for s in (alike, apart)]
    assert width[1] > width[0]


def test_few_strokes_or_many_wrong_ones_give_no_score_that_is_shown():
    sure = [np.array([[1, 0], [0, 1]], np.float32)]
    assert not scored(sure, strokes=FEWEST_STROKES - 1).is_known
    assert scored(sure, strokes=FEWEST_STROKES, right=LEAST_RIGHT).is_known
    assert not scored(sure, right=LEAST_RIGHT - 0.01).is_known


def test_a_class_without_a_checked_stroke_has_none():
    tiles = [np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)]
    check = StrokeCheck(strokes=30, images=1, classes=(0,), right=1.0)
    found = score_mask(tiles, tiles, check=check)
    assert found.ious[0] == pytest.approx(0.9 / 1.1)
    assert np.isnan(found.ious[1])


def test_the_classifier_is_made_surer_and_no_class_changes():
    unsure = np.array([[0.6, 0.3, 0.5], [0.2, 0.5, 0.5], [0.2, 0.2, 0]], np.float32)
    sure = sharpened(unsure)
    np.testing.assert_allclose(sure.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(sure.argmax(axis=0), unsure.argmax(axis=0))
    assert (sure.max(axis=0)[:2] > unsure.max(axis=0)[:2]).all()
    assert sharpened(np.zeros((2, 3), np.float32)).max() == 0


def test_a_class_that_is_nowhere_has_no_score():
    tile = np.array([[0.9, 0.8], [0.1, 0.2], [0, 0]], np.float32)
    found = scored([tile])
    assert np.isnan(found.ious[1])
    assert np.isnan(found.ious[2])
    assert scored([]).ious == ()

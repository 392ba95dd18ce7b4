"""Tests of the check of the pixel classifier on strokes it did not learn from."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.interactive.cross_validation import balanced, cross_validate
from unet_engine.interactive.stages import NEVER, LabelledRows

PIXELS = 12
"""Of a stroke."""


def image(strokes: int, *, seed: int = 0, separable: bool = True):
    """Return the pixels of strokes of two classes, and the stroke of each."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(strokes) % 2, PIXELS).astype(np.uint8)
    features = rng.normal(0, 1, (len(labels), 4))
    if separable:
        features[:, 0] += 6.0 * labels
    rows = LabelledRows(
        features=features.astype(np.float16),
        labels=labels,
        times=np.repeat(np.arange(float(strokes)), PIXELS),
        sample=rng.normal(3, 3, (64, 4)).astype(np.float16),
        sample_times=np.full(64, NEVER),
    )
    return rows, np.repeat(np.arange(strokes), PIXELS)


def check(*images):
    return cross_validate([r for r, _ in images], [s for _, s in images], fine=4)


def test_what_is_separable_is_right_on_strokes_that_were_left_out():
    found = check(image(12), image(6, seed=1))
    assert (found.strokes, found.images) == (18, 2)
    assert found.right > 0.95


def test_what_cannot_is_right_by_chance_however_well_it_is_learned():
    # Each stroke has features of its own: its pixels could be learned by heart.
    rows, strokes = image(24, separable=False)
    own = np.random.default_rng(1).normal(0, 4, (24, 4))
    features = (rows.features / 10 + own[strokes]).astype(np.float16)
    found = check((type(rows)(
        features=features, labels=rows.labels, times=rows.times,
        sample=rows.sample, sample_times=rows.sample_times,
    ), strokes))  # fmt: skip
    assert found.right < 0.75


def test_strokes_of_one_class_or_none_check_nothing():
    rows, strokes = image(2)
    assert check((rows, strokes)).strokes == 0
    assert check().strokes == 0
    assert check().right == 0


def test_the_only_stroke_of_a_class_is_not_checked():
    rows, strokes = image(12)
    rows.labels[strokes == 11] = 2
    found = check((rows, strokes))
    assert (found.strokes, found.classes) == (11, (0, 1))
    assert found.right > 0.85


def test_it_ends_when_it_is_stopped():
    rows, strokes = image(12)
    polls = iter([False, True])
    found = cross_validate([rows], [strokes], 4, lambda: next(polls))
    assert 0 < found.strokes < 12


@pytest.mark.parametrize(("rights", "mean"), [([1, 1, 0], 0.5), ([0.5, 1, 1], 0.875)])
def test_each_class_counts_as_much(rights: list[float], mean: float):
    assert balanced([0, 0, 1], rights) == pytest.approx(mean)

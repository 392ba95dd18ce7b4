"""Tests of fits in stages: the same strokes, the same classifier; no jumps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.interactive import stages
from unet_engine.interactive.pixel_classifier import PixelClassifier
from unet_engine.interactive.stages import (
    NEVER,
    LabelledRows,
    StageMemory,
    fit_in_stages,
    join_images,
    stage_ends,
)

FINE = 3


def strokes(count: int, seed: int = 0, *, pixels: int = 20) -> LabelledRows:
    """Return strokes of two classes that differ in the first feature."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count) % 2, pixels).astype(np.uint8)
    features = rng.normal(0, 1, (count * pixels, 5)).astype(np.float16)
    features[:, 0] += 4 * labels
    sample = rng.normal(0, 1, (300, 5)).astype(np.float16)
    sample[:150, 0] += 4
    times = np.repeat(np.arange(count, dtype=np.float64), pixels)
    return LabelledRows(
        features=features,
        labels=labels,
        times=times,
        sample=sample,
        sample_times=np.full(300, NEVER),
    )


def predicted(classifier: PixelClassifier, rows: LabelledRows) -> np.ndarray:
    return classifier.probabilities(rows.sample.astype(np.float32))


@given(st.lists(st.floats(0, 1e9), max_size=200))
def test_each_stage_has_twice_as_many_strokes_as_the_one_before(times):
    ends = stage_ends(np.array(times))
    kept = [len(np.unique([t for t in times if t <= end])) for end in ends]
    assert kept == [8 * 2**k for k in range(len(ends))]
    assert all(8 * 2**k < len(set(times)) for k in range(len(ends)))
    assert 8 * 2 ** len(ends) >= len(set(times))


def test_the_order_of_the_rows_is_the_order_of_the_strokes_only_by_their_times():
    rows = strokes(20)
    order = np.argsort(rows.times, kind="stable")
    shifted = replace(rows, times=rows.times + 1e9)
    assert np.array_equal(order, np.argsort(shifted.times, kind="stable"))
    first, second = (predicted(fit_in_stages(r, FINE), rows) for r in (rows, shifted))
    np.testing.assert_array_equal(first, second)


def test_earlier_stages_are_fitted_once():
    memory, more = StageMemory(), strokes(25)
    before = fit_in_stages(more.until(23), FINE, memory=memory)
    fitted = []

    class Counted(PixelClassifier):
        def fit(self, *args, **kwargs):
            fitted.append(len(args[0]))
            super().fit(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "PixelClassifier", Counted)
        from_memory = fit_in_stages(more, FINE, memory=memory)
        assert fitted == [25 * 20]
        fitted.clear()
        anew = fit_in_stages(more, FINE)
        assert fitted == [8 * 20, 16 * 20, 25 * 20]
    # What is kept saves time and changes nothing.
    np.testing.assert_array_equal(predicted(from_memory, more), predicted(anew, more))
    assert before is not from_memory


def test_a_stroke_that_was_painted_over_is_in_no_stage():
    right = strokes(20)
    wrong = replace(
        right, labels=np.where(right.times < 8, 1 - right.labels, right.labels)
    )
    # Painted over: the pixels have another class, and a later time.
    mended = replace(
        right, times=np.where(right.times < 8, right.times + 100, right.times)
    )
    truth = np.arange(300) < 150
    errors = [
        np.mean((predicted(fit_in_stages(r, FINE), r)[:, 1] > 0.5) != truth)
        for r in (wrong, mended)
    ]
    assert errors[1] < 0.1
    assert errors[1] <= errors[0]


def test_what_earlier_classifiers_knew_of_the_rest_is_kept():
    rng = np.random.default_rng(0)

    def around(*middles: float) -> np.ndarray:
        """Return pixels around values of the first feature."""
        features = rng.normal(0, 0.5, (40 * len(middles), 5)).astype(np.float32)
        features[:, 0] += np.repeat(middles, 40)
        return features

    labels = np.repeat([0, 1], 40).astype(np.uint8)
    # What lies between is of class 0, which the later strokes do not show.
    between = around(2.2, 2.2, 2.2)
    earlier = PixelClassifier(FINE)
    earlier.fit(around(2.2, 4.4), labels, between)
    alone, kept = PixelClassifier(FINE), PixelClassifier(FINE)
    late = around(0, 3.2)
    alone.fit(late, labels, between)
    kept.fit(late, labels, between, earlier=[earlier])
    of_class_0 = [c.probabilities(between)[:, 0].mean() for c in (alone, kept)]
    assert of_class_0[1] > of_class_0[0] + 0.1


def test_a_class_that_was_painted_later_is_predicted():
    rows = strokes(30)
    new = rows.times >= 20
    rows.labels[new] = 2
    rows.features[new, 1] += 8
    rows.sample[:100, 1] += 8
    classifier = fit_in_stages(rows, FINE)
    assert classifier.classes.tolist() == [0, 1, 2]
    found = predicted(classifier, rows).argmax(axis=1)
    assert np.mean(found[:100] == 2) > 0.9
    assert np.mean(found[100:] == 2) < 0.1


def test_images_count_as_much_as_each_other_up_to_a_factor():
    many, few = strokes(12), strokes(3, 1)
    joined = join_images([many, few])
    sums = joined.weights[: len(many.labels)].sum(), joined.weights[-60:].sum()
    assert sums[0] == pytest.approx(sums[1])
    tiny = strokes(2, 1, pixels=1)
    joined = join_images([many, tiny])
    assert joined.weights.max() == 4
    assert len(join_images([many] * 20).sample) <= 2048 + 20 * 20

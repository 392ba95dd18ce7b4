"""Strokes are learned at the scale at which their image is predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.annotations.annotations import Annotations
from unet_engine.images import Image
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction import size_estimate
from unet_engine.prediction.scale import SizeEstimate
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.estimated_sizes import EstimatedSizes
from unet_engine.training.data.labelled_images import PaintedImage, training_pairs
from unet_engine.training.data.objects.object_sizes import with_object_sizes
from unet_engine.training.data.scaled_strokes import ScaledStrokes

SPEC = ModelSpec(depth=2, width=4, object_size_px=12.0, object_size_range=(6.0, 24.0))
CONFIG = FineTuneConfig(crop=32, batch=2, steps=2, minutes=0, device="cpu")


def painted(shape: tuple[int, int], seed: int, count: int = 4) -> Annotations:
    random = np.random.default_rng(seed)
    strokes = Annotations(shape)
    for number in range(count):
        y, x = (int(random.integers(0, size - 3)) for size in shape)
        part = slice(y, y + 3), slice(x, min(x + 9, shape[1]))
        size = [p.stop - p.start for p in part]
        strokes.accept((), part, np.full(size, number % 2, np.uint8))
    return strokes


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(12, 70), st.integers(12, 70)),
    st.tuples(st.integers(3, 150), st.integers(3, 150)),
)
def test_each_pixel_has_the_class_that_was_painted_last_where_it_lies(
    seed: int, shape: tuple[int, int], size: tuple[int, int]
):
    strokes = painted(shape, seed)
    target, times = strokes.target(()), strokes.times(())
    scaled = ScaledStrokes(strokes, size)
    found = scaled.target(())
    everywhere = slice(None), slice(None)
    when = scaled.times((), everywhere)
    # By definition, pixel by pixel: which pixels of the one lie in those of the other.
    expected: dict[tuple[int, int], tuple[float, int]] = {}
    places = [
        [
            [int((i + 0.5) * new / old)]
            if new <= old
            else [j for j in range(new) if int((j + 0.5) * old / new) == i]
            for i in range(old)
        ]
        for old, new in zip(shape, size, strict=True)
    ]
    for y, x in np.argwhere(target != IGNORE).tolist():
        for there in ((a, b) for a in places[0][y] for b in places[1][x]):
            here = float(times[y, x]), int(target[y, x])
            expected[there] = max(expected.get(there, here), here)
    assert {tuple(p) for p in np.argwhere(found != IGNORE).tolist()} == set(expected)
    for there, (time, label) in expected.items():
        assert found[there] == label
        assert when[there] == time
    assert np.isnan(when[found == IGNORE]).all()
    box = slice(size[0] // 3, size[0]), slice(1, 2 + size[1] // 2)
    assert np.array_equal(scaled.times((), box), when[box], equal_nan=True)


def test_a_training_learns_at_the_scale_and_keeps_the_size_of_the_model():
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160)).astype(np.uint8)
    image = Image.from_array(pixels, "YX")
    one = PaintedImage(image=image, strokes=painted((120, 160), 1), object_size=24.0)
    (pair,) = training_pairs([one], SPEC, CONFIG)
    assert pair.image.shape[1:] == pair.target.shape == (60, 80)
    assert pair.features is None
    assert set(np.unique(pair.target)) == {0, 1, IGNORE}
    assert np.isfinite(pair.times[pair.target != IGNORE]).all()
    assert with_object_sizes(SPEC, [pair]).object_size_px == 12.0
    own = replace(one, object_size="off")
    (pair,) = training_pairs([own], SPEC, CONFIG)
    assert pair.target.shape == (120, 160)
    # A model that knows no size learns on the grid of the image, whatever is known.
    unknown = replace(SPEC, object_size_px=None, object_size_range=None)
    (pair,) = training_pairs([one], unknown, CONFIG)
    assert pair.target.shape == (120, 160)


@pytest.mark.parametrize(("sure", "size"), [(True, 36.0), (False, "off")])
def test_unknown_sizes_are_estimated_once_for_each_image(
    monkeypatch: pytest.MonkeyPatch, sure: bool, size: object
):
    asked: list[Image] = []

    def estimate(image: Image, *_: object) -> SizeEstimate:
        asked.append(image)
        return SizeEstimate(diameter_px=36.0, sure=sure)

    monkeypatch.setattr(size_estimate, "estimate_object_size", estimate)
    image = Image.from_array(np.eye(90, dtype=np.uint8), "YX")
    one = PaintedImage(image=image, strokes=painted((90, 90), 1))
    typed = replace(one, object_size=20.0)
    model = start_checkpoint(SPEC)
    trained = replace(model, history=({"name": "", "steps": 1},))
    sizes = EstimatedSizes(trained, "cpu")
    for _ in range(2):
        assert [o.object_size for o in sizes.settled([one, typed])] == [size, 20.0]
    assert len(asked) == 1
    # Random weights find nothing that could be measured.
    assert EstimatedSizes(model, "cpu").settled([one]) == [one]

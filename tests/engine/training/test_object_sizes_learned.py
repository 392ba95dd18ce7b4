"""A trained model knows the size of the objects that it was trained on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.images.labels.rules import LabelRule
from unet_engine.models.spec import ModelSpec
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import (
    LabelledImage,
    PaintedImage,
    training_pairs,
)
from unet_engine.training.data.objects.object_sizes import (
    diameters_of,
    with_object_sizes,
)
from unet_engine.training.fine_tuning import iter_fine_tune

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.prediction.config import ObjectSize

SPEC = ModelSpec(depth=2, width=4, object_size_px=99.0, object_size_range=(9.0, 200.0))
CONFIG = FineTuneConfig(
    steps=20, crop=32, batch=2, device="cpu", minutes=0, learning_rate=0.01
)


def labelled(diameter: float) -> LabelledImage:
    pixels, truth = nuclei((128, 128), seed=4, diameter=diameter)
    rule = LabelRule(meaning="objects")
    return LabelledImage(
        image=Image.from_array(pixels, "YX"), labels=truth, rule=rule, name="one"
    )


def strokes(size: ObjectSize) -> PaintedImage:
    pixels, _ = nuclei((128, 128), seed=4)
    notes = Annotations((128, 128))
    notes.accept((), (slice(4, 9), slice(10, 90)), np.ones((5, 80), np.uint8))
    notes.accept((), (slice(60, 66), slice(10, 90)), np.zeros((6, 80), np.uint8))
    image = Image.from_array(pixels, "YX")
    return PaintedImage(image=image, strokes=notes, object_size=size)


def test_diameters_are_those_of_disks_of_the_same_area():
    ids = np.zeros((60, 60), int)
    y, x = np.mgrid[:60, :60]
    ids[(y - 20) ** 2 + (x - 20) ** 2 <= 100] = 7
    ids[40:50, 30:50] = 3
    ids[0, 0] = 9
    ids[55:, 55:] = -4
    assert sorted(diameters_of(ids)) == pytest.approx([15.96, 20.1], abs=0.1)


@pytest.mark.parametrize("diameter", [12.0, 30.0])
def test_numbered_objects_give_their_median_and_range(diameter: float):
    one = labelled(diameter)
    spec = with_object_sizes(SPEC, list(training_pairs([one], SPEC, CONFIG)))
    expected = float(np.median(diameters_of(np.asarray(one.labels))))
    assert spec.object_size_px == pytest.approx(expected, abs=0.05)
    assert spec.object_size_px == pytest.approx(diameter, rel=0.3)
    low, high = spec.object_size_range
    assert low < spec.object_size_px < high < 60


def test_strokes_give_the_estimate_of_their_image_and_nothing_without():
    spec = dataclasses.replace(SPEC, object_size_px=31.0)
    pairs = list(training_pairs([strokes(31.5)], spec, CONFIG))
    assert with_object_sizes(spec, pairs).object_size_px == 31.5
    unknown = with_object_sizes(
        SPEC, list(training_pairs([strokes("off")], SPEC, CONFIG))
    )
    assert unknown == dataclasses.replace(
        SPEC, object_size_px=None, object_size_range=None
    )


def test_a_trained_model_has_the_size_and_its_parent_keeps_its_own(
    make_checkpoint: Callable,
):
    parent = make_checkpoint(SPEC)
    pairs = list(training_pairs([labelled(20.0)], SPEC, CONFIG))
    trained = drain(iter_fine_tune(parent, pairs, CONFIG))
    assert trained.improved
    assert trained.checkpoint.spec.object_size_px == pytest.approx(20, rel=0.4)
    assert parent.spec.object_size_px == 99.0

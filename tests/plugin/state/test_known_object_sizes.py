"""What was estimated of an image serves the models that are tuned on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.state.object_sizes import ObjectSizes
from unet_engine.images import Image, Normalisation
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction import size_estimate
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import SizeEstimate
from unet_engine.stopping import never

SPEC = ModelSpec(depth=1, width=2, object_size_px=24.0)


@pytest.mark.parametrize("sure", [True, False])
def test_a_tuned_model_takes_the_size_that_its_parent_found(
    monkeypatch: pytest.MonkeyPatch, sure: bool
):
    asked: list[ModelSpec] = []

    def estimate(image: object, model: object, *_: object) -> SizeEstimate:
        asked.append(model.spec)
        return SizeEstimate(diameter_px=48.0, sure=sure)

    monkeypatch.setattr(size_estimate, "estimate_object_size", estimate)
    image = Image.from_array(np.arange(99**2).reshape(99, 99), "YX")
    brightness = Normalisation.measure(image)
    sizes = ObjectSizes()
    assert sizes.used == "auto"
    tuned = replace(SPEC, object_size_range=(20.0, 30.0))
    other = replace(SPEC, classes=("background", "cell"))
    used = []
    for spec in (SPEC, tuned, tuned, other):
        model = start_checkpoint(spec)
        sizes.settled(image, model, PredictConfig(), brightness, never)
        used.append(sizes.used)
    size = 48.0 if sure else "off"
    assert used == [size] * 4
    # One that was not sure is no help to another model.
    assert asked == ([SPEC, other] if sure else [SPEC, tuned, other])


def test_nothing_is_estimated_of_a_constant_image(monkeypatch: pytest.MonkeyPatch):
    def estimate(*_: object) -> SizeEstimate:
        raise AssertionError

    monkeypatch.setattr(size_estimate, "estimate_object_size", estimate)
    image = Image.from_array(np.full((99, 99), 7, np.uint8), "YX")
    model, sizes = start_checkpoint(SPEC), ObjectSizes()
    brightness = Normalisation.measure(image)
    settled = sizes.settled(image, model, PredictConfig(), brightness, never)
    assert settled.object_size == sizes.used == "off"
    # Its note on the brightness is what there is to say.
    assert sizes.describe(image, SPEC, PredictConfig()) == ""

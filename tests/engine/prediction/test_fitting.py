"""Why a model cannot be used on an image, in words, with advice that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.images import Image
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.collection.deletion import delete_model, restore_model
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.prediction.fitting import describe_extent, why_not_used
from unet_engine.prediction.segmentation import predict
from unet_engine.wording import read_in

if TYPE_CHECKING:
    from pathlib import Path

PLANE = Image.from_array(np.zeros((64, 64), np.uint8), "YX", name="plane")
TWO = Image.from_array(np.zeros((2, 64, 64), np.uint8), "CYX", name="two")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path)


def save(store: ModelStore, *, pretrained: bool = False, **spec):
    history = ({"pretrained": pretrained},)
    weights = {"w": np.zeros(1, np.float32)}
    return store.save("mine", Checkpoint(ModelSpec(**spec), weights, history))


def test_a_model_that_fits_has_no_reason(store):
    info = save(store, classes=("background", "cell"))
    assert why_not_used(info, PLANE, ("background", "cell")) == ()
    assert why_not_used(info) == ()


@pytest.mark.parametrize(
    ("spec", "image", "phrase"),
    [
        ({"in_channels": 1}, TWO, "2 channels, the model takes 1 channel"),
        ({"ndim": 3}, PLANE, "works on volumes, and plane has no Z"),
        (
            {"architecture": "autoencoder", "classes": ()},
            PLANE,
            "gives no mask; make a new model from it",
        ),
    ],
)
def test_what_does_not_fit_is_named(store, spec, image, phrase):
    (reason,) = why_not_used(save(store, **spec), image)
    assert phrase in reason


def test_an_untrained_model_is_named(store):
    (reason,) = why_not_used(save(store, pretrained=True))
    assert "untrained" in reason


def test_classes_that_were_painted_are_named(store):
    info = save(store, classes=("background", "cell"))
    painted = ("background", "wall", "pore")
    (reason,) = why_not_used(info, PLANE, painted)
    assert "strokes on plane are of the classes 'wall', 'pore'" in reason
    assert why_not_used(info, PLANE, painted, added=("wall", "pore")) == ()
    read_in("window")
    (reason,) = why_not_used(info, PLANE, painted)
    assert "Add class… in step 2" in reason


def test_all_reasons_are_named(store):
    info = save(store, ndim=3, pretrained=True)
    assert len(why_not_used(info, PLANE, ("wall",))) == 3


def test_a_file_that_is_gone_can_be_restored(store):
    info = save(store)
    delete_model(store, "mine")
    (reason,) = why_not_used(info)
    assert "is not there any more" in reason
    assert "napari-unet models restore 'mine'" in reason
    restore_model(store, "mine")
    assert why_not_used(info) == ()


@pytest.mark.parametrize(
    ("shape", "size", "factor", "least"),
    [
        ((10, 10), 24.0, 1.0, 24),
        ((10, 400), 24.0, 1.0, 24),
        ((100, 100), 24.0, 0.2, 120),
        ((24, 24), 24.0, 1.0, None),
        ((10, 10), 24.0, 2.5, None),
        # Without a size, a step of the coarsest level.
        ((7, 9), None, 1.0, 8),
        ((8, 8), None, 1.0, None),
    ],
)
def test_an_image_that_is_too_small_is_named_with_what_is_enough(
    shape, size, factor, least
):
    image = Image.from_array(np.zeros(shape, np.uint8), "YX")
    spec = ModelSpec(depth=3, object_size_px=size)
    found = describe_extent(image, spec, (factor, factor))
    if least is None:
        assert found == ()
        return
    (note,) = found
    assert f"{shape[0]} x {shape[1]} pixels is too small" in note
    assert f"needs {least} or more" in note
    enough = Image.from_array(np.zeros((least, least), np.uint8), "YX")
    assert describe_extent(enough, spec, (factor, factor)) == ()


def test_a_prediction_notes_that_the_image_is_too_small():
    tiny = np.random.default_rng(0).integers(0, 255, (10, 10), dtype=np.uint8)
    found = predict(Image.from_array(tiny, "YX"), ModelStore().load("nuclei"))
    assert [note for note in found.notes if "10 x 10 pixels is too small" in note]

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
from unet_engine.prediction.fitting import why_not_used
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

"""Step 4 with a model that shows single objects, and the slider with its preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from brightness_model import brightness_model, touching_cells
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from conftest import Docked

    from unet_engine.models.store import ModelStore


@pytest.fixture
def predicted(dock: Docked, store: ModelStore) -> Docked:
    """Return a dock with four cells that touch, and the mask of them."""
    store.save("brightness", brightness_model())
    dock.widget.select_model("brightness")
    layer = dock.viewer.add_image(touching_cells(), name="cells")
    dock.widget.predict.form.image.value = layer
    dock.predict()
    return dock


def separate(docked: Docked) -> np.ndarray:
    """Press Separate objects and return their ids."""
    docked.bot.mouseClick(docked.widget.objects.separate, Qt.MouseButton.LeftButton)
    docked.wait()
    return np.asarray(docked.viewer.layers["cells objects"].data)


def previewed(docked: Docked) -> Any:
    return docked.widget.objects.live.preview


def press(docked: Docked, key: Qt.Key, times: int = 1) -> None:
    """Move the slider by its keys, and wait for what follows."""
    slider = docked.widget.objects.form.merging.slider
    for _ in range(times):
        docked.bot.keyClick(slider, key)
    live = docked.widget.objects.live
    docked.bot.waitUntil(
        lambda: not live._timer.isActive() and live._job is None, timeout=20_000
    )


def test_the_model_tells_objects_apart_without_a_question(predicted: Docked):
    form = predicted.widget.objects.form
    assert "as the model shows" in form.text.text()
    ids = separate(predicted)
    np.testing.assert_array_equal(ids > 0, predicted.mask.data > 0)
    assert {int(ids[y, x]) for y in (20, 42) for x in (20, 42)} == {1, 2, 3, 4}


def test_what_was_painted_belongs_to_objects_too(predicted: Docked):
    predicted.mask.data[2:8, 60:70] = 1
    assert separate(predicted).max() == 5


@pytest.mark.slow
def test_a_mask_of_another_model_is_split_at_its_necks(predicted: Docked):
    predicted.widget.select_model("tiny")
    predicted.predict()
    form = predicted.widget.objects.form
    assert "at their necks" in form.text.text()
    predicted.mask.data[5:15, 5:30] = 1
    assert separate(predicted).max() == 1


def test_the_slider_shows_at_once_what_it_does(predicted: Docked):
    assert not previewed(predicted).shown
    press(predicted, Qt.Key.Key_Left)
    layer = predicted.viewer.layers["cells objects preview"]
    assert np.unique(layer.data).size == 5
    top, left = (round(at) for at in layer.translate)
    inside = predicted.mask.data[top:, left:][tuple(map(slice, layer.data.shape))]
    np.testing.assert_array_equal(layer.data > 0, inside > 0)
    press(predicted, Qt.Key.Key_End)
    layer = predicted.viewer.layers["cells objects preview"]
    assert np.unique(layer.data).size == 2, "they are merged"


def test_separating_ends_the_preview_and_does_what_it_showed(predicted: Docked):
    before = separate(predicted)
    objects = predicted.viewer.layers["cells objects"]
    press(predicted, Qt.Key.Key_End)
    assert not objects.visible
    assert predicted.viewer.layers.selection.active is not None
    after = separate(predicted)
    assert (before.max(), after.max()) == (4, 1)
    assert objects.visible
    assert not previewed(predicted).shown


def test_another_image_takes_the_preview_away(predicted: Docked):
    press(predicted, Qt.Key.Key_Left)
    assert previewed(predicted).shown
    other = predicted.viewer.add_image(np.zeros((20, 20), np.uint8), name="other")
    predicted.widget.predict.form.image.value = other
    assert not previewed(predicted).shown
    press(predicted, Qt.Key.Key_Left)
    assert not previewed(predicted).shown, "there is no mask"

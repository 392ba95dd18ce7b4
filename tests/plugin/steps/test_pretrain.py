"""Learning without labels, and what becomes of it: a start and a denoised layer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.jobs import prediction as _runs
from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.steps.new_model.dialog import NewModelDialog
from napari_unet.steps.predict.form import THIS_SLICE
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.denoising import denoise
from unet_engine.training import pretraining
from unet_engine.training.restoration.judge import Judgement

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


def be_quick(docked: Docked, steps: int = 6) -> None:
    form = docked.widget.pretrain.settings
    form["steps"].value, form["crop"].value, form["batch"].value = steps, 32, 1
    form["learning_rate"].value = 0.01


def _small_spec(**values: Any) -> ModelSpec:
    return ModelSpec(**{**values, "depth": 2, "width": 4})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models without classes be tiny."""
    monkeypatch.setattr(
        "unet_engine.training.pretraining_start.ModelSpec",
        _small_spec,
    )


@pytest.fixture
def ready(dock: Docked, plane: Any, small: None) -> Docked:
    """A stack without labels, and the section opened by the menu."""
    dock.viewer.add_image(np.stack([plane, plane[::-1]]), name="cells")
    assert dock.widget.pretrain.isHidden()
    dock.widget.predict.form.picker.actions_by_name["pretrain"].trigger()
    assert not dock.widget.pretrain.isHidden()
    dock.widget.pretrain.purpose.value = "Start a U-Net"
    be_quick(dock)
    return dock


def pretrain(docked: Docked) -> None:
    docked.widget.pretrain.pretrain.click()
    docked.wait()


@pytest.mark.slow
def test_pretrain_then_train_a_unet_that_starts_from_it(
    ready: Docked, store: ModelStore
) -> None:
    section, workspace = ready.widget.pretrain, ready.widget.workspace
    assert "cells" in section.help_text.text()
    pretrain(ready)
    assert workspace.model.name == "cells-pretrained"
    assert workspace.model.spec.classes == ()
    assert section.text.text().startswith("Saved as cells-pretrained: loss ")
    assert len(section.curve.steps) == 6
    assert all(np.isfinite(each.loss) for each in section.curve.validations)
    picker = ready.widget.predict.form.picker
    assert "2 planes of 96 x 96 pixels" in ready.widget.predict.text.text()
    picker.restart.click()
    (dialog,) = ready.widget.findChildren(NewModelDialog)
    assert dialog.form.parent_model == workspace.model
    dialog.form.name.setText("mine")
    dialog.create.click()
    assert isinstance(workspace.model, UntrainedModel)
    ready.widget.correct.class_buttons[1].click()
    ready.mask.brush_size = 12
    ready.mask.paint((0, 35, 35), 1)
    ready.mask.paint((0, 85, 15), 0)
    ready.be_quick(steps=30)
    ready.fine_tune()
    assert workspace.model.name == "mine"
    assert store.lineage("mine") == ("mine", "cells-pretrained")
    assert workspace.model.trained
    assert store.load("mine").history[0]["pretrained"]


def test_the_next_one_gets_a_free_name(ready: Docked) -> None:
    pretrain(ready)
    pretrain(ready)
    assert ready.widget.workspace.model.name == "cells-pretrained-2"


def test_a_denoiser_is_judged_and_kept(
    ready: Docked, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = ready.widget.pretrain
    section.purpose.value = "Remove noise"
    assert section.settings["crop"].value == 64
    be_quick(ready)
    # Whether six steps beat a filter is no matter of this window.
    better = Judgement(network=0.1, mean=1.0, filters={"a Gaussian of 1 px": 0.2})
    monkeypatch.setattr(pretraining, "judged", lambda *_: better)
    pretrain(ready)
    assert "a Gaussian of 1 px, has 0.2" in section.text.text()
    assert "Press Denoise" in section.text.text()
    picker = ready.widget.predict.form.picker
    assert ready.widget.workspace.model.name == "cells-denoiser"
    assert store.load("cells-denoiser").spec.restores
    assert picker.restart.isHidden()
    ready.widget.predict.predict.click()
    ready.wait()
    assert "cells denoised" in ready.viewer.layers


@pytest.mark.slow
def test_a_worse_denoiser_is_refused_with_a_word(
    ready: Docked, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready.widget.pretrain.purpose.value = "Remove noise"
    be_quick(ready)
    worse = Judgement(network=0.3, mean=1.0, filters={"a Gaussian of 1 px": 0.2})
    monkeypatch.setattr(pretraining, "judged", lambda *_: worse)
    pretrain(ready)
    text = ready.widget.pretrain.text.text()
    assert text.startswith("Not kept after 6 steps. A Gaussian of 1 px does better")
    assert "cells-denoiser" not in store.names()


@pytest.mark.slow
def test_stacks_are_restored_from_neighbouring_slices(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(np.stack([plane] * 6), name="deep")
    dock.widget.open_pretraining()
    section = dock.widget.pretrain
    assert "from 5 neighbouring ones" in section.help_text.text()
    assert section._make_order().spec.slices == 5
    section.purpose.value = "Start a U-Net"
    assert "neighbouring" not in section.help_text.text()
    assert section._make_order().spec.architecture == "autoencoder"


@pytest.mark.slow
def test_other_images_like_it_are_learned_from(ready: Docked, plane: Any) -> None:
    section = ready.widget.pretrain
    assert section.others.native.isHidden()
    ready.viewer.add_image(plane, name="more cells")
    ready.viewer.add_image(np.stack([plane] * 3, axis=-1), rgb=True, name="stained")
    ready.widget.predict.form.image.value = ready.viewer.layers["cells"]
    section.open()
    assert not section.others.native.isHidden()
    assert [i.name for i in section._make_order().images] == ["cells", "more cells"]
    section.others.value = False
    assert [i.name for i in section._make_order().images] == ["cells"]


def test_colour_images_are_seen_in_colour(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(np.stack([plane] * 3, axis=-1), rgb=True, name="stained")
    assert dock.widget.pretrain._make_order().spec.in_channels == 3


def test_no_image(dock: Docked, notices: list[str]) -> None:
    dock.widget.open_pretraining()
    dock.widget.pretrain.pretrain.click()
    assert "there is no image" in notices[0]
    assert not dock.widget.workspace.busy


def wait_until_it_learned(docked: Docked) -> None:
    curve = docked.widget.pretrain.curve
    docked.bot.waitUntil(
        lambda: any(each.best and each.step for each in curve.validations),
        timeout=60_000,
    )


@pytest.mark.slow
def test_stop_keeps_the_best(ready: Docked, store: ModelStore) -> None:
    be_quick(ready, steps=100_000)
    section = ready.widget.pretrain
    section.pretrain.click()
    assert section.cancel.isEnabled()
    assert not ready.widget.predict.predict.isEnabled()
    assert not ready.widget.fine_tune.train.isEnabled()
    assert not section.close_button.isEnabled()
    wait_until_it_learned(ready)
    section.cancel.click()
    ready.wait()
    assert "cells-pretrained" in store.names()
    assert section.pretrain.isEnabled()
    section.close_button.click()
    assert section.isHidden()


@pytest.mark.slow
def test_image_deleted_while_it_learns(ready: Docked, store: ModelStore) -> None:
    be_quick(ready, steps=100_000)
    ready.widget.pretrain.pretrain.click()
    wait_until_it_learned(ready)
    ready.viewer.layers.remove("cells")
    ready.wait()
    assert "cells-pretrained" in store.names()
    text = ready.widget.pretrain.text.text()
    assert text.startswith("Stopped: 'cells' was deleted. Saved as cells-pretrained")


@pytest.mark.slow
def test_dock_closed_while_it_learns(
    real_dock: Docked, plane: Any, small: None
) -> None:
    real_dock.viewer.add_image(plane, name="cells")
    real_dock.widget.open_pretraining()
    be_quick(real_dock, steps=100_000)
    real_dock.widget.pretrain.pretrain.click()
    thread = real_dock.widget.pretrain._job._thread
    real_dock.viewer.window.remove_dock_widget(real_dock.widget)
    real_dock.widget.deleteLater()
    real_dock.bot.waitUntil(lambda: not thread.is_alive(), timeout=20_000)


def test_learned_nothing_is_reported(
    ready: Docked, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "unet_engine.training.optimisation.Optimisation._step", lambda self, rate: 1.0
    )
    pretrain(ready)
    assert "Nothing learned" in ready.widget.pretrain.text.text()
    assert "cells-pretrained" not in store.names()
    assert ready.widget.workspace.model.name == "tiny"


@pytest.fixture
def eyes(dock: Docked, add_model: Callable[..., ModelInfo]) -> Docked:
    """A dock whose chosen model has no classes."""
    add_model("eyes", architecture="autoencoder", classes=())
    dock.widget.select_model("eyes")
    return dock


def test_a_model_without_classes_names_its_purpose(eyes: Docked, plane: Any) -> None:
    eyes.viewer.add_image(plane)
    widget = eyes.widget
    assert widget.predict.predict.text() == "Denoise"
    assert widget.predict.form.probability.native.isHidden()
    assert not widget.predict.form.picker.restart.isHidden()
    assert "takes noise away" in widget.predict.form.picker.text.text()
    assert "no classes to paint" in widget.correct.text.text()
    assert widget.correct.empty.isHidden()
    assert not widget.correct.class_buttons
    widget.select_model("tiny")
    assert widget.predict.predict.text() == "Predict"
    assert widget.predict.form.picker.restart.isHidden()


def test_it_cannot_be_tuned(eyes: Docked, plane: Any, notices: list[str]) -> None:
    eyes.viewer.add_image(plane)
    eyes.widget.fine_tune.train.click()
    assert "start a new U-Net from it" in notices[0]
    assert not eyes.widget.workspace.busy


def test_a_mask_that_is_there_keeps_its_colours(eyes: Docked, plane: Any) -> None:
    eyes.widget.select_model("tiny")
    eyes.viewer.add_image(plane)
    eyes.predict()
    colour = eyes.mask.get_color(1)
    eyes.widget.select_model("eyes")
    eyes.mask.selected_label = 1
    eyes.mask.paint((20, 20), 1)
    np.testing.assert_array_equal(eyes.mask.get_color(1), colour)


def denoised(docked: Docked, source: Any) -> Any:
    docked.predict()
    layer = docked.viewer.layers[f"{source.name} denoised"]
    assert "tile" in docked.widget.predict.text.text()
    return layer


def expected(docked: Docked, data: Any, axes: str, name: str, **kw: Any) -> Any:
    """The result of the engine without the plugin."""
    checkpoint = docked.widget.workspace.store.load(name)
    return denoise(Image.from_array(data, axes, **kw), checkpoint).image


def test_denoised_stack(eyes: Docked, plane: Any) -> None:
    stack = np.stack([plane, plane[::-1], plane.T])
    source = eyes.viewer.add_image(
        stack, name="cells", scale=(2, 0.5, 0.5), translate=(1, 2, 3), units="um"
    )
    active = eyes.viewer.layers.selection.active
    layer = denoised(eyes, source)
    assert layer.data.shape == stack.shape
    found = expected(eyes, stack, "ZYX", "eyes")[0]
    np.testing.assert_allclose(layer.data, found, rtol=1e-5)
    assert not np.array_equal(layer.data, stack)
    np.testing.assert_array_equal(layer.scale, source.scale)
    np.testing.assert_array_equal(layer.translate, source.translate)
    assert layer.units == source.units
    assert layer.contrast_limits == source.contrast_limits
    assert eyes.viewer.layers.selection.active is active
    assert eyes.widget.predict.form.image.value is source
    assert denoised(eyes, source) is layer
    assert len(eyes.viewer.layers) == 2
    eyes.widget.predict.form.image.value = layer
    assert "96 x 96 pixels" in eyes.widget.predict.text.text()


@pytest.mark.slow
def test_denoised_channels_lie_where_those_of_the_image_lie(
    dock: Docked, plane: Any, add_model: Callable[..., ModelInfo]
) -> None:
    add_model("two", architecture="autoencoder", classes=(), in_channels=2)
    dock.widget.select_model("two")
    stack = np.stack([np.stack([plane, plane[::-1]])] * 3)
    source = dock.viewer.add_image(
        stack, axis_labels=("z", "c", "y", "x"), scale=(3, 1, 2, 2)
    )
    layer = denoised(dock, source)
    assert layer.data.shape == stack.shape
    found = expected(dock, stack, "ZCYX", "two")
    np.testing.assert_allclose(layer.data, np.moveaxis(found, 0, 1), rtol=1e-5)
    np.testing.assert_array_equal(layer.scale, source.scale)
    assert layer.axis_labels == source.axis_labels


@pytest.mark.slow
def test_denoised_colours_stay_colours(
    dock: Docked, plane: Any, add_model: Callable[..., ModelInfo]
) -> None:
    add_model("colour", architecture="autoencoder", classes=(), in_channels=3)
    dock.widget.select_model("colour")
    image = np.stack([plane, plane, plane[::-1]], axis=-1)
    layer = denoised(dock, dock.viewer.add_image(image, rgb=True))
    assert layer.rgb
    assert (layer.data.shape, layer.data.dtype) == (image.shape, np.uint8)
    found = np.moveaxis(expected(dock, image, "YXS", "colour"), 0, -1)
    np.testing.assert_array_equal(layer.data, np.clip(np.rint(found), 0, 255))


@pytest.mark.slow
def test_colours_in_grey(eyes: Docked, plane: Any) -> None:
    image = np.stack([plane, plane, plane[::-1]], axis=-1)
    layer = denoised(eyes, eyes.viewer.add_image(image, rgb=True))
    assert not layer.rgb
    assert layer.data.shape == plane.shape


def test_this_slice_only(eyes: Docked, plane: Any) -> None:
    source = eyes.viewer.add_image(np.stack([plane] * 3))
    eyes.viewer.dims.set_current_step(0, 1)
    eyes.widget.show()
    eyes.widget.predict.form.scope.value = THIS_SLICE
    layer = denoised(eyes, source)
    assert layer.data[1].any()
    assert not layer.data[[0, 2]].any()


def test_channels_that_do_not_fit(
    dock: Docked, plane: Any, add_model: Callable[..., ModelInfo], notices: list[str]
) -> None:
    add_model("four", architecture="autoencoder", classes=(), in_channels=4)
    dock.widget.select_model("four")
    dock.viewer.add_image(plane)
    dock.predict()
    assert "the model takes 4" in notices[0]
    assert len(dock.viewer.layers) == 1
    assert dock.widget.predict.predict.isEnabled()


@pytest.fixture
def running(eyes: Docked, plane: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stack that is being denoised, after its first tile, in the middle plane."""
    real = _runs.denoise_run

    def slow(order: Any, workspace: Any, stop: Any) -> Any:
        run = real(order, workspace, stop)
        first = next(run)
        while not stop():
            yield first
            time.sleep(0.01)
        return (yield from run)

    monkeypatch.setattr("napari_unet.steps.predict.section.denoise_run", slow)
    layer = eyes.viewer.add_image(np.stack([plane] * 3), name="stack")
    eyes.viewer.dims.set_current_step(0, 1)
    section = eyes.widget.predict
    section.predict.click()
    eyes.bot.waitUntil(lambda: section.progress.value() > 0, timeout=30_000)
    return layer


def test_what_is_on_screen_comes_first_and_cancel_keeps_it(
    eyes: Docked, running: Any
) -> None:
    eyes.widget.predict.cancel.click()
    eyes.wait()
    assert "Stopped. 1 of 3 tiles" in eyes.widget.predict.text.text()
    layer = eyes.viewer.layers["stack denoised"]
    assert layer.data[1].any()
    assert not layer.data[[0, 2]].any()
    assert eyes.widget.predict.predict.isEnabled()


@pytest.mark.parametrize("name", ["stack", "stack denoised"])
def test_layer_deleted_during_the_run(
    eyes: Docked, running: Any, name: str, notices: list[str]
) -> None:
    eyes.viewer.layers.remove(name)
    eyes.wait()
    assert eyes.widget.predict.predict.isEnabled()
    assert not [m for m in notices if m.startswith("error")]
    assert name not in eyes.viewer.layers

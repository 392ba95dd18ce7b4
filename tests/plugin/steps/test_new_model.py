"""New models: described in a form, painted for, trained, and only then saved."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton

from napari_unet.dock import UNetWidget
from napari_unet.state import untrained_model as _untrained_models
from napari_unet.state.untrained_model import UntrainedModel, file_name, make_checkpoint
from napari_unet.steps.new_model.dialog import NewModelDialog
from unet_engine.models import imagenet
from unet_engine.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Docked

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore


def open_form(docked: Docked) -> NewModelDialog:
    """Choose New model… in the menu beside the list of models."""
    docked.widget.predict.form.picker.actions_by_name["new"].trigger()
    return docked.widget.findChildren(NewModelDialog)[-1]


def make_untrained(
    docked: Docked, name: str = "mine", network: str = "unet"
) -> UntrainedModel:
    """Fill in the form of a tiny network and press Create."""
    dialog = open_form(docked)
    dialog.form.choose_network(network)
    dialog.form.name.setText(name)
    dialog.form.start.setCurrentIndex(0)
    if not ARCHITECTURES[network].fixed_depth:
        dialog.form.depth.setValue(2)
    dialog.form.width.setValue(4)
    dialog.create.click()
    model = docked.widget.workspace.model
    assert isinstance(model, UntrainedModel)
    return model


def paint_both_classes(docked: Docked) -> None:
    """Paint strokes on the bright squares of the plane, and beside them."""
    cell, background = (docked.widget.correct.class_buttons[n] for n in (1, 0))
    cell.click()
    docked.mask.brush_size = 12
    docked.mask.paint((35, 35), 1)
    docked.mask.paint((70, 70), 1)
    background.click()
    docked.mask.paint((85, 15), 0)
    docked.mask.paint((15, 75), 0)


@pytest.mark.slow
def test_describe_paint_train_predict(
    dock: Docked, plane: Any, store: ModelStore, notices: list[str]
) -> None:
    dock.viewer.add_image(plane, name="cells")
    untrained = make_untrained(dock)
    picker = dock.widget.predict.form.picker
    assert picker.model.value is untrained
    assert picker.text.text().startswith("Untrained U-Net: 1 channel → background")
    assert "mine" not in store.names(), "nothing is saved that was not trained"
    paint_both_classes(dock)
    dock.be_quick(steps=12)
    dock.fine_tune()
    model = dock.widget.workspace.model
    assert (model.name, model.trained) == ("mine", True)
    assert store.lineage("mine") == ("mine",)
    assert [m.name for m in dock.widget.workspace.models].count("mine") == 1
    assert "tile" in dock.widget.predict.text.text()
    assert dock.mask.data[35, 35] == 1
    assert not [m for m in notices if m.startswith(("error", "warning"))]
    # What is known already takes longer to become better.
    dock.be_quick(steps=60)
    dock.fine_tune()
    assert store.lineage(dock.widget.workspace.model.name) == ("mine-ft", "mine")


def test_an_untrained_model_draws_no_mask(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane)
    make_untrained(dock)
    assert "mine is untrained" in dock.widget.predict.text.text()
    dock.widget.predict.predict.click()
    assert "Paint a few strokes of each class" in notices[0]
    assert not dock.widget.workspace.busy
    assert dock.mask is None


def test_an_untrained_model_file_warns_that_its_mask_is_noise(
    dock: Docked, plane: Any
) -> None:
    dock.viewer.add_image(plane)
    assert dock.widget.predict.form.picker.text.text().startswith("Untrained")
    dock.predict()
    assert "its mask is noise" in dock.widget.predict.text.text()


@pytest.mark.slow
def test_a_network_that_learns_nothing_leaves_the_classifier(
    dock: Docked, plane: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.viewer.add_image(plane)
    untrained = make_untrained(dock)
    paint_both_classes(dock)
    dock.be_quick()
    # Steps that change nothing make nothing better.
    monkeypatch.setattr(
        "unet_engine.training.optimisation.Optimisation._step", lambda self, rate: 1.0
    )
    dock.fine_tune()
    assert "predicts alone" in dock.widget.fine_tune.text.text()
    model = dock.widget.workspace.model
    assert model.name == untrained.name
    assert model.classifier is not None
    assert not model.has_network


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_can_be_chosen(dock: Docked, plane: Any, name: str) -> None:
    dock.viewer.add_image(plane)
    dialog, row = open_form(dock), ARCHITECTURES[name]
    network = dialog.form.network
    position = network.findText(row.title)
    network.setCurrentIndex(position)
    assert network.itemData(position, Qt.ItemDataRole.ToolTipRole) == row.reference
    assert dialog.form.reference.text() == row.reference
    dialog.form.start.setCurrentIndex(0)
    assert dialog.form.depth.isEnabled() == (not row.fixed_depth)
    assert dialog.form.ndim.isHidden() == (len(row.ndims) == 1)
    dialog.create.click()
    spec = dock.widget.workspace.model.spec
    assert (spec.architecture, spec.ndim) == (name, row.ndims[0])
    assert (spec.depth, spec.width, spec.in_channels) == (row.depth, row.width, 1)


@pytest.mark.slow
def test_a_new_model_starts_from_the_bundled_start(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane)
    dialog = open_form(dock)
    form = dialog.form
    assert form.parent_model is not None
    assert form.parent_model.is_start
    assert not form.advanced.expanded
    for field in (form.network, form.channels, form.depth, form.width):
        assert not field.isVisibleTo(dialog)
    for field in (form.classes, form.start, form.name):
        assert field.isVisibleTo(dialog)
    form.classes.setText("background, axon")
    dialog.create.click()
    untrained = dock.widget.workspace.model
    assert untrained.parent.name == "general"
    assert untrained.spec.classes == ("background", "axon")
    assert untrained.spec.in_channels == 3


def test_random_weights_have_the_size_of_their_network_again(
    dock: Docked, plane: Any
) -> None:
    dock.viewer.add_image(plane)
    form, row = open_form(dock).form, ARCHITECTURES["unet"]
    assert form.channels.value() == 3
    assert not form.width.isEnabled()
    form.start.setCurrentIndex(0)
    assert (form.channels.value(), form.width.value()) == (1, row.width)
    assert form.width.isEnabled()
    form.choose_start("general")
    form.choose_network("unet-valid")
    assert form.parent_model is None
    assert form.channels.value() == 1


@pytest.mark.slow
def test_an_image_that_the_start_does_not_read_gets_random_weights(
    dock: Docked, plane: Any
) -> None:
    dock.viewer.add_image(np.stack([plane] * 2), axis_labels=("c", "y", "x"))
    form = open_form(dock).form
    assert form.parent_model is None
    assert form.channels.value() == 2


@pytest.mark.slow
def test_the_window_of_a_new_model_is_as_high_as_what_it_shows(dock: Docked) -> None:
    dialog = open_form(dock)
    bar = dialog.form.advanced.findChildren(QToolButton)[0]
    dock.bot.waitUntil(lambda: not dialog._fitting.isActive())
    low = dialog.height()
    dock.bot.mouseClick(bar, Qt.MouseButton.LeftButton)
    assert dialog.form.network.isVisible()
    dock.bot.waitUntil(lambda: dialog.height() > low + 100)
    dock.bot.mouseClick(bar, Qt.MouseButton.LeftButton)
    dock.bot.waitUntil(lambda: dialog.height() == low)


def test_the_padded_unet_comes_first(dock: Docked) -> None:
    form = open_form(dock).form
    assert form.architecture == "unet"
    assert form.network.currentIndex() == 0
    offered = {form.network.itemData(i) for i in range(form.network.count())}
    assert offered >= set(ARCHITECTURES)


def set_size(form: Any) -> None:
    form.depth.setValue(8)
    form.width.setValue(512)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (set_size, "fits no computer"),
        (lambda form: form.classes.setText("cell"), "2 to 254 classes"),
        (lambda form: form.classes.setText("a, a"), "share a name"),
        (lambda form: form.classes.setText("a, "), "class has no name"),
        (lambda form: form.name.setText("tiny"), "there is a model 'tiny' already"),
        (lambda form: form.name.setText("a/b"), "is no name for a model"),
    ],
)
def test_what_cannot_be_is_refused_in_the_form(
    dock: Docked, monkeypatch: pytest.MonkeyPatch, spoil: Any, message: str
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(
        _untrained_models, "make_checkpoint", lambda *a, **k: built.append(a)
    )
    dialog = open_form(dock)
    dialog.form.name.setText("fine")
    dialog.form.start.setCurrentIndex(0)
    assert dialog.create.isEnabled()
    spoil(dialog.form)
    assert message in dialog.text.text()
    assert not dialog.create.isEnabled()
    dialog.form.name.setText("fine")
    dialog.form.classes.setText("a, b")
    dialog.form.depth.setValue(2)
    assert dialog.create.isEnabled()
    assert not built


@pytest.mark.slow
def test_the_form_starts_with_what_the_image_is(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(np.stack([plane] * 3, axis=-1), rgb=True)
    assert open_form(dock).form.channels.value() == 3
    dock.viewer.layers.clear()
    dock.viewer.add_image(np.stack([plane] * 16), scale=(2.1, 1, 1))
    form = open_form(dock).form
    form.start.setCurrentIndex(0)
    assert form.channels.value() == 1
    assert form.z_poolings.isHidden()
    form.ndim.setCurrentIndex(1)
    assert not form.z_poolings.isHidden()
    # 16 planes are halved twice at most; planes lie twice as far apart as pixels.
    assert form.z_poolings.value() == 2
    assert form.untrained().spec.z_poolings == 2
    form.depth.setValue(2)
    assert form.z_poolings.value() == 1


def test_names_of_classes_that_were_painted_are_offered(
    dock: Docked, plane: Any, add_model: Callable[..., ModelInfo]
) -> None:
    dock.viewer.add_image(plane)
    dock.widget.correct.add_class("debris")
    assert open_form(dock).form.classes.text() == "background, foreground"
    dock.widget.correct.class_buttons[2].click()
    dock.mask.paint((20, 20), 2)
    assert open_form(dock).form.classes.text() == "background, cell, debris"
    add_model("eyes", architecture="autoencoder", classes=())
    dock.widget.select_model("eyes")
    assert open_form(dock).form.classes.text() == "background, cell, debris"


def test_a_network_starts_from_a_pretrained_one(
    dock: Docked, add_model: Callable[..., ModelInfo]
) -> None:
    parent = add_model("eyes", architecture="autoencoder", classes=(), in_channels=2)
    dock.widget.select_model("eyes")
    dock.widget.predict.form.picker.restart.click()
    (dialog,) = dock.widget.findChildren(NewModelDialog)
    form = dialog.form
    assert form.parent_model == parent
    assert (form.channels.value(), form.depth.value(), form.width.value()) == (2, 2, 4)
    assert not (form.depth.isEnabled() or form.width.isEnabled())
    form.classes.setText("background, axon, myelin")
    dialog.create.click()
    untrained = dock.widget.workspace.model
    assert untrained.spec.classes == ("background", "axon", "myelin")
    assert "starts from eyes" in dock.widget.predict.form.picker.text.text()
    load = dock.widget.workspace.checkpoint
    made, pretrained = make_checkpoint(untrained, load), load(parent)
    carried = [name for name in made.weights if name.startswith("down.")]
    assert carried
    for name in carried:
        np.testing.assert_array_equal(made.weights[name], pretrained.weights[name])


def starts(docked: Docked, network: str) -> list[str]:
    form = open_form(docked).form
    form.choose_network(network)
    return [form.start.itemText(i) for i in range(form.start.count())]


@pytest.fixture
def coarse(store: ModelStore, add_model: Callable[..., ModelInfo]) -> ModelInfo:
    """A tiny FCN-32s that counts as trained, beside one that does not."""
    add_model("fresh", architecture="fcn32s-alexnet", depth=5, dense_width=8)
    history = ({"name": "coarse", "steps": 9},)
    return store.save("coarse", replace(store.load("fresh"), history=history))


def test_only_models_that_fit_are_offered_to_start_from(
    dock: Docked, add_model: Callable[..., ModelInfo], coarse: ModelInfo
) -> None:
    add_model("eyes", architecture="autoencoder", classes=())
    assert starts(dock, "unet") == [
        "random weights",
        "model nuclei",
        "model cells",
        "model general",
        "model eyes",
    ]
    assert starts(dock, "unet-valid") == ["random weights"]
    assert starts(dock, "fcn8s-alexnet")[0] == "random weights"
    assert starts(dock, "fcn16s-alexnet")[2:] == ["model coarse"]
    assert starts(dock, "fcn8s-alexnet")[1:] == ["AlexNet trained on ImageNet"]


def test_a_finer_network_predicts_at_once(
    dock: Docked, plane: Any, coarse: ModelInfo
) -> None:
    dock.viewer.add_image(plane)
    dialog = open_form(dock)
    dialog.form.choose_network("fcn16s-alexnet")
    dialog.form.choose_start("coarse")
    assert not dialog.form.classes.isEnabled()
    dialog.create.click()
    dock.predict()
    assert dock.mask is not None
    assert "noise" not in dock.widget.predict.text.text()


def test_a_untrained_outlives_its_dock(dock: Docked, store: ModelStore) -> None:
    untrained = make_untrained(dock)
    again = UNetWidget(dock.viewer, store)
    dock.bot.addWidget(again)
    assert again.workspace.untrained is untrained
    assert untrained in again.workspace.models


def test_the_recipe_of_a_network_is_filled_in_and_taken_back(dock: Docked) -> None:
    section = dock.widget.fine_tune
    section.settings["crop"].value = 64
    section.settings["seed"].value = 7
    assert section.advanced.recipe.isHidden()
    make_untrained(dock, network="unet-valid")
    assert section.config.optimiser == "sgd"
    assert (section.config.crop, section.config.seed) == (388, 7)
    assert "optimiser sgd" in section.advanced.recipe.text()
    assert not section.advanced.recipe.isHidden()
    dock.widget.select_model("tiny")
    assert (section.config.optimiser, section.config.seed) == ("adamw", 7)
    assert section.advanced.recipe.isHidden()


@pytest.mark.parametrize(
    ("text", "name"),
    [("a/b:c?.tif", "a-b-c-.tif"), ("  ", "image"), ("IHC [1]", "IHC -1"), ("ö", "ö")],
)
def test_names_of_layers_become_names_of_files(
    text: str, name: str, store: ModelStore
) -> None:
    assert file_name(text) == name
    store.check_name(file_name(text))


class Quiet(SimpleHTTPRequestHandler):
    """Serve a folder without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def weights_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Let ImageNet weights come from nowhere; called, from a server of this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "served"
    folder.mkdir()
    path = folder / "weights.pth"
    torch.save({"features.0.weight": torch.zeros(2, 3)}, path)
    name = f"weights-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    path.rename(folder / name)
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    address = f"http://127.0.0.1:{server.server_port}/{name}"
    # No server runs on the discard port.
    monkeypatch.setattr(
        imagenet, "_published_url", lambda _: f"http://127.0.0.1:9/{name}"
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield lambda: monkeypatch.setattr(imagenet, "_published_url", lambda _: address)
    server.shutdown()
    thread.join()
    server.server_close()


def choose_imagenet(docked: Docked) -> NewModelDialog:
    dialog = open_form(docked)
    dialog.form.choose_network("fcn32s-alexnet")
    dialog.form.start.setCurrentIndex(1)
    assert not dialog.form.width.isEnabled()
    assert "fetches 233 MB" in dialog.text.text()
    dialog.create.click()
    return dialog


def test_imagenet_offline_is_shown_in_the_form(
    dock: Docked, weights_at: Callable[[], None]
) -> None:
    dialog = choose_imagenet(dock)
    assert not dialog.form.isEnabled()
    dock.bot.waitUntil(dialog.form.isEnabled, timeout=30_000)
    assert "could not be fetched" in dialog.text.text()
    assert "check the connection" in dialog.text.text()
    assert dialog.progress.isHidden()
    assert dock.widget.workspace.untrained is None
    dialog.form.start.setCurrentIndex(0)
    assert "fetched" not in dialog.text.text()
    dialog.create.click()
    assert dock.widget.workspace.untrained is not None


def test_imagenet_weights_are_fetched_before_the_training(
    dock: Docked, weights_at: Callable[[], None], tmp_path: Path
) -> None:
    weights_at()
    choose_imagenet(dock)
    workspace = dock.widget.workspace
    dock.bot.waitUntil(lambda: workspace.untrained is not None, timeout=30_000)
    assert workspace.untrained.imagenet
    assert "AlexNet trained on ImageNet" in dock.widget.predict.form.picker.text.text()
    assert list((tmp_path / "torch").rglob("weights-*.pth"))
    assert dock.widget.fine_tune.config.learning_rate == 1e-4


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Let a download never end by itself; the list counts its parts."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    parts: list[int] = []

    def chunks(*_: Any) -> Iterator[tuple[bytes, int]]:
        while True:
            parts.append(1)
            yield b"x" * 1024, 10**6
            time.sleep(0.01)

    monkeypatch.setattr(imagenet, "_chunks", chunks)
    monkeypatch.setattr(imagenet, "_published_url", lambda _: "http://a/b-01234567.pth")
    return parts


def wait_for_the_end(docked: Docked, parts: list[int]) -> None:
    def stands_still() -> bool:
        count = len(parts)
        time.sleep(0.1)
        return len(parts) == count

    docked.bot.waitUntil(stands_still, timeout=10_000)


def test_cancel_ends_the_download(
    dock: Docked, endless: list[int], tmp_path: Path
) -> None:
    dialog = choose_imagenet(dock)
    dock.bot.waitUntil(lambda: dialog.progress.value() > 0, timeout=30_000)
    dialog.cancel.click()
    wait_for_the_end(dock, endless)
    assert dock.widget.workspace.untrained is None
    assert not [path for path in (tmp_path / "torch").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_the_end_of_the_dock_ends_the_download(
    real_dock: Docked, endless: list[int]
) -> None:
    dialog = choose_imagenet(real_dock)
    real_dock.bot.waitUntil(lambda: dialog.progress.value() > 0, timeout=30_000)
    real_dock.viewer.window.remove_dock_widget(real_dock.widget)
    real_dock.widget.deleteLater()
    wait_for_the_end(real_dock, endless)

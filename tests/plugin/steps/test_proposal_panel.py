"""Models that the dock proposes for a new image, to be clicked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from conftest import Docked
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_unet.dock import UNetWidget
from napari_unet.jobs.proposals import outlined
from unet_engine.images import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytestqt.qtbot import QtBot

    from unet_engine.models.store import ModelStore

LEFT = Qt.MouseButton.LeftButton
UNREADABLE = Image.from_array(np.zeros((64, 64), np.uint8), "YX")


@pytest.fixture
def fresh(store: ModelStore, add_model: Callable[..., Any], qtbot: QtBot) -> Docked:
    """A dock on screen in which no model was chosen; two tiny ones are bundled."""
    names = ("first", "second")
    for name in names:
        add_model(name)
    viewer = ViewerModel()
    widget = UNetWidget(viewer, store)
    models = {model.name: model for model in store.list()}
    tiny = tuple(replace(models[name], bundled=True) for name in names)
    general = models["general"]
    # Trying this one would take long.
    widget.workspace.models = (*tiny, replace(general, bundled=False))
    qtbot.addWidget(widget)
    widget.show()
    qtbot.waitExposed(widget)
    return Docked(viewer, widget, qtbot)


def tried(dock: Docked) -> list[str]:
    """Wait until all models were tried; return the names on the buttons."""
    panel = dock.widget.proposals
    dock.bot.waitUntil(lambda: len(panel.buttons) == 2, timeout=60_000)
    dock.bot.waitUntil(lambda: not panel.running)
    return [made.accessibleName() for made in panel.buttons]


def never_tried(dock: Docked) -> bool:
    panel = dock.widget.proposals
    dock.bot.wait(panel._soon.interval() + 100)
    return not panel.running and not panel.buttons and not panel.isVisible()


@pytest.mark.slow
def test_a_click_on_what_a_model_finds_predicts_with_it(
    fresh: Docked, plane: np.ndarray
) -> None:
    fresh.viewer.add_image(plane, name="cells")
    assert sorted(tried(fresh)) == ["first", "second"]
    panel = fresh.widget.proposals
    (second,) = [b for b in panel.buttons if b.accessibleName() == "second"]
    fresh.bot.waitUntil(second.isVisible)
    assert not second.picture.pixmap().isNull()
    assert second.reason.text()
    assert fresh.mask is None
    fresh.bot.mouseClick(second, LEFT, pos=second.picture.geometry().center())
    assert fresh.widget.workspace.model.name == "second"
    fresh.wait()
    assert fresh.mask.data.shape == plane.shape
    assert fresh.widget.masks.current.working_image.predicted
    assert not panel.isVisible()
    fresh.viewer.add_image(plane.copy(), name="other")
    assert never_tried(fresh)


def test_painting_two_classes_begins_without_a_question(
    fresh: Docked, plane: np.ndarray
) -> None:
    fresh.viewer.add_image(plane, name="my cells")
    tried(fresh)
    workspace = fresh.widget.workspace
    workspace.refresh_models()
    workspace.model_chosen = False
    fresh.bot.mouseClick(fresh.widget.proposals.paint, LEFT)
    assert QApplication.activeModalWidget() is None
    assert workspace.model is workspace.untrained
    assert workspace.untrained.name == "my cells"
    assert workspace.untrained.parent.name == "general"
    assert workspace.classes == ("background", "foreground")
    assert fresh.mask.mode == "paint"
    assert fresh.mask.selected_label == 1
    assert fresh.viewer.layers.selection.active is fresh.mask
    assert fresh.widget.live.live.on
    assert not fresh.widget.proposals.isVisible()
    # The other class is a click away.
    names = [button.name for button in fresh.widget.correct.class_buttons]
    assert names == ["background", "foreground"]


@pytest.mark.slow
def test_strokes_of_two_classes_are_learned_at_once(
    fresh: Docked, plane: np.ndarray
) -> None:
    fresh.viewer.add_image(plane, name="cells")
    tried(fresh)
    fresh.widget.workspace.refresh_models()
    fresh.bot.mouseClick(fresh.widget.proposals.paint, LEFT)
    for label, at in ((1, (35, 35)), (0, (5, 5))):
        fresh.widget.correct.choose_class(label)
        fresh.mask.paint(at, label)
    fresh.bot.waitUntil(lambda: fresh.mask.data[40, 40] == 1, timeout=60_000)
    assert fresh.mask.data[10, 80] == 0
    # A stroke of background is seen as well, on a mask that had nothing there.
    line = fresh.widget.masks.current.outlines.layer
    fresh.bot.waitUntil(lambda: bool(np.any(line.data == 1)), timeout=3_000)


def test_an_image_that_no_model_reads_leads_to_strokes(
    fresh: Docked, plane: np.ndarray
) -> None:
    data = np.stack([plane, plane])
    fresh.viewer.add_image(data, name="two", axis_labels=("c", "y", "x"))
    panel = fresh.widget.proposals
    fresh.bot.waitUntil(lambda: panel.text.text().startswith("No bundled"))
    assert not panel.buttons
    fresh.bot.mouseClick(panel.paint, LEFT)
    untrained = fresh.widget.workspace.untrained
    assert untrained.parent is None
    assert untrained.spec.in_channels == 2
    assert fresh.widget.live.live.on
    assert fresh.mask.mode == "paint"


def test_nothing_is_proposed_for_an_image_with_a_mask(
    fresh: Docked, plane: np.ndarray
) -> None:
    fresh.viewer.add_labels((plane > 100).astype(np.uint8), name="mine")
    fresh.viewer.add_image(plane, name="cells")
    assert never_tried(fresh)


def test_nothing_is_proposed_for_an_image_with_strokes(
    fresh: Docked, plane: np.ndarray
) -> None:
    fresh.viewer.add_image(plane, name="cells")
    fresh.widget.correct.start_empty()
    assert never_tried(fresh)


def test_nothing_is_proposed_once_a_model_was_chosen(
    fresh: Docked, plane: np.ndarray
) -> None:
    picker = fresh.widget.predict.form.picker.model
    picker.native.setFocus()
    fresh.bot.keyClick(picker.native, Qt.Key.Key_Down)
    assert fresh.widget.workspace.model_chosen
    fresh.viewer.add_image(plane, name="cells")
    assert never_tried(fresh)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Trials that end when they are stopped only; what happened to them."""
    happened: list[str] = []

    def run(order: Any, stop: Any) -> Iterator[Any]:
        happened.append("began")
        while not stop():
            yield from ()
        happened.append("stopped")

    monkeypatch.setattr("napari_unet.steps.predict.proposal_panel.propose_run", run)
    return happened


@pytest.mark.slow
@pytest.mark.parametrize("act", ["predict", "remove", "choose", "paint"])
def test_whatever_is_begun_ends_the_trial(
    fresh: Docked, plane: np.ndarray, endless: list[str], act: str
) -> None:
    fresh.viewer.add_image(plane, name="cells")
    panel = fresh.widget.proposals
    fresh.bot.waitUntil(lambda: panel.isVisible())
    assert panel.text.text().startswith("Trying")
    if act == "predict":
        fresh.bot.mouseClick(fresh.widget.predict.predict, LEFT)
    elif act == "remove":
        fresh.viewer.layers.clear()
    elif act == "choose":
        fresh.widget.workspace.choose_model(fresh.widget.workspace.models[1])
    else:
        fresh.bot.mouseClick(panel.paint, LEFT)
    assert not panel.isVisible()
    fresh.bot.waitUntil(lambda: not panel.running)
    fresh.wait()
    assert endless == ["began", "stopped"]
    assert never_tried(fresh)


def test_another_image_is_tried_in_its_turn(
    fresh: Docked, plane: np.ndarray, endless: list[str]
) -> None:
    fresh.viewer.add_image(plane, name="cells")
    panel = fresh.widget.proposals
    fresh.bot.waitUntil(lambda: panel.running)
    fresh.viewer.add_image(plane.T.copy(), name="other")
    fresh.bot.waitUntil(lambda: len(endless) == 3)
    assert endless == ["began", "stopped", "began"]
    fresh.viewer.layers.clear()
    fresh.bot.waitUntil(lambda: not panel.running)


def test_an_image_that_cannot_be_read_shows_nothing(
    fresh: Docked, notices: list[str]
) -> None:
    class Unreadable:
        shape, dtype, ndim = (64, 64), np.dtype(np.uint8), 2

        def __getitem__(self, key: Any) -> Any:
            raise OSError("the disk is gone")

    fresh.viewer.add_image(np.zeros((64, 64), np.uint8), name="gone")
    panel = fresh.widget.proposals
    panel._form.chosen_image = lambda: (
        replace(UNREADABLE, data=Unreadable()),
        None,
    )
    fresh.bot.waitUntil(lambda: len(panel._failed) == 1, timeout=60_000)
    assert never_tried(fresh)
    assert not notices


def test_what_is_found_is_outlined() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 10:20] = 1
    picture = np.full((40, 40, 3), 100, np.uint8)
    shown = outlined(picture, labels)
    changed = (shown != 100).any(axis=2)
    assert changed[9, 15]
    assert changed[10, 15]
    assert not changed[15, 15]
    assert not changed[0].any()
    assert (picture == 100).all()
    assert outlined(np.zeros((256, 300, 3), np.uint8), np.zeros((256, 300))).shape == (
        128,
        128,
        3,
    )

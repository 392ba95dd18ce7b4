"""Nothing is drawn under a brush, and a stroke ends with its button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDialog
from test_viewport import Paused, noise, start

from napari_unet.viewer import brush as _brush
from napari_unet.viewer.private import is_drawn_on
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from conftest import Docked, Mouse


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Paused:
    made = Paused()
    made.label = 1
    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", made.run)
    return made


def until_computed(docked: Docked, paused: Paused, count: int) -> None:
    """Wait until tiles are computed, and there was time to show them."""
    paused.let(count)
    docked.bot.waitUntil(lambda: len(paused.received) >= count, timeout=8_000)
    docked.bot.wait(250)


def begin(docked: Docked, paused: Paused, *shape: int) -> Any:
    """Start a prediction of ones on an empty mask, of which no tile is there."""
    layer = start(docked, noise(*shape), name="cells")
    docked.widget.correct.choose_class(0)
    docked.mask.brush_size = 6
    docked.widget.predict.predict.click()
    return layer


def drag(docked: Docked, *, tool: str) -> Any:
    """Make a stroke at (40, 40) and (40, 90), with what happens in between."""
    mask = docked.mask
    leading = (0,) * (mask.ndim - 2)
    mask.selected_label = 0
    with mask.block_history():
        for column in (40, 90):
            if tool == "fill":
                mask.fill((*leading, 40, column), 1)
            elif tool == "polygon":
                corners = [(40, column), (40, column + 8), (48, column + 8)]
                mask.paint_polygon([(*leading, *c) for c in corners], 0)
            else:
                mask.paint((*leading, 40, column), 0 if tool == "erase" else 1)
            yield


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["brush", "erase", "fill", "polygon"])
def test_tiles_wait_for_the_end_of_a_stroke(dock: Docked, paused: Paused, tool: str):
    begin(dock, paused, 128, 128)
    mask, view = dock.mask, dock.widget.masks.current
    if tool == "fill":
        mask.data[:64] = 2  # what is filled, beside what is predicted
        mask.data[:, 64:] = 0
    stroke = drag(dock, tool=tool)
    next(stroke)
    drawn = mask.data.copy()
    until_computed(dock, paused, 8)
    np.testing.assert_array_equal(mask.data, drawn)
    assert dock.widget.workspace.activity == "predict"
    for _ in stroke:
        pass
    labels = view.working_image.annotations.target(())
    paused.let(99)
    dock.wait()
    np.testing.assert_array_equal(mask.data, np.where(labels == IGNORE, 1, labels))
    assert (labels != IGNORE).any()
    np.testing.assert_array_equal(view.working_image.annotations.target(()), labels)


def test_undo_after_a_stroke_during_a_run_shows_the_tiles(dock: Docked, paused: Paused):
    begin(dock, paused, 128, 128)
    stroke = drag(dock, tool="erase")
    next(stroke)
    until_computed(dock, paused, 8)
    list(stroke)
    paused.let(99)
    dock.wait()
    assert not dock.mask.data.all()
    dock.mask.undo()
    assert (dock.mask.data == 1).all()
    assert not dock.counts


def test_tiles_of_another_slice_wait_too(dock: Docked, paused: Paused):
    begin(dock, paused, 2, 96, 96)
    stroke = drag(dock, tool="brush")
    next(stroke)
    dock.viewer.dims.set_current_step(0, 1)
    until_computed(dock, paused, 5)
    assert not dock.mask.data[1].any()
    list(stroke)
    paused.let(99)
    dock.wait()
    assert dock.mask.data.all()


def test_a_run_that_ends_during_a_stroke_ends_after_it(dock: Docked, paused: Paused):
    begin(dock, paused, 64, 64)
    with dock.mask.block_history():
        dock.mask.paint((10, 10), 1)
        paused.let(99)
        dock.bot.wait(500)
        assert dock.widget.workspace.activity == "predict"
        assert not dock.mask.data[40:].any()
    dock.wait()
    assert dock.mask.data.all()
    assert dock.widget.predict.text.text().startswith("4 tiles")


def test_an_image_that_is_deleted_during_a_stroke_ends_its_run(
    dock: Docked, paused: Paused
):
    layer = begin(dock, paused, 64, 64)
    mask = dock.mask
    with mask.block_history():
        mask.paint((10, 10), 1)
        dock.viewer.layers.remove(layer)
        dock.wait()
    assert not dock.widget.workspace.busy


def test_what_was_written_before_a_stroke_is_drawn_after_it(
    dock: Docked, paused: Paused
):
    begin(dock, paused, 64, 64)
    drawn: list[Any] = []
    view = dock.widget.masks.current
    with dock.mask.block_history():
        dock.mask.events.labels_update.connect(drawn.append)
        dock.mask.events.set_data.connect(drawn.append)
        view.tiles.show_all()
        dock.bot.wait(200)
        assert not drawn
    dock.bot.waitUntil(lambda: bool(drawn), timeout=2_000)


@pytest.fixture
def mouse(shown_dock: Docked, paused: Paused, mouse_on: Any) -> Mouse:
    """A prediction that waits before its first tile, and a brush on its mask."""
    begin(shown_dock, paused, 128, 128)
    shown_dock.widget.correct.choose_class(0)
    shown_dock.viewer.reset_view()
    shown_dock.bot.wait(300)
    return mouse_on(shown_dock)


@pytest.mark.slow
def test_a_button_that_is_released_beside_the_canvas(mouse: Mouse, paused: Paused):
    docked = mouse.docked
    mouse.press(60, 20)
    mouse.move(60, 60)
    until_computed(docked, paused, 8)
    assert not docked.mask.data.any()
    mouse.move(-900, -900)
    mouse.release(-900, -900)
    assert not is_drawn_on(docked.mask)
    paused.let(99)
    docked.wait()
    assert (docked.mask.data == 1).sum() == 128 * 128 - docked.counts[0]
    assert docked.mask.data[60, 40] == 0


@pytest.mark.slow
def test_a_dialog_in_the_midst_of_a_stroke_ends_it(mouse: Mouse, paused: Paused):
    docked, mask = mouse.docked, mouse.docked.mask
    mouse.press(60, 20)
    mouse.move(60, 60)
    dialog = QDialog(docked.viewer.window._qt_window)
    QTimer.singleShot(100, dialog.accept)
    dialog.exec()
    assert not is_drawn_on(mask)
    kept = docked.counts
    assert kept[0] > 100
    paused.let(99)
    docked.wait()
    assert (mask.data == 0).sum() == kept[0]
    mouse.move(60, 100)  # the mouse has no button pressed any more
    assert docked.counts == kept
    mask.undo()
    assert docked.counts == {}
    mouse.press(90, 20)
    mouse.move(90, 40)
    mouse.release(90, 40)
    assert not is_drawn_on(mask)
    assert docked.counts[0] > 50
    mask.undo()
    assert docked.counts == {}


@pytest.mark.slow
def test_a_release_that_only_the_screen_knows_of(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
):
    buttons = Qt.MouseButton.LeftButton
    monkeypatch.setattr(_brush, "QApplication", lambda: None)
    monkeypatch.setattr(
        _brush.QApplication, "mouseButtons", lambda: buttons, raising=False
    )
    dock.viewer.add_image(noise(64, 64))
    dock.widget.correct.choose_class(1)
    mask, painting = dock.mask, dock.widget.workspace.painting
    mask._block_history = True
    mask.paint((20, 20), 1)
    assert painting()
    buttons = Qt.MouseButton.NoButton
    assert not painting()
    assert dock.counts[1] > 20


@pytest.mark.slow
def test_what_a_release_causes_may_look_whether_a_stroke_is_drawn(
    mouse: Mouse, monkeypatch: pytest.MonkeyPatch
):
    """As Live does when a stroke ends: it shows its own mask again."""
    docked, buttons = mouse.docked, Qt.MouseButton.LeftButton
    monkeypatch.setattr(
        _brush.QApplication, "mouseButtons", staticmethod(lambda: buttons)
    )
    painting, found = docked.widget.workspace.painting, []

    def look(_: Any) -> None:
        try:
            found.append(painting())
        except ValueError as error:
            found.append(error)

    docked.widget.masks.current.touched.connect(look)
    mouse.press(60, 20)
    mouse.move(60, 60)
    assert painting()
    buttons = Qt.MouseButton.NoButton
    mouse.release(60, 60)
    assert found
    assert set(found) <= {True, False}
    assert not painting()
    docked.mask.undo()
    assert docked.counts == {}


def test_encircling_goes_on_without_a_button(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
):
    dock.viewer.add_image(noise(64, 64))
    dock.widget.correct.choose_class(1)
    overlay = dock.mask._overlays.get("brush_stroke")
    if overlay is None:
        pytest.skip("this napari does not encircle")
    buttons = Qt.MouseButton.RightButton
    monkeypatch.setattr(_brush, "QApplication", lambda: None)
    monkeypatch.setattr(
        _brush.QApplication, "mouseButtons", lambda: buttons, raising=False
    )
    dock.mask._begin_stroke()
    overlay.active = True
    dock.mask.paint((20, 20), 1)
    painting = dock.widget.workspace.painting
    assert painting()
    buttons = Qt.MouseButton.NoButton
    assert painting()
    dock.mask._commit_stroke()
    overlay.active = False
    assert not painting()
    assert dock.counts[1] > 20


def test_objects_appear_during_a_stroke_and_do_not_end_it(dock: Docked):
    dock.viewer.add_image(noise(64, 64), name="cells")
    dock.widget.correct.choose_class(1)
    mask = dock.mask
    mask.brush_size = 8
    mask.paint((20, 20), 1)
    dock.widget.objects.separate.click()
    with mask.block_history():
        mask.paint((50, 50), 0)
        dock.wait()
        assert "cells objects" in dock.viewer.layers
        assert dock.viewer.layers.selection.active is mask
        mask.paint((40, 40), 1)
    assert dock.widget.masks.current.working_image.annotations.target(())[40, 40] == 1

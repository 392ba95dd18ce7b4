"""Accept and Clear act on visible pixels that are not locked, and report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

from napari_unet.state import large_arrays
from napari_unet.viewer.private import camera_of
from unet_engine.labels import IGNORE
from unet_engine.prediction.events import TileDone

if TYPE_CHECKING:
    from conftest import Docked

SIDE = 96


def look_at(docked: Docked, y: float, x: float, *, pixels: float) -> None:
    """Show a square of so many pixels around a point, in a canvas of 200 x 200."""
    docked.viewer.canvas.size = (200, 200)
    camera = camera_of(docked.viewer)
    camera.center, camera.zoom = (0, y, x), 200 / pixels


def set_prediction(
    docked: Docked, labels: np.ndarray, index: tuple[int, ...] = ()
) -> None:
    """Write labels as the prediction of a plane."""
    height, width = labels.shape
    tile = TileDone(
        index=index,
        inner=(slice(0, height), slice(0, width)),
        labels=labels,
        probabilities=None,
        done=1,
        total=1,
    )
    docked.widget.workspace.working_image.write_tile(tile)


@pytest.fixture
def cells(dock: Docked, plane: np.ndarray) -> Docked:
    """A plane of 96 x 96, all on screen, whose right half is predicted as cell."""
    dock.viewer.add_image(plane, name="cells")
    dock.widget.correct.start_empty()
    labels = np.zeros(plane.shape, np.uint8)
    labels[:, SIDE // 2 :] = 1
    set_prediction(dock, labels)
    look_at(dock, 47.5, 47.5, pixels=120)
    return dock


def touched(docked: Docked, *index: int) -> np.ndarray:
    return docked.widget.workspace.working_image.annotations.touched(index)


def accept(docked: Docked) -> None:
    docked.widget.correct.accept.click()


def clear(docked: Docked, *, everywhere: bool = False) -> None:
    docked.widget.correct.clear.menu().actions()[int(everywhere)].trigger()


def paint_square(docked: Docked, start: int, stop: int, label: int) -> None:
    grid = np.meshgrid(np.arange(start, stop), np.arange(start, stop), indexing="ij")
    with docked.mask.block_history():
        docked.mask.data_setitem(tuple(part.ravel() for part in grid), 1 - label)
        docked.mask.data_setitem(tuple(part.ravel() for part in grid), label)


def reply_with(monkeypatch: pytest.MonkeyPatch, reply: Any) -> list[str]:
    """Reply to all questions; return their texts."""
    questions: list[str] = []

    def question(_parent: Any, _title: str, text: str) -> Any:
        questions.append(text)
        return reply() if callable(reply) else reply

    monkeypatch.setattr(QMessageBox, "question", question)
    return questions


def test_accept_reports_what_it_did_and_is_one_undo(cells: Docked, notices: list[str]):
    look_at(cells, 19.5, 47.5, pixels=19.9)
    accept(cells)
    assert notices == ["info: Accepted 400 pixels on 1 slice of cells: "
                    "200 background, 200 cell."]  # fmt: skip
    assert touched(cells)[10:30, 38:58].all()
    assert touched(cells).sum() == 400
    accept(cells)
    assert notices[-1] == (
        "info: Nothing to accept: all of cells on screen is touched already."
    )
    cells.mask.undo()
    assert cells.counts == {}


def test_clear_takes_the_screen_and_no_more(cells: Docked, notices: list[str]):
    paint_square(cells, 20, 60, 1)
    look_at(cells, 19.5, 47.5, pixels=19.9)
    clear(cells)
    assert notices[-1] == "info: Cleared 200 pixels on 1 slice of cells: 200 cell."
    assert not touched(cells)[10:30, 38:58].any()
    assert cells.counts == {1: 1400}
    clear(cells)
    assert "Nothing to clear: no pixel of cells on screen is touched" in notices[-1]
    clear(cells, everywhere=True)
    assert notices[-1].startswith("info: Cleared 1,400 pixels on 1 slice of cells")
    assert cells.counts == {}
    cells.mask.undo()
    cells.mask.undo()
    assert cells.counts == {1: 1600}


def test_a_view_of_one_pixel(cells: Docked, notices: list[str]):
    look_at(cells, 50.1, 30.2, pixels=0.5)
    accept(cells)
    assert notices[-1].startswith("info: Accepted 1 pixel on 1 slice")
    assert touched(cells)[50, 30]


def test_a_turned_layer_is_accepted_where_it_is_seen(cells: Docked):
    view = cells.widget.masks.current
    view.source.rotate = 45
    middle = view.source.data_to_world((47.5, 47.5))
    look_at(cells, *middle, pixels=40)
    accept(cells)
    found = touched(cells)
    # A square on its tip, of half the area of the square around it.
    assert 1600 < found.sum() < 1600 + 4 * 80
    assert found[47, 47 + 26] and not found[47 + 20, 47 + 20]


@pytest.mark.parametrize("hidden", ["cells", "cells mask"])
def test_nothing_hidden_is_accepted_or_cleared(
    cells: Docked, notices: list[str], hidden: str
):
    paint_square(cells, 20, 40, 1)
    kept = cells.counts
    cells.viewer.layers[hidden].visible = False
    for act in (accept, clear):
        act(cells)
        assert notices[-1].startswith(f"warning: {hidden} is hidden")
    clear(cells, everywhere=True)
    assert cells.counts == kept
    cells.viewer.layers[hidden].visible = True
    accept(cells)
    assert touched(cells).all()


def test_nothing_below_another_image_is_accepted(cells: Docked, notices: list[str]):
    source = cells.widget.workspace.layer
    above = cells.viewer.add_image(np.ones((SIDE, 40), np.uint8), name="above")
    cells.widget.predict.form.image.value = source
    above.visible = True
    cells.viewer.layers.move(cells.viewer.layers.index(above), 99)
    accept(cells)
    assert not touched(cells)[:, :40].any()
    assert touched(cells)[:, 40:].all()
    above.scale = (1, 3)
    accept(cells)
    assert notices[-1].startswith("warning: cells is covered by above")
    above.blending = "additive"
    accept(cells)
    assert touched(cells).all()


def test_a_layer_beside_the_view(cells: Docked, notices: list[str]):
    look_at(cells, 500, 500, pixels=20)
    accept(cells)
    assert "no pixel of cells is on screen" in notices[-1]
    assert cells.counts == {}


def test_only_the_class_that_is_shown_is_accepted(cells: Docked):
    cells.mask.selected_label = 1
    cells.mask.show_selected_label = True
    accept(cells)
    assert set(cells.counts) == {1}


@pytest.mark.slow
def test_preserved_labels_stay(cells: Docked, notices: list[str]):
    paint_square(cells, 10, 20, 1)
    paint_square(cells, 60, 70, 0)
    cells.mask.preserve_labels = True
    clear(cells)
    assert cells.counts == {1: 100}
    assert "100 pixels with a label stay" in notices[-1]
    accept(cells)
    assert cells.counts == {0: SIDE * SIDE // 2 - 100, 1: 100}
    cells.mask.preserve_labels = False
    accept(cells)
    assert touched(cells).all()


def test_a_locked_mask_stays(cells: Docked, notices: list[str]):
    if not hasattr(cells.mask, "locked"):
        pytest.skip("this napari locks no layers")
    cells.mask.locked = True
    accept(cells)
    assert "cells mask is locked" in notices[-1]
    assert cells.counts == {}


def test_what_no_prediction_reached_stays_open(cells: Docked, notices: list[str]):
    working_image = cells.widget.workspace.working_image
    working_image.reached.tiles[()] = {(0, SIDE, 0, 60)}
    paint_square(cells, 70, 80, 1)
    accept(cells)
    assert touched(cells)[:, :60].all()
    assert touched(cells)[:, 60:].sum() == 100
    assert f"{SIDE * 36 - 100:,} pixels on screen are not predicted yet" in notices[-1]


def test_a_slice_without_prediction_is_not_accepted(
    dock: Docked, plane: np.ndarray, notices: list[str]
):
    dock.viewer.add_image(np.stack([plane] * 3), name="stack")
    dock.widget.correct.start_empty()
    set_prediction(dock, np.ones(plane.shape, np.uint8), (1,))
    look_at(dock, 47.5, 47.5, pixels=120)
    dock.viewer.dims.set_current_step(0, 0)
    accept(dock)
    assert "not predicted yet" in notices[-1]
    dock.viewer.dims.set_current_step(0, 1)
    accept(dock)
    assert dock.widget.workspace.working_image.annotations.planes() == ((1,),)


def test_a_slice_that_the_image_has_not(
    cells: Docked, plane: np.ndarray, notices: list[str]
):
    source = cells.widget.workspace.layer
    cells.viewer.add_image(np.stack([plane] * 3), name="stack", visible=False)
    cells.widget.predict.form.image.value = source
    # An image of one plane is shown with every slice of another one.
    cells.viewer.dims.set_current_step(0, 2)
    accept(cells)
    assert touched(cells).all()
    stack = cells.viewer.layers["stack"]
    cells.widget.predict.form.image.value = stack
    stack.visible = True
    cells.widget.correct.start_empty()
    cells.viewer.add_image(np.zeros((5, 8, 8)), name="longer", visible=False)
    cells.widget.predict.form.image.value = stack
    cells.viewer.dims.set_current_step(0, 4)
    accept(cells)
    assert "the slice on screen is not one of stack" in notices[-1]


def test_nothing_without_a_mask(dock: Docked, plane: np.ndarray, notices: list[str]):
    dock.widget.correct.accept_view()
    assert "no image is open" in notices[-1]
    dock.viewer.add_image(plane, name="cells")
    dock.widget.correct.clear_touched(everywhere=False)
    assert "there is no mask of cells" in notices[-1]


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((40, 50, 3), {"rgb": True}),
        ((2, 3, 40, 50), {"axis_labels": ("t", "z", "y", "x")}),
        ((3, 2, 40, 50), {"axis_labels": ("z", "c", "y", "x")}),
        ((2, 40, 50), {"axis_labels": ("c", "y", "x")}),
    ],
)
def test_colours_series_and_channels(
    dock: Docked, shape: tuple[int, ...], options: dict[str, Any], notices: list[str]
):
    pixels = np.random.default_rng(0).integers(0, 99, shape, np.uint8)
    dock.viewer.add_image(pixels, name="cells", **options)
    dock.widget.correct.start_empty()
    look_at(dock, 19.5, 24.5, pixels=9.9)
    accept(dock)
    assert (
        notices[-1] == "info: Accepted 100 pixels on 1 slice of cells: 100 background."
    )
    (index,) = dock.widget.workspace.working_image.annotations.planes()
    assert touched(dock, *index)[15:25, 20:30].all()
    clear(dock)
    assert dock.counts == {}


@pytest.fixture
def large(dock: Docked) -> Docked:
    """A plane of 160,000 pixels, seen as a whole, with an empty mask."""
    dock.viewer.add_image(np.zeros((400, 400), np.uint8), name="large")
    dock.widget.correct.start_empty()
    look_at(dock, 199.5, 199.5, pixels=500)
    return dock


def test_much_is_accepted_and_cleared_after_a_question(
    large: Docked, monkeypatch: pytest.MonkeyPatch
):
    questions = reply_with(monkeypatch, QMessageBox.StandardButton.No)
    accept(large)
    assert questions[0].startswith(
        "Accept 160,000 pixels on 1 slice of large: 160,000 background?"
    )
    assert large.counts == {}
    questions = reply_with(monkeypatch, QMessageBox.StandardButton.Yes)
    accept(large)
    assert large.counts == {0: 160_000}
    clear(large, everywhere=True)
    assert questions[1].startswith("Clear 160,000 pixels")
    assert large.counts == {}
    look_at(large, 199.5, 199.5, pixels=300)
    accept(large)
    assert len(questions) == 2


def test_the_question_is_one_message_box(large: Docked):
    boxes: list[QMessageBox] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        boxes.append(box)
        box.button(QMessageBox.StandardButton.Yes).click()

    QTimer.singleShot(200, press)
    accept(large)
    assert len(boxes) == 1
    assert isinstance(boxes[0], QMessageBox)
    assert large.counts == {0: 160_000}


def test_a_layer_that_goes_while_the_question_is_open(
    large: Docked, monkeypatch: pytest.MonkeyPatch, notices: list[str]
):
    working_image = large.widget.workspace.working_image

    def lose() -> Any:
        large.viewer.layers.remove("large")
        return QMessageBox.StandardButton.Yes

    reply_with(monkeypatch, lose)
    accept(large)
    assert working_image.counts == {}
    assert notices == []


def test_what_changes_while_the_question_is_open_is_not_accepted(
    large: Docked, monkeypatch: pytest.MonkeyPatch, notices: list[str]
):
    def go_on() -> Any:
        large.widget.workspace.working_image.mask[:100] = 1
        return QMessageBox.StandardButton.Yes

    reply_with(monkeypatch, go_on)
    accept(large)
    assert large.counts == {0: 120_000}
    assert "Accepted 120,000 pixels" in notices[-1]


def test_a_view_that_no_memory_holds(
    large: Docked, monkeypatch: pytest.MonkeyPatch, notices: list[str]
):
    memory = SimpleNamespace(available=10**6)
    monkeypatch.setattr(
        "napari_unet.viewer.visible_pixels.psutil.virtual_memory", lambda: memory
    )
    accept(large)
    assert "160,000 pixels are on screen" in notices[-1] and "zoom in" in notices[-1]
    look_at(large, 199.5, 199.5, pixels=100)
    accept(large)
    assert sum(large.counts.values()) > 9_000


def test_a_mask_on_disk(
    dock: Docked, plane: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    monkeypatch.setenv("NAPARI_UNET_CACHE", str(tmp_path))
    with monkeypatch.context() as small:
        memory = SimpleNamespace(available=2**14)
        small.setattr(large_arrays.psutil, "virtual_memory", lambda: memory)
        dock.viewer.add_image(np.stack([plane] * 4), name="stack")
        dock.widget.correct.start_empty()
    working_image = dock.widget.workspace.working_image
    assert large_arrays.lies_on_disk(working_image.mask)
    dock.viewer.dims.set_current_step(0, 2)
    look_at(dock, 47.5, 47.5, pixels=19.9)
    accept(dock)
    assert dock.counts == {0: 400}
    clear(dock, everywhere=True)
    dock.mask.undo()
    assert (working_image.annotations.target((2,)) != IGNORE).sum() == 400


@pytest.mark.slow
def test_a_view_in_a_window_is_what_the_canvas_shows(
    shown_dock: Docked, plane: np.ndarray
):
    shown_dock.viewer.add_image(plane, name="cells")
    shown_dock.widget.correct.start_empty()
    shown_dock.bot.wait(200)
    # No draw follows: the layers are not updated yet.
    camera = camera_of(shown_dock.viewer)
    width = shown_dock.viewer.window._qt_viewer.canvas.native.width()
    camera.center, camera.zoom = (0, 40, 40), width / 20.4
    accept(shown_dock)
    columns = touched(shown_dock).any(axis=0).nonzero()[0]
    assert (columns.min(), columns.max()) == (30, 50)

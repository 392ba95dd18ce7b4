"""Objects are corrected with the mouse, undone by napari, and saved at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from brightness_model import brightness_model, touching_cells
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from unet_engine.labels import IGNORE
from unet_engine.objects.editing import claimed_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Docked, Mouse

    from napari_unet.results.objects import ObjectsView
    from unet_engine.models.store import ModelStore


def separated(docked: Docked, store: ModelStore) -> ObjectsView:
    """Predict four cells that touch, and separate them."""
    store.save("brightness", brightness_model())
    docked.widget.select_model("brightness")
    layer = docked.viewer.add_image(touching_cells(), name="cells")
    docked.widget.predict.form.image.value = layer
    docked.predict()
    docked.widget.objects.separate.click()
    docked.wait()
    view = docked.widget.objects.objects
    assert view is not None
    return view


def known(view: ObjectsView) -> tuple[np.ndarray, np.ndarray]:
    """Return what is recorded of objects and of classes."""
    image = view.working_image
    return image.corrected_objects.target(()), image.annotations.target(())


def until_measured(docked: Docked, view: ObjectsView) -> None:
    docked.bot.waitUntil(lambda: not view.outdated, timeout=20_000)


def test_every_edit_is_recorded_and_undo_takes_each_back(
    dock: Docked, store: ModelStore
):
    view = separated(dock, store)
    layer = view.layer
    first, mask = layer.data.copy(), dock.mask.data.copy()
    states = [(first, *known(view), mask)]
    assert (states[0][1] == IGNORE).all()
    line = np.array([[8.0, 20.0], [36.0, 20.0]])

    def brush() -> bool:
        layer.selected_label = view.free_id
        with layer.block_history():
            layer.paint((6, 70), layer.selected_label)
        return True

    edits: list[Callable[[], bool]] = [
        lambda: view.edit("split", (), line),
        lambda: view.edit("merge", (), np.array([[42.0, 20.0], [42.0, 42.0]])),
        lambda: view.edit("delete", (), np.array([[20.0, 42.0]])),
        brush,
    ]
    for edit in edits:
        assert edit()
        states.append((layer.data.copy(), *known(view), dock.mask.data.copy()))
    ids, claims, classes, shown = states[-1]
    left, right = ids[20, 15], ids[20, 27]
    assert left != right
    assert ids[42, 20] == ids[42, 42]
    assert ids[20, 42] == 0
    assert ids[6, 70] > 0
    # Every pixel of the four cells is known by now, and the painted object.
    np.testing.assert_array_equal(claims != IGNORE, (first > 0) | (ids > 0))
    assert claimed_ids(claims).max() == 4
    assert (claims[first == first[20, 42]] == 0).all()
    assert (classes[first == first[20, 42]] == 0).all()
    assert not shown[first == first[20, 42]].any()
    assert shown[6, 70] == classes[6, 70] == 1
    for expected in states[-2::-1]:
        layer.undo()
        for now, then in zip(
            (layer.data, *known(view), dock.mask.data), expected, strict=True
        ):
            np.testing.assert_array_equal(now, then)
    for expected in states[1:]:
        layer.redo()
        for now, then in zip(
            (layer.data, *known(view), dock.mask.data), expected, strict=True
        ):
            np.testing.assert_array_equal(now, then)
    until_measured(dock, view)
    assert len(view.table["label"]) == 4
    assert "4 objects" in dock.widget.objects.summary.text()


def test_a_fine_tune_learns_from_splits_alone(dock: Docked, store: ModelStore):
    view = separated(dock, store)
    section = dock.widget.fine_tune
    assert view.edit("split", (), np.array([[8.0, 20.0], [36.0, 20.0]]))
    order = section._make_order()
    (painted,) = order.touched.poll()
    np.testing.assert_array_equal(painted.corrected_objects.target(()), known(view)[0])
    # The order has a copy, and later corrections are posted to it.
    view.layer.undo()
    assert painted.corrected_objects.count()


def test_objects_that_are_separated_again_are_as_they_were_corrected(
    dock: Docked, store: ModelStore
):
    view = separated(dock, store)
    assert view.edit("split", (), np.array([[8.0, 20.0], [36.0, 20.0]]))
    assert view.edit("delete", (), np.array([[42.0, 42.0]]))
    corrected = view.layer.data.copy()
    dock.widget.objects.separate.click()
    dock.wait()
    again = dock.widget.objects.objects
    assert again is not view
    ids = again.layer.data
    pairs = set(zip(corrected.ravel().tolist(), ids.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 5
    assert (0, 0) in pairs
    assert set(again.table["label"]) == set(np.unique(ids[ids > 0]))
    assert set(again.table["class"]) == {"foreground"}


def test_the_layer_has_room_for_more_objects(dock: Docked, store: ModelStore):
    view = separated(dock, store)
    assert np.iinfo(view.layer.data.dtype).max > 10_000


@pytest.fixture
def on_screen(
    shown_dock: Docked, store: ModelStore, mouse_on: Callable[[Docked], Mouse]
) -> tuple[Docked, ObjectsView, Mouse]:
    view = separated(shown_dock, store)
    shown_dock.widget.open_objects()
    shown_dock.bot.wait(100)
    return shown_dock, view, mouse_on(shown_dock)


def drag(mouse: Mouse, *places: tuple[float, float]) -> None:
    mouse.press(*places[0])
    for place in places[1:]:
        mouse.move(*place)
    mouse.release(*places[-1])
    mouse.docked.bot.wait(50)


def press_undo(docked: Docked) -> None:
    canvas = docked.viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    docked.bot.wait(50)


def take(docked: Docked, tool: str) -> None:
    docked.bot.mouseClick(
        docked.widget.objects.correcting.buttons[tool], Qt.MouseButton.LeftButton
    )
    docked.bot.wait(50)


@pytest.mark.slow
def test_the_mouse_splits_merges_deletes_and_adds(
    on_screen: tuple[Docked, ObjectsView, Mouse],
):
    docked, view, mouse = on_screen
    tools, layer = docked.widget.objects.correcting, view.layer
    first = layer.data.copy()
    take(docked, "split")
    assert tools.buttons["split"].isChecked()
    assert "from one side to the other" in tools.text.text()
    drag(mouse, (8, 20), (20, 20), (36, 21))
    assert layer.data[20, 15] != layer.data[20, 27]
    assert (layer.data[40:] == first[40:]).all()
    drag(mouse, (57, 60), (57, 70))
    assert "No object was divided" in tools.text.text()
    press_undo(docked)
    np.testing.assert_array_equal(layer.data, first)
    assert not view.working_image.counts
    take(docked, "merge")
    drag(mouse, (20, 20), (20, 30), (20, 42))
    assert layer.data[20, 20] == layer.data[20, 42]
    press_undo(docked)
    take(docked, "delete")
    drag(mouse, (42, 42), (42, 42))
    assert layer.data[42, 42] == 0
    assert np.unique(layer.data).size == 4
    press_undo(docked)
    np.testing.assert_array_equal(layer.data, first)
    take(docked, "add")
    assert layer.mode == "paint"
    layer.brush_size = 5
    drag(mouse, (30, 65), (34, 65))
    drag(mouse, (50, 65), (54, 65))
    new = layer.data[30, 65], layer.data[50, 65]
    assert new[0] != new[1]
    assert first.max() < min(new)
    drag(mouse, (52, 65), (52, 70))
    assert layer.data[52, 70] == new[1], "a stroke from inside enlarges it"
    take(docked, "add")
    assert tools.tool is None
    assert layer.mode == "pan_zoom"
    assert layer.mouse_pan
    names = [one.name for one in docked.viewer.layers]
    assert "line over objects" not in names
    until_measured(docked, view)
    assert len(view.table["label"]) == 6


@pytest.mark.slow
def test_another_layer_or_mode_puts_the_tool_away(
    on_screen: tuple[Docked, ObjectsView, Mouse],
):
    docked, view, _ = on_screen
    tools = docked.widget.objects.correcting
    canvas = docked.viewer.window._qt_viewer.canvas.native
    docked.viewer.layers.selection.active = view.layer
    QTest.keyClick(canvas, Qt.Key.Key_S, Qt.KeyboardModifier.ShiftModifier)
    assert tools.tool == "split", "by its key"
    assert not view.layer.mouse_pan
    docked.viewer.layers.selection.active = docked.mask
    assert tools.tool is None
    assert view.layer.mouse_pan
    assert not tools.buttons["split"].isChecked()
    take(docked, "merge")
    view.layer.mode = "erase"
    assert tools.tool is None
    assert view.layer.mode == "erase"


_CORRECT_AND_DIE = """
import os, signal, sys
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_unet.dock import UNetWidget
from napari_unet.jobs.objects import FoundObjects
from napari_unet.results.objects import ObjectLayers, show_objects, objects_of
viewer = ViewerModel()
widget = UNetWidget(viewer)
widget.select_model("nuclei")
image = viewer.add_image(np.load(sys.argv[1]), name="cells")
widget.correct.empty.click()
mask = widget.masks.current
ids = np.load(sys.argv[2])
show_objects(viewer, mask, FoundObjects(labels=ids, table={"label": np.arange(1, 5)}))
view = objects_of(viewer, image)
view.edit("split", (), np.array([[8.0, 20.0], [36.0, 20.0]]))
view.edit("delete", (), np.array([[42.0, 42.0]]))
view.edit("merge", (), np.array([[20.0, 42.0], [42.0, 20.0]]))
view.layer.undo()
view.layer.redo()
image = view.working_image
np.savez(
    sys.argv[3],
    objects=image.corrected_objects.target(()),
    classes=image.annotations.target(()),
)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_killed_after_a_correction_nothing_is_lost(
    dock: Docked, tmp_path: Path
) -> None:
    pixels = touching_cells()
    ids = np.zeros(pixels.shape, np.uint16)
    ids[12:52, 10:50] = np.kron([[1, 2], [3, 4]], np.ones((20, 20), np.uint16))
    files = [tmp_path / name for name in ("image.npy", "ids.npy", "seen.npz")]
    np.save(files[0], pixels)
    np.save(files[1], ids)
    done = subprocess.run(
        [sys.executable, "-c", _CORRECT_AND_DIE, *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    dock.viewer.add_image(pixels, name="cells")
    dock.bot.waitUntil(lambda: not dock.widget.reopening.busy)
    image: Any = dock.widget.workspace.working_image
    with np.load(files[2]) as seen:
        assert claimed_ids(seen["objects"]).max() >= 3
        np.testing.assert_array_equal(
            image.corrected_objects.target(()), seen["objects"]
        )
        np.testing.assert_array_equal(image.annotations.target(()), seen["classes"])

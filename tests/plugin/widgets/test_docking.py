"""The dock is one for each window, whichever way it is closed and opened again."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari._app_model import get_app_model
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_unet.contributions import commands as _commands
from napari_unet.dock import UNetWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from conftest import Docked

pytestmark = pytest.mark.slow


def frames(viewer: napari.Viewer) -> list[QDockWidget]:
    """Return the frames on screen that hold a dock of ours, or nothing any more."""
    found = viewer.window._qt_window.findChildren(QDockWidget)
    shown = [frame for frame in found if frame.isVisible()]
    return [f for f in shown if isinstance(f.widget(), UNetWidget) or not f.widget()]


def by_its_x(docked: Docked) -> None:
    (frame,) = frames(docked.viewer)
    QTest.mouseClick(frame.title.close_button, Qt.MouseButton.LeftButton)


def by_a_script(docked: Docked) -> None:
    docked.viewer.window.remove_dock_widget(docked.widget)


def with_all_others(docked: Docked) -> None:
    docked.viewer.window.remove_dock_widget("all")


def with_its_button(docked: Docked) -> None:
    (frame,) = frames(docked.viewer)
    QTest.mouseClick(frame.title.hide_button, Qt.MouseButton.LeftButton)


def open_by_menu(_: napari.Viewer) -> None:
    get_app_model().commands.execute_command("napari-unet-finetune.dock").result()


def open_by_script(viewer: napari.Viewer) -> None:
    viewer.window.add_plugin_dock_widget("napari-unet-finetune", "U-Net")


@pytest.fixture
def painted(shown_dock: Docked, plane: Any) -> Docked:
    """A dock as the menu opens it, with a stroke on a mask."""
    by_a_script(shown_dock)
    _commands.open_dock(shown_dock.viewer)
    shown_dock.viewer.add_image(plane, name="cells")
    shown_dock.widget.correct.empty.click()
    shown_dock.mask.paint((20, 20), 1)
    shown_dock.bot.wait(20)
    return shown_dock


@pytest.mark.parametrize(
    ("close", "again"),
    [
        (by_its_x, open_by_menu),
        (by_a_script, open_by_script),
        (with_all_others, _commands.open_dock),
    ],
)
def test_a_closed_dock_is_the_same_when_opened_again(
    painted: Docked, close: Callable[..., None], again: Callable[..., None]
) -> None:
    painted.widget.fine_tune.settings["minutes"].value = 7.5
    layer, kept = painted.mask, painted.counts
    close(painted)
    painted.bot.wait(20)
    gc.collect()
    assert not painted.widget.isVisible()
    assert not {"paint", "undo"} & set(vars(layer)), "napari's own methods are back"
    again(painted.viewer)
    painted.bot.wait(20)
    assert painted.widget.isVisible()
    assert [frame.widget() for frame in frames(painted.viewer)] == [painted.widget]
    assert painted.widget.fine_tune.settings["minutes"].value == 7.5
    assert painted.counts == kept
    layer.undo()
    assert painted.counts == {}
    layer.redo()
    assert painted.counts == kept


def test_a_dock_is_opened_again_before_the_event_loop_turns(painted: Docked) -> None:
    by_a_script(painted)
    open_by_script(painted.viewer)
    painted.bot.wait(20)
    assert [frame.widget() for frame in frames(painted.viewer)] == [painted.widget]
    assert painted.widget.isVisible()


def test_a_hidden_dock_is_shown_by_commands(painted: Docked) -> None:
    with_its_button(painted)
    assert not painted.widget.isVisible()
    assert _commands.open_dock(painted.viewer) is painted.widget
    assert painted.widget.isVisible()


def test_a_dock_behind_another_tab_is_raised(painted: Docked) -> None:
    viewer = painted.viewer
    (ours,) = frames(viewer)
    other = viewer.window.add_dock_widget(QWidget(), name="other", tabify=False)
    viewer.window._qt_window.tabifyDockWidget(ours, other)
    painted.bot.wait(20)
    other.raise_()
    painted.bot.waitUntil(lambda: painted.widget.visibleRegion().isEmpty())
    _commands.open_dock(viewer)
    painted.bot.waitUntil(lambda: not painted.widget.visibleRegion().isEmpty())


def test_a_dock_that_is_open_moves_and_leaves_no_empty_frame(painted: Docked) -> None:
    # napari has two names for it: that of the menu, and that of scripts.
    open_by_script(painted.viewer)
    painted.bot.wait(20)
    assert [frame.widget() for frame in frames(painted.viewer)] == [painted.widget]
    assert list(painted.viewer.window.dock_widgets.values()) == [painted.widget]


def test_strokes_and_undo_while_it_is_closed_count(painted: Docked) -> None:
    layer, working_image = painted.mask, painted.widget.workspace.working_image
    assert working_image is not None
    before = painted.counts
    by_its_x(painted)
    layer.paint((60, 60), 1)
    two = dict(working_image.counts)
    assert two[1] > before[1]
    layer.undo()
    assert working_image.counts == before
    layer.redo()
    assert working_image.counts == two
    layer.undo()
    layer.undo()
    layer.paint((80, 80), 1)
    assert working_image.annotations.target(())[80, 80] == 1
    assert working_image.annotations.target(())[20, 20] == 255
    _commands.open_dock(painted.viewer)
    layer.undo()
    assert painted.counts == {}
    np.testing.assert_array_equal(layer.data, 0)


def test_undo_of_a_hidden_mask_is_followed_when_the_dock_is_back(
    painted: Docked,
) -> None:
    layer = painted.mask
    by_its_x(painted)
    layer.visible = False
    layer.undo()
    _commands.open_dock(painted.viewer)
    assert painted.counts == {}


def test_a_stroke_goes_on_when_the_dock_is_closed_in_its_midst(painted: Docked) -> None:
    layer, before = painted.mask, painted.counts
    with layer.block_history():
        layer.paint((60, 20), 1)
        by_its_x(painted)
        layer.paint((60, 40), 1)
    _commands.open_dock(painted.viewer)
    assert painted.widget.workspace.working_image is not None
    labels = painted.widget.workspace.working_image.annotations.target(())
    assert (labels[60, 20], labels[60, 40]) == (1, 1)
    layer.undo()
    assert painted.counts == before


def test_a_mask_made_while_it_is_closed_is_left_as_napari_made_it(
    painted: Docked, plane: Any
) -> None:
    by_its_x(painted)
    painted.viewer.add_image(plane[::-1], name="more")
    painted.widget.correct.start_empty()
    assert painted.mask.name == "more mask"
    assert "paint" not in vars(painted.mask)
    _commands.open_dock(painted.viewer)
    assert "paint" in vars(painted.mask)


def test_a_training_goes_on_and_can_be_stopped_in_the_dock_opened_again(
    painted: Docked, notices: list[str]
) -> None:
    painted.mask.paint((60, 60), 0)
    painted.be_quick(steps=100_000)
    painted.widget.fine_tune.train.click()
    by_its_x(painted)
    painted.bot.waitUntil(lambda: any("The training goes on" in m for m in notices))
    _commands.open_dock(painted.viewer)
    assert painted.widget.workspace.training
    assert painted.widget.fine_tune.cancel.isEnabled()
    painted.widget.fine_tune.cancel.click()
    painted.wait()


def test_every_window_has_a_dock_of_its_own(
    make_napari_viewer: Callable[..., napari.Viewer],
) -> None:
    first, second = make_napari_viewer(), make_napari_viewer()
    docks = [_commands.open_dock(viewer) for viewer in (first, second)]
    assert docks[0] is not docks[1]
    first.window.remove_dock_widget(docks[0])
    assert _commands.open_dock(second) is docks[1]
    assert _commands.open_dock(first) is docks[0]


@pytest.mark.parametrize("taken_off", [False, True])
def test_it_goes_with_its_window(painted: Docked, taken_off: bool) -> None:
    dock = painted.widget
    if taken_off:
        by_its_x(painted)
        painted.bot.wait(20)
    painted.viewer.close()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    painted.bot.waitUntil(lambda: not isalive(dock))

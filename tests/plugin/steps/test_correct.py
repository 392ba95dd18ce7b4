"""Step 2: classes, counts, touched pixels, accept and clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.dock import UNetWidget
from napari_unet.viewer.private import camera_of
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from conftest import Docked


@pytest.fixture
def masked(dock: Docked, plane: Any) -> Docked:
    """A stack of two planes with an empty mask."""
    dock.viewer.add_image(np.stack([plane, plane]), name="cells")
    dock.widget.correct.empty.click()
    return dock


def test_before_there_is_a_mask(dock: Docked, plane: Any) -> None:
    section = dock.widget.correct
    assert section.empty.isHidden()
    dock.viewer.add_image(plane)
    assert not section.empty.isHidden()
    assert not section.accept.isEnabled()
    section.empty.click()
    assert not dock.mask.data.any()
    assert section.empty.isHidden()
    assert section.accept.isEnabled()


def test_a_class_button_makes_the_mask_that_it_needs(dock: Docked, plane: Any) -> None:
    assert not dock.widget.correct.class_buttons[1].isEnabled()
    dock.viewer.add_image(plane)
    dock.widget.correct.class_buttons[1].click()
    assert not dock.mask.data.any()
    assert dock.viewer.layers.selection.active is dock.mask
    assert (dock.mask.mode, dock.mask.selected_label) == ("paint", 1)


def test_a_class_button_readies_the_brush(masked: Docked) -> None:
    buttons = masked.widget.correct.class_buttons
    assert [button.text() for button in buttons] == ["background", "cell"]
    masked.viewer.layers.selection.active = masked.viewer.layers["cells"]
    buttons[1].click()
    assert masked.viewer.layers.selection.active is masked.mask
    assert (masked.mask.mode, masked.mask.selected_label) == ("paint", 1)
    buttons[0].click()
    assert masked.mask.selected_label == 0


def test_the_button_follows_the_label_chosen_in_napari(masked: Docked) -> None:
    masked.mask.selected_label = 0
    assert masked.widget.correct.class_buttons[0].isChecked()
    masked.mask.selected_label = 1
    assert masked.widget.correct.class_buttons[1].isChecked()


def test_counts_are_shown(masked: Docked) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.mask.paint((1, 60, 60), 0)
    cells, background = masked.counts[1], masked.counts[0]
    text = masked.widget.correct.text.text()
    assert f"cell {cells} px" in text
    assert f"background {background} px" in text
    masked.mask.undo()
    assert "background" not in masked.widget.correct.text.text()


def test_accept_view_takes_the_screen_and_no_more(masked: Docked) -> None:
    masked.viewer.dims.set_current_step(0, 1)
    masked.viewer.canvas.size = (200, 300)
    camera = camera_of(masked.viewer)
    camera.center, camera.zoom = (0, 19.5, 34.5), 10.1
    masked.widget.correct.accept.click()
    annotations = masked.widget.workspace.working_image.annotations
    touched = annotations.touched((1,))
    assert touched[10:30, 20:50].all()
    assert touched.sum() == 600
    assert annotations.planes() == ((1,),)


def test_accept_in_three_dimensions_names_the_reason(
    masked: Docked, notices: list[str]
) -> None:
    masked.viewer.dims.ndisplay = 3
    masked.widget.correct.accept.click()
    assert "2D display" in notices[0]
    assert masked.counts == {}


def test_clear_this_slice_or_all(masked: Docked) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.mask.paint((1, 60, 60), 1)
    masked.viewer.dims.set_current_step(0, 1)
    here, everywhere = masked.widget.correct.clear.menu().actions()[:2]
    here.trigger()
    assert masked.widget.workspace.working_image.annotations.planes() == ((0,),)
    everywhere.trigger()
    assert masked.counts == {}
    assert not masked.widget.correct.clear.isEnabled()


def test_touched_pixels_are_shown_and_follow(masked: Docked) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.widget.correct.touched.value = True
    overlay = masked.viewer.layers["cells touched"]
    masked.mask.paint((0, 60, 60), 0)
    working_image = masked.widget.workspace.working_image
    expected = working_image.annotations.target((0,)) + np.uint8(1)
    np.testing.assert_array_equal(overlay.data[0], expected)
    masked.mask.undo()
    assert set(np.unique(overlay.data)) == {0, 2}
    masked.widget.correct.touched.value = False
    assert overlay not in masked.viewer.layers


def test_deleting_the_touched_layer_unticks_the_box(masked: Docked) -> None:
    masked.widget.correct.touched.value = True
    masked.viewer.layers.remove("cells touched")
    assert not masked.widget.correct.touched.value
    masked.mask.paint((0, 20, 20), 1)


def test_touched_pixels_outlive_the_mask_layer(
    masked: Docked, notices: list[str]
) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.viewer.layers.remove(masked.mask)
    masked.bot.waitUntil(lambda: bool(notices))
    assert "kept" in notices[0]
    masked.widget.correct.empty.click()
    assert masked.mask.data[0, 20, 20] == 1
    assert set(masked.counts) == {1}


def test_add_class(masked: Docked, notices: list[str]) -> None:
    masked.widget.correct.add_class("debris")
    buttons = masked.widget.correct.class_buttons
    assert [button.text() for button in buttons] == ["background", "cell", "debris"]
    buttons[2].click()
    assert masked.mask.selected_label == 2
    assert masked.mask.colormap.map(2)[-1] == 1
    masked.widget.correct.add_class("debris")
    assert "'debris' cannot be a new class" in notices[0]


def test_a_label_beyond_the_classes(masked: Docked, notices: list[str]) -> None:
    masked.mask.selected_label = 7
    assert masked.mask.selected_label == 1
    assert "no class beyond 'cell'" in notices[0]


def test_converting_the_mask_to_another_type(masked: Docked) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.mask.data = masked.mask.data.astype(np.int64)
    masked.mask.paint((0, 60, 60), 1)
    masked.predict()
    assert masked.mask.data.dtype == np.int64
    assert masked.mask.data[0, 20, 20] == masked.mask.data[0, 60, 60] == 1


def test_a_mask_of_another_shape_is_let_go(masked: Docked, notices: list[str]) -> None:
    layer = masked.mask
    layer.data = np.zeros((5, 5), np.uint8)
    assert masked.mask is None
    assert layer in masked.viewer.layers
    masked.predict()
    assert masked.mask.data.shape == (2, 96, 96)


def test_each_image_has_its_own_touched_pixels(masked: Docked, plane: Any) -> None:
    masked.mask.paint((0, 20, 20), 1)
    other = masked.viewer.add_image(plane, name="other")
    masked.widget.predict.form.image.value = other
    assert masked.mask is None
    assert not masked.widget.correct.empty.isHidden()
    masked.widget.predict.form.image.value = masked.viewer.layers["cells"]
    assert set(masked.counts) == {1}


def test_choosing_a_mask_in_the_layer_list_turns_to_its_image(
    masked: Docked, plane: Any
) -> None:
    first = masked.mask
    other = masked.viewer.add_image(plane, name="other")
    masked.widget.predict.form.image.value = other
    masked.widget.correct.empty.click()
    masked.viewer.layers.selection.active = first
    assert masked.widget.predict.form.image.value.name == "cells"
    assert masked.mask is first


def test_the_class_is_named_under_the_mouse(masked: Docked) -> None:
    masked.mask.paint((0, 20, 20), 1)
    masked.viewer.dims.set_current_step(0, 0)
    status = masked.mask.get_status((0, 20, 20), world=True)
    assert "cell" in status["value"]


@pytest.mark.slow
def test_a_dock_that_is_opened_again_goes_on(real_dock: Docked, plane: Any) -> None:
    real_dock.viewer.add_image(plane, name="cells")
    real_dock.widget.correct.empty.click()
    layer = real_dock.mask
    layer.paint((20, 20), 1)
    kept = real_dock.counts
    real_dock.viewer.window.remove_dock_widget(real_dock.widget)
    real_dock.widget.deleteLater()
    real_dock.bot.wait(50)
    layer.undo()
    layer.redo()

    widget = UNetWidget(real_dock.viewer, real_dock.widget.workspace.store)
    real_dock.viewer.window.add_dock_widget(widget, name="U-Net")
    assert widget.masks.current.layer is layer
    assert widget.masks.current.working_image.counts == kept
    layer.paint((60, 60), 0)
    assert set(widget.masks.current.working_image.counts) == {0, 1}


def test_the_unmark_brush_gives_pixels_back(masked: Docked) -> None:
    working_image = masked.widget.workspace.working_image
    mask, section = masked.mask, masked.widget.correct
    mask.data[0, 30:60, 30:60] = 1
    working_image.replace_mask(mask.data)
    mask.brush_size = 20
    mask.paint((0, 45, 45), 0)
    mask.paint((0, 10, 10), 1)
    before = working_image.annotations.target((0,)).copy()
    assert masked.counts[1] and not mask.data[0, 45, 45]
    section.unmark.click()
    assert section.unmark.isChecked() and mask.mode == "paint"
    mask.brush_size = 8
    mask.paint((0, 45, 45), 1)
    after = working_image.annotations.target((0,))
    assert mask.data[0, 45, 45] == 1, "the prediction again"
    assert after[45, 45] == IGNORE and after[45, 53] == 0
    assert (after[:30, :30] == before[:30, :30]).all(), "elsewhere all stays"
    np.testing.assert_array_equal(mask._slice.image.raw, mask.data[0])
    mask.undo()
    np.testing.assert_array_equal(working_image.annotations.target((0,)), before)
    assert mask.data[0, 45, 45] == 0
    mask.redo()
    np.testing.assert_array_equal(working_image.annotations.target((0,)), after)


def test_unmarking_what_is_untouched_changes_nothing(masked: Docked) -> None:
    masked.widget.correct.unmark.click()
    masked.mask.paint((0, 45, 45), 1)
    assert masked.counts == {} and not masked.mask.data.any()
    assert not masked.widget.workspace.working_image.annotations.strokes
    masked.mask.paint((0, 20, 20), 1)
    masked.widget.correct.class_buttons[1].click()
    masked.mask.paint((0, 20, 20), 1)
    masked.mask.preserve_labels = True
    count = masked.counts[1]
    masked.widget.correct.unmark.click()
    masked.mask.paint((0, 20, 20), 1)
    assert masked.counts == {1: count}, "the labels are locked"


def test_another_tool_or_class_ends_unmarking(masked: Docked) -> None:
    section, recorder = masked.widget.correct, masked.widget.masks.current.recorder
    for leave in (
        lambda: section.class_buttons[1].click(),
        lambda: setattr(masked.mask, "mode", "erase"),
        lambda: setattr(masked.mask, "selected_label", 0),
    ):
        masked.mask.selected_label = 1
        section.unmark.click()
        masked.mask.mode = "pan_zoom"
        masked.mask.mode = "paint"
        assert recorder.unmarks and section.unmark.isChecked()
        leave()
        assert not recorder.unmarks and not section.unmark.isChecked()

"""Two masks on one view, their scores, and where the prediction is uncertain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.results import comparison_layer
from napari_unet.viewer.private import camera_of
from napari_unet.viewer.screen_layer import is_screen_layer
from unet_engine.labels import IGNORE
from unet_engine.metrics import report
from unet_engine.metrics.comparison import difference_map
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from conftest import Docked

    from unet_engine.models.store import ModelStore

SHAPE = (160, 200)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def picture() -> np.ndarray:
    """Noise, of which the tiny model makes a mask of both classes."""
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


@pytest.fixture
def truth() -> np.ndarray:
    """Two classes, one object each but for background, and a part without labels."""
    values = np.zeros(SHAPE, np.uint8)
    values[20:60, 20:70] = 1
    values[90:140, 100:180] = 1
    values[:10] = IGNORE
    return values


def see_all(docked: Docked, shape: tuple[int, int] = SHAPE) -> None:
    if "canvas" in type(docked.viewer).model_fields and not hasattr(
        docked.viewer, "window"
    ):
        docked.viewer.canvas.size = (400, 400)
    camera = camera_of(docked.viewer)
    camera.center = (0, shape[0] / 2, shape[1] / 2)
    camera.zoom = 1.5


@pytest.fixture
def compared(dock: Docked, picture: np.ndarray, truth: np.ndarray) -> Docked:
    """A predicted mask and a truth, seen as a whole."""
    dock.viewer.add_image(picture, name="cells")
    dock.predict()
    dock.widget.workspace.working_image.mask[30:100, 30:150] = 1
    dock.mask.refresh()
    dock.viewer.add_labels(truth, name="truth")
    see_all(dock)
    dock.widget.compare.expand()
    dock.widget.show()
    return dock


@pytest.fixture
def trained(compared: Docked, store: ModelStore) -> Docked:
    """The same with two models that count as trained."""
    for name, depth in (("first", 2), ("other", 1)):
        spec = ModelSpec(depth=depth, width=4, classes=("background", "cell"))
        store.save(name, replace(start_checkpoint(spec), history=({"kind": "tune"},)))
    compared.widget.select_model("first")
    assert compared.widget.workspace.model.trained
    return compared


def section(docked: Docked) -> Any:
    return docked.widget.compare


def click(docked: Docked, name: str) -> None:
    docked.bot.mouseClick(getattr(section(docked).shown, name), LEFT)


def values(docked: Docked) -> np.ndarray:
    """What is on screen, in the shape of the image."""
    comparison = section(docked).shown.comparison
    part = comparison._screen.part
    assert part.step == 1
    assert part.region == (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    return np.asarray(comparison.layer.data).reshape(SHAPE)


def names_of(docked: Docked) -> list[str]:
    return [layer.name for layer in docked.viewer.layers]


def choose(box: Any, text: str) -> None:
    """Choose an entry with the keyboard."""
    QTest.keyClick(box, Qt.Key.Key_Home)
    for _ in range(box.count()):
        if not box.currentText().startswith(text):
            QTest.keyClick(box, Qt.Key.Key_Down)
    assert box.currentText().startswith(text)


def compute(docked: Docked) -> None:
    docked.bot.mouseClick(section(docked).scores.start, LEFT)
    docked.bot.waitUntil(lambda: not section(docked).scores.running, timeout=20_000)


@pytest.mark.slow
def test_each_way_to_show_two_masks(compared: Docked, truth: np.ndarray):
    mask = compared.mask.data.copy()
    assert section(compared).choice.first.currentText() == "the mask (tiny)"
    assert section(compared).choice.second.currentText() == "truth"
    click(compared, "differences")
    shown = values(compared)
    wanted = difference_map(mask, truth)
    np.testing.assert_array_equal(
        shown, np.where(wanted, wanted + comparison_layer._DIFFERENCE, 0)
    )
    assert {1, 2} <= set(np.unique(wanted)), "the case has both"
    legend = section(compared).shown.legend.text()
    assert "only in the mask (tiny)" in legend and "only in truth" in legend
    click(compared, "swipe")
    slider = section(compared).shown.slider
    assert slider.isVisible() and not section(compared).shown.differences.isChecked()
    second = np.where((truth > 0) & (truth != IGNORE), truth, 0)
    for share in (0.25, 0.8):
        slider.setValue(int(1000 * share))
        # Of 400 pixels of the canvas at 1.5 there are 267 columns on screen.
        at = round(100 + (share - 0.5) * 400 / 1.5)
        shown = values(compared)
        np.testing.assert_array_equal(shown[:, :at], mask[:, :at])
        np.testing.assert_array_equal(
            shown[:, at + 1 :],
            np.where(second, second + comparison_layer._SECOND, 0)[:, at + 1 :],
        )
        assert (shown[:, at] == comparison_layer._LINE).all()
    click(compared, "flicker")
    np.testing.assert_array_equal(values(compared), mask)
    section(compared).flicker()
    assert (values(compared) > 0).sum() == (second > 0).sum()
    assert "On screen: <b>truth</b>" in section(compared).shown.legend.text()
    click(compared, "flicker")
    assert section(compared).shown.comparison is None
    assert names_of(compared) == ["cells", "cells mask", "truth"]
    np.testing.assert_array_equal(compared.mask.data, mask)


def test_masks_are_hidden_meanwhile_and_come_back_with_their_tool(compared: Docked):
    truth = compared.viewer.layers["truth"]
    truth.visible = False
    compared.mask.mode = "paint"
    click(compared, "differences")
    assert not compared.mask.visible and compared.mask.mode == "pan_zoom"
    click(compared, "differences")
    assert compared.mask.visible and compared.mask.mode == "paint"
    assert not truth.visible, "the user had hidden it"


def test_showing_a_mask_again_ends_it(compared: Docked):
    click(compared, "swipe")
    compared.mask.visible = True
    assert section(compared).shown.comparison is None
    assert not section(compared).shown.swipe.isChecked()
    assert compared.viewer.layers["truth"].visible


@pytest.mark.slow
@pytest.mark.parametrize("name", ["comparison", "truth", "cells mask", "cells"])
def test_a_layer_that_is_deleted_meanwhile(compared: Docked, name: str):
    click(compared, "differences")
    compute(compared)
    compared.viewer.layers.remove(compared.viewer.layers[name])
    if name in ("truth", "cells mask"):
        assert section(compared).shown.comparison is None
        assert not section(compared).shown.flicker.isEnabled()
        assert "one mask so far" in section(compared).shown.flicker.toolTip()
        assert not section(compared).scores.list.count()
    left = {"cells", "cells mask", "truth"} - {name}
    click(compared, "differences")
    section(compared).end()
    assert set(names_of(compared)) == left
    assert all(layer.visible for layer in compared.viewer.layers)


@pytest.mark.slow
def test_other_shapes_are_refused_and_other_scales_noted(compared: Docked):
    choice = section(compared).choice
    small = compared.viewer.add_labels(np.zeros((20, 30), int), name="small")
    choose(choice.second, "small")
    text = choice.text.text()
    assert "160 x 200" in text and "20 x 30" in text and "of one image" in text
    assert not section(compared).shown.swipe.isEnabled()
    assert not section(compared).scores.start.isEnabled()
    compared.viewer.layers.remove(small)
    truth = compared.viewer.layers["truth"]
    truth.scale = (2, 2)
    choose(choice.second, "truth")
    section(compared).reset_choices()
    assert "pixel by pixel" in choice.text.text()
    click(compared, "differences")
    assert section(compared).shown.comparison is not None
    np.testing.assert_array_equal(
        section(compared).shown.comparison.layer.scale, compared.mask.scale
    )


def test_scores_of_classes_are_those_of_the_literature(
    compared: Docked, truth: np.ndarray
):
    compute(compared)
    scores = section(compared).scores
    wanted = report(truth, compared.mask.data, "classes", names=("background", "cell"))
    table = [
        [scores.table.item(row, column).text() for column in range(4)]
        for row in range(scores.table.rowCount())
    ]
    for row, name in zip(table, ("background", "cell"), strict=True):
        assert row[0] == name
        assert row[1] == f"{wanted[f'iou_{name}']:.3f}"
        assert row[2] == f"{wanted[f'dice_{name}']:.3f}"
    assert table[1][3] == f"{int((truth == 1).sum()):,}"
    assert f"{wanted['pixel_error']:.2%}" in scores.text.text()
    compared.widget.workspace.touched_changed.emit()
    assert "changed since" in scores.text.text()


@pytest.mark.slow
def test_scores_of_objects_and_the_way_to_the_worst(
    compared: Docked, truth: np.ndarray
):
    ids = np.zeros(SHAPE, np.int32)
    ids[20:60, 20:70], ids[90:140, 100:180] = 500, 700
    ids[5:8, 190:194] = 900
    found = np.zeros(SHAPE, np.int32)
    found[20:60, 20:40], found[20:60, 40:70], found[90:140, 100:180] = 1, 2, 3
    compared.viewer.layers["truth"].data = ids
    compared.viewer.add_labels(found, name="found")
    choice = section(compared).choice
    choose(choice.first, "found")
    choose(choice.second, "truth")
    choose(choice.values, "objects")
    compute(compared)
    scores = section(compared).scores
    assert "1 missed, 1 split" in scores.text.text()
    assert "3 objects, 3 in the truth" in scores.text.text()
    entries = [scores.list.item(row).text() for row in range(scores.list.count())]
    assert entries == [
        "1. 800 px, an object is split in 2",
        "2. 12 px, an object is missed",
    ]
    for row, (y, x) in enumerate([(39.5, 44.5), (6, 191.5)]):
        item = scores.list.visualItemRect(scores.list.item(row)).center()
        QTest.mouseClick(scores.list.viewport(), LEFT, pos=item)
        assert camera_of(compared.viewer).center[-2:] == pytest.approx((y, x))
        assert "worst place" in names_of(compared)
    section(compared).go_to_next_worst()
    assert scores.list.currentRow() == 0, "after the last comes the first"
    section(compared).end()
    assert "worst place" not in names_of(compared)


def test_pieces_of_a_mask_are_compared_with_object_ids(compared: Docked):
    ids = np.zeros(SHAPE, np.int32)
    ids[20:60, 20:70] = 300
    compared.viewer.layers["truth"].data = ids
    compute(compared)
    wanted = report(ids, _pieces(compared.mask.data), "instances")
    text = section(compared).scores.text.text()
    assert f"AP at IoU 0.5: {wanted['ap_50']:.3f}" in text
    assert f"{int(wanted['predicted_objects']):,} objects, 1 in the truth" in text


def _pieces(mask: np.ndarray) -> Any:
    from scipy import ndimage

    return ndimage.label(mask > 0)[0]


@pytest.mark.slow
def test_the_mask_before_is_compared_without_taking_it_back(
    compared: Docked, add_model: Any
):
    before = compared.mask.data.copy()
    add_model("other", depth=1)
    compared.widget.select_model("other")
    compared.predict()
    after = compared.mask.data.copy()
    assert (before != after).any()
    compared.mask.paint((30, 30), 1)
    after = compared.mask.data.copy()
    touched = compared.widget.workspace.working_image.annotations.touched(())
    choice = section(compared).choice
    assert choice.second.currentText() == "truth", "what was chosen stays"
    choose(choice.second, "mask before (tiny)")
    click(compared, "flicker")
    section(compared).flicker()
    shown = values(compared) - np.where(
        values(compared), comparison_layer._SECOND, 0
    ).astype(np.uint8)
    np.testing.assert_array_equal(shown[~touched], before[~touched])
    np.testing.assert_array_equal(shown[touched], after[touched])
    np.testing.assert_array_equal(compared.mask.data, after)
    compute(compared)
    wanted = report(np.where(touched, after, before), after, "classes")
    assert f"{wanted['pixel_error']:.2%}" in section(compared).scores.text.text()


@pytest.mark.parametrize("channels", [0, 2])
def test_slices_of_a_stack(
    dock: Docked, add_model: Any, picture: np.ndarray, channels: int
):
    stack = np.stack([picture, picture[::-1], picture])
    if channels:
        add_model("two", in_channels=2)
        dock.widget.select_model("two")
        stack = np.stack([stack, stack], axis=1)
    dock.viewer.add_image(stack, name="cells")
    if channels:
        axes = dock.widget.predict.form.axes
        axes.value = next(one for one in axes.choices if one.axes[1:2] == "C")
    dock.predict()
    truth = np.zeros((3, *SHAPE), np.uint8)
    truth[2, 40:50, 60:90] = 1
    dock.viewer.add_labels(truth, name="truth")
    see_all(dock)
    assert section(dock).choice.why_not == ""
    mask = dock.widget.workspace.working_image.mask
    dock.viewer.dims.set_point(0, 2)
    section(dock).expand()
    click(dock, "differences")
    shown = np.asarray(section(dock).shown.comparison.layer.data).reshape(SHAPE)
    wanted = difference_map(mask[2], truth[2])
    np.testing.assert_array_equal(shown > 0, wanted > 0)
    compute(dock)
    places = section(dock).scores._places
    dock.viewer.dims.set_point(0, 1)
    section(dock).scores._go(0)
    assert dock.viewer.dims.current_step[0] == places[0].index[0]


def test_a_large_plane_is_composed_for_the_screen_only(dock: Docked):
    big = np.zeros((4096, 4096), np.uint8)
    dock.viewer.add_labels(big, name="one")
    dock.viewer.add_labels(big.copy(), name="two")
    see_all(dock, big.shape)
    camera_of(dock.viewer).zoom = 400 / 4096
    section(dock).expand()
    click(dock, "swipe")
    comparison = section(dock).shown.comparison
    assert max(comparison.layer.data.shape) <= 600
    read = comparison._read
    for value in range(0, 1000, 50):
        section(dock).shown.slider.setValue(value)
    assert comparison._read is read, "the slider alone reads no mask"


@pytest.mark.slow
def test_uncertainty_is_one_minus_the_margin_and_leaves_nothing(
    trained: Docked, picture: np.ndarray
):
    mask = trained.mask.data.copy()
    row = section(trained).uncertainty
    row.switch.native.click()
    trained.bot.waitUntil(
        lambda: row.text.text() == "Bright: first is uncertain there.", timeout=60_000
    )
    layer = row.layer.layer
    shown = np.asarray(layer.data).reshape(SHAPE) / 255
    checkpoint = trained.widget.workspace.checkpoint(trained.widget.workspace.model)
    image = trained.widget.workspace.working_image.image
    config = PredictConfig(probabilities=True, object_size="off")
    found = predict(image, checkpoint, config).probabilities
    ordered = np.sort(found, axis=0)
    np.testing.assert_allclose(shown, 1 - (ordered[-1] - ordered[-2]), atol=0.02)
    assert layer not in trained.widget.predict.form.layers()
    assert layer not in trained.widget.fine_tune.pairs.image.choices
    row.switch.native.click()
    assert names_of(trained) == ["cells", "cells mask", "truth"]
    np.testing.assert_array_equal(trained.mask.data, mask)
    assert not trained.counts
    assert not row.text.text()


@pytest.mark.slow
def test_uncertainty_follows_the_model_and_says_what_it_needs(trained: Docked):
    row = section(trained).uncertainty
    trained.widget.select_model("tiny")
    row.switch.native.click()
    trained.bot.waitUntil(lambda: "a trained model" in row.text.text(), timeout=20_000)
    row.switch.native.click()
    trained.widget.select_model("first")
    row.switch.native.click()
    trained.bot.waitUntil(lambda: "first" in row.text.text(), timeout=60_000)
    trained.bot.waitUntil(lambda: not row.running, timeout=60_000)
    trained.widget.select_model("other")
    trained.bot.waitUntil(
        lambda: row.text.text() == "Bright: other is uncertain there.", timeout=60_000
    )
    trained.viewer.layers.remove(row.layer.layer)
    assert not row.switch.value and row.layer is None
    trained.viewer.layers.clear()
    row.switch.native.click()
    assert "predict first" in row.text.text()


def press(docked: Docked, key: str) -> None:
    canvas = docked.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, getattr(Qt.Key, f"Key_{key}"))
    docked.bot.wait(50)


@pytest.mark.slow
def test_keys_and_a_dock_that_is_closed(
    shown_dock: Docked, picture: np.ndarray, truth: np.ndarray
):
    dock = shown_dock
    dock.viewer.add_image(picture, name="cells")
    dock.predict()
    dock.viewer.add_labels(truth, name="truth")
    assert not section(dock).expanded
    press(dock, "H")
    assert section(dock).expanded and section(dock).shown.flicker.isChecked()
    assert section(dock).shown.comparison.mode == "second"
    press(dock, "H")
    assert section(dock).shown.comparison.mode == "first"
    dock.widget.compare.scores.compute()
    dock.bot.waitUntil(lambda: section(dock).scores.list.count() > 0, timeout=20_000)
    press(dock, "W")
    assert section(dock).scores.list.currentRow() == 0
    frame = dock.widget.parent()
    dock.viewer.window.remove_dock_widget(frame)
    assert not any(is_screen_layer(layer) for layer in dock.viewer.layers)
    assert names_of(dock) == ["cells", "cells mask", "truth"]
    assert all(layer.visible for layer in dock.viewer.layers)


def test_folding_takes_everything_away(compared: Docked):
    click(compared, "differences")
    compute(compared)
    compared.bot.mouseClick(section(compared)._bar, LEFT)
    assert section(compared).shown.comparison is None
    assert names_of(compared) == ["cells", "cells mask", "truth"]
    assert compared.mask.visible


def test_with_nothing_to_compare_it_says_what_to_do(dock: Docked):
    section(dock).expand()
    assert "Predict a mask" in section(dock).choice.text.text()
    assert not section(dock).shown.flicker.isEnabled()
    section(dock).flicker()
    section(dock).go_to_next_worst()
    assert section(dock).shown.comparison is None

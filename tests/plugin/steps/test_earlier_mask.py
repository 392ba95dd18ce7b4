"""The mask before is one key away, whatever replaced it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live_strokes import begin, learned, settle, stroke
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_unet.jobs.prediction import predict_run
from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from conftest import Docked

KEY = "G"


pytestmark = pytest.mark.usefixtures("filters_alone")


@pytest.fixture
def with_live(dock: Docked, halves: np.ndarray) -> Docked:
    """A mask predicted by the tiny model, then by Live from two strokes."""
    dock.viewer.add_image(halves)
    dock.predict()
    dock.viewer.layers.clear()
    begin(dock, halves)
    dock.predict()
    learned(dock)
    return dock


def row_of(docked: Docked) -> Any:
    return docked.widget.earlier


def press(docked: Docked) -> None:
    """Press the key with the mouse on the canvas."""
    key = getattr(Qt.Key, f"Key_{KEY}")
    canvas = docked.viewer.window._qt_viewer.canvas.native
    canvas.setFocus()
    QTest.keyClick(canvas, key)
    docked.bot.wait(100)


def click(docked: Docked) -> None:
    docked.bot.mouseClick(row_of(docked).toggle, Qt.MouseButton.LeftButton)
    docked.bot.wait(50)


@pytest.mark.slow
def test_key_and_button_bring_the_mask_before_and_back(
    shown_dock: Docked, halves: np.ndarray, mouse_on: Any
):
    begin(shown_dock, halves)
    row = row_of(shown_dock)
    assert not row.isVisible()
    shown_dock.predict()
    predicted = shown_dock.mask.data.copy()
    assert not row.isVisible(), "there was nothing before"
    shown_dock.widget.correct.choose_class(1)
    mouse = mouse_on(shown_dock)
    for label, x in ((0, 40), (1, 150)):
        shown_dock.widget.correct.choose_class(label)
        mouse.press(40, x)
        mouse.move(60, x)
        mouse.release(60, x)
    settle(shown_dock)
    live = shown_dock.mask.data.copy()
    painted = shown_dock.widget.workspace.working_image.annotations.touched(())
    assert (live != predicted).any()
    assert row.isVisible()
    assert row.text.text() == "Mask: Live, 2 strokes"
    assert row.toggle.text() == f"Before: tiny ({KEY})"
    assert f"Key: {KEY}." in row.toggle.toolTip()
    assert "earlier mask in the same layer: tiny" in row.toggle.toolTip()
    press(shown_dock)
    assert row.text.text() == "Mask: tiny"
    assert row.toggle.text() == f"Newer: Live, 2 strokes ({KEY})"
    shown = shown_dock.mask.data
    np.testing.assert_array_equal(shown[~painted], predicted[~painted])
    np.testing.assert_array_equal(shown[painted], live[painted])
    np.testing.assert_array_equal(shown_dock.mask._slice.image.raw, shown)
    click(shown_dock)
    np.testing.assert_array_equal(shown_dock.mask.data, live)
    np.testing.assert_array_equal(shown_dock.mask._slice.image.raw, live)


@pytest.mark.slow
def test_strokes_on_the_mask_before_bring_live_back(with_live: Docked):
    live = with_live.mask.data.copy()
    click(with_live)
    before = with_live.mask.data.copy()
    assert (before != live).any()
    # The camera alone does not: what Live predicts now belongs to its own mask.
    camera_of(with_live.viewer).center = (0, 70, 90)
    with_live.bot.wait(200)
    settle(with_live)
    np.testing.assert_array_equal(with_live.mask.data, before)
    stroke(with_live, 100, 170, 1)
    settle(with_live)
    assert row_of(with_live).text.text() == "Mask: Live, 3 strokes"
    click(with_live)
    painted = with_live.widget.workspace.working_image.annotations.touched(())
    np.testing.assert_array_equal(with_live.mask.data[~painted], before[~painted])


@pytest.mark.slow
def test_live_goes_on_and_the_mask_before_stays(with_live: Docked):
    click(with_live)
    before = with_live.mask.data.copy()
    click(with_live)
    for row in (20, 60, 100):
        stroke(with_live, row, 130, 1)
        settle(with_live)
    click(with_live)
    painted = with_live.widget.workspace.working_image.annotations.touched(())
    np.testing.assert_array_equal(with_live.mask.data[~painted], before[~painted])


@pytest.mark.slow
def test_a_prediction_that_is_stopped_leaves_the_mask_before_it(
    with_live: Docked, monkeypatch: pytest.MonkeyPatch, add_model: Any
):
    def first_tile(order: Any, workspace: Any, stop: Any) -> Any:
        yield next(predict_run(order, workspace, stop))
        while not stop():
            time.sleep(0.01)

    add_model("other")
    with_live.widget.select_model("other")
    live = with_live.mask.data.copy()
    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", first_tile)
    with_live.widget.predict.predict.click()
    with_live.bot.waitUntil(
        lambda: row_of(with_live).text.text() == "Mask: other",
        timeout=10_000,
    )
    assert (with_live.mask.data != live).any()
    with_live.widget.predict.cancel.click()
    with_live.wait()
    click(with_live)
    np.testing.assert_array_equal(with_live.mask.data, live)


@pytest.mark.slow
def test_a_failed_training_leaves_both(
    with_live: Docked, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("the disk is gone")
        yield

    click(with_live)
    before = with_live.mask.data.copy()
    click(with_live)
    live = with_live.mask.data.copy()
    monkeypatch.setattr("unet_engine.training.rounds.train_round", fail)
    with_live.fine_tune()
    assert "Failed" in with_live.widget.fine_tune.text.text()
    np.testing.assert_array_equal(with_live.mask.data, live)
    click(with_live)
    np.testing.assert_array_equal(with_live.mask.data, before)


@pytest.mark.slow
@pytest.mark.usefixtures("improving")
def test_after_fine_tune_the_mask_of_live_is_the_one_before(with_live: Docked):
    live = with_live.mask.data.copy()
    with_live.fine_tune()
    row = row_of(with_live)
    assert row.text.text() == "Mask: tiny-ft"
    assert row.toggle.text() == f"Before: Live, 2 strokes ({KEY})"
    click(with_live)
    np.testing.assert_array_equal(with_live.mask.data, live)


@pytest.mark.slow
def test_no_exchange_while_objects_are_made(with_live: Docked):
    live = with_live.mask.data.copy()
    with_live.widget.workspace.begin("objects")
    assert not row_of(with_live).toggle.isEnabled()
    row_of(with_live).exchange()
    np.testing.assert_array_equal(with_live.mask.data, live)
    with_live.widget.workspace.end()
    assert row_of(with_live).toggle.isEnabled()


@pytest.mark.slow
def test_nothing_is_exchanged_under_a_brush(with_live: Docked):
    with with_live.mask.block_history():
        with_live.mask.paint((100, 50), 1)
        drawn = with_live.mask.data.copy()
        row_of(with_live).exchange()
        np.testing.assert_array_equal(with_live.mask.data, drawn)

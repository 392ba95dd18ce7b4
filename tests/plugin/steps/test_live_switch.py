"""The switch "Live": a stroke changes the mask on screen within a moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live_strokes import begin, learned, settle, stroke, truth_of
from other_packages import OtherNetwork, pack
from scipy.special import expit

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked


pytestmark = pytest.mark.usefixtures("filters_alone")


@pytest.fixture
def painted(dock: Docked, halves: np.ndarray) -> Docked:
    """An empty mask on an image that is seen as a whole, Live switched on."""
    begin(dock, halves)
    return dock


def test_a_stroke_of_each_class_fills_the_view(painted: Docked, halves: np.ndarray):
    stroke(painted, 60, 30, 0)
    settle(painted)
    assert painted.widget.live.text.text() == (
        "Live: paint a stroke of another class too."
    )
    assert not painted.mask.data.any()
    stroke(painted, 60, 160, 1)
    settle(painted)
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85
    assert painted.widget.live.text.text().startswith("Live: 2 strokes, ")


@pytest.mark.slow
def test_strokes_without_data_are_left_out_with_a_note_in_the_line(
    dock: Docked, halves: np.ndarray
):
    image = halves.astype(np.float32)
    image[:, :30] = np.nan
    begin(dock, image)
    stroke(dock, 60, 60, 0)
    stroke(dock, 60, 150, 1)
    settle(dock)
    assert "without data" not in dock.widget.live.text.text()
    stroke(dock, 60, 10, 1)
    settle(dock)
    assert "labelled pixels without data" in dock.widget.live.text.text()
    untouched = dock.mask.data[:40, :25]
    assert not untouched.any(), "what has no data is background"
    dock.mask.undo()
    settle(dock)
    assert "without data" not in dock.widget.live.text.text()


@pytest.mark.slow
def test_what_is_touched_stays_and_undo_predicts_anew(
    painted: Docked, halves: np.ndarray
):
    learned(painted)
    stroke(painted, 20, 150, 0)
    settle(painted)
    touched = painted.widget.workspace.working_image.annotations.touched(())
    assert (painted.mask.data[20:48, 150] == 0).all()
    assert touched[20:48, 150].all()
    painted.mask.undo()
    settle(painted)
    assert painted.widget.live.text.text().startswith("Live: 2 strokes, ")
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85
    painted.mask.redo()
    settle(painted)
    assert (painted.mask.data[20:48, 150] == 0).all()
    # Nothing that Live drew is a step of its own.
    for _ in range(3):
        painted.mask.undo()
    settle(painted)
    assert not painted.counts
    assert "two classes" in painted.widget.live.text.text()


def test_nothing_is_predicted_while_it_is_off(painted: Docked):
    painted.widget.live.switch.value = False
    learned(painted)
    assert painted.mask.data.sum() == painted.counts[1]
    assert painted.widget.live.text.text() == ""
    painted.widget.live.switch.value = True
    settle(painted)
    assert painted.mask.data.sum() > 5 * painted.counts[1]


def test_nothing_runs_while_nothing_happens(painted: Docked):
    learned(painted)
    names = [thread.name for thread in threading.enumerate()]
    assert "napari-unet" not in names
    assert painted.widget.live.live._job is None


@pytest.mark.slow
def test_what_comes_into_view_is_predicted(dock: Docked):
    image = np.random.default_rng(0).integers(20, 60, (600, 600)).astype(np.uint8)
    image[:, 100:200] += 120
    image[:, 450:550] += 120
    begin(dock, image)
    learned(dock)
    assert not dock.mask.data[450:, 450:].any(), "out of the viewport"
    camera_of(dock.viewer).center = (0, 520, 520)
    dock.bot.waitUntil(lambda: dock.mask.data[520:, 460:540].any(), timeout=60_000)
    settle(dock)
    assert dock.mask.data[480:560, 460:540].mean() > 0.7


def test_slices_of_a_stack_are_predicted_when_they_are_turned_to(
    dock: Docked, halves: np.ndarray
):
    stack = np.stack([halves, halves[:, ::-1], halves])
    begin(dock, stack)
    dock.viewer.dims.set_current_step(0, 0)
    settle(dock)
    learned(dock)
    assert not dock.mask.data[1].any()
    dock.viewer.dims.set_current_step(0, 1)
    dock.bot.waitUntil(lambda: dock.mask.data[1].any(), timeout=60_000)
    settle(dock)
    assert np.mean(dock.mask.data[1] == truth_of(halves)[:, ::-1]) > 0.85
    assert not dock.mask.data[2].any()


@pytest.mark.slow
def test_strokes_on_other_images_are_learned_from_too(
    painted: Docked, halves: np.ndarray
):
    learned(painted)
    layer = painted.viewer.add_image(halves[::-1])
    painted.widget.predict.form.image.value = layer
    painted.widget.correct.empty.click()
    settle(painted)
    assert not painted.counts
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85


def test_a_prediction_has_precedence_and_stays_until_the_next_stroke(painted: Docked):
    learned(painted)
    painted.predict()
    settle(painted)
    predicted = painted.mask.data.copy()
    camera_of(painted.viewer).center = (0, 70, 90)
    painted.bot.wait(200)
    settle(painted)
    np.testing.assert_array_equal(painted.mask.data, predicted)
    stroke(painted, 100, 170, 1)
    settle(painted)
    assert (painted.mask.data != predicted).any()


def test_a_stroke_during_another_run_is_learned_afterwards(
    painted: Docked, halves: np.ndarray
):
    stroke(painted, 60, 30, 0)
    settle(painted)
    painted.widget.workspace.begin("objects")
    stroke(painted, 60, 160, 1)
    painted.bot.wait(100)
    assert not painted.widget.live.live.running
    painted.widget.workspace.end()
    settle(painted)
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85


@pytest.mark.slow
def test_tiles_wait_for_the_end_of_a_stroke(painted: Docked):
    learned(painted)
    live = painted.widget.live.live
    with painted.mask.block_history():
        painted.mask.paint((100, 50), 1)
        live._on_touched([])
        painted.bot.waitUntil(lambda: bool(live._state.waiting), timeout=60_000)
        assert painted.mask.data[100, 50] == 1
    settle(painted)
    assert painted.mask.data[100, 50] == 1


@pytest.mark.parametrize("lost", ["image", "mask"])
def test_layers_may_go_in_the_midst(painted: Docked, lost: str, notices: list[str]):
    stroke(painted, 60, 30, 0)
    stroke(painted, 60, 160, 1)
    live = painted.widget.live.live
    painted.bot.waitUntil(lambda: live.running, timeout=10_000)
    layer = painted.widget.workspace.layer if lost == "image" else painted.mask
    painted.viewer.layers.remove(layer)
    settle(painted)
    assert live.on
    assert "empty mask" in painted.widget.live.text.text()
    assert not [line for line in notices if "error" in line.lower()]


@pytest.mark.slow
def test_a_closed_dock_leaves_the_camera_alone(real_dock: Docked, halves: np.ndarray):
    begin(real_dock, halves)
    learned(real_dock)
    stroke(real_dock, 20, 150, 0)
    camera = camera_of(real_dock.viewer).events.center
    before = len(camera.callbacks)
    mask = real_dock.mask
    real_dock.viewer.window.remove_dock_widget(real_dock.widget.parent())
    real_dock.widget.deleteLater()
    real_dock.bot.waitUntil(lambda: len(camera.callbacks) < before, timeout=10_000)
    camera_of(real_dock.viewer).center = (0, 10, 10)
    mask.paint((10, 10), 1)


@pytest.mark.slow
def test_an_error_is_shown_in_the_line_and_not_in_a_window(
    painted: Docked, monkeypatch: pytest.MonkeyPatch, notices: list[str]
):
    from unet_engine.errors import DataError
    from unet_engine.interactive.learner import InstantLearner

    def fail(*_: Any) -> None:
        raise DataError("the strokes are of an image of another size")

    monkeypatch.setattr(InstantLearner, "learn", fail)
    learned(painted)
    assert painted.widget.live.text.text() == (
        "Live: the strokes are of an image of another size"
    )
    assert not notices


@pytest.mark.slow
@pytest.mark.parametrize("start", ["general", "nuclei"])
def test_a_network_adds_features(
    dock: Docked, halves: np.ndarray, monkeypatch: pytest.MonkeyPatch, start: str
):
    if start == "general":
        monkeypatch.setattr("unet_engine.models.starting._PLANES", start)
    else:
        dock.widget.select_model(start)
    begin(dock, halves)
    learned(dock)
    assert dock.widget.live.live.session._extractor.channels == 1
    assert np.mean(dock.mask.data == truth_of(halves)) > 0.8


# The library leaves its files open.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_beside_a_network_of_another_program_it_learns_without_it(
    dock: Docked, halves: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from unet_engine.model_packages.importing import import_package

    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "cache"))
    image = np.random.default_rng(0).normal(0, 1, (1, 24, 24))
    package = pack(OtherNetwork(), tmp_path / "other", image, image, expit)
    store = dock.widget.workspace.store
    dock.widget.select_model(import_package(store, package).name)
    begin(dock, halves)
    learned(dock)
    assert dock.widget.live.text.text().startswith("Live: 2 strokes, ")
    assert np.mean(dock.mask.data == truth_of(halves)) > 0.85

"""Step 1: predictions of all kinds of layers, and what can go wrong meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest

from napari_unet.jobs import prediction as _runs
from napari_unet.steps.predict.form import THIS_SLICE
from unet_engine.prediction.config import PredictConfig
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked
    from napari.layers import Image as ImageLayer


def whole_prediction(docked: Docked, image: np.ndarray, axes: str, **kw: Any) -> Any:
    """The prediction of the engine without the plugin."""
    from unet_engine.images import Image
    from unet_engine.prediction.segmentation import predict

    checkpoint = docked.widget.workspace.store.load("tiny")
    return predict(Image.from_array(image, axes, **kw), checkpoint).labels


def test_opening_the_dock_offers_image_and_model(dock: Docked, plane: Any) -> None:
    layer = dock.viewer.add_image(plane, name="cells")
    form = dock.widget.predict.form
    assert form.image.value is layer
    assert form.picker.model.value.name == "tiny"
    assert "cell" in form.picker.text.text()


def test_predict_adds_the_mask_the_engine_predicts(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    dock.predict()
    assert dock.mask.name == "cells mask"
    np.testing.assert_array_equal(dock.mask.data, whole_prediction(dock, plane, "YX"))
    assert dock.widget.predict.predict.isEnabled()
    assert not dock.widget.predict.cancel.isEnabled()
    assert "1 tile" in dock.widget.predict.text.text()


@pytest.mark.slow
def test_a_second_prediction_updates_the_same_layer(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane)
    dock.predict()
    first, data = dock.mask, dock.mask.data
    dock.predict()
    assert dock.mask is first
    assert dock.mask.data is data
    assert len(dock.viewer.layers) == 2


def test_the_mask_lies_where_the_image_lies(dock: Docked, plane: Any) -> None:
    stack = np.stack([plane] * 3)
    image = dock.viewer.add_image(
        stack,
        scale=(2, 0.5, 0.5),
        translate=(1, -20, 30),
        rotate=[[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]],
        shear=(0, 0, 0.1),
        affine=np.diag([1, 3, 1, 1]),
        units=("um", "um", "um"),
    )
    dock.predict()
    corners = np.array(list(np.ndindex(2, 2, 2))) * (2, 95, 95)
    for corner in corners:
        np.testing.assert_allclose(
            dock.mask.data_to_world(corner), image.data_to_world(corner)
        )
    assert dock.mask.units == image.units


def test_stack_of_slices(dock: Docked, plane: Any) -> None:
    stack = np.stack([plane, plane[::-1], plane.T])
    dock.viewer.add_image(stack)
    dock.predict()
    np.testing.assert_array_equal(dock.mask.data, whole_prediction(dock, stack, "ZYX"))


def test_this_slice_only(dock: Docked, plane: Any) -> None:
    stack = np.stack([plane, plane[::-1], plane.T])
    dock.viewer.add_image(stack)
    dock.viewer.dims.set_current_step(0, 1)
    dock.widget.show()
    dock.widget.predict.form.scope.value = THIS_SLICE
    dock.predict()
    whole = whole_prediction(dock, stack, "ZYX")
    np.testing.assert_array_equal(dock.mask.data[1], whole[1])
    assert not dock.mask.data[[0, 2]].any()


def test_channels_of_a_two_channel_model(
    dock: Docked, plane: Any, add_model: Callable[..., Any]
) -> None:
    add_model("two", in_channels=2)
    dock.widget.select_model("two")
    dock.viewer.add_image(np.stack([plane, plane[::-1]]))
    assert dock.widget.predict.form.axes.value.axes == "CYX"
    dock.predict()
    assert dock.mask.data.shape == (96, 96)


@pytest.mark.slow
def test_channels_between_slices_and_rows(
    dock: Docked, plane: Any, add_model: Callable[..., Any]
) -> None:
    add_model("two", in_channels=2)
    dock.widget.select_model("two")
    stack = np.stack([np.stack([plane, plane[::-1]])] * 3)
    image = dock.viewer.add_image(stack, axis_labels=("z", "c", "y", "x"))
    assert dock.widget.predict.form.axes.value.axes == "ZCYX"
    dock.predict()
    assert dock.mask.data.shape == (3, 1, 96, 96)
    # It is seen over every channel, at the slice it belongs to.
    for channel in (0, 1):
        world = image.data_to_world((2, channel, 7, 9))
        found = np.round(dock.mask.world_to_data(world)).astype(int)
        assert tuple(found) == (2, 0, 7, 9)


@pytest.mark.slow
def test_rgb(dock: Docked, plane: Any, add_model: Callable[..., Any]) -> None:
    add_model("colour", in_channels=3)
    dock.widget.select_model("colour")
    dock.viewer.add_image(np.stack([plane, plane, plane[::-1]], axis=-1), rgb=True)
    dock.predict()
    assert dock.mask.data.shape == (96, 96)


def test_multiscale_is_predicted_at_its_finest_level(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image([plane, plane[::2, ::2]], multiscale=True)
    dock.predict()
    np.testing.assert_array_equal(dock.mask.data, whole_prediction(dock, plane, "YX"))


def test_dask_is_read_piece_by_piece(dock: Docked) -> None:
    read: list[tuple[int, ...]] = []

    def block(block_info: Any = None) -> np.ndarray:
        place = block_info[None]["chunk-location"]
        read.append(place)
        return np.full((1, 64, 64), 7 * (1 + place[0]), np.uint8)

    stack = da.map_blocks(block, chunks=((1,) * 4, (64,), (64,)), dtype=np.uint8)
    dock.viewer.add_image(stack, contrast_limits=(0, 50), cache=False)
    dock.predict()
    assert dock.mask.data.shape == (4, 64, 64)
    assert isinstance(dock.viewer.layers[0].data, da.Array)


def test_probability_layer(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    dock.widget.predict.form.probability.value = True
    dock.predict()
    dock.predict()
    names = [layer.name for layer in dock.viewer.layers]
    assert names.count("cells cell probability") == 1
    probability = dock.viewer.layers["cells cell probability"].data
    np.testing.assert_array_equal(probability > 0.5, dock.mask.data == 1)
    assert dock.widget.predict.form.image.value.name == "cells"


def test_no_image(dock: Docked, notices: list[str]) -> None:
    dock.widget.predict.predict.click()
    assert "there is no image" in notices[0]
    assert dock.widget.predict.predict.isEnabled()


def test_no_model(dock: Docked, plane: Any, notices: list[str]) -> None:
    dock.viewer.add_image(plane)
    dock.widget.workspace.choose_model(None)
    dock.widget.predict.predict.click()
    assert "no model" in notices[0]
    assert not dock.widget.workspace.busy


def test_wrong_channel_count(
    dock: Docked, plane: Any, add_model: Callable[..., Any], notices: list[str]
) -> None:
    add_model("four", in_channels=4)
    dock.widget.select_model("four")
    dock.viewer.add_image(plane)
    dock.predict()
    assert any("the model takes 4" in message for message in notices)
    assert dock.widget.predict.predict.isEnabled()


def test_runtime_error_in_the_worker_gives_the_buttons_back(
    dock: Docked, plane: Any, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")
        yield

    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", fail)
    dock.viewer.add_image(plane)
    dock.predict()
    assert any("device-side assert" in message for message in notices)
    assert dock.widget.predict.predict.isEnabled()
    assert dock.widget.predict.form.isEnabled()


@pytest.fixture
def slow_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next prediction wait after each tile until it is stopped."""
    real = _runs.predict_run

    def slow(order: Any, workspace: Any, stop: Any) -> Any:
        monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", real)
        run = real(order, workspace, stop)
        while True:
            try:
                yield next(run)
            except StopIteration as end:
                return end.value
            for _ in range(500):
                if stop():
                    break
                time.sleep(0.01)

    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", slow)


def start(docked: Docked, plane: Any) -> ImageLayer:
    """Start to predict a stack and wait for the first tile."""
    layer = docked.viewer.add_image(np.stack([plane] * 3), name="stack")
    section = docked.widget.predict
    section.predict.click()
    docked.bot.waitUntil(lambda: section.progress.value() > 0, timeout=30_000)
    return layer


@pytest.fixture
def running(dock: Docked, plane: Any, slow_tiles: None) -> ImageLayer:
    """A stack that is being predicted, after its first tile."""
    return start(dock, plane)


@pytest.mark.parametrize("last", ["tile", "lost line"])
def test_what_came_last_is_shown_of_tiles_and_a_lost_line(
    dock: Docked, plane: Any, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    real, shown = _runs.predict_run, threading.Event()

    def breaking(order: Any, workspace: Any, stop: Any) -> Any:
        tile, *_ = real(order, workspace, stop)
        lost = Reconnecting(
            device="tcp://gpu:8786", seconds=20.0, done=tile.done, total=9
        )
        # Delivered together, as they are within a few milliseconds.
        yield from (tile, lost) if last == "lost line" else (lost, tile)
        while not (shown.wait(0.01) or stop()):
            pass

    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", breaking)
    dock.viewer.add_image(plane, name="cells")
    section = dock.widget.predict
    section.predict.click()
    wanted = (
        "Tile 1"
        if last == "tile"
        else ("The connection to tcp://gpu:8786 was lost; trying again for 20 s…")
    )
    dock.bot.waitUntil(lambda: section.text.text().startswith(wanted), timeout=30_000)
    assert section.progress.value() == 1
    shown.set()
    dock.wait()


def test_cancel_keeps_finished_tiles(dock: Docked, running: ImageLayer) -> None:
    assert dock.widget.predict.cancel.isEnabled()
    assert not dock.widget.predict.predict.isEnabled()
    dock.widget.predict.cancel.click()
    dock.wait()
    assert "Stopped" in dock.widget.predict.text.text()
    assert dock.widget.predict.predict.isEnabled()


@pytest.mark.slow
def test_image_deleted_during_the_run(
    dock: Docked, running: ImageLayer, notices: list[str]
) -> None:
    dock.viewer.layers.remove(running)
    dock.wait()
    assert dock.widget.predict.predict.isEnabled()
    assert dock.widget.predict.text.text() == f"Stopped: {running.name!r} was deleted."
    assert not [m for m in notices if m.startswith("error")]


@pytest.mark.slow
def test_mask_deleted_during_the_run(dock: Docked, running: ImageLayer) -> None:
    name = dock.mask.name
    dock.viewer.layers.remove(dock.mask)
    dock.wait()
    assert dock.mask is None
    assert dock.widget.predict.predict.isEnabled()
    assert dock.widget.predict.text.text() == f"Stopped: {name!r} was deleted."


@pytest.mark.slow
def test_a_mask_that_becomes_another_thing_ends_the_run(
    dock: Docked, running: ImageLayer
) -> None:
    dock.mask.data = np.zeros((9, 9), np.uint8)
    dock.wait()
    assert dock.mask is None
    assert "shows something else now" in dock.widget.predict.text.text()


def test_all_layers_deleted_during_the_run(
    dock: Docked, running: ImageLayer, plane: Any, notices: list[str]
) -> None:
    dock.mask.paint((0, 10, 10), 1)
    painted = dock.counts
    dock.viewer.layers.clear()
    dock.wait()
    assert dock.widget.predict.text.text().startswith("Stopped: ")
    assert not [m for m in notices if m.startswith("error")]
    dock.viewer.add_image(running.data, name=running.name)
    dock.bot.waitUntil(lambda: not dock.widget.reopening.busy)
    assert dock.counts == painted
    dock.predict()
    assert "tiles in" in dock.widget.predict.text.text()


def test_data_changed_during_the_run(dock: Docked, running: ImageLayer) -> None:
    stale = dock.mask
    running.data = np.zeros((2, 64, 64), np.uint8)
    dock.wait()
    assert "shows another image now" in dock.widget.predict.text.text()
    assert dock.widget.workspace.working_image is None
    assert stale in dock.viewer.layers
    dock.predict()
    assert dock.mask is not stale
    assert dock.mask.data.shape == (2, 64, 64)


@pytest.mark.slow
def test_viewer_closed_during_the_run(
    real_dock: Docked, plane: Any, slow_tiles: None
) -> None:
    start(real_dock, plane)
    thread = real_dock.widget.predict._job._thread
    real_dock.viewer.close()
    real_dock.bot.waitUntil(lambda: not thread.is_alive(), timeout=10_000)


@pytest.mark.slow
def test_dock_closed_during_the_run(
    real_dock: Docked, plane: Any, slow_tiles: None
) -> None:
    start(real_dock, plane)
    thread = real_dock.widget.predict._job._thread
    real_dock.viewer.window.remove_dock_widget(real_dock.widget)
    real_dock.widget.deleteLater()
    real_dock.bot.waitUntil(lambda: not thread.is_alive(), timeout=10_000)
    real_dock.viewer.add_image(np.zeros((8, 8)))


def test_open_model_file(dock: Docked, add_model: Any, tmp_path: Any) -> None:
    store = dock.widget.workspace.store
    path = tmp_path / "from a friend.safetensors"
    store.load("tiny").save(path)
    dock.widget.predict.form.picker.open_model(str(path))
    assert dock.widget.predict.form.picker.model.value.name == "from a friend"
    assert "from a friend" in store.names()


def test_open_what_is_no_model(dock: Docked, notices: list[str], tmp_path: Any) -> None:
    path = tmp_path / "notes.safetensors"
    path.write_text("not a model")
    dock.widget.predict.form.picker.open_model(str(path))
    assert "no model file" in notices[0]
    assert dock.widget.predict.form.picker.model.value.name == "tiny"


@pytest.mark.slow
def test_opening_the_dock_and_painting_imports_no_torch() -> None:
    script = (
        "import sys, napari_unet.dock, napari_unet.jobs.prediction,"
        " napari_unet.contributions.model_reader;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 40), np.uint8),
        np.zeros((3, 3), np.uint16),
        np.full((40, 40), 7.0, np.float32),
        np.where(np.eye(40, dtype=bool), np.nan, 0.5),
        np.where(np.eye(40, dtype=bool), np.inf, -1.0),
        np.eye(40, dtype=bool),
        np.eye(40, dtype=np.uint16) + 32768,
    ],
    ids=["1xN", "3x3", "constant", "nan", "inf", "bool", "offset"],
)
def test_odd_images(dock: Docked, image: np.ndarray, notices: list[str]) -> None:
    dock.viewer.add_image(image, contrast_limits=(0, 1))
    dock.predict()
    assert dock.mask.data.shape == image.shape
    assert not [message for message in notices if message.startswith("error")]


@pytest.mark.slow
def test_what_a_prediction_will_do_is_shown_before(
    dock: Docked, plane: Any, add_model: Callable[..., Any]
) -> None:
    text = dock.widget.predict.text
    assert text.text().startswith("Open an image to begin")
    dock.viewer.add_image(np.stack([plane] * 3))
    assert "3 planes of 96 x 96 pixels" in text.text()
    dock.predict()
    dock.viewer.add_labels(np.zeros((9, 9), np.uint8))
    assert "3 tiles in" in text.text(), "another layer does not wipe the result"
    add_model("four", in_channels=4)
    dock.widget.select_model("four")
    assert "the model takes 4" in text.text()


def test_tiles_and_the_mean_over_flips_are_advanced_settings(
    dock: Docked, plane: Any
) -> None:
    from unet_engine.images import Image
    from unet_engine.prediction.segmentation import predict

    form, text = dock.widget.predict.form, dock.widget.predict.text
    assert not form.settings.native.isVisible()
    dock.viewer.add_image(plane)
    assert "1 tile " in text.text()
    form.settings["tile"].value = 32
    assert "9 tiles " in text.text(), "what it means is shown before"
    form.probability.value = True
    form.settings["average_flips"].value = "on"
    dock.predict()
    config = PredictConfig(tile=32, probabilities=True, average_flips="on")
    assert form.config == config
    checkpoint = dock.widget.workspace.store.load("tiny")
    found = predict(Image.from_array(plane, "YX"), checkpoint, config)
    (layer,) = (each for each in dock.viewer.layers if "probability" in each.name)
    np.testing.assert_allclose(layer.data, found.probabilities[1], atol=1e-6)


def test_training_runs_on_the_device_of_step_1(dock: Docked) -> None:
    dock.widget.predict.form.device.value = "cpu"
    assert dock.widget.predict.form.config.device == "cpu"
    assert dock.widget.fine_tune.config.device == "cpu"


def test_a_device_that_is_not_there(
    dock: Docked, plane: Any, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    dock.viewer.add_image(plane)
    dock.widget.predict.form.device.value = "cuda"
    dock.predict()
    assert any(m.startswith("error") and "cuda" in m for m in notices)
    assert dock.widget.predict.predict.isEnabled()


def test_refresh_reports_damaged_files(
    dock: Docked, notices: list[str], add_model: Callable[..., Any]
) -> None:
    store = dock.widget.workspace.store
    (store.root / "half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    add_model("new")
    picker = dock.widget.predict.form.picker
    picker.actions_by_name["refresh"].trigger()
    assert "new" in [name for name, _ in picker._choices(None)]
    assert "half.safetensors is left out" in notices[0]

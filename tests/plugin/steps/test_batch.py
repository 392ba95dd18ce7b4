"""The window of a batch: the same files as the command, pause, failures, the plot."""

from __future__ import annotations

import shlex
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from skimage.draw import disk

from napari_unet.jobs.batch import batch_run
from unet_engine.batch import ImageDone
from unet_engine.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked

    from napari_unet.steps.batch.dialog import BatchDialog


@pytest.fixture(autouse=True)
def _readers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as napari's reader does where no window has made napari find it."""

    def read(path: str) -> tuple[list[Any], str]:
        return [(tifffile.imread(path), {}, "image")], "napari"

    if "real_dock" not in request.fixturenames:
        monkeypatch.setattr("napari_unet.viewer.reading.read_with_plugin", read)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two conditions of two images with discs each."""
    for number, name in enumerate(("control/a", "control/b", "treated/a", "treated/b")):
        pixels = np.full((80, 96), 20, np.uint8)
        for y, x in ((20, 20), (50, 30 + 5 * number), (30, 70)):
            pixels[disk((y, x), 9 + number)] = 200
        path = tmp_path / "images" / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, pixels)
    return tmp_path / "images"


@pytest.fixture
def batch(dock: Docked, folder: Path, tmp_path: Path) -> BatchDialog:
    """The dialog, with the images in the list and a folder for results, on screen."""
    dock.widget.select_model("nuclei")
    dock.widget.workspace.device = "cpu"
    dock.widget.predict.form.device.value = "cpu"
    dock.widget.resize(330, 720)
    dock.widget.show()
    images = dock.widget.images
    images.add_paths([folder / "control", folder / "treated"])
    dock.bot.waitUntil(lambda: not images.busy, timeout=20_000)
    images.section.expand()
    QTest.mouseClick(images.apply, Qt.MouseButton.LeftButton)
    dialog = dock.widget.open_batch()
    dialog.form.choose_out(tmp_path / "out")
    return dialog


def click(button: Any) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def finish(dock: Docked, dialog: BatchDialog) -> None:
    dock.bot.waitUntil(lambda: not dialog.running, timeout=120_000)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files but the records, by their names."""
    files = {p.relative_to(folder): p for p in folder.rglob("*") if p.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in files.items()
        if not name.parts[0].startswith(".")
    }


def results_in(dialog: BatchDialog) -> list[str]:
    model = dialog.rows.model()
    return [model.data(model.index(row, 1)) for row in range(model.rowCount())]


@pytest.mark.slow
def test_the_window_writes_the_same_bytes_as_the_command(
    dock: Docked, batch: BatchDialog, folder: Path, tmp_path: Path
):
    dock.widget.workspace.object_size = 20.0
    dock.widget.objects.form.min_size.value = 25
    click(batch.start_button)
    assert not batch.form.isEnabled() and not batch.start_button.isEnabled()
    finish(dock, batch)
    assert "4 of 4 images done" in batch.text.text()
    assert all("object" in result for result in results_in(batch))
    words = [*(str(folder / name) for name in ("control", "treated"))]
    words += ["-o", str(tmp_path / "cli"), "--device=cpu", "--object-size=20"]
    assert main(["batch", *words, "--min-size=25"]) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "cli")
    assert len(contents(tmp_path / "out")) == 2 * 4 + 2


@pytest.mark.slow
def test_a_failed_image_is_listed_and_the_rest_is_done(
    dock: Docked, batch: BatchDialog, folder: Path
):
    broken = folder / "control" / "b.tif"
    broken.write_bytes(b"II*\0 is no image")
    click(batch.start_button)
    finish(dock, batch)
    assert "3 of 4 images done, 1 failed" in batch.text.text()
    assert results_in(batch)[1].startswith("failed: cannot be read")
    click(batch.only_failed)
    hidden = [batch.rows.isRowHidden(row) for row in range(4)]
    assert hidden == [True, False, True, True]
    batch.rows.doubleClicked.emit(batch.rows.model().index(1, 0))
    assert str(broken) in batch.text.text()


def test_a_device_that_is_not_there_is_named_once_and_the_batch_goes_on_later(
    dock: Docked, batch: BatchDialog
):
    dock.widget.workspace.device = "cuda:99"
    click(batch.start_button)
    finish(dock, batch)
    assert "'cuda:99' is not usable on this machine" in batch.text.text()
    assert results_in(batch) == ["not done"] * 4
    assert not batch.rows.rows.failed
    dock.widget.workspace.device = "cpu"
    click(batch.start_button)
    finish(dock, batch)
    assert "4 of 4 images done" in batch.text.text()


@pytest.mark.slow
def test_a_batch_is_held_stopped_and_goes_on(
    dock: Docked, batch: BatchDialog, monkeypatch: pytest.MonkeyPatch
):
    click(batch.start_button)
    dock.bot.waitUntil(lambda: batch._finished_images >= 1, timeout=60_000)
    click(batch.pause_button)
    assert batch.pause_button.text() == "Go on"
    dock.bot.wait(300)
    held = batch._finished_images
    dock.bot.wait(300)
    assert batch._finished_images == held < 4
    click(batch.stop_button)
    finish(dock, batch)
    assert "Stopped" in batch.text.text()
    assert batch.pause_button.text() == "Pause"
    click(batch.start_button)
    finish(dock, batch)
    assert "finished before" in batch.text.text()
    assert sum(result.endswith("as before") for result in results_in(batch)) >= held


@pytest.mark.slow
def test_a_held_batch_does_nothing_until_it_goes_on(dock: Docked, batch: BatchDialog):
    hold, stop = threading.Event(), threading.Event()
    order = batch.order()
    run = batch_run(order, dock.widget.workspace, hold.is_set, stop.is_set)
    for event in run:
        if isinstance(event, ImageDone):
            break
    hold.set()
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.extend(run))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive() and not seen
    hold.clear()
    thread.join(60)
    assert sum(isinstance(event, ImageDone) for event in seen) == 3


@pytest.mark.slow
def test_a_click_on_a_point_shows_its_object(
    dock: Docked, batch: BatchDialog, tmp_path: Path
):
    click(batch.start_button)
    finish(dock, batch)
    dock.bot.waitUntil(batch.plot.isVisible, timeout=20_000)
    measured = batch.plot._objects
    row = next(n for n, f in enumerate(measured.keys["file"]) if f == "treated/b.tif")
    dock.bot.wait(200)
    graphics = batch.plot._graphics
    there = batch.plot.plot.vb.mapViewToScene(batch.plot.points.points()[row].pos())
    place = graphics.mapFromScene(there)
    chosen: list[int] = []
    batch.plot.chosen.connect(chosen.append)
    QTest.mouseClick(graphics.viewport(), Qt.MouseButton.LeftButton, pos=place)
    dock.bot.waitUntil(lambda: "is in the middle" in batch.text.text(), timeout=20_000)
    shown = chosen[0]
    file, label = measured.keys["file"][shown], int(measured.keys["label"][shown])
    ids = tifffile.imread(tmp_path / "out" / f"{file.removesuffix('.tif')}_objects.tif")
    layer = dock.viewer.layers["objects of the batch"]
    np.testing.assert_array_equal(layer.data, ids)
    assert layer.selected_label == label
    centre = [np.mean(axis) for axis in np.nonzero(ids == label)]
    np.testing.assert_allclose(dock.viewer.scene.camera.center[-2:], centre, atol=1e-3)
    assert dock.widget.workspace.layer.source.path.endswith(file.split("/")[1])


def test_columns_of_points_are_conditions_or_images(dock: Docked, batch: BatchDialog):
    click(batch.start_button)
    finish(dock, batch)
    dock.bot.waitUntil(batch.plot.isVisible, timeout=20_000)

    def columns() -> int:
        return len(np.unique(np.round(batch.plot.points.getData()[0])))

    assert batch.plot.measurement.currentText() == "area (px)"
    assert columns() == 2
    batch.plot.grouping.setCurrentText("by image")
    batch.plot._draw()
    assert columns() == 4
    values = batch.plot._objects.values
    batch.plot.measurement.setCurrentText("mean intensity")
    batch.plot._on_measurement()
    dock.bot.waitUntil(
        lambda: batch.plot._objects.measurement == "mean intensity", timeout=20_000
    )
    assert not np.array_equal(batch.plot._objects.values, values)


def test_what_is_missing_is_named(dock: Docked, batch: BatchDialog, tmp_path: Path):
    for switch in (batch.form.masks, batch.form.objects, batch.form.table):
        click(switch)
    click(batch.start_button)
    assert "choose masks, objects or the table" in batch.text.text()
    click(batch.form.table)
    batch.form.images.setCurrentIndex(batch.form.images.count() - 1)
    click(batch.start_button)
    assert "choose one at Images" in batch.text.text()
    (tmp_path / "empty").mkdir()
    batch.form.choose_folder(tmp_path / "empty")
    click(batch.start_button)
    finish(dock, batch)
    assert "holds no image file" in batch.text.text()
    dock.widget.workspace.refresh_models()
    assert batch.start_button.isEnabled()


def test_accepted_images_alone(dock: Docked, batch: BatchDialog):
    listed = dock.widget.workspace.listed
    listed.set_state(listed.entries[1].path, "accepted")
    names = [batch.form.images.itemText(n) for n in range(batch.form.images.count())]
    assert names == ["all of the list (4)", "accepted of the list (1)", "a folder…"]
    batch.form.images.setCurrentIndex(1)
    assert [path.name for path in batch.form.sources()] == ["b.tif"]


def test_settings_of_the_dock_hold(dock: Docked, batch: BatchDialog):
    form = dock.widget.objects.form
    form.method.value = "keep"
    form.pixel_size.setText("0.5")
    dock.widget.predict.form.probability.value = True
    config = batch.order().config
    assert config.finding.method == "watershed"
    assert config.scale == (0.5, 0.5)
    assert not config.prediction.probabilities
    assert replace(config, scale=None) == replace(batch.order().config, scale=None)


@pytest.mark.slow
@pytest.mark.skipif("sys.platform == 'win32'", reason="its shell has rules of its own")
def test_the_copied_command_and_script_write_the_same_bytes(
    dock: Docked, batch: BatchDialog, tmp_path: Path
):
    batch.form.choose_out(tmp_path / "out")
    dock.widget.objects.form.merging.value = 0.35
    click(batch.start_button)
    finish(dock, batch)
    expected = contents(tmp_path / "out")
    batch.form.overwrite.setChecked(True)
    batch.copy.as_command.trigger()
    program, *words = shlex.split(QGuiApplication.clipboard().text())
    assert program == "napari-unet"
    shutil.rmtree(tmp_path / "out")
    assert main(words) == 0
    assert contents(tmp_path / "out") == expected
    batch.copy.as_python.trigger()
    shutil.rmtree(tmp_path / "out")
    exec(compile(QGuiApplication.clipboard().text(), "script", "exec"), {})
    assert contents(tmp_path / "out") == expected
    assert "Copied the Python script" in batch.text.text()

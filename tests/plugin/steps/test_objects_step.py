"""Step 4: objects of the mask as a layer with measurements, and as a table."""

from __future__ import annotations

import csv
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pytest
from napari.layers._source import layer_source
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_unet.dock import UNetWidget
from napari_unet.jobs import objects as _objects_run
from napari_unet.results.probabilities import ProbabilityLayers
from napari_unet.state import large_arrays
from napari_unet.steps.objects import section as _objects
from napari_unet.steps.objects.form import PLANES
from unet_engine.images import open_image
from unet_engine.objects import ObjectConfig, SemanticMask, label_objects
from unet_engine.outlines import OUTLINE_SUFFIXES, read_outlines
from unet_engine.prediction.events import TileDone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Docked
    from napari.layers import Labels


@pytest.fixture
def disks() -> np.ndarray:
    """A mask of two disks that touch, a third one, and a speck."""
    rows, columns = np.ogrid[:96, :96]
    mask = np.zeros((96, 96), np.uint8)
    for y, x in ((30, 25), (30, 47), (70, 60)):
        mask[(rows - y) ** 2 + (columns - x) ** 2 <= 12**2] = 1
    mask[5:7, 80:82] = 1
    return mask


def click(docked: Docked, button: Any) -> None:
    """Press a button with the mouse."""
    docked.bot.mouseClick(button, Qt.MouseButton.LeftButton)


def show_mask(docked: Docked, mask: np.ndarray, **image: Any) -> None:
    """Open an image, brighter in the objects, and paint a mask over it."""
    layer = docked.viewer.add_image(50 + 100 * mask, **{"name": "cells", **image})
    docked.widget.predict.form.image.value = layer
    click(docked, docked.widget.correct.empty)
    docked.mask.data = mask.copy()


def separate(docked: Docked) -> None:
    """Press Separate objects and wait for them."""
    click(docked, docked.widget.objects.separate)
    docked.wait()


def objects_layer(docked: Docked) -> Labels:
    layer: Labels = docked.viewer.layers["cells objects"]
    return layer


@pytest.fixture
def measured(dock: Docked, disks: np.ndarray) -> Docked:
    """A mask with pixels of half a micrometre whose objects were separated."""
    show_mask(dock, disks, scale=(0.5, 0.5), units=("um", "um"))
    separate(dock)
    return dock


def test_objects_are_a_layer_over_the_mask(measured: Docked, disks: Any) -> None:
    layer = objects_layer(measured)
    expected = label_objects(SemanticMask(classes=disks)).labels
    np.testing.assert_array_equal(layer.data, expected)
    assert layer.data.max() == 3, "touching disks are two, the speck is none"
    assert [each.name for each in measured.viewer.layers] == [
        "cells",
        "cells mask",
        "cells objects",
    ]
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    assert layer.units == measured.viewer.layers["cells"].units
    np.testing.assert_array_equal(measured.mask.data, disks)


def test_objects_are_above_the_touched_pixels_too(dock: Docked, disks: Any) -> None:
    show_mask(dock, disks)
    dock.widget.correct.touched.value = True
    separate(dock)
    names = [layer.name for layer in dock.viewer.layers]
    assert names == ["cells", "cells mask", "cells touched", "cells objects"]


def test_features_are_in_physical_units_and_under_the_mouse(measured: Docked) -> None:
    layer = objects_layer(measured)
    features = layer.features
    assert list(features["index"]) == [1, 2, 3]
    pixels = np.bincount(layer.data.ravel())[1:]
    np.testing.assert_array_equal(features["area (px)"], pixels)
    np.testing.assert_allclose(features["area (µm²)"], pixels / 4)
    np.testing.assert_allclose(features["mean intensity"], 150)
    assert list(features["class"]) == ["cell"] * 3
    status = layer.get_status((70 / 2, 60 / 2), world=True)["value"]
    assert status.startswith("3; class: cell, area (px): 441, area (µm²): 110")
    assert "3 objects, median area 1" in measured.widget.objects.summary.text()


def test_units_that_are_no_micrometres_are_converted(dock: Docked, disks: Any) -> None:
    show_mask(dock, disks, scale=(200, 100), units=("nm", "nm"))
    assert dock.widget.objects.form.pixel_size.text() == "0.2, 0.1"
    separate(dock)
    features = objects_layer(dock).features
    np.testing.assert_allclose(features["area (µm²)"], features["area (px)"] * 0.02)


def test_an_affine_transformation_counts(dock: Docked, disks: Any) -> None:
    turned = [[0, -2, 0], [2, 0, 0], [0, 0, 1]]
    show_mask(dock, disks, affine=turned, units=("um", "um"))
    assert dock.widget.objects.form.pixel_size.text() == "2"


def test_without_units_sizes_are_in_pixels_until_they_are_typed(
    dock: Docked, disks: Any
) -> None:
    show_mask(dock, disks)
    section = dock.widget.objects
    assert section.form.pixel_size.text() == ""
    separate(dock)
    assert not [name for name in objects_layer(dock).features if "µm" in name]
    assert section.summary.text().endswith(" px.")
    section.open()
    dock.bot.keyClicks(section.form.pixel_size, "0.25")
    separate(dock)
    features = objects_layer(dock).features
    np.testing.assert_allclose(features["area (µm²)"], features["area (px)"] / 16)


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["a", "0", "-1", "1, 2, 3", "inf", "nan"])
def test_what_is_no_size_is_reported(
    dock: Docked, disks: Any, notices: list[str], typed: str
) -> None:
    show_mask(dock, disks)
    dock.widget.objects.form.pixel_size.setText(typed)
    separate(dock)
    assert repr(typed) in notices[0]
    assert "cells objects" not in dock.viewer.layers
    assert dock.widget.objects.separate.isEnabled()


@pytest.mark.slow
def test_another_run_refreshes_the_same_layer(measured: Docked) -> None:
    layer = objects_layer(measured)
    measured.widget.objects.form.method.value = "components"
    separate(measured)
    assert objects_layer(measured) is layer
    assert layer.data.max() == len(layer.features) == 2
    assert len(measured.viewer.layers) == 3


def test_the_smallest_size_reads_auto_until_it_is_typed(dock: Docked) -> None:
    form = dock.widget.objects.form
    assert form.min_size.native.text() == "auto"
    form.min_size.value = 0
    assert form.min_size.native.text() == "0"
    assert form.config.min_size == 0


def test_the_form_is_the_configuration(dock: Docked) -> None:
    form = dock.widget.objects.form
    assert form.config == ObjectConfig()
    form.method.value = "components"
    form.min_size.value = 5
    form.fill_holes.value, form.settings["connectivity"].value = False, "full"
    assert form.config == ObjectConfig(
        method="components", min_size=5, fill_holes=False, connectivity="full"
    )


def test_what_was_corrected_by_hand_is_measured_and_never_replaced(
    measured: Docked,
) -> None:
    section, layer = measured.widget.objects, objects_layer(measured)
    layer.data_setitem(np.nonzero(layer.data == 2), 1)
    assert "You changed the objects" in section.objects.outdated
    merged = layer.data.copy()
    section.form.method.value = "keep"
    assert section.separate.text() == "Measure objects"
    separate(measured)
    assert list(layer.features["index"]) == [1, 3]
    assert not section.objects.outdated
    section.form.method.value = "watershed"
    separate(measured)
    np.testing.assert_array_equal(layer.data, merged)
    assert section.objects.layer is not layer
    # What was merged by hand is one object there as well.
    again = section.objects.layer.data
    assert len(np.unique(again)) == 3
    assert len(np.unique(again[merged == 1])) == 1


@pytest.mark.slow
def test_ids_of_a_layer_lie_in_memory(
    dock: Docked, disks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unet_engine.objects.blocks._IN_MEMORY_BYTES", 0)
    show_mask(dock, disks)
    separate(dock)
    assert type(objects_layer(dock).data) is np.ndarray
    assert objects_layer(dock).data.max() == 3


@pytest.mark.slow
def test_a_mask_on_disk_has_objects_of_a_lazy_image(
    dock: Docked, disks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    memory = SimpleNamespace(available=0, total=2**30)
    monkeypatch.setattr(large_arrays.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setenv("NAPARI_UNET_CACHE", str(tmp_path))
    monkeypatch.setattr("unet_engine.objects.blocks._IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(_objects_run, "_LARGEST_IN_MEMORY", 0)
    readers = []

    def read(block: np.ndarray) -> np.ndarray:
        readers.append(threading.current_thread())
        return block

    frames = np.stack([50 + 100 * disks, 50 + 200 * disks]).astype(np.uint16)
    lazy = dask.array.from_array(frames, (1, 96, 96)).map_blocks(read, meta=frames[:0])
    options = {"name": "cells", "axis_labels": ("t", "y", "x")}
    layer = dock.viewer.add_image(lazy, contrast_limits=(0, 300), **options)
    dock.widget.predict.form.image.value = layer
    click(dock, dock.widget.correct.empty)
    working_image = dock.widget.workspace.working_image
    assert large_arrays.lies_on_disk(working_image.mask)
    working_image.mask[:] = np.stack([disks, disks.T])
    readers.clear()
    separate(dock)
    assert threading.main_thread() not in readers
    objects = objects_layer(dock)
    assert isinstance(objects.data, np.memmap)
    assert list(objects.features["t"]) == [0] * 3 + [1] * 3
    np.testing.assert_allclose(objects.features["mean intensity"][:3], 150)
    objects.data_setitem(np.nonzero(np.asarray(objects.data) == 2), 1)
    dock.widget.objects.form.method.value = "keep"
    separate(dock)
    assert list(objects.features["index"]) == [1, 3, 4, 5, 6]
    assert isinstance(objects.data, np.memmap), "ids that are kept stay where they are"


@pytest.mark.slow
def test_nothing_to_keep_is_reported(
    dock: Docked, disks: Any, notices: list[str]
) -> None:
    show_mask(dock, disks)
    dock.widget.objects.form.method.value = "keep"
    separate(dock)
    assert "there are no objects to keep" in notices[0]


def test_no_mask_is_reported(dock: Docked, plane: Any, notices: list[str]) -> None:
    separate(dock)
    dock.viewer.add_image(plane)
    separate(dock)
    assert len(notices) == 2
    assert all("There is no mask yet" in message for message in notices)
    assert not dock.widget.correct.objects.isEnabled()


def test_a_mask_without_objects(dock: Docked, disks: Any) -> None:
    show_mask(dock, np.zeros_like(disks))
    section = dock.widget.objects
    separate(dock)
    assert "There are no objects" in section.text.text()
    assert "cells objects" not in dock.viewer.layers
    assert not section.save.isEnabled()
    dock.mask.data = disks
    separate(dock)
    dock.mask.data = np.zeros_like(disks)
    separate(dock)
    assert not objects_layer(dock).data.any(), "earlier objects are not of this mask"
    assert not section.save.isEnabled()


@pytest.mark.slow
def test_a_layer_that_was_deleted_is_made_anew(measured: Docked) -> None:
    section, first = measured.widget.objects, objects_layer(measured)
    measured.viewer.layers.remove(first)
    assert section.objects is None
    assert not section.save.isEnabled()
    assert section.summary.text() == ""
    separate(measured)
    assert objects_layer(measured) is not first
    assert section.save.isEnabled()


@pytest.mark.slow
def test_objects_of_an_older_mask_are_named_so(measured: Docked) -> None:
    section = measured.widget.objects
    assert "You worked on the mask" not in section.summary.text()
    measured.mask.paint((80, 20), 1)
    assert "You worked on the mask" in section.summary.text()
    separate(measured)
    assert "You worked on the mask" not in section.summary.text()
    measured.predict()
    assert "You worked on the mask" in section.summary.text()


def test_a_mask_of_another_layer_gets_objects_of_its_own(
    measured: Docked, disks: Any
) -> None:
    show_mask(measured, disks.T, name="others")
    assert measured.widget.objects.objects is None
    separate(measured)
    assert measured.viewer.layers["others objects"].data.max() == 3
    measured.widget.predict.form.image.value = measured.viewer.layers["cells"]
    assert measured.widget.objects.objects.layer is objects_layer(measured)


def test_a_stack_has_volumes_or_planes(dock: Docked, disks: Any) -> None:
    show_mask(
        dock, np.stack([disks] * 4), scale=(2, 0.5, 0.5), units=("um", "um", "um")
    )
    form = dock.widget.objects.form
    assert not form.extent.native.isHidden()
    assert form.pixel_size.text() == "2, 0.5, 0.5"
    separate(dock)
    features = objects_layer(dock).features
    assert len(features) == 3
    np.testing.assert_allclose(
        features["volume (µm³)"], features["volume (voxels)"] * 0.5
    )
    form.extent.value = PLANES
    assert form.pixel_size.text() == "0.5"
    separate(dock)
    features = objects_layer(dock).features
    assert list(features["z"]) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert "area (µm²)" in features


def test_time_points_are_no_depth(dock: Docked, disks: Any) -> None:
    show_mask(dock, np.stack([disks] * 2), axis_labels=("t", "y", "x"))
    assert dock.widget.objects.form.extent.native.isHidden()
    separate(dock)
    assert list(objects_layer(dock).features["t"]) == [0] * 3 + [1] * 3


@pytest.mark.slow
def test_channels_between_slices_and_rows(
    dock: Docked, disks: Any, add_model: Callable[..., Any]
) -> None:
    add_model("two", in_channels=2)
    dock.widget.select_model("two")
    image = np.stack([np.stack([disks, 3 * disks])] * 3)
    layer = dock.viewer.add_image(image, name="cells", axis_labels=("z", "c", "y", "x"))
    click(dock, dock.widget.correct.empty)
    dock.mask.data = np.stack([disks] * 3)[:, None]
    separate(dock)
    objects = objects_layer(dock)
    assert objects.data.shape == (3, 1, 96, 96)
    np.testing.assert_allclose(objects.features["mean intensity 1"], 3)
    world = layer.data_to_world((2, 1, 30, 25))
    assert tuple(np.round(objects.world_to_data(world))) == (2, 0, 30, 25)


@pytest.fixture
def bounded(dock: Docked, add_model: Callable[..., Any]) -> Docked:
    """A mask of one blob with a model whose second class is the boundary."""
    add_model("bounded", classes=("background", "cell", "boundary"))
    dock.widget.select_model("bounded")
    mask = np.zeros((96, 96), np.uint8)
    mask[20:60, 20:80] = 1
    show_mask(dock, mask)
    return dock


@pytest.mark.slow
def test_a_boundary_class_is_offered_and_chosen_by_its_name(bounded: Docked) -> None:
    form = bounded.widget.objects.form
    assert form.boundary.value == "boundary"
    assert "by the mask" in form.text.text()
    mask = bounded.mask.data.copy()
    mask[20:60, 49:51] = 2
    bounded.mask.data = mask
    separate(bounded)
    ids = objects_layer(bounded).data
    assert ids.max() == 2
    assert ids[40, 30] != ids[40, 70]
    form.boundary.value = "none"
    assert "necks" in form.text.text()


@pytest.mark.slow
def test_probabilities_on_screen_decide_where_objects_part(bounded: Docked) -> None:
    view = bounded.widget.masks.current
    order = type(
        "Order", (), {"working_image": view.working_image, "layer": view.source}
    )
    order.model, order.config = bounded.widget.workspace.model, ObjectConfig()
    probabilities = np.zeros((3, 96, 96), np.float32)
    probabilities[1] = view.working_image.mask
    probabilities[:, :, 49:51] = np.array([0, 0.4, 0.6])[:, None, None]
    whole = (slice(0, 96), slice(0, 96))
    tile = TileDone(
        index=(),
        inner=whole,
        labels=view.working_image.mask,
        probabilities=probabilities,
        done=1,
        total=1,
    )
    separate(bounded)
    assert objects_layer(bounded).data.max() == 1
    hidden = bounded.widget.predict.form.hidden_layers
    ProbabilityLayers(bounded.viewer, hidden).write(order, [tile])
    separate(bounded)
    assert objects_layer(bounded).data.max() == 2
    assert "by its probability" in bounded.widget.objects.form.text.text()


@pytest.mark.slow
def test_the_button_of_step_2_opens_step_4(dock: Docked, disks: Any) -> None:
    dock.widget.resize(330, 500)
    dock.widget.show()
    show_mask(dock, disks)
    section = dock.widget.objects
    assert not section.expanded
    click(dock, dock.widget.correct.objects)
    assert section.expanded
    dock.bot.waitUntil(
        lambda: not section.separate.visibleRegion().isEmpty(), timeout=5_000
    )


def save_as(docked: Docked, path: Path) -> None:
    """Press Save and type a name into the dialog."""
    click(docked, docked.widget.objects.save)
    (dialog,) = docked.widget.objects.findChildren(QFileDialog)
    dialog.findChild(QLineEdit).setText(str(path))
    dialog.accept()
    docked.wait()


@pytest.mark.slow
def test_the_table_is_saved_as_csv(measured: Docked, tmp_path: Path) -> None:
    save_as(measured, tmp_path / "objects")
    with (tmp_path / "objects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["1", "2", "3"]
    areas = objects_layer(measured).features["area (µm²)"]
    np.testing.assert_allclose([float(row["area (µm²)"]) for row in rows], areas)
    assert "Saved objects.csv" in measured.widget.objects.text.text()


def test_the_line_on_a_saved_file_goes_with_its_image(
    measured: Docked, tmp_path: Path
) -> None:
    save_as(measured, tmp_path / "objects")
    other = measured.viewer.add_image(np.zeros((40, 40), np.uint8), name="other")
    measured.viewer.layers.selection.active = other
    assert measured.widget.workspace.layer is other
    assert measured.widget.objects.text.text() == ""


def test_the_dialog_opens_beside_the_image(
    dock: Docked, disks: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "day").mkdir()
    with layer_source(path=str(tmp_path / "day" / "cells.tif")):
        show_mask(dock, disks)
    separate(dock)
    click(dock, dock.widget.objects.save)
    (dialog,) = dock.widget.objects.findChildren(QFileDialog)
    assert Path(dialog.directory().absolutePath()) == tmp_path / "day"
    dialog.reject()


def test_saving_a_table_of_an_older_mask_shows_a_notice(
    measured: Docked, tmp_path: Path, notices: list[str]
) -> None:
    measured.mask.paint((80, 20), 1)
    save_as(measured, tmp_path / "old.csv")
    assert len((tmp_path / "old.csv").read_text().splitlines()) == 4
    assert any("You worked on the mask" in message for message in notices)


def test_a_table_that_cannot_be_saved_is_reported_and_the_old_one_stays(
    measured: Docked,
    tmp_path: Path,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = tmp_path / "objects.csv"
    old.write_text("precious")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    measured.widget.objects.save_as(str(old))
    measured.wait()
    assert any("No space left" in message for message in notices)
    assert old.read_text() == "precious"
    assert os.listdir(tmp_path) == ["objects.csv"]
    assert measured.widget.objects.save.isEnabled()


@pytest.fixture
def going(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the next search for objects wait after its first step for this."""
    genuine = _objects.find_objects
    event = threading.Event()

    def waiting(order: Any, stop: Any) -> Iterator[Any]:
        monkeypatch.setattr(_objects, "find_objects", genuine)
        run = genuine(order, stop)
        yield next(run)
        deadline = time.monotonic() + 20
        while not (stop() or event.wait(0.01)):
            assert time.monotonic() < deadline
        return (yield from run)

    monkeypatch.setattr(_objects, "find_objects", waiting)
    return event


def start(docked: Docked, mask: np.ndarray) -> None:
    """Start to find objects and wait for the first step."""
    show_mask(docked, mask)
    section = docked.widget.objects
    click(docked, section.separate)
    docked.bot.waitUntil(lambda: "1 of" in section.text.text(), timeout=20_000)


@pytest.mark.usefixtures("going")
def test_cancel_leaves_everything_as_it_was(dock: Docked, disks: Any) -> None:
    start(dock, disks)
    section = dock.widget.objects
    assert not section.separate.isEnabled()
    assert not section.form.isEnabled()
    assert "Finding objects: 1 of" in section.text.text()
    click(dock, section.cancel)
    dock.wait()
    assert "Stopped. Nothing was changed." in section.text.text()
    assert "cells objects" not in dock.viewer.layers
    separate(dock)
    assert objects_layer(dock).data.max() == 3


def test_a_mask_that_is_painted_during_the_run_is_an_older_one(
    dock: Docked, disks: Any, going: threading.Event
) -> None:
    start(dock, disks)
    dock.mask.paint((80, 20), 1)
    going.set()
    dock.wait()
    assert "You worked on the mask" in dock.widget.objects.summary.text()
    separate(dock)
    assert "You worked on the mask" not in dock.widget.objects.summary.text()


@pytest.mark.usefixtures("going")
@pytest.mark.parametrize("gone", ["cells", "cells mask"])
def test_a_layer_that_vanishes_during_the_run_ends_it(
    dock: Docked, disks: Any, notices: list[str], gone: str
) -> None:
    start(dock, disks)
    dock.viewer.layers.remove(gone)
    dock.wait()
    assert "cells objects" not in dock.viewer.layers
    assert dock.widget.objects.separate.isEnabled()
    assert dock.widget.objects.text.text() == f"Stopped: {gone!r} was deleted."
    assert not [m for m in notices if m.startswith("error")]


def test_an_error_gives_the_buttons_back(
    dock: Docked, disks: Any, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError("cannot allocate 40 GiB")
        yield

    monkeypatch.setattr(_objects, "find_objects", fail)
    show_mask(dock, disks)
    separate(dock)
    assert any("cannot allocate" in message for message in notices)
    assert dock.widget.objects.separate.isEnabled()


@pytest.mark.slow
def test_a_dock_that_is_opened_again_knows_the_objects(
    real_dock: Docked, disks: Any
) -> None:
    show_mask(real_dock, disks)
    separate(real_dock)
    layer = objects_layer(real_dock)
    real_dock.viewer.window.remove_dock_widget(real_dock.widget)
    real_dock.widget.deleteLater()
    real_dock.bot.wait(50)
    widget = UNetWidget(real_dock.viewer, real_dock.widget.workspace.store)
    real_dock.viewer.window.add_dock_widget(widget, name="U-Net")
    assert widget.objects.objects.layer is layer
    assert widget.objects.save.isEnabled()


@pytest.mark.parametrize("suffix", [".zip", ".geojson", ".json", ".tif", ".ome.zarr"])
def test_objects_are_saved_in_the_format_that_is_chosen(
    measured: Docked, tmp_path: Path, suffix: str
) -> None:
    section = measured.widget.objects
    click(measured, section.save)
    (dialog,) = section.findChildren(QFileDialog)
    dialog.setDirectory(str(tmp_path))
    (chosen,) = [f for f in dialog.nameFilters() if f.endswith(f"*{suffix})")]
    dialog.selectNameFilter(chosen)
    dialog.filterSelected.emit(chosen)
    name = dialog.findChild(QLineEdit).text()
    assert name.endswith(suffix)
    assert not name.endswith(f".csv{suffix}")
    dialog.accept()
    measured.wait()
    labels = objects_layer(measured).data
    path = tmp_path / name
    if suffix in OUTLINE_SUFFIXES:
        found = read_outlines(path)
        assert {one.class_name for one in found.outlines} == {"cell"}
        again = found.labels(labels.shape, "YX")[0]
    else:
        again = open_image(path, labels=True).read(())[0]
    np.testing.assert_array_equal(again, labels)
    assert f"Saved {name}" in section.text.text()

"""The table of the objects: a row is its object, on screen and in the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import QItemSelectionModel, QPoint, Qt
from qtpy.QtGui import QGuiApplication

from napari_unet.steps.objects.form import PLANES
from napari_unet.steps.objects.table import NAME, ObjectsModel, ObjectsTable, table_in
from napari_unet.viewer.private import camera_of, canvas_size

if TYPE_CHECKING:
    from conftest import Docked
    from napari.layers import Labels

CENTRES = ((20, 25), (40, 70), (75, 30), (70, 75))
RADII = (9, 12, 8, 10)


@pytest.fixture
def disks() -> np.ndarray:
    """A mask of four disks of different sizes."""
    rows, columns = np.ogrid[:96, :96]
    mask = np.zeros((96, 96), np.uint8)
    for (y, x), radius in zip(CENTRES, RADII, strict=True):
        mask[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    return mask


def separate(docked: Docked, mask: np.ndarray, name: str = "cells", **image: Any):
    """Open an image, paint a mask over it, and press Separate objects."""
    layer = docked.viewer.add_image(50 + 100 * mask, name=name, **image)
    docked.widget.predict.form.image.value = layer
    docked.bot.mouseClick(docked.widget.correct.empty, Qt.MouseButton.LeftButton)
    docked.mask.data = mask.copy()
    measure(docked)


def measure(docked: Docked) -> None:
    docked.bot.mouseClick(docked.widget.objects.separate, Qt.MouseButton.LeftButton)
    docked.wait()


def open_table(docked: Docked) -> ObjectsTable:
    """Press Show table; beside a viewer without a window, as quick tests have it."""
    if not hasattr(docked.viewer, "window"):
        table = ObjectsTable(docked.viewer)
        docked.bot.addWidget(table)
        table.resize(600, 300)
        table.show()
        table.follow(docked.widget.objects.objects)
        return table
    docked.bot.mouseClick(docked.widget.objects.table, Qt.MouseButton.LeftButton)
    table = table_in(docked.viewer.window)
    assert table is not None
    return table


def objects_layer(docked: Docked, name: str = "cells objects") -> Labels:
    layer: Labels = docked.viewer.layers[name]
    return layer


def click_row(docked: Docked, table: ObjectsTable, row: int) -> int:
    """Press on a row, and return the label that stands in it."""
    index = table.model.index(row, 0)
    table.rows.scrollTo(index)
    place = table.rows.visualRect(index).center()
    docked.bot.mouseClick(
        table.rows.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier(0), place
    )
    return int(index.data())


def click_header(docked: Docked, table: ObjectsTable, name: str) -> None:
    header = table.rows.horizontalHeader()
    x = header.sectionViewportPosition(table.model.names().index(name)) + 12
    docked.bot.mouseClick(
        header.viewport(),
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier(0),
        QPoint(x, header.height() // 2),
    )


def looked_at(docked: Docked, layer: Labels) -> np.ndarray:
    """Return what is in the middle of the canvas, in pixels of a layer."""
    viewer = docked.viewer
    displayed = list(viewer.dims.displayed)
    point = np.array(viewer.dims.point, float)
    point[displayed] = camera_of(viewer).center[-len(displayed) :]
    return np.array(layer.world_to_data(point))


def row_of(table: ObjectsTable) -> list[int]:
    return sorted(i.row() for i in table.rows.selectionModel().selectedRows())


@pytest.mark.slow
@pytest.mark.parametrize("placed", [{}, {"scale": (0.5, 2), "translate": (40, -9)}])
def test_a_row_selects_its_object_and_centres_it(
    real_dock: Docked, disks: Any, placed: dict[str, Any]
) -> None:
    separate(real_dock, disks, **placed)
    layer, table = objects_layer(real_dock), open_table(real_dock)
    zoom = camera_of(real_dock.viewer).zoom = 0.7
    for row in (2, 0, 3, 1):
        label = click_row(real_dock, table, row)
        assert layer.selected_label == label == layer.features["index"][row]
        y, x = looked_at(real_dock, layer)
        assert layer.data[round(y), round(x)] == label
        expected = layer.features.iloc[row][["centroid y (px)", "centroid x (px)"]]
        np.testing.assert_allclose((y, x), expected.astype(float), atol=0.5)
        assert camera_of(real_dock.viewer).zoom == zoom
        assert row_of(table) == [row]


def test_a_sorted_row_is_still_its_object(dock: Docked, disks: Any) -> None:
    separate(dock, disks)
    layer, table = objects_layer(dock), open_table(dock)
    for descending in (False, True):
        click_header(dock, table, "area (px)")
        areas = [np.sum(layer.data == i) for i in range(1, 5)]
        order = [1 + i for i in np.argsort(areas)][:: -1 if descending else 1]
        for row, label in enumerate(order):
            assert click_row(dock, table, row) == layer.selected_label == label
            y, x = looked_at(dock, layer)
            assert layer.data[round(y), round(x)] == label


@pytest.mark.slow
def test_the_keyboard_goes_from_object_to_object(real_dock: Docked, disks: Any) -> None:
    separate(real_dock, disks)
    layer, table = objects_layer(real_dock), open_table(real_dock)
    click_row(real_dock, table, 1)
    for key, label in (("Down", 3), ("Down", 4), ("Up", 3)):
        real_dock.bot.keyClick(table.rows, getattr(Qt.Key, f"Key_{key}"))
        assert layer.selected_label == label
        y, x = looked_at(real_dock, layer)
        assert layer.data[round(y), round(x)] == label


@pytest.mark.slow
def test_a_row_that_is_current_goes_to_its_object_again(
    dock: Docked, disks: Any
) -> None:
    separate(dock, disks)
    layer, table = objects_layer(dock), open_table(dock)
    click_row(dock, table, 1)
    camera_of(dock.viewer).center = (0, 1, 1)
    click_row(dock, table, 1)
    assert layer.data[tuple(np.round(looked_at(dock, layer)).astype(int))] == 2


def test_what_is_picked_on_the_canvas_is_the_row(dock: Docked, disks: Any) -> None:
    separate(dock, disks)
    layer, table = objects_layer(dock), open_table(dock)
    click_header(dock, table, "area (px)")
    before = camera_of(dock.viewer).center
    for label in (4, 2):
        layer.selected_label = label
        (row,) = row_of(table)
        assert table.model.index(row, 0).data() == str(label)
    assert camera_of(dock.viewer).center == before, "the view stays where it is"
    layer.selected_label = 77
    assert row_of(table) == []


def test_an_object_that_is_larger_than_the_canvas_fits(
    dock: Docked, disks: Any
) -> None:
    separate(dock, disks)
    table, camera = open_table(dock), camera_of(dock.viewer)
    camera.zoom = 1000
    click_row(dock, table, 1)
    assert 0.7 < 25 * camera.zoom / min(canvas_size(dock.viewer)) <= 0.85


def bent() -> np.ndarray:
    """Return a volume of a ball, and of two posts on one side of a common bridge."""
    volume = np.zeros((9, 96, 96), np.uint8)
    volume[1:8, 10:20, 10:20] = volume[1:8, 10:20, 60:70] = 1
    volume[1, 10:20, 10:70] = 1
    volume[6:9, 60:80, 40:60] = 1
    return volume


@pytest.mark.parametrize("elongated", [1, 3])
def test_the_slider_goes_to_a_slice_of_the_object(dock: Docked, elongated: int) -> None:
    separate(dock, bent(), scale=(elongated, 1, 1))
    dock.widget.objects.form.method.value = "components"
    measure(dock)
    layer, table = objects_layer(dock), open_table(dock)
    assert table.model.rowCount() == 2
    for row in (1, 0):
        dock.viewer.dims.set_point(0, 0)
        label = click_row(dock, table, row)
        z, y, x = np.round(looked_at(dock, layer)).astype(int)
        assert (layer.data[z] == label).any()
        middle = [(p.min() + p.max()) / 2 for p in np.nonzero(layer.data[z] == label)]
        np.testing.assert_allclose((y, x), middle, atol=1)
    assert z < 5, "the bridge moves the middle of the first one down"


@pytest.mark.slow
def test_a_hollow_object_is_shown_in_a_slice_that_it_has(dock: Docked) -> None:
    volume = np.zeros((9, 96, 96), np.uint8)
    volume[0, 10:60, 10:60] = volume[8, 10:60, 10:60] = 1
    volume[:, 10:14, 10:14] = 1
    separate(dock, volume)
    dock.widget.objects.form.method.value = "components"
    measure(dock)
    layer, table = objects_layer(dock), open_table(dock)
    dock.viewer.dims.order = (1, 0, 2)
    click_row(dock, table, 0)
    _, y, _ = np.round(looked_at(dock, layer)).astype(int)
    assert (layer.data[:, y] == 1).any()
    dock.viewer.dims.order = (0, 1, 2)
    dock.viewer.dims.ndisplay = 3
    click_row(dock, table, 0)
    np.testing.assert_allclose(camera_of(dock.viewer).center, (4, 34.5, 34.5))


@pytest.mark.slow
def test_slices_with_objects_of_their_own(dock: Docked, disks: Any) -> None:
    stack = np.stack([disks, disks.T, disks[::-1]])
    separate(dock, stack)
    dock.widget.objects.form.extent.value = PLANES
    measure(dock)
    layer, table = objects_layer(dock), open_table(dock)
    assert table.model.rowCount() == 12
    for row in (0, 5, 11):
        label = click_row(dock, table, row)
        place = np.round(looked_at(dock, layer)).astype(int)
        assert place[0] == row // 4
        assert layer.data[tuple(place)] == label


@pytest.mark.slow
def test_an_id_in_several_frames_has_a_row_in_each(dock: Docked, disks: Any) -> None:
    separate(dock, np.stack([disks] * 3), axis_labels=("t", "y", "x"))
    layer = objects_layer(dock)
    layer.data = np.stack([layer.data[0]] * 3)
    dock.widget.objects.form.method.value = "keep"
    measure(dock)
    table = open_table(dock)
    assert table.model.rowCount() == 12
    names = table.model.names()
    for row in (7, 1):  # by label, then by frame
        label = click_row(dock, table, row)
        assert layer.selected_label == label == row // 3 + 1
        assert dock.viewer.dims.current_step[0] == row % 3 == 1
        dock.viewer.dims.set_point(0, 0)
    dock.viewer.dims.set_point(0, 2)
    layer.selected_label = 4
    (row,) = row_of(table)
    assert table.model.index(row, names.index("t")).data() == "2"


def test_a_channel_slider_stays_where_it_is(dock: Docked, disks: Any) -> None:
    add = np.stack([np.stack([disks, 3 * disks])] * 3)
    layer = dock.viewer.add_image(add, axis_labels=("z", "c", "y", "x"))
    dock.widget.predict.form.image.value = layer
    click = Qt.MouseButton.LeftButton
    dock.bot.mouseClick(dock.widget.correct.empty, click)
    dock.mask.data = np.stack([0 * disks, disks, disks])[:, None]
    measure(dock)
    table = open_table(dock)
    dock.viewer.dims.current_step = (0, 1, 0, 0)
    click_row(dock, table, 2)
    assert dock.viewer.dims.current_step[0] in (1, 2), "a slice of the object"
    assert dock.viewer.dims.current_step[1] == 1


@pytest.mark.slow
def test_rows_of_merged_and_erased_objects(real_dock: Docked, disks: Any) -> None:
    separate(real_dock, disks)
    layer, table = objects_layer(real_dock), open_table(real_dock)
    layer.data_setitem(np.nonzero(layer.data == 2), 0)
    click_row(real_dock, table, 1)
    assert "Object 2 has no pixels any more" in table.text.text()
    click_row(real_dock, table, 2)
    assert "no pixels" not in table.text.text()
    assert "You changed the objects" in table.text.text()
    real_dock.widget.objects.form.method.value = "keep"
    measure(real_dock)
    assert table.model.rowCount() == 3
    assert "You changed" not in table.text.text()
    assert click_row(real_dock, table, 1) == 3 == layer.selected_label


@pytest.mark.slow
def test_the_table_follows_another_run_and_stays_sorted(
    real_dock: Docked, disks: Any
) -> None:
    separate(real_dock, disks)
    layer, table = objects_layer(real_dock), open_table(real_dock)
    click_header(real_dock, table, "area (px)")
    click_row(real_dock, table, 3)
    real_dock.widget.objects.form.min_size.value = 300
    measure(real_dock)
    assert table is open_table(real_dock)
    assert table.model.rowCount() == len(layer.features) == 2
    at = table.model.names().index("area (px)")
    areas = [int(table.model.index(row, at).data()) for row in range(2)]
    assert areas == sorted(layer.features["area (px)"])
    assert layer.selected_label == 2
    assert [table.model.index(r, 0).data() for r in row_of(table)] == ["2"]


@pytest.mark.slow
def test_the_table_is_of_the_image_that_is_worked_on(
    real_dock: Docked, disks: Any
) -> None:
    separate(real_dock, disks)
    table = open_table(real_dock)
    separate(real_dock, disks * (np.arange(96) < 50), name="others")
    assert table.text.text().startswith("others objects: 2 objects")
    others = objects_layer(real_dock, "others objects")
    objects_layer(real_dock).selected_label = 4
    assert row_of(table) == [0], "of a layer that is not listed"
    assert click_row(real_dock, table, 1) == others.selected_label
    real_dock.viewer.layers.selection.active = objects_layer(real_dock)
    assert table.text.text().startswith("cells objects: 4 objects")
    assert click_row(real_dock, table, 2) == objects_layer(real_dock).selected_label
    real_dock.viewer.layers.remove(objects_layer(real_dock))
    assert table.model.rowCount() == 0
    assert "There are no objects" in table.text.text()


@pytest.mark.slow
def test_a_table_that_was_closed_opens_again(real_dock: Docked, disks: Any) -> None:
    separate(real_dock, disks)
    window = real_dock.viewer.window
    first = open_table(real_dock)
    assert open_table(real_dock) is first
    assert len(window.dock_widgets) == 2
    first.parentWidget().destroyOnClose()
    real_dock.bot.wait(20)
    assert NAME not in window.dock_widgets
    layer = objects_layer(real_dock)
    layer.selected_label = 3
    again = open_table(real_dock)
    assert row_of(again) == [2]


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_window_with_the_table_fits_a_small_screen(
    shown_dock: Docked, disks: Any, theme: str
) -> None:
    shown_dock.viewer.theme = theme
    main = shown_dock.viewer.window._qt_window
    main.resize(1280, 720)
    separate(shown_dock, disks)
    table = open_table(shown_dock)
    shown_dock.bot.wait(100)
    assert (main.width(), main.height()) == (1280, 720)
    assert table.rows.viewport().height() > 2 * table.rows.rowHeight(0)
    bottom = table.mapTo(main, QPoint(0, table.height())).y()
    assert bottom <= 720
    controls = shown_dock.viewer.window._qt_viewer.dockLayerList
    assert controls.mapTo(main, QPoint(0, controls.height())).y() > bottom - 20, (
        "the layer list keeps the height of the window"
    )


def test_a_row_that_is_chosen_without_the_cursor_selects_its_object(
    dock: Docked, disks: Any
) -> None:
    separate(dock, disks)
    layer, table = objects_layer(dock), open_table(dock)
    flags = QItemSelectionModel.SelectionFlag
    for row in (2, 1):
        camera_of(dock.viewer).center = (0, 0, 0)
        index = table.model.index(row, 0)
        model = table.rows.selectionModel()
        model.select(index, flags.ClearAndSelect | flags.Rows)
        assert layer.selected_label == int(index.data())
        expected = layer.features.iloc[row][["centroid y (px)", "centroid x (px)"]]
        np.testing.assert_allclose(looked_at(dock, layer), list(expected), atol=1)


def test_rows_are_copied_for_a_spreadsheet(dock: Docked, disks: Any) -> None:
    separate(dock, disks)
    table = open_table(dock)
    click_row(dock, table, 1)
    bot = dock.bot
    bot.keyClick(table.rows, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    bot.keyClick(table.rows, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().split("\n")
    assert lines[0].split("\t")[:3] == ["label", "class", "area (px)"]
    assert [line.split("\t")[0] for line in lines[1:]] == ["2", "3"]


@pytest.mark.parametrize("descending", [False, True])
def test_what_is_not_defined_is_sorted_last(qtbot: Any, descending: bool) -> None:
    model = ObjectsModel()
    sizes = np.array([2.0, np.nan, 1.0, 2.0, np.nan])
    model.replace({"label": np.arange(1, 6), "size": sizes})
    orders = Qt.SortOrder
    model.sort(1, orders.DescendingOrder if descending else orders.AscendingOrder)
    expected = [0, 3, 2, 1, 4] if descending else [2, 0, 3, 1, 4]
    assert list(model.order) == expected
    assert [model.index(r, 1).data() for r in (3, 4)] == ["", ""]

"""A layer that is composed for the screen lies on the pixels that it shows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QObject

from napari_unet.viewer.private import camera_of
from napari_unet.viewer.screen_layer import (
    ScreenLayer,
    ScreenPart,
    is_screen_layer,
    remove_screen_layers,
)

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

CANVAS = (60, 80)


def composed(viewer: Any, layer: Labels, parent: QObject) -> ScreenLayer:
    return ScreenLayer(
        viewer,
        layer,
        partial(Labels, name="composed"),
        lambda part: np.asarray(layer.data)[part.key],
        dtype=layer.data.dtype,
        parent=parent,
    )


@pytest.fixture
def parent(qtbot: QtBot) -> QObject:
    return QObject()


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(
    zoom=st.floats(0.05, 8),
    middle=st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)),
    scale=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
    degrees=st.sampled_from([0, 0, 30, 90, -120]),
    plane=st.integers(0, 2),
)
def test_each_pixel_lies_where_it_came_from(
    qapp: Any, zoom: float, middle: Any, scale: Any, degrees: float, plane: int
):
    parent = QObject()
    shape = (3, 230, 170)
    data = np.random.default_rng(0).integers(1, 9, shape).astype(np.uint8)
    turned = np.eye(3)
    angle = np.deg2rad(degrees)
    turned[1:, 1:] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    viewer = ViewerModel()
    viewer.canvas.size = CANVAS
    layer = viewer.add_labels(
        data, scale=(2, *scale), translate=(5, 7, -3), rotate=turned
    )
    within = [m * n for m, n in zip(middle, shape[1:], strict=True)]
    there = layer.data_to_world([plane, *within])
    viewer.dims.set_point(0, there[0])
    camera_of(viewer).center = (0, *there[-2:])
    camera_of(viewer).zoom = zoom
    made = composed(viewer, layer, parent)
    part = made.find_part()
    assert viewer.layers.index(made.layer) == 1
    if part is None:
        assert not made.layer.visible
        made.remove()
        return
    assert made.part == part and part.leading == (plane,)
    shown = np.asarray(made.layer.data)[0]
    assert shown.shape == part.shape
    # Half a screen more than the screen along each axis, and no pixel that cannot show.
    assert max(shown.shape) <= 2 * 1.5 * np.hypot(*CANVAS) + 6
    rows = np.arange(part.region[0].start, part.region[0].stop, part.step)
    columns = np.arange(part.region[1].start, part.region[1].stop, part.step)
    for y, x in [(0, 0), (len(rows) - 1, len(columns) - 1), (len(rows) // 2, 0)]:
        assert shown[y, x] == data[plane, rows[y], columns[x]]
        at = made.layer.data_to_world((0, y, x))
        # The middle of those that it stands for.
        wide = (part.step - 1) / 2
        wanted = layer.data_to_world((plane, rows[y] + wide, columns[x] + wide))
        np.testing.assert_allclose(at, wanted, atol=1e-6)
    made.remove()


@pytest.mark.slow
def test_it_follows_slider_and_camera_and_hides_in_3d(parent: QObject, qtbot: QtBot):
    viewer = ViewerModel()
    viewer.canvas.size = CANVAS
    data = np.repeat(np.arange(1, 5, dtype=np.uint8), 300 * 300).reshape(4, 300, 300)
    layer = viewer.add_labels(data)
    made = composed(viewer, layer, parent)
    for plane in (3, 1):
        viewer.dims.set_point(0, plane)
        qtbot.waitUntil(lambda p=plane: made.part.leading == (p,), timeout=20_000)
        assert (made.layer.data == plane + 1).all()
    camera_of(viewer).zoom = 0.1
    qtbot.waitUntil(lambda: made.part.step > 3, timeout=20_000)
    camera_of(viewer).center, camera_of(viewer).zoom = (0, 200, 200), 4
    qtbot.waitUntil(lambda: made.part.region[0].start > 100, timeout=20_000)
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: not made.layer.visible, timeout=20_000)
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: made.layer.visible, timeout=20_000)
    layer.scale = (1, 3, 3)
    assert made.layer.scale[-1] == 3 * made.part.step


def test_a_small_move_reads_nothing(parent: QObject, qtbot: QtBot):
    viewer = ViewerModel()
    viewer.canvas.size = CANVAS
    layer = viewer.add_labels(np.ones((4096, 4096), np.uint8))
    parts: list[ScreenPart] = []

    def compose(part: ScreenPart) -> Any:
        parts.append(part)
        return np.asarray(layer.data)[part.key]

    made = ScreenLayer(viewer, layer, Labels, compose, dtype=np.uint8, parent=parent)
    assert parts[-1].step > 1 and max(parts[-1].shape) < 300
    camera_of(viewer).center, camera_of(viewer).zoom = (0, 2000, 2000), 1
    qtbot.waitUntil(lambda: len(parts) == 2, timeout=20_000)
    camera_of(viewer).center = (0, 2003, 1997)
    qtbot.wait(200)
    assert len(parts) == 2, "the margin around the screen has it"
    camera_of(viewer).center = (0, 2303, 1997)
    qtbot.waitUntil(lambda: len(parts) == 3, timeout=20_000)
    made.remove()
    camera_of(viewer).center = (0, 1003, 1997)
    qtbot.wait(200)
    assert len(parts) == 3 and len(viewer.layers) == 1


def test_all_go_without_their_owners(parent: QObject):
    viewer = ViewerModel()
    layer = viewer.add_labels(np.ones((40, 40), np.uint8))
    made = composed(viewer, layer, parent)
    gone: list[int] = []
    made.on_removal.append(lambda: gone.append(1))
    assert is_screen_layer(made.layer) and not is_screen_layer(layer)
    remove_screen_layers(viewer)
    assert list(viewer.layers) == [layer] and gone == [1]
    camera_of(viewer).zoom = 3
    made.remove()
    assert gone == [1]

"""Layers become images of the engine, and masks lie over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels

from napari_unet.viewer import conversion, viewport
from unet_engine.errors import DataError


def axes_of(layer: ImageLayer, in_channels: int = 1) -> list[str]:
    return [layout.axes for layout in conversion.layouts_of(layer, in_channels)]


def layer_of(*shape: int, **kw: Any) -> ImageLayer:
    return ImageLayer(np.zeros(shape, np.uint8), **kw)


@pytest.mark.parametrize(
    ("shape", "kw", "in_channels", "expected"),
    [
        ((8, 9), {}, 1, ["YX"]),
        ((8, 9, 3), {"rgb": True}, 1, ["YXS"]),
        ((4, 8, 9, 3), {"rgb": True}, 1, ["ZYXS"]),
        ((2, 8, 9), {}, 1, ["ZYX", "CYX"]),
        ((2, 8, 9), {}, 2, ["CYX", "ZYX"]),
        ((5, 8, 9), {}, 2, ["ZYX", "CYX"]),
        ((5, 2, 8, 9), {}, 2, ["ZCYX", "TZYX", "CZYX"]),
        ((5, 8, 9), {"axis_labels": ("time", "y", "x")}, 1, ["TYX"]),
        ((5, 2, 8, 9), {"axis_labels": ("z", "c", "y", "x")}, 1, ["ZCYX"]),
        ((5, 8, 9), {"axis_labels": ("z", "rows?", "x")}, 1, ["ZYX", "CYX"]),
    ],
)
def test_what_axes_may_mean(
    shape: tuple[int, ...], kw: dict[str, Any], in_channels: int, expected: list[str]
) -> None:
    assert axes_of(layer_of(*shape, **kw), in_channels) == expected


def test_image_of_a_layer_is_lazy_and_has_its_pixel_size() -> None:
    layer = layer_of(4, 8, 9, scale=(2, 0.5, 0.5), units=("um", "um", "um"), name="a")
    image = conversion.image_of(layer, conversion.layouts_of(layer)[0])
    assert image.data is layer.data
    assert (image.name, image.pixel_size_um) == ("a", 0.5)
    assert image.leading_shape == (4,)


def test_pixels_without_a_unit_have_no_size() -> None:
    layer = layer_of(8, 9)
    assert (
        conversion.image_of(layer, conversion.layouts_of(layer)[0]).pixel_size_um
        is None
    )


def test_shear_and_channels_first() -> None:
    layer = layer_of(2, 8, 9, scale=(1, 2, 3), translate=(0, 5, 6), shear=(0, 0, 0.3))
    layout = conversion.layouts_of(layer, in_channels=2)[0]
    mask = Labels(np.zeros((8, 9), np.uint8), **conversion.placement(layer, layout))
    for corner in np.ndindex(2, 2):
        np.testing.assert_allclose(
            mask.data_to_world(corner), layer.data_to_world((0, *corner))[1:]
        )


def test_each_class_has_a_colour_of_its_own() -> None:
    colours = {conversion.colour_of(label) for label in range(40)}
    assert len(colours) == 40
    colormap = conversion.class_colormap(20)
    assert colormap.map(0)[-1] == 0
    assert len({tuple(colormap.map(label)) for label in range(1, 20)}) == 19


def test_labels_that_fit_an_image_choose_its_axes() -> None:
    image = layer_of(3, 8, 9)
    fits = {(3, 8, 9): "ZYX", (8, 9): "CYX"}
    for shape, axes in fits.items():
        labels = Labels(np.zeros(shape, np.uint8))
        assert conversion.labelled_layout(image, labels).axes == axes


def test_labels_of_another_shape() -> None:
    labels = Labels(np.zeros((8, 8), np.uint8), name="truth")
    with pytest.raises(DataError, match=r"8 x 8 pixels.*3 x 8 x 9"):
        conversion.labelled_layout(layer_of(3, 8, 9), labels)


def test_shown_plane_and_region() -> None:
    viewer = ViewerModel()
    mask = viewer.add_labels(np.zeros((5, 40, 60), np.uint8))
    viewer.dims.set_current_step(0, 3)
    mask.corner_pixels = np.array([[0, 10, -3], [0, 19, 80]])
    layout = conversion.Layout("ZYX", "")
    assert viewport.shown_index(viewer, mask, layout) == (3,)
    assert viewport.shown_region(viewer, mask) == (slice(10, 20), slice(0, 60))


@pytest.mark.parametrize("change", ["three", "roll"])
def test_no_plane_is_shown(change: str) -> None:
    viewer = ViewerModel()
    mask = viewer.add_labels(np.zeros((5, 40, 60), np.uint8))
    if change == "three":
        viewer.dims.ndisplay = 3
    else:
        viewer.dims.roll()
    with pytest.raises(DataError, match="2D display"):
        viewport.shown_region(viewer, mask)

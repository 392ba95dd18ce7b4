"""Whether an image is visible: shown, in the view, and not below another one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unet.viewer.conversion import full_data
from napari_unet.viewer.private import (
    camera_of,
    canvas_size,
    grid_box_corners,
    is_in_grid,
)
from unet_engine.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    Points = npt.NDArray[np.float64]
    """``(n, 2)`` rows and columns, in pixels of a layer or in the world."""

_OPAQUE = ("opaque", "translucent", "translucent_no_depth")
"""Blendings that hide all below at full opacity."""
_NO_PLANE = (
    "the viewer does not show a plane of the mask; switch to 2D display with rows and "
    "columns as the last axes"
)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What the canvas shows of the world: ``(y, x)`` of two corners."""

    low: Points
    high: Points

    @classmethod
    def of(cls, viewer: ViewerModel) -> Frame:
        """Return what is on screen now; layers are updated with the next draw only."""
        grid = grid_box_corners(viewer) if is_in_grid(viewer) else None
        if grid is not None:
            return cls(np.min(grid, axis=0), np.max(grid, axis=0))
        camera = camera_of(viewer)
        middle = np.array(camera.center[-2:], float)
        reach = np.array(canvas_size(viewer)) / camera.zoom / 2
        return cls(middle - reach, middle + reach)

    @property
    def corners(self) -> Points:
        """All four of them, ``(4, 2)``."""
        sides = zip(self.low, self.high, strict=True)
        return np.array(list(product(*sides)), float)


def check_plane(viewer: ViewerModel) -> None:
    """Check that the viewer shows rows and columns, and nothing else.

    Raises
    ------
    DataError
        When it does not.
    """
    if tuple(viewer.dims.displayed) != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        raise DataError(_NO_PLANE)


def to_world(viewer: ViewerModel, layer: Layer, points: Points) -> Points:
    """Return where pixels of the plane on screen, ``(n, 2)``, lie in the world."""
    leading = leading_index(viewer, layer)
    there = [layer.data_to_world((*leading, *point)) for point in points]
    return np.array(there, float)[:, -2:]


def to_pixels(viewer: ViewerModel, layer: Layer, points: Points) -> Points:
    """Return in which pixels of a layer points of the world, ``(n, 2)``, lie."""
    before = tuple(viewer.dims.point)[:-2]
    there = [layer.world_to_data((*before, *point)) for point in points]
    return np.array(there, float)[:, -2:]


def shows_slice(viewer: ViewerModel, layer: Layer) -> bool:
    """Whether the sliders stand at a slice that a layer has."""
    leading = leading_index(viewer, layer)
    shape = full_data(layer).shape[: len(leading)]
    return all(0 <= at < n for at, n in zip(leading, shape, strict=True))


def plane_shape(layer: Layer) -> tuple[int, int]:
    """Return rows and columns of a layer."""
    height, width = full_data(layer).shape[layer.ndim - 2 : layer.ndim]
    return int(height), int(width)


def covers_of(viewer: ViewerModel, layer: Layer) -> list[ImageLayer]:
    """Return the opaque images above a layer."""
    if is_in_grid(viewer) or layer not in viewer.layers:
        return []
    above = viewer.layers[viewer.layers.index(layer) + 1 :]
    return [each for each in above if _is_opaque(each) and shows_slice(viewer, each)]


def why_invisible(viewer: ViewerModel, image: ImageLayer) -> str:
    """Return why an image is not visible, as ``is hidden``; empty when it is."""
    if not image.visible or image.opacity == 0:
        return "is hidden"
    if len(viewer.dims.displayed) != 2:
        return ""
    if not shows_slice(viewer, image):
        return "has no slice where the sliders stand"
    part = _part_in(viewer, image, Frame.of(viewer))
    if part is None:
        return "lies outside the view"
    corners = to_world(viewer, image, part)
    for cover in covers_of(viewer, image):
        if inside(to_pixels(viewer, cover, corners), plane_shape(cover)).all():
            return f"is covered by {cover.name}"
    return ""


def inside(points: Points, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return which of ``(n, 2)`` points lie on pixels of a plane: ``(n,)`` bool."""
    on = (points >= -0.5) & (points <= np.array(shape) - 0.5)
    return np.asarray(np.all(on, axis=-1), bool)


def _part_in(viewer: ViewerModel, layer: Layer, frame: Frame) -> Points | None:
    """Return the corners of the part of a layer that is in a frame, ``(4, 2)``."""
    seen = to_pixels(viewer, layer, frame.corners)
    low = np.maximum(seen.min(axis=0), -0.5)
    high = np.minimum(seen.max(axis=0), np.array(plane_shape(layer)) - 0.5)
    if (low >= high).any():
        return None
    return np.array(list(product(*zip(low, high, strict=True))), float)


def leading_index(viewer: ViewerModel, layer: Layer) -> tuple[int, ...]:
    """Return the position of the sliders along the first axes of a layer."""
    point = np.round(layer.world_to_data(viewer.dims.point)).astype(int)
    return tuple(int(at) for at in point[: layer.ndim - 2])


def _is_opaque(layer: Any) -> bool:
    if not isinstance(layer, ImageLayer) or not layer.visible:
        return False
    see_through = layer.rgb and full_data(layer).shape[-1] == 4
    return layer.opacity == 1 and str(layer.blending) in _OPAQUE and not see_through

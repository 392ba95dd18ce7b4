"""The viewport: which plane is on screen, and what the camera shows of it."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.viewer.conversion import full_data, mask_indices
from napari_unet.viewer.private import camera_of, canvas_size
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import Index, Region, View


class ViewportTracker:
    """The viewport of an image, for threads, which must not read the viewer.

    Parameters
    ----------
    viewer, layer, layout
        Whose camera and sliders are followed, on which image.
    on_move
        Called with the view after every move.

    Attributes
    ----------
    layer
        The image.
    view
        Of the last move of the camera or of a slider. Replaced as a whole, so that any
        thread may read it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        layer: ImageLayer,
        layout: Layout,
        on_move: Callable[[View], None],
    ) -> None:
        self._viewer, self.layer, self._layout = viewer, layer, layout
        self._on_move = on_move
        self.view: View = shown_view(viewer, layer, layout)
        camera, dims = camera_of(viewer).events, viewer.dims.events
        self._followed = (
            camera.center, camera.zoom,
            dims.current_step, dims.ndisplay, dims.order,
        )  # fmt: skip
        for event in self._followed:
            event.connect(self._update)

    def close(self) -> None:
        """Follow no longer."""
        for event in self._followed:
            with suppress(ValueError):
                event.disconnect(self._update)

    def _update(self, _: Any = None) -> None:
        if self.layer in self._viewer.layers:
            self.view = shown_view(self._viewer, self.layer, self._layout)
            self._on_move(self.view)


def is_visible(view: View, region: Region) -> bool:
    """Whether any of a region of the plane is on screen."""
    return all(
        part.start < middle + size / 2 and middle - size / 2 < part.stop
        for part, middle, size in zip(region, *view[1:], strict=True)
    )


def shown_view(viewer: ViewerModel, source: ImageLayer, layout: Layout) -> View:
    """Return what is on screen of an image.

    It is computed from the camera: corner pixels of layers follow it after the next
    draw only, and those of a multiscale layer are of the level on screen.
    """
    displayed = list(viewer.dims.displayed)
    camera = camera_of(viewer)
    middle = np.array(viewer.dims.point, float)
    middle[displayed] = camera.center[-len(displayed) :]
    reach = np.array(canvas_size(viewer)) / camera.zoom / 2
    corners = []
    for signs in product((-1, 1), repeat=2):
        world = middle.copy()
        world[displayed[-2:]] += signs * reach
        corners.append(np.array(source.world_to_data(world))[_spatial(layout)])
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    shape = np.array(full_data(source).shape[: source.ndim])
    inside = np.clip(np.round(source.world_to_data(middle)), 0, shape - 1)
    index = tuple(
        int(position)
        for position, axis in zip(inside, layout.axes, strict=False)
        if axis not in "CSYX"
    )
    (y, x), (height, width) = (low + high) / 2, high - low
    return index, (float(y), float(x)), (float(height), float(width))


def shown_index(viewer: ViewerModel, layer: Labels, layout: Layout) -> Index:
    """Return the position along the leading axes of the mask that is on screen."""
    point = np.round(layer.world_to_data(viewer.dims.point)).astype(int)
    inside = np.clip(point, 0, np.array(layer.data.shape) - 1)
    return tuple(int(i) for i in mask_indices(inside, layout)[:-2])


def shown_region(viewer: ViewerModel, layer: Labels) -> tuple[slice, slice]:
    """Return the rows and columns of the mask that are on screen.

    Raises
    ------
    DataError
        When the viewer shows no plane of the mask.
    """
    last = (viewer.dims.ndim - 2, viewer.dims.ndim - 1)
    if tuple(viewer.dims.displayed) != last:
        raise DataError(
            "the viewer does not show a plane of the mask; switch to 2D display with "
            "rows and columns as the last axes"
        )
    corners = layer.corner_pixels[:, -2:]
    if layer.multiscale:
        corners = corners * layer.downsample_factors[layer.data_level][-2:]
    (top, left), (bottom, right) = corners
    height, width = layer.data.shape[-2:]
    return (
        slice(max(0, int(top)), min(height, int(bottom) + 1)),
        slice(max(0, int(left)), min(width, int(right) + 1)),
    )


def _spatial(layout: Layout) -> list[int]:
    return [layout.axes.index(axis) for axis in "YX"]


def go_to(
    viewer: ViewerModel, layer: ImageLayer, place: tuple[int | slice, ...]
) -> None:
    """Move sliders and camera to a place of an image; zoom stays.

    Parameters
    ----------
    viewer
        The viewer.
    layer
        Its image layer.
    place
        Position along the leading axes, rows and columns. Where the layer has other
        axes, such as channels, nothing is moved.
    """
    if len(place) != layer.ndim:
        return
    middle = [(p.start + p.stop) / 2 if isinstance(p, slice) else p for p in place]
    world = layer.data_to_world(middle)
    dims, camera = viewer.dims, camera_of(viewer)
    offset = dims.ndim - len(world)
    for axis in dims.not_displayed:
        if axis >= offset:
            dims.set_point(axis, world[axis - offset])
    shown = [axis - offset for axis in dims.displayed[-2:]]
    camera.center = (*camera.center[:-2], *(world[axis] for axis in shown))

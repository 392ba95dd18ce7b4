"""``PlaceFrame``: the camera goes to a place of a layer, and a frame shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer

from napari_unet.viewer.conversion import place_of
from napari_unet.viewer.private import camera_of, canvas_size
from napari_unet.viewer.screen_layer import is_screen_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from unet_engine.places import Index, Region

_SHOWN_MS = 2000
"""Milliseconds for which the frame around a place is shown."""
_SMALL = 0.25
"""Part of the canvas below which a place is too small to judge."""
_SHARE = 0.5
"""Part of the canvas that it fills after the camera came nearer."""


class PlaceFrame(QObject):
    """Goes to places, and shows a frame around the last one for a while.

    Parameters
    ----------
    viewer
        Whose camera and sliders are moved.
    name
        Of the layer with the frame.
    parent
        Ends it.
    """

    def __init__(self, viewer: ViewerModel, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._name = name
        self._layer: Shapes | None = None
        self._fading = QTimer(self)
        self._fading.setSingleShot(True)
        self._fading.timeout.connect(self.remove)

    def show(self, layer: Layer, leading: Index, region: Region) -> None:
        """Go to rows and columns of a plane of a layer, and frame them.

        Parameters
        ----------
        layer
            The layer.
        leading
            Position along all its axes but the last two.
        region
            Rows and columns.
        """
        corners = _corners(leading, region)
        world = np.array([layer.data_to_world(corner) for corner in corners])
        middle = world.mean(axis=0)
        dims, camera = self._viewer.dims, camera_of(self._viewer)
        offset = dims.ndim - len(middle)
        for axis in dims.not_displayed:
            if axis >= offset:
                dims.set_point(axis, middle[axis - offset])
        shown = [axis - offset for axis in dims.displayed[-2:]]
        camera.center = (*camera.center[:-2], *middle[shown])
        extent = float(np.ptp(world[:, shown], axis=0).max())
        room = min(canvas_size(self._viewer))
        if extent * camera.zoom < _SMALL * room:
            camera.zoom = _SHARE * room / extent
        self._show_frame(layer, corners, 2 / camera.zoom)

    def remove(self) -> None:
        """Take the frame away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _show_frame(
        self, layer: Layer, corners: np.ndarray[Any, Any], width: float
    ) -> None:
        self.remove()
        layers = self._viewer.layers
        active = layers.selection.active
        placed = place_of(layer)
        self._layer = Shapes(
            [corners],
            shape_type="polygon",
            name=self._name,
            edge_color="white",
            face_color="transparent",
            edge_width=width / abs(float(placed["scale"][-1])),
            opacity=0.8,
            **placed,
        )
        above = layers.index(layer) + 1
        while above < len(layers) and is_screen_layer(layers[above]):
            above += 1
        layers.insert(above, self._layer)
        layers.selection.active = active
        self._fading.start(_SHOWN_MS)


def _corners(leading: Index, region: Region) -> np.ndarray[Any, Any]:
    """Return the corners of a region in pixels of the layer."""
    rows, columns = region
    top, bottom = rows.start - 0.5, rows.stop - 0.5
    left, right = columns.start - 0.5, columns.stop - 0.5
    around = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.array([(*leading, *corner) for corner in around], dtype=float)

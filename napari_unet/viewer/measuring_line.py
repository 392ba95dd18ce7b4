"""``MeasuringLine``: a line that the user draws across an object, and its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer

_NAME = "object size"

_WIDTH = 2.0
"""Pixels of the screen."""

_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class MeasuringLine(QObject):
    """A layer for one line, which is gone as soon as the line is drawn.

    Parameters
    ----------
    viewer
        Where it is drawn.
    parent
        Ends it.

    Attributes
    ----------
    measured
        The length of the line in pixels of the image.
    """

    measured = Signal(float)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._image: ImageLayer | None = None
        self._before: Any = None

    @property
    def is_shown(self) -> bool:
        """Whether a line is waited for."""
        return self._layer is not None and self._layer in self._viewer.layers

    def show(self, image: ImageLayer) -> None:
        """Wait for a line over an image, drawn with the mouse."""
        self.remove()
        layers = self._viewer.layers
        self._image, self._before = image, layers.selection.active
        placed = {name: getattr(image, name) for name in _PLACEMENT}
        self._layer = Shapes(name=_NAME, ndim=image.ndim, edge_color="yellow", **placed)
        zoom = camera_of(self._viewer).zoom * abs(float(image.scale[-1]))
        self._layer.current_edge_width = _WIDTH / zoom
        self._layer.mouse_drag_callbacks.append(self._on_drag)
        layers.append(self._layer)
        layers.selection.active = self._layer
        self._layer.mode = "add_line"

    def remove(self) -> None:
        """Take the layer away, and choose the layer that was chosen before."""
        layer, self._layer = self._layer, None
        if layer is None or layer not in self._viewer.layers:
            return
        self._viewer.layers.remove(layer)
        if self._before in self._viewer.layers:
            self._viewer.layers.selection.active = self._before

    def _on_drag(self, layer: Shapes, event: Any) -> Iterator[None]:
        start = self._pixel(event.position)
        yield
        while event.type == "mouse_move":
            yield
        length = float(np.linalg.norm(self._pixel(event.position) - start))
        # napari still works on the layer.
        QTimer.singleShot(0, lambda: self._finish(length))

    def _finish(self, length: float) -> None:
        if self._layer is not None:
            self.remove()
            self.measured.emit(length)

    def _pixel(self, position: Any) -> Any:
        """Return rows and columns of the image at a position in the world."""
        assert self._image is not None
        return np.asarray(self._image.world_to_data(position))[-2:]

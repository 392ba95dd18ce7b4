"""``DrawnLine``: the line that the mouse draws over a layer, while it draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer

_NAME = "line over objects"

_WIDTH = 2.0
"""Pixels of the screen."""

_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class DrawnLine:
    """A layer above all others that takes no mouse: the one below is chosen.

    Parameters
    ----------
    viewer
        Gets the layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None

    def show(self, below: Layer) -> None:
        """Make the layer where another one lies, which stays the chosen one."""
        self.remove()
        placed = {name: getattr(below, name) for name in _PLACEMENT}
        self._layer = Shapes(name=_NAME, ndim=below.ndim, **placed)
        self._viewer.layers.append(self._layer)
        self._viewer.layers.selection.active = below

    def draw(self, points: Sequence[Any]) -> None:
        """Show a line through points of the layer below, ``(n, axes)`` pixels."""
        layer = self._layer
        if layer is None or layer not in self._viewer.layers or len(points) < 2:
            return
        width = _WIDTH / (camera_of(self._viewer).zoom * abs(float(layer.scale[-1])))
        layer.data = []
        layer.add_paths(np.asarray(points), edge_color="yellow", edge_width=width)
        # napari chooses what is added.
        layer.selected_data = set()

    def clear(self) -> None:
        """Show no line."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._layer.data = []

    def remove(self) -> None:
        """Take the layer away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

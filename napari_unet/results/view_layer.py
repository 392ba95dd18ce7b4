"""The layer of a mask of what is on screen, by a model that is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_unet.results.preview import placed_part
from napari_unet.viewer.conversion import class_colormap, layer_view
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import Index, Region

_OPACITY = 0.55
"""From 0 to 1: that of a mask, with which it is compared."""


class ViewLayer:
    """A Labels layer above all others; the mask below it is hidden meanwhile.

    It is no mask: nothing is painted on it or learned from it.

    Parameters
    ----------
    viewer
        Gets the layer.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: Any = None
        self.layer: Labels | None = None

    def show(
        self,
        labels: npt.NDArray[np.uint8],
        name: str,
        classes: int,
        *,
        source: Any,
        layout: Layout,
        index: Index,
        region: Region,
        mask: Any,
    ) -> None:
        """Show class ids of a part of a plane.

        Parameters
        ----------
        labels
            ``(h, w)`` uint8.
        name
            Of the layer.
        classes
            How many there are, the background included.
        source, layout
            The image layer.
        index, region
            Of which part of it.
        mask
            The layer of its mask, or None.
        """
        self.remove()
        leading = (1,) * len(index)
        data = np.ascontiguousarray(labels.reshape(*leading, *labels.shape))

        def place(image: Any) -> dict[str, Any]:
            return placed_part(image, layout, index, region)

        self.layer = layer = Labels(
            layer_view(data, layout),
            name=name,
            opacity=_OPACITY,
            colormap=class_colormap(classes),
            **place(source),
        )
        layer.editable = False
        follow_placement(source, layer, place)
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active
        if mask is not None and mask.visible:
            mask.visible = False
            self._hidden = mask

    def remove(self) -> None:
        """Take the layer away, and show the mask again."""
        layers = self._viewer.layers
        if self.layer is not None and self.layer in layers:
            layers.remove(self.layer)
        if self._hidden is not None and self._hidden in layers:
            self._hidden.visible = True
        self.layer = self._hidden = None

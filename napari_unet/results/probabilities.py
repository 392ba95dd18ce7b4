"""Image layers with the probability of each class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unet.state.large_arrays import zeros
from napari_unet.viewer.conversion import layer_view, placement
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.jobs.orders import PredictionOrder
    from unet_engine.prediction.events import TileDone


class ProbabilityLayers:
    """Make and fill a layer for each class but the background.

    Parameters
    ----------
    viewer
        Gets the layers, above the image.
    made
        The layers that are there now; kept up to date, as they are not offered as
        images to predict.
    """

    def __init__(self, viewer: ViewerModel, made: list[ImageLayer]) -> None:
        self._viewer = viewer
        self._made = made

    def write(self, order: PredictionOrder, tiles: list[TileDone]) -> None:
        """Write finished tiles."""
        layers = self._layers_for(order)
        for tile in tiles:
            if tile.probabilities is not None:
                for layer, values in zip(layers, tile.probabilities[1:], strict=True):
                    array = layer.metadata["probability"]
                    array[(*tile.index, *tile.inner)] = values

    def finish(self, order: PredictionOrder) -> None:
        """Show what was written."""
        if order.config.probabilities:
            for layer in self._layers_for(order):
                layer.refresh(extent=False)

    def _layers_for(self, order: PredictionOrder) -> list[ImageLayer]:
        self._made[:] = [layer for layer in self._made if layer in self._viewer.layers]
        return [
            self._find(order, name) or self._add(order, name)
            for name in order.model.spec.classes[1:]
        ]

    def _find(self, order: PredictionOrder, name: str) -> ImageLayer | None:
        for layer in self._made:
            metadata = layer.metadata
            if (
                metadata["working_image"] is order.working_image
                and metadata["class"] == name
            ):
                return layer
        return None

    def _add(self, order: PredictionOrder, name: str) -> ImageLayer:
        array = zeros(
            order.working_image.mask.shape, np.float32, f"probability of {name}"
        )
        metadata: dict[str, Any] = {"probability": array, "class": name}
        layer = ImageLayer(
            layer_view(array, order.working_image.layout),
            name=f"{order.layer.name} {name} probability",
            contrast_limits=(0, 1),
            colormap="inferno",
            blending="additive",
            metadata={**metadata, "working_image": order.working_image},
            **placement(order.layer, order.working_image.layout),
        )
        layout = order.working_image.layout
        follow_placement(order.layer, layer, partial(placement, layout=layout))
        # Before the viewer emits its insertion, so that it is not offered as an image.
        self._made.append(layer)
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._viewer.layers.index(order.layer) + 1, layer)
        self._viewer.layers.selection.active = active
        return layer

"""Image layers with the probability of each class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image as ImageLayer

from napari_unet.state.large_arrays import zeros
from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.conversion import layer_view, placement
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.jobs.orders import PredictionOrder
    from napari_unet.state.working_image import WorkingImage
    from unet_engine.prediction.events import TileDone


@dataclass(frozen=True, slots=True, eq=False)
class ProbabilityMap:
    """What a layer shows of a prediction.

    Attributes
    ----------
    working_image
        What was predicted.
    class_name
        The class whose probability it is.
    values
        ``(*leading, Y, X)`` float32 in [0, 1]; 0 where nothing is predicted yet.
    """

    working_image: WorkingImage
    class_name: str
    values: npt.NDArray[np.float32]


class ProbabilityMaps:
    """The layers of a viewer that show probabilities.

    Attributes
    ----------
    maps
        By layer; also of layers that the user took out of the viewer.
    """

    def __init__(self) -> None:
        self.maps: WeakKeyDictionary[ImageLayer, ProbabilityMap] = WeakKeyDictionary()


def probability_maps_of(
    viewer: ViewerModel, working_image: WorkingImage
) -> dict[ImageLayer, ProbabilityMap]:
    """Return the probabilities of an image that the viewer has layers of."""
    maps = of_viewer(viewer, ProbabilityMaps).maps
    return {
        layer: shown
        for layer, shown in maps.items()
        if shown.working_image is working_image and layer in viewer.layers
    }


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
        self._maps = of_viewer(viewer, ProbabilityMaps).maps

    def write(self, order: PredictionOrder, tiles: list[TileDone]) -> None:
        """Write finished tiles."""
        layers = self._layers_for(order)
        for tile in tiles:
            if tile.probabilities is not None:
                for layer, values in zip(layers, tile.probabilities[1:], strict=True):
                    place: tuple[int | slice, ...] = (*tile.index, *tile.inner)
                    self._maps[layer].values[place] = values

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
            shown = self._maps.get(layer)
            if shown is None or shown.working_image is not order.working_image:
                continue
            if shown.class_name == name:
                return layer
        return None

    def _add(self, order: PredictionOrder, name: str) -> ImageLayer:
        array = zeros(
            order.working_image.mask.shape, np.float32, f"probability of {name}"
        )
        layer = ImageLayer(
            layer_view(array, order.working_image.layout),
            name=f"{order.layer.name} {name} probability",
            contrast_limits=(0, 1),
            colormap="inferno",
            blending="additive",
            **placement(order.layer, order.working_image.layout),
        )
        layout = order.working_image.layout
        follow_placement(order.layer, layer, partial(placement, layout=layout))
        self._maps[layer] = ProbabilityMap(order.working_image, name, array)
        # Before the viewer emits its insertion, so that it is not offered as an image.
        self._made.append(layer)
        active = self._viewer.layers.selection.active
        self._viewer.layers.insert(self._viewer.layers.index(order.layer) + 1, layer)
        self._viewer.layers.selection.active = active
        return layer

"""A layer that shows the touched pixels of a mask in full colour."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_unet.state.large_arrays import zeros
from napari_unet.viewer.conversion import layer_view, placement, touched_colormap
from napari_unet.viewer.placement import follow_placement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_unet.state.working_image import WorkingImage
    from unet_engine.places import Index, Region


def add_touched_layer(
    viewer: ViewerModel, source: Layer, working_image: WorkingImage, *, above: Layer
) -> Labels:
    """Add a layer with the touched pixels of an image.

    Its values are class ids + 1, and 0, which is transparent, on untouched pixels.

    Parameters
    ----------
    viewer
        Gets the layer.
    source
        The image layer, whose place it takes.
    working_image
        What was painted on it.
    above
        The layer it comes to lie on.
    """
    values = zeros(working_image.mask.shape, np.uint8, "layer of touched pixels")
    for index in working_image.annotations.planes():
        # IGNORE is 255 and wraps to 0.
        values[index] = working_image.annotations.target(index) + np.uint8(1)
    layer = Labels(
        layer_view(values, working_image.layout),
        name=f"{source.name} touched",
        opacity=0.9,
        colormap=touched_colormap(len(working_image.names)),
        **placement(source, working_image.layout),
    )
    layer.editable = False
    follow_placement(source, layer, partial(placement, layout=working_image.layout))
    viewer.layers.insert(viewer.layers.index(above) + 1, layer)
    return layer


def update_touched_layer(
    layer: Labels, working_image: WorkingImage, places: Iterable[tuple[Index, Region]]
) -> None:
    """Show in places of a touched layer what is painted there now."""
    values = layer.data.reshape(working_image.mask.shape)
    for index, region in places:
        values[index][region] = working_image.annotations.target(
            index, region
        ) + np.uint8(1)
    layer.refresh(extent=False, thumbnail=False, highlight=False)

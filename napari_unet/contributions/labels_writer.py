"""The writer of Labels layers: outlines for other programs, label images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_unet.viewer.conversion import layouts_of, pixel_size_of
from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.outlines import write_object_file

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt


def write_labels_layer(
    path: str | os.PathLike[str], data: Any, meta: Mapping[str, Any]
) -> list[str]:
    """Write a Labels layer by the suffix of the path, whole or not at all.

    Parameters
    ----------
    path
        ``.zip`` (ImageJ), ``.geojson`` (QuPath), ``.json`` (COCO), ``.tif``, ``.tiff``,
        ``.png`` or ``.zarr``. What is there is replaced, as napari has asked.
    data
        Of the layer; the finest level of a multiscale one.
    meta
        Of the layer: its scale, units, names of axes and features.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    DataError
        When the labels do not fit the format, or the folder cannot be written to.
    """
    layer = Labels(data, **_of_labels(meta))
    layout = layouts_of(layer)[0]
    labels = layer.data[0] if layer.multiscale else layer.data
    axes = layout.axes
    if (channel := layout.channel_axis) is not None:
        if labels.shape[channel] != 1:
            raise DataError(
                f"{layer.name!r} has labels for each of {labels.shape[channel]} "
                "channels; save those of one channel"
            )
        labels = np.squeeze(labels, channel)
        axes = axes.replace("C", "")
    size = pixel_size_of(layer, layout)
    image = Image.from_array(labels, axes, name=layer.name, pixel_size=size)
    write_object_file(path, labels, image, _table(layer))
    return [str(path)]


def _of_labels(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts in a file; the rest may be of another version of napari."""
    kept = ("name", "scale", "units", "axis_labels", "features", "affine", "multiscale")
    return {name: meta[name] for name in kept if name in meta}


def _table(layer: Labels) -> dict[str, npt.NDArray[Any]]:
    """Return the features of a layer with the ids of the labels."""
    features = layer.features
    table = {str(name): np.asarray(features[name]) for name in features}
    # Without a column of ids the row counts.
    ids = table.pop("index", np.arange(len(features)))
    return {"label": ids, **table} if table else {}

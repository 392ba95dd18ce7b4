"""A label image in which an object has the number of its track in every frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images.zarr.label_group import is_zarr_place
from unet_engine.objects.blocks import BlockGrid, release_pages, scratch_array
from unet_engine.objects.class_mask import SemanticMask
from unet_engine.objects.outputs import label_zarr, write_objects
from unet_engine.stopping import never
from unet_engine.tracking.tracks import track_labels

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.images.zarr.writing import OmeZarrVersion
    from unet_engine.stopping import Stop
    from unet_engine.tracking.tracks import Tracks


def write_tracked(
    path: Path,
    tracks: Tracks,
    labels: Any,
    image: Image,
    *,
    version: OmeZarrVersion = "0.4",
    replace: bool = False,
    stop: Stop = never,
) -> None:
    """Write numbers of tracks as TIFF or OME-Zarr, whole or not at all.

    Parameters
    ----------
    path
        ``.tif``, ``.tiff`` or ``.zarr``.
    tracks
        Of the labels.
    labels
        Array-like ``(T, *spatial)`` of the ids that were linked; read block by block.
    image
        Has their axes and pixel size.
    version
        Of OME-Zarr.
    replace
        Delete an OME-Zarr that is there when the new one is complete.
    stop
        Polled before every block of a zarr.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When the folder cannot be written to.
    """
    if is_zarr_place(path):
        mask = SemanticMask(classes=labels)
        with label_zarr(
            path, mask, image, stop=stop, replace=replace, version=version
        ) as out:
            _fill(out, tracks, labels)
        return
    numbers = scratch_array(labels.shape, np.uint32)
    _fill(numbers, tracks, labels)
    write_objects(path, numbers, image)


def _fill(out: Any, tracks: Tracks, labels: Any) -> None:
    for block in BlockGrid.for_array(labels, 2):
        ids = np.asarray(labels[block.core_slices])
        out[block.core_slices] = track_labels(tracks, block.index[0], ids)
        release_pages(out)

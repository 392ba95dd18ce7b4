"""Objects in any file: a table, a label image, outlines; by the suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images.zarr.label_group import is_zarr_place
from unet_engine.objects.blocks import BlockGrid
from unet_engine.objects.class_mask import SemanticMask
from unet_engine.objects.outputs import label_zarr, write_objects
from unet_engine.objects.table import TABLE_SUFFIXES, write_table
from unet_engine.outlines.files import write_outlines
from unet_engine.outlines.suffixes import OUTLINE_SUFFIXES
from unet_engine.stopping import never

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.stopping import Stop


def write_object_file(
    path: str | os.PathLike[str],
    labels: Any,
    image: Image,
    table: Mapping[str, npt.NDArray[Any]],
    *,
    stop: Stop = never,
) -> None:
    """Write objects, whole or not at all; what is there is replaced.

    Parameters
    ----------
    path
        ``.csv`` or ``.parquet`` for the table; ``.tif``, ``.tiff``, ``.png`` or
        ``.zarr`` for the ids; ``.zip``, ``.geojson`` or ``.json`` for outlines.
    labels
        Array-like ``(*leading, Y, X)`` of ids, 0 where there is no object.
    image
        Has their axes and pixel size, and the name for COCO.
    table
        ``(n,)`` columns as ``measure_objects`` returns them.
    stop
        Polled before every block of outlines and of a zarr.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When the objects do not fit the format, or the folder cannot be written to.
    """
    suffix = Path(path).suffix.lower()
    axes = image.leading_axes + "YX"
    if suffix in TABLE_SUFFIXES:
        write_table(path, table)
    elif suffix in OUTLINE_SUFFIXES:
        name = image.name
        write_outlines(path, labels, axes, table=table, image_name=name, stop=stop)
    elif is_zarr_place(Path(path)):
        _write_zarr(Path(path), labels, image, stop)
    else:
        write_objects(Path(path), np.asarray(labels), image)


def _write_zarr(path: Path, labels: Any, image: Image, stop: Stop) -> None:
    mask = SemanticMask(classes=labels)
    with label_zarr(path, mask, image, stop=stop, replace=True) as out:
        for block in BlockGrid.for_array(labels, 2):
            ids = np.asarray(labels[block.core_slices])
            if ids.min() < 0:
                raise DataError(f"{path}: labels start at 0, not {ids.min()}; renumber")
            out[block.core_slices] = ids

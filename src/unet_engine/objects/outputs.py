"""Where the objects of large masks go: OME-Zarr block by block, TIFF tile by tile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import Cancelled
from unet_engine.files.atomic import whole_folder
from unet_engine.images.tiff.writing import write_large_tiff
from unet_engine.images.writing import write_labels
from unet_engine.images.zarr.label_group import (
    fitting_version,
    image_around,
    list_label,
    source_of,
)
from unet_engine.images.zarr.writing import Multiscale, OmeZarrVersion
from unet_engine.objects.blocks import BlockGrid, release_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.objects.class_mask import SemanticMask
    from unet_engine.stopping import Stop

_LARGEST_CHUNK = 1024
"""Edge of a chunk of the zarr in pixels: 4 MiB of ids, as viewers read quickly."""

_LARGE_BYTES = 2**26
"""Bytes of labels from which a TIFF is written tile by tile, from the file on disk."""

_TILE = 512
"""Edge of a tile of that TIFF in pixels, as of every large TIFF that is written."""


@contextmanager
def label_zarr(
    path: Path,
    mask: SemanticMask,
    image: Image,
    *,
    stop: Stop,
    replace: bool = False,
    version: OmeZarrVersion = "0.4",
) -> Iterator[Any]:
    """Yield an array on disk that becomes an OME-Zarr when the block ends well.

    Parameters
    ----------
    path
        Where it belongs; nothing is there before.
    mask
        Whose objects it takes; their blocks are made of whole chunks.
    image
        The mask with its axes and the size of its pixels.
    stop
        Polled while the smaller levels are made.
    replace
        Delete what is there once the new one is complete.
    version
        Of OME-Zarr.

    Yields
    ------
    array-like
        uint32 of the shape of the mask, for ``iter_label_objects(out=)``.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When something is there already, or the disk is full.
    """
    grid = BlockGrid.for_array(mask.classes, mask.ndim)
    if image_around(path) is not None:
        path.parent.mkdir(exist_ok=True)
    with whole_folder(path, replace=replace) as folder:
        levels = Multiscale(
            path=folder,
            axes=image.leading_axes + "YX",
            shape=grid.shape,
            chunks=(1,) * len(grid.leading) + tuple(map(_chunk, grid.block)),
            dtype=np.dtype(np.uint32),
            pixel_size=image.pixel_size,
            labels=True,
            attributes={"image-label": source_of(path)},
            version=fitting_version(path, version),
        )
        yield levels.as_written(levels.open(anew=True))
        if not levels.finish(stop, {}):
            raise Cancelled("stopped before the file was complete; nothing was written")
    list_label(path)


def write_objects(path: Path, labels: npt.NDArray[Any], image: Image) -> None:
    """Write object ids as TIFF or PNG, whole or not at all.

    Parameters
    ----------
    path
        ``.tif``, ``.tiff`` or, for one plane, ``.png``.
    labels
        ``(*leading, Y, X)`` unsigned integers, perhaps in a temporary file.
    image
        The mask with its axes and the size of its pixels.

    Raises
    ------
    DataError
        When the ids do not fit the format, or the disk is full.
    """
    if labels.nbytes < _LARGE_BYTES or path.suffix.lower() == ".png":
        write_labels(path, labels, image=image)
        return
    axes = image.leading_axes + "YX"
    write_large_tiff(path, _Tiled(labels), axes, image, stop=lambda: False)


def _chunk(edge: int) -> int:
    """Return the edge of the chunks that a block of so many pixels is made of."""
    parts = -(-edge // _LARGEST_CHUNK)
    while edge % parts:
        parts += 1
    return edge // parts


class _Tiled:
    """An array in memory or in a temporary file, read as if it had chunks."""

    def __init__(self, labels: npt.NDArray[Any]) -> None:
        self._labels = labels
        self.shape, self.dtype, self.ndim = labels.shape, labels.dtype, labels.ndim
        self.chunks = (1,) * (labels.ndim - 2) + (_TILE, _TILE)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        block = np.array(self._labels[key])
        release_pages(self._labels)
        return block

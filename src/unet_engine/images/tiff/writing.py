"""Large TIFF files, written tile by tile from an array on disk."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from unet_engine.errors import Cancelled
from unet_engine.files.atomic import whole_file
from unet_engine.images.tiff.options import tiff_options
from unet_engine.images.zarr.chunks import ChunkCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from unet_engine.images.image import Image
    from unet_engine.stopping import Stop

_TILE = 512
"""Edge of a tile in pixels: viewers read about as much at a time."""


def write_large_tiff(
    path: Path,
    data: Any,
    axes: str,
    image: Image,
    *,
    channels: Sequence[str] = (),
    stop: Stop,
) -> bool:
    """Write a tiled TIFF, a BigTIFF from 2 GB on, whole or not at all.

    Parameters
    ----------
    path
        ``.tif`` or ``.tiff``.
    data
        Array-like in chunks; a tile of it is read at a time.
    axes
        Of ``data``, height and width last.
    image
        Whose pixel size is kept.
    channels
        Names of the channels.
    stop
        Polled before every tile.

    Returns
    -------
    bool
        False when ``stop`` returned True; nothing is written then.
    """
    cached = ChunkCache(data)
    try:
        with whole_file(path) as temporary:
            tifffile.imwrite(
                temporary,
                _tiles(cached, stop),
                shape=cached.shape,
                dtype=cached.dtype,
                tile=(_TILE, _TILE),
                **tiff_options(cached, axes, image, channels),
            )
    except Cancelled:
        return False
    return True


def _tiles(data: ChunkCache, stop: Stop) -> Iterator[npt.NDArray[Any]]:
    height, width = data.shape[-2:]
    for index in np.ndindex(*data.shape[:-2]):
        for y, x in product(range(0, height, _TILE), range(0, width, _TILE)):
            if stop():
                raise Cancelled("stopped before the file was complete")
            block = data[
                *index,
                slice(y, min(y + _TILE, height)),
                slice(x, min(x + _TILE, width)),
            ]
            # The tiles of a TIFF are all of one size.
            short = [(0, _TILE - n) for n in block.shape]
            yield np.pad(block, short)

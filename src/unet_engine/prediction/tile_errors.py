"""``named_tile``: errors that state which tile they are about."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unet_engine.places import Index
    from unet_engine.tiling.tiles import Tile


@contextmanager
def named_tile(index: Index, tile: Tile) -> Iterator[None]:
    """Name the tile whose data could not be read or written."""
    try:
        yield
    except DataError as error:
        place = ", ".join(f"{start}:{stop}" for start, stop in tile.inner)
        plane = f" of plane {', '.join(map(str, index))}" if index else ""
        raise DataError(f"tile [{place}]{plane}: {error}") from error

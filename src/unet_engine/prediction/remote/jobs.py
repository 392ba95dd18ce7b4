"""What is ordered of workers, and the tiles in their answers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from unet_engine.errors import Cancelled
from unet_engine.prediction.remote.orders import SegmentedTile
from unet_engine.prediction.remote.storage import CHUNKS_OF_LEVEL, chunks_of_tiles
from unet_engine.prediction.remote.tile_batches import iter_batches
from unet_engine.remote.dispatch import Job
from unet_engine.remote.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.places import Index
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.prediction.remote.orders import PackedTile
    from unet_engine.prediction.remote.pixels import SentPixels
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile


@dataclass(eq=False)
class TileJob(Job):
    """A tile on its way with its pixels; or, without, several that are stored."""

    index: Index = ()
    tile: Tile | None = None
    sent: SentPixels | None = None
    numbers: tuple[int, ...] = ()


def sent_job(run: str, index: Index, tile: Tile, sent: SentPixels) -> TileJob:
    """Return the order for a tile whose pixels are sent."""
    return TileJob(
        "prediction.predict_tile",
        (run, index, tile, sent),
        _title(tile),
        index=index,
        tile=tile,
        sent=sent,
    )


def stored_jobs(
    run: str,
    plan: PredictionPlan,
    image: Image,
    *,
    most: int,
    finished: AbstractSet[int],
    stop: Stop,
) -> Iterator[TileJob]:
    """Yield the orders for batches of tiles that workers read and write.

    Raises
    ------
    Cancelled
        When ``stop``, which is polled before each, returned True.
    """
    chunks = chunks_of_tiles(image, len(plan.tiles.shape))
    for numbers in iter_batches(plan, most=most, chunks=chunks, finished=finished):
        if stop():
            raise Cancelled("stopped")
        yield TileJob(
            "storage.predict_batch",
            (run, numbers),
            f"{_title(plan.at(numbers[0])[1])} and those around it",
            numbers=numbers,
        )


def level_jobs(
    run: str, target: int, level: int, corners: Iterator[tuple[int, ...]]
) -> Iterator[TileJob]:
    """Yield the orders for the chunks of a smaller level of a result."""
    for part in iter(lambda: tuple(islice(corners, CHUNKS_OF_LEVEL)), ()):
        name = "storage.fill_level"
        yield TileJob(name, (run, target, level, part), f"level {level} of the result")


def unpacked(tile: PackedTile) -> npt.NDArray[np.float32] | SegmentedTile:
    """Return a tile that arrived: of a mask, or of a restored image."""
    values = None if tile.values is None else unpack(tile.values)
    if tile.labels is None:
        assert values is not None
        return values
    maps = None if tile.object_maps is None else unpack(tile.object_maps)
    return SegmentedTile(unpack(tile.labels), values, maps)


def _title(tile: Tile) -> str:
    return f"tile [{', '.join(f'{start}:{stop}' for start, stop in tile.inner)}]"

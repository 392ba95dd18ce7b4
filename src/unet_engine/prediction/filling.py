"""``fill``: the tiles of a run → its results, in memory or on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.errors import Cancelled, CheckpointError, DataError
from unet_engine.labels import classes_and_maps
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.remote.orders import SegmentedTile
from unet_engine.prediction.remote.predictor import RemotePredictor
from unet_engine.prediction.remote.storage import WrittenMark, WrittenTile
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.prediction.tile_loop import TileLoop
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.places import Index, Near
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.outputs import Output, PredictionRun
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile


def fill(
    results: Output,
    run: PredictionRun,
    predictor: AnyPredictor | RemotePredictor,
    stop: Stop,
    near: Near,
) -> Generator[TileDone | Reconnecting, None, bool]:
    """Predict the tiles that are not there yet; False when it was stopped."""
    plan = run.plan
    finished = results.begin(run)
    loop = TileLoop(
        predictor, plan, stop=stop, near=near, finished=finished, empty=run.empty
    )
    try:
        if isinstance(predictor, RemotePredictor) and len(finished) < plan.total:
            predictor.share_storage(results, run.empty)
        for one in loop:
            if isinstance(one, Reconnecting):
                yield one
                continue
            index, tile, found = one
            with named_tile(index, tile):
                there = _kept(results, run, index, tile, found)
            wanted = run.config.probabilities
            yield TileDone(
                index=index,
                inner=tile.inner_slices,
                labels=there.labels,
                probabilities=there.probabilities if wanted else None,
                done=loop.done,
                total=plan.total,
                notes=predictor.retreats,
                object_maps=there.object_maps if run.config.object_maps else None,
            )
    except Cancelled:
        return False
    except CheckpointError:
        if not loop.done:
            results.discard()
        raise
    if not loop.complete:
        return False
    _check_unchanged(run)
    if isinstance(results, DiskOutput) and isinstance(predictor, RemotePredictor):
        fill = predictor.fill_level if predictor.stores else None
        return results.finish(stop, fill, shared=predictor.shared)
    return results.finish(stop)


def _kept(
    results: Output,
    run: PredictionRun,
    index: Index,
    tile: Tile,
    found: npt.NDArray[np.float32] | SegmentedTile | WrittenMark,
) -> SegmentedTile:
    """Write a tile, or count one that a worker has written."""
    if isinstance(found, WrittenMark):
        assert isinstance(results, DiskOutput)
        results.count(run.plan.number(index, tile))
        return _written(results, index, tile)
    if not isinstance(found, SegmentedTile):
        classes = len(run.checkpoint.spec.classes)
        found = SegmentedTile(*classes_and_maps(found, classes))
    maps = {"object_maps": found.object_maps} if run.config.object_maps else {}
    results.write(index, tile, found.labels, found.probabilities, **maps)
    return found


def _written(results: Output, index: Index, tile: Tile) -> SegmentedTile:
    """Return a tile that is read from the results when it is asked for."""
    where: tuple[int | slice, ...] = (*index, *tile.inner_slices)

    def stored(array: Any, *channels: slice) -> Any:
        return None if array is None else WrittenTile(array, (*channels, *where))

    def channels(array: Any) -> slice:
        return slice(0, 0 if array is None else array.shape[0])

    values, maps = results.probabilities, results.object_maps
    return SegmentedTile(
        stored(results.labels),
        stored(values, channels(values)),
        stored(maps, channels(maps)),
    )


def _check_unchanged(run: PredictionRun) -> None:
    if run.fingerprint != fingerprint_of(run.image):
        raise DataError(
            f"the files of {run.image.name} were changed by another program during "
            "the prediction, which may mix old and new; run the same again: of a zarr "
            "that goes to disk only the tiles concerned are predicted again"
        )


def fingerprint_of(image: Image) -> str:
    """Return what changes with the files of an image; empty without files."""
    return image.source.fingerprint() if image.source is not None else ""

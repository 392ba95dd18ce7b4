"""Tiles of images that are elsewhere: what is needed of them comes with each order."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from unet_engine.errors import Cancelled
from unet_engine.labels import classes_and_maps
from unet_engine.objects.class_mask import quantised
from unet_engine.prediction.remote.orders import (
    PackedTile,
    PredictionHeader,
    RunReady,
    UnknownRun,
)
from unet_engine.prediction.remote.pixels import MissingPixelsError, PartialArray
from unet_engine.prediction.scaled_predictor import predictor_for
from unet_engine.remote.packing import pack
from unet_engine.worker.blobs import path_of
from unet_engine.worker.models import model_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.places import Index
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.empty_tiles import EmptyTiles
    from unet_engine.prediction.remote.pixels import Box, SentPixels
    from unet_engine.prediction.remote.storage import StoredRun
    from unet_engine.tiling.tiles import Tile

_KEPT_RUNS = 4
"""Of which the network stays in memory: an image and its preview, for two users."""

_runs: OrderedDict[str, _Run] = OrderedDict()
_lock = Lock()


@dataclass(eq=False)
class _Run:
    """What is kept of a prediction from tile to tile."""

    header: PredictionHeader
    predictor: AnyPredictor
    pixels: PartialArray
    stopped: Event = field(default_factory=Event)
    busy: Lock = field(default_factory=Lock)
    stored: StoredRun | None = None
    empty: EmptyTiles | None = None


def begin(run: str, header: PredictionHeader) -> RunReady | UnknownRun:
    """Load a model, if it is there, and get ready for tiles.

    Parameters
    ----------
    run
        Name of the prediction, that of no other.
    header
        What all of its tiles share.

    Returns
    -------
    RunReady or UnknownRun
        The second when the model has to be sent first.
    """
    with _lock:
        known = _runs.get(run)
        if known is None:
            if path_of(header.model) is None:
                return UnknownRun()
            known = _runs[run] = _opened(header)
            while len(_runs) > _KEPT_RUNS:
                _end(_runs.popitem(last=False)[1])
        _runs.move_to_end(run)
    predictor = known.predictor
    return RunReady(predictor.device, predictor.block_edge, predictor.notes)


def _opened(header: PredictionHeader) -> _Run:
    stopped = Event()
    predictor = predictor_for(
        header.image,
        model_of(header.model),
        header.config,
        header.normalisation,
        header.plan,
        stop=stopped.is_set,
        block_edge=header.block_edge,
    )
    return _Run(header, predictor, header.image.data, stopped)


def known_run(run: str) -> _Run | UnknownRun:
    """Return what is kept of a prediction, or what is answered where nothing is."""
    with _lock:
        known = _runs.get(run)
    return known or UnknownRun(get_worker().address)


def predict_tile(
    run: str, index: Index, tile: Tile, sent: SentPixels
) -> PackedTile | Box | UnknownRun:
    """Predict one tile.

    Returns
    -------
    PackedTile or tuple or UnknownRun
        The box of pixels that lack, in place of the tile; or that this worker, which
        may have been started anew or have ended the run, has to get its header.
    """
    known = known_run(run)
    if isinstance(known, UnknownRun):
        return known
    with known.busy:
        known.pixels.hold(sent)
        try:
            found = known.predictor.predict(index, tile)
        except MissingPixelsError as error:
            return error.box
        except Cancelled:
            # The run was ended, and nobody waits for this: no error to be printed.
            return UnknownRun(get_worker().address)
    return _packed(known, found)


def _packed(known: _Run, found: Any) -> PackedTile:
    header = known.header
    retreats = known.predictor.retreats
    if not header.classes:
        return PackedTile(
            labels=None, values=pack(found), object_maps=None, retreats=retreats
        )
    maps: npt.NDArray[Any]
    labels, probabilities, maps = classes_and_maps(found, header.classes)
    if header.quantises_object_maps:
        maps = quantised(maps)
    return PackedTile(
        labels=pack(labels),
        values=pack(probabilities) if header.sends_probabilities else None,
        object_maps=pack(maps) if len(maps) else None,
        retreats=retreats,
    )


def end(run: str) -> None:
    """Stop what is computed of a prediction, and forget it."""
    with _lock:
        known = _runs.pop(run, None)
    if known is not None:
        _end(known)


def _end(known: _Run) -> None:
    known.stopped.set()
    with known.busy, closing(known.predictor):
        pass

"""Tiles that a worker reads and writes itself: it sees image and results."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from unet_engine.errors import Cancelled
from unet_engine.images.zarr.chunks import ChunkCache
from unet_engine.images.zarr.storage import read_bytes
from unet_engine.labels import classes_and_maps
from unet_engine.prediction.disk_target import flush, named_errors
from unet_engine.prediction.empty_tiles import EmptyTiles
from unet_engine.prediction.remote.orders import UnknownRun
from unet_engine.prediction.remote.storage import (
    FilledChunks,
    StoredRun,
    WrittenBatch,
    probe_of,
)
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.stopping import never
from unet_engine.worker.prediction import known_run

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.prediction.disk_target import Content
    from unet_engine.prediction.remote.orders import PredictionHeader


def open_storage(run: str, stored: StoredRun) -> str | UnknownRun:
    """Open image and results of a prediction, if they are the ones.

    Parameters
    ----------
    run
        That was begun here.
    stored
        What to open.

    Returns
    -------
    str or UnknownRun
        Why they cannot be used; empty when they can.
    """
    known = known_run(run)
    if isinstance(known, UnknownRun):
        return known
    try:
        image = _opened(stored)
        if image is not None and stored.rule is not None:
            known.empty = EmptyTiles(image, stored.rule, stored.channels)
    except Exception as error:
        # Storage and its libraries raise anything.
        logger.debug("%s is not seen here", stored.record, exc_info=True)
        return f"{type(error).__name__}: {error}"
    if image is None:
        return "there are others at their places"
    known.pixels.read_from(image.data)
    known.stored = stored
    return ""


def _opened(stored: StoredRun) -> Image | None:
    image = replace(stored.image, data=ChunkCache(stored.image.data.open()))
    if image.source is not None:
        image.source.check_unchanged()
    same = probe_of(image) == stored.probe
    # The record first: to open results that are not there would make them.
    if not same or read_bytes(stored.record) != stored.identity:
        return None
    for target in stored.targets:
        target.reopen()
    return image


def predict_batch(run: str, numbers: tuple[int, ...]) -> WrittenBatch | UnknownRun:
    """Predict some tiles and write them.

    Parameters
    ----------
    run
        A prediction whose image and results are open here.
    numbers
        Of the tiles in its plan.

    Returns
    -------
    WrittenBatch or UnknownRun
        The tiles that outlast a power cut: fewer where the run was ended meanwhile.

    Raises
    ------
    DataError
        When the image cannot be read, or the results cannot be written.
    """
    known = known_run(run)
    if isinstance(known, UnknownRun):
        return known
    if known.stored is None:
        return UnknownRun(get_worker().address)
    header, stored = known.header, known.stored
    written, chunks, skipped = [], [], 0
    with known.busy:
        if stored.image.source is not None:
            stored.image.source.check_unchanged()
        for number in numbers:
            index, tile = header.plan.at(number)
            try:
                with named_tile(index, tile):
                    if known.empty is not None and known.empty.holds(index, tile):
                        found = known.empty.values(tile)
                        skipped += 1
                    else:
                        found = known.predictor.predict(index, tile)
            except Cancelled:
                break
            blocks = _blocks(header, found)
            with named_errors(stored.targets[0].path):
                for target in stored.targets:
                    chunks += target.write(index, tile, blocks[target.content])
            written.append(number)
        with named_errors(stored.targets[0].path):
            for chunk in chunks:
                flush(chunk)
    return WrittenBatch(tuple(written), known.predictor.retreats, skipped)


def fill_level(
    run: str, target: int, level: int, corners: tuple[tuple[int, ...], ...]
) -> FilledChunks | UnknownRun:
    """Fill chunks of a smaller level of a result from the level before.

    Parameters
    ----------
    run
        A prediction whose results are open here.
    target, level
        Which of the results, and which of its levels.
    corners
        First pixels of the chunks.

    Raises
    ------
    DataError
        When a chunk is missing, or the result cannot be written.
    """
    known = known_run(run)
    if isinstance(known, UnknownRun):
        return known
    if known.stored is None:
        return UnknownRun(get_worker().address)
    result = known.stored.targets[target]
    with named_errors(result.path):
        result.multiscale.fill_level(level, corners, never)
    return FilledChunks()


def _blocks(
    header: PredictionHeader, found: npt.NDArray[np.float32]
) -> dict[Content, npt.NDArray[Any]]:
    labels, probabilities, maps = classes_and_maps(found, header.classes)
    return {
        "labels": labels,
        "probabilities": probabilities,
        "object maps": maps,
    }

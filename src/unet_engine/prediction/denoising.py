"""Restore images with a model without classes, tile by tile like a prediction."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import Cancelled, SpecError
from unet_engine.generators import drain
from unet_engine.images import Normalisation, match_channels
from unet_engine.images.zarr.chunks import keep_chunks
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.events import Denoised, TileDenoised
from unet_engine.prediction.plan import looked_at, nearest_first, plan_prediction
from unet_engine.prediction.tile_predictor import TilePredictor, read_tile
from unet_engine.stopping import never
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index, Near
    from unet_engine.stopping import Stop


def denoise(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    indices: Iterable[Index] | None = None,
) -> Denoised:
    """Restore an image; ``iter_denoise`` without the events."""
    run = iter_denoise(image, checkpoint, config, stop=stop, indices=indices)
    return drain(run)


def iter_denoise(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    indices: Iterable[Index] | None = None,
    near: Near = None,
) -> Generator[TileDenoised, None, Denoised]:
    """Restore an image tile by tile, and yield every tile as it is finished.

    Parameters
    ----------
    image
        Any number of planes, which are read a tile at a time.
    checkpoint
        A model without classes, as ``pretrain`` makes them.
    config
        Device, tile size, mean over the flips.
    stop
        Polled before every tile and every layer; ``True`` returns what there is.
    indices
        Positions along the leading axes to restore; the others stay 0.
    near
        ``(index, (y, x))``: planes and tiles nearest to it come first. A callable is
        asked again before every tile.

    Yields
    ------
    TileDenoised
        In the order of ``near``, else in raster order.

    Returns
    -------
    Denoised

    Raises
    ------
    SpecError
        When the model has classes.
    DataError
        When the channels do not fit the model.
    OutOfMemoryError
        When even the smallest tile, or the result, does not fit the memory.
    """
    started = time.monotonic()
    config = config or PredictConfig()
    spec = checkpoint.spec
    if spec.classes:
        raise SpecError(
            f"this model predicts the classes {', '.join(spec.classes)} and restores "
            "no image; use one that was pretrained without labels"
        )
    image = keep_chunks(match_channels(image, spec.in_channels))
    plan = plan_prediction(
        image,
        spec,
        config,
        indices,
        watched=near is not None,
        place=looked_at(near),
    )
    normalisation = Normalisation.measure(
        image, low=spec.low_percentile, high=spec.high_percentile
    )
    with translated_errors():
        restored = np.zeros((spec.out_channels, *plan.shape), np.float32)
    predictor = TilePredictor(
        image, checkpoint, config, normalisation, stop, footprint=plan.tiles.footprint
    )
    done = 0
    with closing(predictor):
        for index, tile in nearest_first(plan, near):
            if stop():
                break
            try:
                pixels = normalisation.undo(predictor.predict(index, tile))
            except Cancelled:
                break
            lost = np.isnan(pixels).all(axis=0)
            if lost.any():
                # What was never recorded stays as it is.
                as_read = read_tile(image, index, Tile(tile.inner, tile.inner))
                pixels[:, lost] = as_read[:, lost]
            where: tuple[int | slice, ...] = (*index, *tile.inner_slices)
            restored[:, *where] = pixels
            done += 1
            yield TileDenoised(
                index=index,
                inner=tile.inner_slices,
                image=pixels,
                done=done,
                total=plan.total,
                notes=predictor.retreats,
            )
    return Denoised(
        image=restored,
        complete=done == plan.total,
        device=predictor.device,
        seconds=time.monotonic() - started,
        notes=predictor.notes,
    )

"""Restore images with a model without classes, tile by tile like a prediction."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import SpecError
from unet_engine.generators import drain
from unet_engine.images import match_channels
from unet_engine.images.neighbours import check_slices
from unet_engine.images.zarr.chunks import keep_chunks
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.events import Denoised, TileDenoised
from unet_engine.prediction.plan import current_place, plan_prediction
from unet_engine.prediction.predictors import iter_predictor_for
from unet_engine.prediction.remote.orders import SegmentedTile
from unet_engine.prediction.remote.storage import WrittenMark
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.prediction.tile_loop import (
    TileLoop,
    measure_normalisation,
)
from unet_engine.prediction.tile_predictor import read_tile
from unet_engine.remote.seeking import Reconnecting
from unet_engine.stopping import never
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
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
    """Restore an image tile by tile.

    Parameters
    ----------
    image
        Any number of planes, which are read a tile at a time.
    checkpoint
        A model without classes, as ``pretrain`` makes them.
    config
        Device, tile size, mean over the flips; no size of objects has an effect.
    stop
        Polled before every tile and every layer; ``True`` returns what there is.
    indices
        Positions along the leading axes to restore; the others stay 0.

    Raises
    ------
    SpecError
        When the model has classes.
    DataError
        When the channels or slices do not fit the model, or a tile cannot be read.
    OutOfMemoryError
        When even the smallest tile, or the result, does not fit the memory.
    """
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
) -> Generator[TileDenoised | Reconnecting, None, Denoised]:
    """Restore an image as ``denoise`` does, and yield every tile as it is finished.

    Planes and tiles nearest to ``near``, an ``(index, (y, x))``, come first; a callable
    is called again before every tile. Without it they come in raster order.

    Yields
    ------
    TileDenoised or Reconnecting
        As of ``iter_predict``.
    """
    started = time.monotonic()
    # An image is restored on its own grid: elsewhere it would lose detail.
    config = replace(config or PredictConfig(), object_size="off")
    spec = checkpoint.spec
    _check_restores(spec)
    check_slices(image, spec.slices)
    image = keep_chunks(match_channels(image, spec.in_channels))
    plan = plan_prediction(
        image,
        spec,
        config,
        indices,
        watched=near is not None,
        place=current_place(near),
    )
    normalisation = measure_normalisation(image, spec, plan)
    with translated_errors():
        restored = np.zeros((spec.out_channels, *plan.shape), np.float32)
    predictor = yield from iter_predictor_for(
        image, checkpoint, config, normalisation, plan, stop=stop
    )
    loop = TileLoop(predictor, plan, stop=stop, near=near)
    with closing(predictor):
        for one in loop:
            if isinstance(one, Reconnecting):
                yield one
                continue
            index, tile, values = one
            assert not isinstance(values, SegmentedTile | WrittenMark)
            pixels = _as_recorded(normalisation.undo(values), image, index, tile)
            where: tuple[int | slice, ...] = (*index, *tile.inner_slices)
            restored[:, *where] = pixels
            yield TileDenoised(
                index=index,
                inner=tile.inner_slices,
                image=pixels,
                done=loop.done,
                total=plan.total,
                notes=predictor.retreats,
            )
    return Denoised(
        image=restored,
        complete=loop.complete,
        device=predictor.device,
        seconds=time.monotonic() - started,
        notes=predictor.notes,
    )


def _check_restores(spec: ModelSpec) -> None:
    if spec.classes:
        raise SpecError(
            f"this model predicts the classes {', '.join(spec.classes)} and restores "
            "no image; use one that was pretrained without labels"
        )


def _as_recorded(
    pixels: npt.NDArray[np.float32], image: Image, index: Index, tile: Tile
) -> npt.NDArray[np.float32]:
    """Keep the pixels of the image where nothing was recorded: none is restored there.

    ``pixels`` are ``(C, *inner)``, and NaN in every channel of such a place.
    """
    lost = np.isnan(pixels).all(axis=0)
    if lost.any():
        with named_tile(index, tile):
            as_read = read_tile(image, index, Tile(tile.inner, tile.inner))
        pixels[:, lost] = as_read[:, lost]
    return pixels

"""What runs in a thread: predictions, trainings, downloads. No Qt, layer or widget.

Orders are made on the main thread from what is on screen; the generators here carry
them out and may import torch.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_unet.jobs.first_tile import first_tile
from napari_unet.jobs.job import load_torch
from napari_unet.jobs.preview import preview_tiles
from napari_unet.state.object_maps import ObjectMaps
from unet_engine.devices import is_remote
from unet_engine.errors import Cancelled
from unet_engine.prediction.outputs import DiscardedOutput
from unet_engine.remote.preparation import iter_prepare

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    import numpy.typing as npt

    from napari_unet.jobs.orders import DenoisingOrder, PredictionOrder
    from napari_unet.jobs.preview import PreviewTile
    from napari_unet.state.workspace import Workspace
    from unet_engine.images import Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.events import (
        Denoised,
        Prediction,
        TileDenoised,
        TileDone,
    )
    from unet_engine.remote.preparation import Connecting, Sending
    from unet_engine.remote.seeking import Reconnecting
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    PredictionEvent: TypeAlias = (
        "Connecting | Sending | Reconnecting | PreviewTile | ObjectSizeFound | TileDone"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectSizeFound:
    """The size of the objects was estimated, or could not be.

    Attributes
    ----------
    config
        What the prediction goes on with.
    """

    config: PredictConfig


def predict_run(
    order: PredictionOrder, workspace: Workspace, stop: Stop
) -> Generator[PredictionEvent, None, Prediction | None]:
    """Predict, the preview first.

    See `unet_engine.prediction.segmentation.iter_predict`.

    Returns
    -------
    Prediction or None
        None when it was stopped before the first tile was begun.
    """
    load_torch()
    try:
        return (yield from _predict(order, workspace, stop))
    except Cancelled:
        return None


def _predict(
    order: PredictionOrder, workspace: Workspace, stop: Stop
) -> Generator[PredictionEvent, None, Prediction]:
    from unet_engine.prediction.segmentation import iter_predict

    checkpoint = workspace.checkpoint(order.model)
    normalisation, config = yield from _prepare(order, checkpoint, stop)
    if config is not order.config:
        yield ObjectSizeFound(config=config)
    order = replace(order, config=config)
    yield from first_tile(order, checkpoint, normalisation, stop)
    working_image = order.working_image
    maps = working_image.object_maps = ObjectMaps.of(
        order.model, checkpoint, working_image.mask.shape, working_image.object_maps
    )
    return (
        yield from iter_predict(
            working_image.image,
            checkpoint,
            replace(config, object_maps=maps is not None),
            stop=stop,
            normalisation=normalisation,
            indices=order.indices,
            near=order.near,
            into=_MapsOutput(maps),
            features=order.working_image.features,
        )
    )


def _prepare(
    order: PredictionOrder, checkpoint: Checkpoint, stop: Stop
) -> Generator[PredictionEvent, None, tuple[Normalisation, PredictConfig]]:
    """Measure the image; connect to workers elsewhere and send the model meanwhile."""
    device = order.config.device
    if not is_remote(device):
        yield from _preview(order, checkpoint, stop)
        return _measured(order, checkpoint, stop)
    ended = Event()

    def stopped() -> bool:
        return stop() or ended.is_set()

    measure = partial(_measured, order, checkpoint, stopped)
    with ThreadPoolExecutor(1) as pool:
        measuring = pool.submit(copy_context().run, measure)
        try:
            yield from iter_prepare(device, checkpoint.to_bytes, stop=stop)
            yield from _preview(order, checkpoint, stop)
            return measuring.result()
        finally:
            ended.set()


def _preview(
    order: PredictionOrder, checkpoint: Checkpoint, stop: Stop
) -> Generator[PreviewTile, None, None]:
    if order.preview is not None:
        sizes = order.working_image.object_sizes
        known = sizes.known(order.working_image.image, checkpoint.spec, order.config)
        yield from preview_tiles(order.preview, checkpoint, known, stop)


def _measured(
    order: PredictionOrder, checkpoint: Checkpoint, stop: Stop
) -> tuple[Normalisation, PredictConfig]:
    """Return the brightness, and the configuration with the size of the objects."""
    working_image = order.working_image
    normalisation = working_image.normalisation(checkpoint.spec, stop)
    config = working_image.object_sizes.settled(
        working_image.image, checkpoint, order.config, normalisation, stop
    )
    return normalisation, config


class _MapsOutput(DiscardedOutput):
    """Object maps alone: the mask takes the tiles as they come, and is the only copy.

    Parameters
    ----------
    maps
        Where object maps go, which the mask has no place for; None for nowhere.
    """

    def __init__(self, maps: ObjectMaps | None) -> None:
        super().__init__()
        self._maps = maps

    @property
    def quantises_object_maps(self) -> bool:
        """Keep them as uint8."""
        return True

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: Any,
        probabilities: Any,
        object_maps: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Drop a tile, but for its object maps."""
        if self._maps is not None and object_maps is not None:
            self._maps.write(index, tile.inner_slices, object_maps)


def denoise_run(
    order: DenoisingOrder, workspace: Workspace, stop: Stop
) -> Generator[
    Connecting | Sending | Reconnecting | TileDenoised, None, Denoised | None
]:
    """Remove noise from an image by `unet_engine.prediction.denoising.iter_denoise`.

    Returns
    -------
    Denoised or None
        None when it was stopped before the first tile was begun.
    """
    load_torch()
    from unet_engine.prediction.denoising import iter_denoise

    checkpoint = workspace.checkpoint(order.model)
    try:
        yield from iter_prepare(order.config.device, checkpoint.to_bytes, stop=stop)
        return (
            yield from iter_denoise(
                order.image,
                checkpoint,
                order.config,
                stop=stop,
                indices=order.indices,
                near=order.near,
            )
        )
    except Cancelled:
        return None


def fetch_run(trunk: str, stop: Stop) -> Generator[tuple[int, int], None, None]:
    """Fetch the weights of a classifier, if they are not there yet.

    Yields
    ------
    tuple
        Bytes that arrived, and bytes in all or 0.
    """
    load_torch()
    from unet_engine.models.imagenet import imagenet_weights

    progress: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def fetch() -> None:
        imagenet_weights(trunk, progress=lambda *n: progress.put(n), stop=stop)

    # A callback cannot yield, so the download gets a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        download = pool.submit(fetch)
        while not download.done():
            with suppress(Empty):
                yield progress.get(timeout=0.1)
        download.result()

"""The object maps of an image that objects are found with, in flat memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import Cancelled
from unet_engine.objects.blocks import BlockDone, release_pages, scratch_array
from unet_engine.objects.class_mask import quantised
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.outputs import ArrayOutput
from unet_engine.prediction.segmentation import iter_predict
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile


def iter_object_maps(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
) -> Generator[BlockDone, None, npt.NDArray[np.uint8]]:
    """Predict the object maps of an image for ``SemanticMask.object_maps``.

    Parameters
    ----------
    image, checkpoint, config, stop, normalisation
        As for ``iter_predict``.

    Yields
    ------
    BlockDone
        For every tile.

    Returns
    -------
    ndarray
        ``(maps, *leading, Y, X)`` uint8, 255 for 1; in a temporary file where it is
        large.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    SpecError
        When the model gives no object maps.
    """
    config = replace(
        config or PredictConfig(), object_maps=True, probabilities=False, effort="fast"
    )
    shape = (*image.leading_shape, *image.plane_shape)
    maps = scratch_array((len(checkpoint.spec.object_maps), *shape), np.uint8)
    run = iter_predict(
        image,
        checkpoint,
        config,
        stop=stop,
        normalisation=normalisation,
        into=_Maps(maps),
    )
    while True:
        try:
            tile = next(run)
        except StopIteration as finished:
            complete = finished.value.complete
            break
        yield BlockDone(done=tile.done, total=tile.total)
    if not complete:
        raise Cancelled("stopped before the object maps were predicted")
    return maps


class _Maps(ArrayOutput):
    """Keeps the object maps of each tile, and nothing else."""

    def __init__(self, maps: npt.NDArray[np.uint8]) -> None:
        super().__init__(labels=None, object_maps=maps)

    @property
    def quantises_object_maps(self) -> bool:
        """Keep them as uint8."""
        return True

    def write(
        self,
        index: Index,
        tile: Tile,
        labels: npt.NDArray[np.uint8],
        probabilities: npt.NDArray[np.float32] | None,
        object_maps: npt.NDArray[Any] | None = None,
    ) -> None:
        """Write the ``(maps, *inner)`` object maps of a tile as uint8."""
        assert object_maps is not None
        where = (slice(None), *index, *tile.inner_slices)
        self.object_maps[where] = quantised(object_maps)
        release_pages(self.object_maps)

"""A part of a plane as a model predicts it: what is on screen, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import Cancelled, DataError
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.outputs import DiscardedOutput
from unet_engine.prediction.segmentation import iter_predict
from unet_engine.stopping import never

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index, Region
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop


def predict_view(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig | None = None,
    *,
    index: Index = (),
    region: Region,
    stop: Stop = never,
    normalisation: Normalisation | None = None,
) -> npt.NDArray[np.uint8]:
    """Predict a region of a plane: the pixels that a prediction of the plane has there.

    Only the tiles that meet the region are computed.

    Parameters
    ----------
    image, checkpoint, config, stop, normalisation
        As of ``iter_predict``; a model of planes.
    index
        Position along the leading axes.
    region
        Rows and columns.

    Returns
    -------
    ndarray
        ``(h, w)`` uint8 class ids.

    Raises
    ------
    Cancelled
        When ``stop`` returned True before all of it was predicted.
    DataError
        When the model works on volumes, or the region is empty.
    """
    if checkpoint.spec.ndim != 2:
        raise DataError(
            f"{checkpoint.title} works on volumes, and a part of a plane has none of "
            "the planes around it; predict the image with it"
        )
    starts = [part.start for part in region]
    sizes = [part.stop - part.start for part in region]
    if min(sizes) <= 0:
        raise DataError("no pixel of the image is in the region; choose another one")
    found = np.zeros(sizes, np.uint8)
    missing = np.ones(sizes, bool)
    middle = (starts[0] + sizes[0] / 2, starts[1] + sizes[1] / 2)
    run = iter_predict(
        image,
        checkpoint,
        config,
        stop=stop,
        normalisation=normalisation,
        indices=(index,),
        near=(index, middle, (float(sizes[0]), float(sizes[1]))),
        into=DiscardedOutput(),
    )
    for tile in run:
        if not isinstance(tile, TileDone):
            continue
        inside, part = _common(region, (tile.inner[0], tile.inner[1]))
        found[inside] = tile.labels[part]
        missing[inside] = False
        if not missing.any():
            run.close()
            return found
    raise Cancelled("the prediction was stopped")


def _common(region: Region, inner: Region) -> tuple[Region, Region]:
    """Return where a tile lies in the region, and that part of the tile."""
    inside, part = [], []
    for wanted, there in zip(region, inner, strict=True):
        start = max(wanted.start, there.start)
        stop = max(start, min(wanted.stop, there.stop))
        inside.append(slice(start - wanted.start, stop - wanted.start))
        part.append(slice(start - there.start, stop - there.start))
    return (inside[0], inside[1]), (part[0], part[1])

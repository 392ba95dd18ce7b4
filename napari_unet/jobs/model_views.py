"""Masks of several models on what is on screen, predicted in a thread. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.jobs.job import load_torch
from napari_unet.state.polling import polled
from unet_engine.errors import Cancelled, CheckpointError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.fitting import why_gone

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.places import Index, Region, View
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop

_LARGEST_EDGE = 1024
"""Pixels of the image: what a screen shows of it at its own size, and some seconds of a
processor; of a view that shows more, its middle."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewOrder:
    """What is needed to predict a view.

    Attributes
    ----------
    image, models, config
        What, by which models, and how.
    index, region
        The plane, and its rows and columns.
    """

    image: Image
    models: tuple[ModelInfo, ...]
    config: PredictConfig
    index: Index
    region: Region


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewMask:
    """What a model predicts of a view.

    Attributes
    ----------
    model
        The model.
    labels
        ``(h, w)`` uint8 class ids of the region.
    """

    model: ModelInfo
    labels: npt.NDArray[np.uint8]


def view_run(order: ViewOrder, stop: Stop) -> Generator[ViewMask, None, None]:
    """Predict a view with each model; see `unet_engine.prediction.view`."""
    load_torch()
    from unet_engine.prediction.view import predict_view

    for model in order.models:
        if gone := why_gone(model):
            raise CheckpointError(gone)
        try:
            labels = predict_view(
                polled(order.image, stop),
                Checkpoint.load(model.path),
                order.config,
                index=order.index,
                region=order.region,
                stop=stop,
            )
        except Cancelled:
            return
        yield ViewMask(model=model, labels=labels)


def region_of(view: View, shape: tuple[int, int]) -> Region | None:
    """Return the rows and columns that are on screen; None when there are none.

    Parameters
    ----------
    view
        What the camera shows.
    shape
        Rows and columns of the image.
    """
    _, middle, size = view
    parts = []
    for point, extent, count in zip(middle, size, shape, strict=True):
        extent = min(extent, _LARGEST_EDGE)
        start = max(0, int(point - extent / 2))
        stop = min(count, int(point + extent / 2) + 1)
        if start >= stop:
            return None
        parts.append(slice(start, stop))
    return parts[0], parts[1]

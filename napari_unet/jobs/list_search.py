"""Which image of a list should be worked on next: where a model is least certain.

No Qt, layer or widget; torch is imported in the thread.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.jobs.job import load_torch
from napari_unet.jobs.uncertainty_search import survey_tile
from unet_engine.errors import DataError
from unet_engine.images import Normalisation, match_channels, open_image
from unet_engine.interactive.where_to_look import (
    CELL,
    Suggestion,
    Survey,
    rank_suggestions,
    sample_tiles,
)
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.outputs import DiscardedOutput

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import ObjectSize
    from unet_engine.stopping import Stop

_EDGE = 2 * CELL
"""Pixels of an edge of a tile: two squares that are suggested."""
_TILES = 6
"""Tiles of an image that are predicted: a coarse look."""
_PLACES = 3
"""Places of an image whose uncertainty counts: about what is corrected in a minute, so
that an image with one odd place is not preferred to one that is wrong all over."""
_MOST_IMAGES = 200
"""Images of one search at most, spread over the list."""
_SECONDS = 30.0
"""Time to search; a first image is always predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSearched:
    """An image was looked at.

    Attributes
    ----------
    done, total
        Images so far, and in all.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedImage:
    """An image in which corrections would help.

    Attributes
    ----------
    path
        In the list.
    uncertainty
        Of its most uncertain places, from 0 to 1.
    place
        The most uncertain one; None when nothing stands out.
    """

    path: str
    uncertainty: float
    place: Suggestion | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchOrder:
    """What a search needs.

    Attributes
    ----------
    images
        Path in the list and file of each image that may be suggested.
    load
        Returns the model; called in the thread.
    device, object_size
        As of a ``PredictConfig``.
    """

    images: tuple[tuple[str, Path], ...]
    load: Callable[[Stop], Checkpoint]
    device: Device
    object_size: ObjectSize


def list_search_run(
    order: SearchOrder, stop: Stop
) -> Generator[ListSearched, None, list[SuggestedImage]]:
    """Predict a few tiles of each image, and rank the images by uncertainty.

    Images that cannot be read, or that the model cannot predict, are passed over.

    Returns
    -------
    list of SuggestedImage
        The most uncertain one first.
    """
    load_torch()
    checkpoint = order.load(stop)
    images = _spread(order.images, _MOST_IMAGES)
    found: list[SuggestedImage] = []
    end = time.monotonic() + _SECONDS
    for done, (path, place) in enumerate(images, start=1):
        if stop() or (found and time.monotonic() > end):
            break
        try:
            found.append(_look(path, place, checkpoint, order, stop))
        except (DataError, OSError):
            continue
        yield ListSearched(done=done, total=len(images))
    return sorted(found, key=lambda each: -each.uncertainty)


def _spread(images: Sequence[Any], most: int) -> list[Any]:
    """Return all, or as many that are evenly spread over them."""
    if len(images) <= most:
        return list(images)
    at = np.linspace(0, len(images) - 1, most).round().astype(int)
    return [images[n] for n in at.tolist()]


def _look(
    path: str, place: Path, checkpoint: Checkpoint, order: SearchOrder, stop: Stop
) -> SuggestedImage:
    """Predict a few tiles of an image."""
    image = match_channels(open_image(place), checkpoint.spec.in_channels)
    survey = Survey(image.plane_shape)
    tiles = _tiles(image, checkpoint, order, stop)
    with closing(tiles):
        for tile in islice(tiles, _TILES):
            survey_tile(survey, tile)
    ranked = rank_suggestions(survey, _PLACES)
    total = sum(each.uncertainty for each in ranked)
    return SuggestedImage(
        path=path,
        uncertainty=total / _PLACES,
        place=ranked[0] if ranked else None,
    )


def _tiles(
    image: Image, checkpoint: Checkpoint, order: SearchOrder, stop: Stop
) -> Generator[TileDone, None, None]:
    from unet_engine.prediction.segmentation import iter_predict

    rows, columns = image.plane_shape
    middle = (tuple(n // 2 for n in image.leading_shape), rows / 2, columns / 2)
    places = list(
        islice(
            sample_tiles(
                image.leading_shape, image.plane_shape, edge=_EDGE, near=middle
            ),
            _TILES,
        )
    )
    # Called once for the grid of the tiles, then before each of them.
    ahead = iter([places[0], *places])

    def near() -> tuple[tuple[int, ...], tuple[float, float]] | None:
        place = next(ahead, None)
        if place is None:
            return None
        index, down, across = place
        return index, ((down.start + down.stop) / 2, (across.start + across.stop) / 2)

    planes = tuple(sorted({index for index, *_ in places}))
    config = PredictConfig(
        tile=_EDGE,
        probabilities=True,
        effort="fast" if checkpoint.has_network else "full",
        device=order.device,
        object_size=order.object_size,
    )
    for tile in iter_predict(
        image,
        checkpoint,
        config,
        stop=stop,
        normalisation=Normalisation.measure(image, checkpoint.spec.preparation),
        indices=planes if checkpoint.spec.ndim == 2 else None,
        near=near,
        into=DiscardedOutput(),
    ):
        if isinstance(tile, TileDone):
            yield tile

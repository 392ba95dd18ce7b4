"""A part of an image where there is contrast, and what a model finds in it alone.

It takes a few tenths of a second, whatever the size of the image.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.images import Image
from unet_engine.images.resampled import resampled_image
from unet_engine.prediction.model_predictor import ModelPredictor
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index, Interval
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop

    Point = tuple[float, float]

_OVERVIEW = 192
"""Edge in pixels of the overview in which the part is chosen."""

_WINDOW = 1024
"""Edge in pixels of the parts of a large plane in which contrast is looked for."""

_SPREAD = 12.0
"""Pixels of the overview over which contrast is averaged: a part has objects, not one
bright speck."""

_MARGIN = 0.15
"""Share of each side of the overview in which the middle of the part does not lie."""

_SMALLEST = 32
"""Edge in pixels of the model's grid below which a part is not predicted."""

_PLANES = 5
"""Planes of a stack in which the part is looked for."""


def place_with_contrast(
    image: Image, normalisation: Normalisation
) -> tuple[Index, Point]:
    """Find the plane and the point ``(y, x)`` around which pixels differ most.

    Parameters
    ----------
    image
        As a model takes it, its fill as NaN.
    normalisation
        Of it.
    """
    planes = list(image.indices())
    chosen = planes[:: max(1, len(planes) // _PLANES)]
    windows = list(product(*map(_windows, image.plane_shape)))
    found = [
        (*_contrast_in(image, index, window, normalisation), index)
        for index in chosen
        for window in windows
    ]
    _, middle, index = max(found, key=itemgetter(0))
    return index, middle


def part_at(
    image: Image, index: Index, middle: Point, scale: float, edge: int
) -> Image | None:
    """Return the part around a point at a scale; None where hardly any is left.

    Parameters
    ----------
    image
        As of `place_with_contrast`.
    index, middle
        The plane, and the point in its pixels.
    scale
        Pixels of the model's grid for one of the image.
    edge
        Of the part at most, in pixels of the model's grid.
    """
    there = resampled_image(image, {"Y": scale, "X": scale})
    if max(there.plane_shape) < _SMALLEST:
        return None
    spans = [
        span_around(point * scale, edge, size)
        for point, size in zip(middle, there.plane_shape, strict=True)
    ]
    pixels = there.read(index, [slice(*span) for span in spans])
    return Image.from_array(pixels, "CYX", name=image.name)


def span_around(point: float, edge: int, size: int) -> Interval:
    """Return an interval of at most ``edge`` around a point, inside an axis."""
    edge = min(edge, size)
    start = min(max(0, round(point - edge / 2)), size - edge)
    return start, start + edge


def predict_part(
    part: Image,
    checkpoint: Checkpoint,
    config: PredictConfig,
    normalisation: Normalisation,
    stop: Stop,
) -> npt.NDArray[np.float32]:
    """Return ``(channels, Y, X)`` of a part, as an image of its own.

    Parameters
    ----------
    part
        As of `part_at`.
    checkpoint, config, normalisation, stop
        As of a ``ModelPredictor``; the normalisation of the whole image.
    """
    recorded = replace(normalisation, fills=(), notes=())
    predictor = ModelPredictor(part, checkpoint, config, recorded, stop)
    inner = tuple((0, size) for size in part.plane_shape)
    outer = checkpoint.spec.footprint.around(inner, part.plane_shape)
    return predictor.predict((), Tile(inner, outer))


def _windows(size: int) -> list[Interval]:
    """Return the parts of an axis that are looked at: all of it, or three."""
    if size <= 2 * _WINDOW:
        return [(0, size)]
    starts = ((size - _WINDOW) * share // 6 for share in (1, 3, 5))
    return [(start, start + _WINDOW) for start in starts]


def _contrast_in(
    image: Image,
    index: Index,
    window: tuple[Interval, ...],
    normalisation: Normalisation,
) -> tuple[float, Point]:
    """Return the largest contrast in a window, and where in the plane it is."""
    block = image.read(index, [slice(*part) for part in window])
    part = Image.from_array(block, "CYX")
    factor = min(1.0, _OVERVIEW / max(part.plane_shape))
    small = resampled_image(part, {"Y": factor, "X": factor})
    everything = tuple(slice(0, size) for size in small.plane_shape)
    pixels = normalisation.apply(small.read((), everything)).mean(axis=0)
    mean = ndimage.gaussian_filter(pixels, _SPREAD)
    contrast = ndimage.gaussian_filter(pixels**2, _SPREAD) - mean**2
    edge = int(_MARGIN * min(pixels.shape))
    inside = contrast[edge : len(contrast) - edge, edge : contrast.shape[1] - edge]
    place = np.unravel_index(int(inside.argmax()), inside.shape)
    y, x = (
        start + float(at + edge + 0.5) / factor
        for at, (start, _) in zip(place, window, strict=True)
    )
    return float(inside[place]), (y, x)

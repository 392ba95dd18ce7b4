"""Planes of a volume in three directions: when, and in what tiles of the volume."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.tiling.tiles import Footprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.tiling.tiles import TilePlan

AXES = ("Z", "Y", "X")
"""The axis along which the planes of each direction follow each other."""

_LARGEST, _WATCHED = 256, 64
"""Edge of a tile in voxels: that of a block of features, so that none is computed
twice, and of a tile that is shown when it is finished."""

_WORKING_MEMORY = 2**30
"""Bytes that the probabilities of a tile may take."""


def in_three_directions(spec: ModelSpec, config: PredictConfig) -> bool:
    """Whether a model of planes predicts a volume in planes of three directions."""
    segments_planes = spec.ndim == 2 and bool(spec.classes)
    return segments_planes and config.directions == "three"


def check_directions(image: Image) -> None:
    """Check that an image has planes in three directions.

    Raises
    ------
    DataError
        When it is no volume, as a time series is none.
    """
    if not image.leading_axes.endswith("Z"):
        raise DataError(
            f"only a volume has planes in three directions, and "
            f"{image.name or 'the image'} has no Z before its planes (axes "
            f"{image.axes!r}); predict planes in one direction, or state its axes"
        )


def footprint_in_volume(footprint: Footprint) -> Footprint:
    """Return that of planes in three directions, ``(Z, Y, X)``, for one of planes."""
    return Footprint.isotropic(
        3,
        halo=max(footprint.halo),
        divisor=max(footprint.divisor),
        remainder=max(footprint.remainder),
        padded=footprint.padded,
    )


def footprint_of_planes(footprint: Footprint) -> Footprint:
    """Return that of the planes, for one of `footprint_in_volume`."""
    return replace(
        footprint,
        halo=footprint.halo[1:],
        divisor=footprint.divisor[1:],
        remainder=footprint.remainder[1:],
    )


def choose_tile_in_volume(
    shape: Sequence[int], classes: int, *, edge: int, watched: bool
) -> tuple[int, ...]:
    """Choose the edges of the tiles of a volume, ``(Z, Y, X)`` in voxels.

    Parameters
    ----------
    shape
        Of the volume.
    classes
        Of the model.
    edge
        As many voxels as a tile of a plane of this edge has pixels; 0: as suits.
    watched
        The tiles are shown as they finish.
    """
    if edge:
        return (max(1, round(edge ** (2 / 3))),) * 3
    largest = _WATCHED if watched else _LARGEST
    while largest > _WATCHED and _nbytes((largest,) * 3, classes) > _WORKING_MEMORY:
        largest //= 2
    if largest == _LARGEST:
        return (largest,) * 3
    return tuple(ceil(size / ceil(size / largest)) for size in shape)


def bytes_of_tile(tiles: TilePlan, classes: int, bytes_per_pixel: int) -> int:
    """Estimate the memory for a tile: its probabilities, and a plane in a network."""
    plane = sorted(tiles.largest_outer)[1:]
    return _nbytes(tiles.tile, classes) + bytes_per_pixel * prod(plane)


def _nbytes(sizes: Sequence[int], classes: int) -> int:
    # float32, once for the mean and once for what becomes of it.
    return 8 * classes * prod(sizes)


def turned(image: Image, axis: str) -> Image:
    """Return a view of a volume whose planes follow each other along an axis.

    Parameters
    ----------
    image
        With an axis Z.
    axis
        Changes places with Z: "Y", "X", or "Z" for the image as it is.
    """
    exchanged = str.maketrans({"Z": axis, axis: "Z"})
    return replace(image, axes=image.axes.translate(exchanged))

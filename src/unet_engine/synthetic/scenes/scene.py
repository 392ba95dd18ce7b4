"""``Scene``: a generated image and its ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

TASKS = (
    "membrane",
    "mitochondrion",
    "filament",
    "cell",
    "nucleus",
    "cytoplasm",
    "granule",
    "texture",
)
"""Binary tasks, each with a yes or no at every pixel; a scene has targets for some."""

BACKGROUND, INTERIOR, BOUNDARY = range(3)
REACH = 16.0
"""Pixels from an edge at which the distance target ends."""

_LARGE = 700
"""Pixels of an object from which on its rim is 2 pixels wide instead of 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """An image without noise, and its ground truth.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32 of 1 or 3 channels, in any range.
    target
        ``(Y, X)`` uint8: 0 background, 1 inside of an object, 2 rim of an object or
        membrane, or ``IGNORE``.
    masks
        ``(Y, X)`` bool of the tasks that the scene has targets for.
    absent
        Tasks whose target is no everywhere.
    ids
        ``(Y, X)`` int32 of the objects from 1, of families that draw objects apart.
    """

    pixels: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    masks: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    ids: npt.NDArray[np.int32] | None = None

    def task_targets(self) -> npt.NDArray[np.uint8]:
        """Return ``(len(TASKS), Y, X)`` uint8: 0, 1 or ``IGNORE``."""
        targets = np.full((len(TASKS), *self.target.shape), IGNORE, np.uint8)
        for name, mask in self.masks.items():
            targets[TASKS.index(name)] = mask
        for name in self.absent:
            targets[TASKS.index(name)] = 0
        return targets


def objects_target(
    ids: npt.NDArray[np.integer], *, rimless: bool = False
) -> npt.NDArray[np.uint8]:
    """Turn object ids into background, interior and boundary.

    The rim lies in the object and is 1 pixel wide, 2 in large objects.

    Parameters
    ----------
    ids
        ``(Y, X)`` integers, 0 where there is no object.
    rimless
        Leave out the rims, because the objects are too thin to have an inside.

    Returns
    -------
    ndarray
        ``(Y, X)`` uint8 of ``BACKGROUND``, ``INTERIOR`` and ``BOUNDARY``.
    """
    inside = ids > 0
    target = np.where(inside, INTERIOR, BACKGROUND).astype(np.uint8)
    if rimless:
        return target
    large = (np.bincount(ids.ravel()) >= _LARGE)[ids]
    target[inside & _near_other(ids, 3)] = BOUNDARY
    target[inside & large & _near_other(ids, 5)] = BOUNDARY
    return target


def distance_target(target: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the distance to the nearest edge of an object, 1 from ``REACH`` pixels on.

    An edge is a boundary pixel or, at an object without a rim, where interior and
    background meet.

    Parameters
    ----------
    target
        ``(Y, X)`` uint8 as of ``objects_target``.

    Returns
    -------
    ndarray
        ``(Y, X)`` float32 in [0, 1].
    """
    background = target == BACKGROUND
    beside = ndimage.binary_dilation(background, np.ones((3, 3), bool))
    edge = (target == BOUNDARY) | ((target == INTERIOR) & beside)
    if not edge.any():
        return np.ones(target.shape, np.float32)
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~edge)
    return np.minimum(distance / REACH, 1).astype(np.float32)


def _near_other(ids: npt.NDArray[np.integer], size: int) -> npt.NDArray[np.bool_]:
    highest = ndimage.maximum_filter(ids, size=size)
    different: npt.NDArray[np.bool_] = highest != ndimage.minimum_filter(ids, size=size)
    return different

"""The warping error: what is wrong in topology, however far a border has moved.

Jain et al. 2010, "Boundary learning by optimization with topological constraints",
CVPR: the truth is deformed towards the prediction by flipping simple points,
which changes no component and no hole; pixels that still differ are topological errors.

Objects are 4-connected, borders between them 8-connected; beyond the image is border.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.errors import DataError

Mask = npt.NDArray[np.bool_]

_RING = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""The 8 neighbours of a pixel as ``(y, x)`` offsets, in raster order: bit ``n`` of a
code is the n-th of them."""

_BESIDE = [offset for offset, (y, x) in enumerate(_RING) if not (y and x)]
"""Which of them share an edge with the pixel: the neighbours of an object's pixel."""

_EIGHT = np.ones((3, 3), bool)
"""Neighbours of a border's pixel, for ``ndimage.label``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warping:
    """A truth warped to a prediction, and what could not be warped.

    Attributes
    ----------
    warped
        ``(Y, X)`` bool: objects with the topology of the truth.
    errors
        Pixels in which it still differs from the prediction.
    merges
        Those among them whose flip joins two objects of the truth.
    splits
        Those among them whose flip cuts an object of the truth in two.
    """

    warped: Mask
    errors: int
    merges: int
    splits: int


def warp(truth: Mask, predicted: Mask, *, allowed: Mask | None = None) -> Warping:
    """Warp the true objects to the predicted ones as far as topology allows.

    Simple points are flipped first come, first served from the borders inwards until
    none is left. The minimum over all orders is out of reach, so ``errors`` is an upper
    bound of it, as in every implementation.

    Parameters
    ----------
    truth, predicted
        ``(Y, X)`` bool, True inside objects.
    allowed
        ``(Y, X)`` bool, True where pixels may flip (the geometric constraint of the
        paper); everywhere when None.

    Returns
    -------
    Warping

    Raises
    ------
    DataError
        When the images are not 2-D or differ in shape.
    """
    if truth.ndim != 2 or truth.shape != predicted.shape:
        raise DataError(
            f"truth {truth.shape} and prediction {predicted.shape} must be planes "
            "(Y, X) of one shape; warp a stack plane by plane"
        )
    free = np.pad(np.ones(truth.shape, bool) if allowed is None else allowed, 1)
    goal = np.pad(predicted, 1)
    warped = _flip_simple_points(np.pad(truth, 1), goal, free)
    merges, splits = _count_joints(warped, np.argwhere(warped != goal))
    return Warping(
        warped=warped[1:-1, 1:-1],
        errors=int((warped != goal).sum()),
        merges=merges,
        splits=splits,
    )


def _flip_simple_points(source: Mask, goal: Mask, free: Mask) -> Mask:
    """Return ``source`` after all flips towards ``goal``; both are padded by 1."""
    width = source.shape[1]
    # For a neighbour this pixel is on the opposite side, and the ring is symmetric.
    ring = [(y * width + x, 1 << 7 - bit) for bit, (y, x) in enumerate(_RING)]
    simple = _is_simple().tolist()
    differs = free & (source != goal)
    # Plain bytes: to reach one pixel of an array costs ten times as much.
    waiting, codes = bytearray(differs.tobytes()), bytearray(_codes(source).tobytes())
    queue = deque(np.flatnonzero(differs & _is_simple()[_codes(source)]).tolist())
    while queue:
        here = queue.popleft()
        if not (waiting[here] and simple[codes[here]]):
            continue
        waiting[here] = 0
        for step, side in ring:
            there = here + step
            codes[there] ^= side
            if waiting[there] and simple[codes[there]]:
                queue.append(there)
    stuck = np.frombuffer(waiting, bool).reshape(source.shape)
    warped: Mask = source ^ (differs & ~stuck)
    return warped


def _count_joints(objects: Mask, places: npt.NDArray[np.intp]) -> tuple[int, int]:
    """Count the places whose flip would merge two objects, and those that split one.

    Flipping a pixel of an object splits it when two of the border runs around the pixel
    are one border elsewhere: then there is a closed way around a part of the object.
    """
    labels = ndimage.label(objects)[0]
    borders = ndimage.label(~objects, _EIGHT)[0]
    _, runs = _topological_numbers()
    codes = _codes(objects)
    merges = splits = 0
    for y, x in places.tolist():
        around = [(y + dy, x + dx) for dy, dx in _RING]
        if objects[y, x]:
            met = {borders[place] for place in around} - {0}
            splits += len(met) < int(runs[codes[y, x]])
        else:
            merges += len({labels[around[i]] for i in _BESIDE} - {0}) > 1
    return merges, splits


def _codes(objects: Mask) -> npt.NDArray[np.uint8]:
    """Return the 8 neighbours of each pixel as bits in the order of ``_RING``."""
    padded = np.pad(objects, 1).astype(np.uint8)
    height, width = objects.shape
    codes = np.zeros(objects.shape, np.uint8)
    for bit, (y, x) in enumerate(_RING):
        codes |= padded[1 + y : 1 + y + height, 1 + x : 1 + x + width] << np.uint8(bit)
    return codes


@cache
def _is_simple() -> Mask:
    """Return, ``(256,)`` bool, the neighbourhoods whose centre is a simple point."""
    objects, borders = _topological_numbers()
    simple: Mask = (objects == 1) & (borders == 1)
    return simple


@cache
def _topological_numbers() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Count object components beside, and border components around, each centre.

    Bertrand and Malandain 1994, "A new characterization of three-dimensional simple
    points", Pattern Recognition Letters 15, for 4-connected objects in the plane.
    """
    objects, borders = np.zeros(256, np.intp), np.zeros(256, np.intp)
    for code in range(256):
        patch = np.zeros((3, 3), bool)
        for bit, (y, x) in enumerate(_RING):
            patch[1 + y, 1 + x] = code >> bit & 1
        labels = ndimage.label(patch)[0]
        beside = {labels[1 + _RING[i][0], 1 + _RING[i][1]] for i in _BESIDE}
        objects[code] = len(beside - {0})
        rest = ~patch
        rest[1, 1] = False
        borders[code] = ndimage.label(rest, _EIGHT)[1]
    return objects, borders

"""Objects that touch, split by a watershed that is the same in every block.

Everything here works on one clump (connected piece of foreground) at a time: no step
mixes the pixels of two, and ties are broken by raster order within the clump. A clump
is therefore split alike in every region that contains it and one pixel around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Ints = npt.NDArray[np.integer[Any]]
    Floats = npt.NDArray[np.floating[Any]]


def split_at_necks(
    classes: Ints, neck_depth: float, spacing: Sequence[float] | None = None
) -> Ints:
    """Split the pieces of every class where they are narrow.

    Basins of the distance to the border of the class (Vincent and Soille 1991,
    "Watersheds in digital spaces", IEEE PAMI 13) are joined across every neck that is
    less than ``neck_depth`` narrower than the smaller of them is wide: the lower
    maximum has a smaller dynamic (Grimaud 1992, "New measure of contrast: the
    dynamics", SPIE 1769).

    Parameters
    ----------
    classes
        ``(Y, X)`` or ``(Z, Y, X)`` integer ids; 0 is background.
    neck_depth
        In pixels; along the axis with the finest spacing when they differ.
    spacing
        Of the pixels along each axis, in any unit.

    Returns
    -------
    ndarray
        int64 ids from 1, of the same shape.
    """
    steps = None if spacing is None else np.asarray(spacing) / min(spacing)
    found = np.zeros(classes.shape, np.int64)
    count = 0
    for number in np.flatnonzero(np.bincount(classes.ravel())):
        if number == 0:
            continue
        # Rounded to float32, so that equal distances along unequal ways are equal.
        height = ndimage.distance_transform_edt(
            classes == number, sampling=steps
        ).astype(np.float32)
        parts = _join_basins(height, neck_depth)
        found[parts > 0] = parts[parts > 0] + count
        count += int(parts.max(initial=0))
    return found


def split_by_maps(
    classes: Ints, maps: Mapping[str, npt.NDArray[np.uint8]], depth: float
) -> Ints:
    """Split the pieces of every class as the object maps of a network show.

    Basins of the distance map are joined across every pass that is less than ``depth``
    below the lower of their peaks, as in ``split_at_necks``. Where there is a boundary
    map, passes are as much lower as it is probable that a boundary lies there. A piece
    without any peak is one object.

    Parameters
    ----------
    classes
        ``(Y, X)`` or ``(Z, Y, X)`` integer ids; 0 is background.
    maps
        uint8 of the same shape by their names in ``ModelSpec.object_maps``, 255 for 1.
    depth
        In [0, 1], in units of the maps.

    Returns
    -------
    ndarray
        int64 ids from 1, of the same shape.
    """
    # Whole numbers: differences in the last bits of two predictions change no object.
    height = np.full(classes.shape, 256, np.int32)
    if "distance" in maps:
        height += maps["distance"]
    if "boundary" in maps:
        height -= maps["boundary"]
    found = np.zeros(classes.shape, np.int64)
    count = 0
    for number in np.flatnonzero(np.bincount(classes.ravel())):
        if number == 0:
            continue
        inside = np.where(classes == number, height, 0).astype(np.float32)
        parts = _join_basins(inside, 255 * depth)
        found[parts > 0] = parts[parts > 0] + count
        count += int(parts.max(initial=0))
    return found


def split_at_boundaries(
    foreground: npt.NDArray[np.bool_],
    interior: Floats,
    boundary: Floats,
    seed_threshold: float,
) -> Ints:
    """Split the foreground along its boundaries.

    Seeds are the connected pieces where interior minus boundary probability is above
    the threshold; from there the foreground is flooded, the most probable interior
    first (Meyer 1994, "Topographic distance and watershed lines", Signal Processing
    38). A clump without a seed is one object.

    Parameters
    ----------
    foreground
        ``(Y, X)`` or ``(Z, Y, X)`` bool.
    interior, boundary
        Floating probabilities in [0, 1] of the same shape.
    seed_threshold
        In [0, 1).

    Returns
    -------
    ndarray
        Ids from 1, of the same shape.
    """
    height = interior - boundary
    seeds = label(foreground & (height > seed_threshold), connectivity=1)
    clumps = label(foreground, connectivity=foreground.ndim)
    seeded = np.zeros(int(clumps.max(initial=0)) + 1, np.bool_)
    seeded[clumps[seeds > 0]] = True
    alone = foreground & ~seeded[clumps]
    found = _flood(height, seeds, foreground, connectivity=height.ndim)
    found[alone] = clumps[alone] + int(seeds.max(initial=0))
    return found


def _flood(
    height: Floats, seeds: Ints, inside: npt.NDArray[np.bool_], connectivity: int
) -> Ints:
    """Flood from the seeds, the highest pixels first.

    Pixels of seeds that are equally high come in raster order; left to itself the heap
    of the watershed would order them as its other contents happen to be.
    """
    at = np.flatnonzero(inside)
    _, level = np.unique(-height.ravel()[at], return_inverse=True)
    seeded = seeds.ravel()[at] > 0
    place = np.where(seeded, np.cumsum(seeded), 0)
    cost = np.zeros(height.shape, np.float64)
    cost.ravel()[at] = level * (np.count_nonzero(seeded) + 1.0) + place
    flooded: Ints = watershed(cost, seeds, mask=inside, connectivity=connectivity)
    return flooded


def _join_basins(height: Floats, depth: float) -> Ints:
    # Along faces all of it: what only a corner connects has a maximum of its own.
    tops = local_maxima(height, connectivity=1) & (height > 0)
    maxima = label(tops, connectivity=1)
    basins = _flood(height, maxima, height > 0, connectivity=1)
    peaks = np.zeros(int(maxima.max(initial=0)) + 1, np.float64)
    peaks[maxima.ravel()] = height.ravel()
    peaks[0] = 0
    pairs, saddles = _saddles(basins, height)
    joined = _join_shallow(pairs.tolist(), saddles.tolist(), peaks.tolist(), depth)
    parts: Ints = joined[basins]
    return parts


def _saddles(basins: Ints, height: Floats) -> tuple[Ints, Floats]:
    """Return the pairs of basins that touch and the height of the pass between them.

    Returns
    -------
    pairs, saddles
        ``(n, 2)`` ids, the smaller first, and ``(n,)`` heights, the highest first.
    """
    count = int(basins.max(initial=0)) + 1
    codes, passes = [], []
    for axis in range(basins.ndim):
        one, other = (np.moveaxis(basins, axis, 0)[cut] for cut in _SHIFTED)
        touch = (one != other) & (one > 0) & (other > 0)
        low, high = np.minimum(one, other)[touch], np.maximum(one, other)[touch]
        codes.append(low.astype(np.int64) * count + high)
        here, there = (np.moveaxis(height, axis, 0)[cut] for cut in _SHIFTED)
        passes.append(np.minimum(here, there)[touch])
    code, saddle = np.concatenate(codes), np.concatenate(passes)
    order = np.lexsort((code, -saddle))
    code, saddle = code[order], saddle[order]
    first = np.sort(np.unique(code, return_index=True)[1])
    pairs = np.stack([code[first] // count, code[first] % count], axis=1)
    return pairs, saddle[first]


_SHIFTED = (slice(None, -1), slice(1, None))
"""Along an axis, all pixels that have a next one, and these next ones."""


def _join_shallow(
    pairs: list[list[int]], saddles: list[float], peaks: list[float], depth: float
) -> Ints:
    """Join basins whose lower peak is less than ``depth`` above their pass.

    Returns
    -------
    ndarray
        The basin that each one belongs to.
    """
    parents = list(range(len(peaks)))

    def root_of(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = parents[parents[basin]]
            basin = parents[basin]
        return basin

    for (one, other), saddle in zip(pairs, saddles, strict=True):
        high, low = root_of(one), root_of(other)
        if peaks[high] < peaks[low]:
            high, low = low, high
        if high != low and peaks[low] - saddle < depth:
            parents[low] = high
    return np.array([root_of(basin) for basin in range(len(peaks))], np.int64)

"""Objects in their bounding boxes, read a group of neighbours at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.objects.block_sums import ObjectSums
    from unet_engine.objects.blocks import BlockGrid

    Ints = npt.NDArray[np.int64]


def iter_groups(
    labels: Any,
    grid: BlockGrid,
    index: tuple[int, ...],
    rows: ObjectSums,
    *,
    most: float = np.inf,
) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Read every object of a plane or volume, with its neighbours of one block.

    Parameters
    ----------
    labels, grid, index
        Array-like, its blocks, and which plane or volume.
    rows
        Ids and bounding boxes.
    most
        Pixels of the largest bounding box that is read.

    Yields
    ------
    group
        ``(m,)`` rows of the objects.
    numbers
        int64 region that holds them all: 1 for the first of the group and so on, 0 for
        what is not of it.
    start
        ``(ndim,)`` where the region begins in the plane or volume.
    """
    for group in _groups(rows, grid, most):
        start = rows.lowest[group].min(axis=0)
        end = rows.highest[group].max(axis=0) + 1
        where = tuple(slice(int(a), int(b)) for a, b in zip(start, end, strict=True))
        region = np.asarray(labels[(*index, *where)]).astype(np.int64)
        own = np.searchsorted(rows.ids[group], region).clip(max=group.size - 1)
        yield group, np.where(rows.ids[group][own] == region, own + 1, 0), start


def _groups(rows: ObjectSums, grid: BlockGrid, most: float) -> Iterator[Ints]:
    """Return the rows of objects that are read together: those of one block."""
    extent = rows.highest - rows.lowest + 1
    wanted = np.flatnonzero(np.prod(extent, axis=1, dtype=np.float64) <= most)
    block = np.zeros(rows.ids.size, np.int64)
    for axis, size in enumerate(grid.block):
        block = block * grid.counts[axis] + rows.lowest[:, axis] // size
    # What is larger than a block is read alone.
    large = (extent > grid.block).any(axis=1)
    block[large] = -1 - np.flatnonzero(large)
    order = wanted[np.argsort(block[wanted], kind="stable")]
    cuts = np.flatnonzero(np.diff(block[order])) + 1
    return (group for group in np.split(order, cuts) if group.size)

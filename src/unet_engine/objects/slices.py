"""Objects of the slices of a volume, linked to those above and below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from unet_engine.objects.blocks import BlockGrid, release_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

_LEAST_IOU = 0.25
"""Overlap of the outlines in two slices, in IoU, of an object that goes on: less is
usually the next object, which begins above or below."""


def link_slices(labels: Any, count: int) -> Iterator[Ints | None]:
    """Find which objects of single slices are one object of the volume.

    Two objects of neighbouring slices are one where each overlaps the other most.

    Parameters
    ----------
    labels
        Array-like ``(*leading, Z, Y, X)`` of ids from 1, each in one slice.
    count
        The largest id.

    Yields
    ------
    None or ndarray
        None after every block, and at last ``(count + 1,)`` int64: the number of the
        object that each id belongs to, from 1 in the order of the first ids.
    """
    sizes = np.zeros(count + 1, np.int64)
    codes: list[Ints] = []
    shared: list[Ints] = []
    for block in BlockGrid.for_array(labels, 2):
        here = np.asarray(labels[block.core_slices]).astype(np.int64)
        sizes += np.bincount(here.ravel(), minlength=count + 1)
        *leading, z = block.index
        if z:
            above = (*leading, z - 1, *block.core)
            there = np.asarray(labels[above]).astype(np.int64)
            both = (here > 0) & (there > 0)
            found = np.unique(
                there[both] * (count + 1) + here[both], return_counts=True
            )
            codes.append(found[0])
            shared.append(found[1])
        release_pages(labels)
        yield None
    empty = np.zeros(0, np.int64)
    each, rows = np.unique(np.concatenate([empty, *codes]), return_inverse=True)
    common = np.bincount(
        rows, np.concatenate([empty, *shared]), minlength=each.size
    ).astype(np.int64)
    yield _joined(each // (count + 1), each % (count + 1), common, sizes)


def _joined(upper: Ints, lower: Ints, common: Ints, sizes: Ints) -> Ints:
    """Number the objects that pairs of ids of two slices make up."""
    iou = common / np.maximum(sizes[upper] + sizes[lower] - common, 1)
    best_below, best_above = np.zeros(sizes.size), np.zeros(sizes.size)
    np.maximum.at(best_below, upper, iou)
    np.maximum.at(best_above, lower, iou)
    linked = (
        (iou >= _LEAST_IOU) & (iou == best_below[upper]) & (iou == best_above[lower])
    )
    graph = sparse.coo_array(
        (np.ones(int(linked.sum()), np.bool_), (upper[linked], lower[linked])),
        (sizes.size, sizes.size),
    )
    _, roots = connected_components(graph, directed=False)
    # Ids are in raster order, so the first one of an object is its first pixel's.
    _, first, numbers = np.unique(roots, return_index=True, return_inverse=True)
    order = np.empty(first.size, np.int64)
    order[np.argsort(first)] = np.arange(first.size)
    found: Ints = order[numbers]
    return found

"""Which fragments of neighbouring blocks are one object."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.objects.blocks import BlockGrid
from unet_engine.objects.stitching import Fragments, Stitcher

GRID = BlockGrid(shape=(8, 16), ndim=2, block=(8, 8), overlap=4)
"""Two blocks side by side; the second one sees columns 4 to 8 of the first."""


def stitched(first: np.ndarray, second: np.ndarray, *, same_pixels: bool) -> Fragments:
    """Join the objects of two blocks, given as labels of the whole array."""
    labels = np.zeros(GRID.shape, np.uint32)
    stitcher = Stitcher(GRID, labels, same_pixels=same_pixels)
    for block, ids in zip(GRID, (first, second), strict=True):
        stitcher.add(block, ids[block.outer_slices])
    return stitcher.finish()


def objects(fragments: Fragments) -> int:
    """Count the objects, the background aside."""
    return len(set(fragments.roots[1:].tolist()))


def rectangle(rows: slice, columns: slice) -> np.ndarray:
    """Return one object of an otherwise empty array."""
    ids = np.zeros(GRID.shape, np.int64)
    ids[rows, columns] = 1
    return ids


@pytest.mark.parametrize(
    ("rows_of_first", "rows_of_second", "expected"),
    [
        (slice(0, 8), slice(0, 8), 1),
        # 3 of 8 rows of the earlier one: the later one lies inside it.
        (slice(0, 8), slice(0, 3), 2),
        # The earlier one lies inside the later one, of which it is 3 of 8 rows.
        (slice(0, 3), slice(0, 8), 2),
        (slice(0, 8), slice(0, 5), 1),
        (slice(0, 5), slice(0, 8), 1),
    ],
)
def test_each_holds_more_than_half_of_the_other(
    rows_of_first: slice, rows_of_second: slice, expected: int
):
    # The first object ends at the border of its block's core, where it is whole.
    first = rectangle(rows_of_first, slice(4, 8))
    second = rectangle(rows_of_second, slice(4, 12))
    assert objects(stitched(first, second, same_pixels=False)) == expected
    assert objects(stitched(first, second, same_pixels=True)) == 1


def test_objects_without_common_pixels_stay_apart():
    first = rectangle(slice(0, 4), slice(4, 8))
    second = rectangle(slice(4, 8), slice(4, 12))
    for same_pixels in (True, False):
        assert objects(stitched(first, second, same_pixels=same_pixels)) == 2

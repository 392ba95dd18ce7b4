"""How uncertain a prediction is, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_unet.jobs.uncertainty_map import cells_of, uncertainty
from napari_unet.jobs.uncertainty_search import EDGE


@given(
    raw=arrays.arrays(np.float32, (3, 4, 5), elements=st.floats(0.015625, 1, width=32))
)
def test_it_is_one_minus_the_margin(raw: Any):
    probabilities = raw / raw.sum(axis=0)
    ordered = np.sort(probabilities, axis=0)
    wanted = 1 - (ordered[-1] - ordered[-2])
    found = uncertainty(probabilities)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found / 255, wanted, atol=1 / 254)


@given(
    start=st.tuples(st.integers(0, 900), st.integers(0, 900)),
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
)
def test_a_region_is_split_at_the_tiles(start: Any, size: Any):
    region = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    cells = dict(cells_of((2,), region))
    assert sum(cells.values()) == size[0] * size[1]
    assert all(0 < area <= EDGE**2 for area in cells.values())
    for index, row, column in cells:
        assert index == (2,)
        assert start[0] // EDGE <= row <= (start[0] + size[0] - 1) // EDGE
        assert start[1] // EDGE <= column <= (start[1] + size[1] - 1) // EDGE

"""Where two masks differ, and how."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unet_engine.labels import IGNORE
from unet_engine.metrics.comparison import (
    EQUAL,
    ONLY_FIRST,
    ONLY_SECOND,
    OTHER,
    difference_map,
)

SHAPE = (6, 7)
MASKS = arrays.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3]))
BOTH = (True, True)
SWAPPED = np.array([EQUAL, ONLY_SECOND, ONLY_FIRST, OTHER])


def test_each_kind_of_difference_of_classes():
    first = np.array([0, 1, 0, 1, 2, IGNORE, 1], np.uint8)
    second = np.array([0, 0, 1, 2, 2, 1, IGNORE], np.uint8)
    found = difference_map(first, second)
    wanted = [EQUAL, ONLY_FIRST, ONLY_SECOND, OTHER, EQUAL, EQUAL, EQUAL]
    assert found.tolist() == wanted
    mixed = difference_map(first[:5], second[:5], objects=(True, False))
    assert mixed.tolist() == [EQUAL, ONLY_FIRST, ONLY_SECOND, EQUAL, EQUAL]


def test_objects_are_compared_by_what_they_share():
    # 7 is the larger part of 1; 8 is the rest of 1 and all of 2.
    first = np.array([1, 1, 1, 1, 1, 2, 2, 2, 0], np.int64)
    second = np.array([7, 7, 7, 8, 8, 8, 8, 8, 255], np.int64)
    found = difference_map(first, second, objects=BOTH)
    assert found.tolist() == [EQUAL] * 3 + [OTHER] * 2 + [EQUAL] * 3 + [ONLY_SECOND]


@given(first=MASKS, second=MASKS, objects=st.booleans())
def test_the_other_way_round_it_is_the_same(first: Any, second: Any, objects: bool):
    kinds = (objects, objects)
    there = difference_map(first, second, objects=kinds)
    back = difference_map(second, first, objects=kinds)
    foreground = np.isin(there, (ONLY_FIRST, ONLY_SECOND))
    np.testing.assert_array_equal(SWAPPED[there][foreground], back[foreground])
    if not objects:
        np.testing.assert_array_equal(SWAPPED[there], back)
        np.testing.assert_array_equal(there != EQUAL, first != second)


@given(mask=MASKS, numbers=st.permutations([1, 2, 3]))
def test_numbers_of_objects_do_not_count(mask: Any, numbers: list[int]):
    other = np.array([0, *numbers])[mask] * 1000
    assert not difference_map(mask.astype(int), other, objects=BOTH).any()

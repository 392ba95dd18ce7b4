"""The neighbouring slices of a slice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.images.neighbours import (
    check_slices,
    count_slices,
    neighbour_indices,
)


@given(st.data())
def test_a_slice_is_never_its_own_neighbour(data):
    slices = data.draw(st.sampled_from([1, 3, 5, 7]))
    length = data.draw(st.integers(slices, 12))
    z = data.draw(st.integers(0, length - 1))
    image = Image.from_array(np.zeros((2, length, 3, 3), np.uint8), "TZYX")
    places = neighbour_indices(image, (1, z), slices)
    assert len(places) == slices
    assert places[slices // 2] == (1, z)
    others = [*places[: slices // 2], *places[slices // 2 + 1 :]]
    assert (1, z) not in others
    assert all(t == 1 and 0 <= at < length for t, at in others)
    assert all(abs(at - z) <= slices // 2 for _, at in others)


def test_images_without_z_have_one_slice():
    image = Image.from_array(np.zeros((4, 3, 3), np.uint8), "TYX", name="film")
    assert count_slices(image) == 1
    check_slices(image, 1)
    with pytest.raises(DataError, match="film is one slice along Z"):
        check_slices(image, 3)

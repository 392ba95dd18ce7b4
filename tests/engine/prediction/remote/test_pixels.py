"""Parts of an image that go to a worker: what is read there is what is read here."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.prediction.remote.pixels import (
    MissingPixelsError,
    PartialArray,
    PixelSender,
    without_pixels,
)
from unet_engine.remote.packing import pack, unpack
from unet_engine.tiling.tiles import Tile

STACK = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)


@given(
    arrays(
        st.sampled_from([np.uint8, np.int16, np.float32, np.float64, ">u2"]),
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(1, 3)),
    )
)
def test_packing_loses_nothing(array):
    found = unpack(pack(array))

    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def _held(image, sent):
    there = without_pixels(image)
    there.data.hold(sent)
    return there


def test_a_tile_is_read_as_here():
    image = Image.from_array(STACK, "ZYX")
    tile = Tile(((8, 16), (8, 16)), ((-4, 20), (4, 24)))
    there = _held(image, PixelSender(image).cut((1,), tile))

    region = (slice(0, 20), slice(4, 24))
    np.testing.assert_array_equal(there.read((1,), region), image.read((1,), region))


def test_what_was_not_sent_is_named_and_then_sent_with_all_that_follow():
    image = Image.from_array(STACK, "ZYX")
    sender = PixelSender(image)
    tile = Tile(((8, 16), (8, 16)), ((4, 20), (4, 20)))
    sent = sender.cut((1,), tile)
    there = _held(image, sent)

    with pytest.raises(MissingPixelsError) as caught:
        there.read((2,), (slice(2, 20), slice(4, 20)))
    assert caught.value.box == ((2, 3), (2, 20), (4, 20))

    more = sender.cut_more((1,), tile, sent, caught.value.box)
    assert more.box == ((1, 3), (2, 20), (4, 20))
    following = Tile(((16, 24), (8, 16)), ((12, 28), (4, 20)))
    assert sender.cut((0,), following).box == ((0, 2), (10, 28), (4, 20))


def test_other_parts_are_never_made_up():
    partial = PartialArray((10, 10), np.uint8)

    with pytest.raises(MissingPixelsError):
        partial[0:1, 0:1]


def test_a_file_that_changed_is_not_sent():
    def changed():
        raise DataError("the file was changed")

    image = Image.from_array(STACK, "ZYX")
    object.__setattr__(image, "source", SimpleNamespace(check_unchanged=changed))

    with pytest.raises(DataError, match="changed"):
        PixelSender(image).cut((0,), Tile(((0, 8), (0, 8)), ((0, 8), (0, 8))))

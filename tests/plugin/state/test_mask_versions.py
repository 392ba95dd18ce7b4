"""Two masks of an image: that on screen, and the one before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet.state.mask_versions import PAINTED, MaskSource
from napari_unet.state.working_image import WorkingImage
from napari_unet.viewer.conversion import Layout
from unet_engine.images import Image
from unet_engine.prediction.events import TileDone

FIRST, SECOND, THIRD = (MaskSource(name=name) for name in ("one", "two", "three"))
SHAPE = (2, 600, 700)


@pytest.fixture
def image() -> WorkingImage:
    pixels = np.zeros(SHAPE, np.uint8)
    return WorkingImage(
        Image.from_array(pixels, "ZYX", name="stack"), Layout("ZYX", "planes")
    )


def write(
    image: WorkingImage,
    value: int,
    source: MaskSource,
    region: Any = (slice(0, 600), slice(0, 700)),
    plane: int = 0,
) -> list[Any]:
    """Write a tile with one class and a hole in it."""
    shape = [part.stop - part.start for part in region]
    labels = np.full(shape, value, np.uint8)
    labels[: shape[0] // 2, 3] = 0
    tile = TileDone(
        index=(plane,), inner=region, labels=labels, done=1, total=1, probabilities=None
    )
    return image.write_tile(tile, source=source)


def exchange(image: WorkingImage) -> None:
    image.versions.exchange()
    image.versions.exchange_next()


def test_the_mask_before_comes_back_and_goes(image: WorkingImage):
    write(image, 1, FIRST)
    assert image.versions.hidden is None, "an empty mask is none to come back to"
    first = image.mask.copy()
    write(image, 2, SECOND, (slice(100, 500), slice(200, 300)))
    second = image.mask.copy()
    assert (second != first).any()
    exchange(image)
    np.testing.assert_array_equal(image.mask, first)
    assert (image.versions.shown, image.versions.hidden) == (FIRST, SECOND)
    exchange(image)
    np.testing.assert_array_equal(image.mask, second)
    assert not image.versions.shows_earlier


def test_what_is_painted_stays_in_both(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    box = (slice(250, 260), slice(250, 260))
    image.keep_prediction((0,), image.mask[0].copy())
    with image.annotations.stroke():
        image.record_labels((0,), box, np.full((10, 10), 3, np.uint8))
    for value in (1, 2):
        exchange(image)
        assert (image.mask[0][box] == 3).all()
        assert image.mask[0, 240, 240] == value
    # Taken back: each shows its own prediction there.
    with image.annotations.stroke("undo"):
        image.record_labels((0,), box, np.full((10, 10), 255, np.uint8))
    assert (image.mask[0][box] == 2).all()
    exchange(image)
    assert (image.mask[0][box] == 1).all()


def test_strokes_alone_are_a_mask_before(image: WorkingImage):
    box = (slice(0, 10), slice(0, 10))
    image.keep_prediction((0,), image.mask[0].copy())
    with image.annotations.stroke():
        image.record_labels((0,), box, np.full((10, 10), 1, np.uint8))
    alone = image.mask.copy()
    write(image, 2, FIRST)
    assert image.versions.hidden == PAINTED
    assert image.predicted_pixels((0,), box) is not None
    exchange(image)
    np.testing.assert_array_equal(image.mask, alone)
    assert not image.predicted


def test_a_run_that_goes_on_writes_into_the_mask_that_is_hidden(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND, (slice(0, 256), slice(0, 256)))
    exchange(image)
    before = image.mask.copy()
    region = (slice(200, 400), slice(100, 650))
    assert write(image, 2, SECOND, region) == []
    np.testing.assert_array_equal(image.mask, before)
    exchange(image)
    assert image.mask[0, 399, 649] == 2
    assert image.mask[0, 200, 103] == 0, "the hole"
    assert image.mask[0, 399, 99] == 1, "beside the tile it is the mask before"


def test_a_third_one_takes_the_place_of_the_older(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    second = image.mask.copy()
    write(image, 3, THIRD, (slice(0, 10), slice(0, 10)))
    exchange(image)
    np.testing.assert_array_equal(image.mask, second)


def test_the_same_source_again_keeps_the_mask_before(image: WorkingImage):
    write(image, 1, FIRST)
    first = image.mask.copy()
    write(image, 2, SECOND, (slice(0, 300), slice(0, 300)))
    write(image, 3, MaskSource(name="two", detail="more"), plane=1)
    write(image, 3, SECOND)
    exchange(image)
    np.testing.assert_array_equal(image.mask, first)


def test_exchanged_in_parts_and_back_in_the_midst(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 1, FIRST, plane=1)
    first = image.mask.copy()
    write(image, 2, SECOND)
    write(image, 2, SECOND, plane=1)
    second = image.mask.copy()
    image.versions.exchange()
    region = (slice(0, 100), slice(0, 100))
    keys = image.versions.pending_in((1,), region)
    assert keys == [((1,), 0, 0)]
    image.versions.exchange_next(keys, seconds=0)
    assert image.mask[1, 99, 99] == 1
    assert image.mask[0, 99, 99] == 2
    image.versions.exchange()
    assert image.versions.pending_in((1,), region) == keys
    image.versions.exchange_next()
    np.testing.assert_array_equal(image.mask, second)
    image.versions.exchange()
    # What is written meanwhile does not wait for the rest.
    write(image, 5, FIRST, (slice(300, 310), slice(300, 310)))
    image.versions.exchange_next()
    expected = first.copy()
    expected[0, 300:310, 300:310] = 5
    expected[0, 300:305, 303] = 0
    np.testing.assert_array_equal(image.mask, expected)


def test_the_source_of_the_hidden_mask_may_begin_again(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    exchange(image)
    assert not image.versions.begin(FIRST)
    assert not image.versions.begin(THIRD)
    assert image.versions.begin(SECOND)
    image.versions.exchange_next()
    assert (image.mask[0] == 2).any()


def test_the_hidden_mask_takes_part_when_classes_change_places(image: WorkingImage):
    image.names = ("background", "cell", "rest")
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    exchange(image)
    image.take_classes(("background", "rest", "cell"), {})
    assert image.mask[0, 599, 0] == 2
    exchange(image)
    assert image.mask[0, 599, 0] == 1


def test_the_hidden_mask_is_small(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    kept = sum(len(block.data) for block in image.versions._blocks.values())
    assert kept < image.mask[0].size / 50
    assert {key[0] for key in image.versions._blocks} == {(0,)}


def test_data_set_by_others_have_no_mask_before(image: WorkingImage):
    write(image, 1, FIRST)
    write(image, 2, SECOND)
    image.replace_mask(np.zeros(SHAPE, np.uint8))
    assert image.versions.hidden is None
    write(image, 2, SECOND)
    exchange(image)
    assert (image.mask[0] == 2).any()

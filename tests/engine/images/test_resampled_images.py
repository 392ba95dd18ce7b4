"""A resampled view of an image: each block is that part of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import cell

from unet_engine.images import Image
from unet_engine.images.resampled import resampled_image

few = settings(deadline=None, max_examples=20)
FACTORS = st.floats(0.1, 6)


def volume(*shape: int, axes: str = "ZYX", seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 5000, shape).astype(np.uint16)
    return Image.from_array(pixels, axes)


def whole(image: Image) -> np.ndarray:
    return np.stack(
        [image.read(index, (slice(None), slice(None))) for index in image.indices()]
    )


@few
@given(
    factors=st.tuples(FACTORS, FACTORS, FACTORS),
    corners=st.lists(st.floats(0, 0.999), min_size=4, max_size=4),
    missing=st.booleans(),
)
def test_any_block_equals_that_part_of_the_whole(factors, corners, missing):
    image = volume(5, 31, 26)
    if missing:
        pixels = image.data.astype(np.float32)
        pixels[:, 5:9, 10:] = np.nan
        image = Image.from_array(pixels, "ZYX")
    scaled = resampled_image(image, dict(zip("ZYX", factors, strict=True)))
    everything = whole(scaled)
    height, width = scaled.plane_shape
    rows, columns = (
        slice(int(min(pair) * size), int(max(pair) * size) + 1)
        for pair, size in zip((corners[:2], corners[2:]), (height, width), strict=True)
    )
    # The other way round, so that planes which were kept are met in another order.
    for (z,) in reversed(list(scaled.indices())):
        np.testing.assert_allclose(
            scaled.read((z,), (rows, columns)),
            everything[z][:, rows, columns],
            rtol=1e-5,
        )


@few
@given(factors=st.tuples(FACTORS, FACTORS))
def test_a_constant_stays_and_a_ramp_keeps_its_place(factors):
    rows = np.repeat(np.arange(60.0, dtype=np.float32)[:, None], 40, axis=1)
    image = Image.from_array(rows, "YX")
    scaled = resampled_image(image, dict(zip("YX", factors, strict=True)))
    (found,) = whole(scaled)[0]
    np.testing.assert_allclose(np.ptp(found, axis=1), 0, atol=1e-4)
    height = scaled.plane_shape[0]
    centres = (np.arange(height) + 0.5) * 60 / height - 0.5
    reach = max(1.0, 60 / height)
    inside = (centres > reach) & (centres < 59 - reach)
    np.testing.assert_allclose(found[inside, 0], centres[inside], atol=0.12)


def test_an_image_that_is_shrunk_does_not_alias():
    stripes = np.zeros((96, 96), np.uint8)
    stripes[::2] = 200
    found = whole(
        resampled_image(Image.from_array(stripes, "YX"), dict.fromkeys("YX", 0.3))
    )
    np.testing.assert_allclose(found[..., 2:-2, :], 100, atol=10)


def test_pixels_without_data_take_no_part_and_keep_their_extent():
    pixels = np.full((40, 60), 7, np.float32)
    pixels[:, 30:] = np.nan
    for factor in (0.25, 3.0):
        found = whole(resampled_image(Image.from_array(pixels, "YX"), {"X": factor}))[
            0, 0
        ]
        lost = np.isnan(found)
        assert not lost[:, : round(30 * factor)].any()
        assert lost[:, round(30 * factor) :].all()
        np.testing.assert_allclose(found[~lost], 7, rtol=1e-6)


def test_channels_axes_and_names_stay():
    image = Image.from_array(np.ones((3, 20, 30, 2), np.float64), "TYXC", name="one")
    scaled = resampled_image(image, dict.fromkeys("YX", 0.5))
    assert (scaled.leading_axes, scaled.leading_shape) == ("T", (3,))
    assert (scaled.channels, scaled.plane_shape) == (2, (10, 15))
    assert (scaled.name, scaled.dtype) == ("one", np.float64)
    assert scaled.read((2,), (slice(0, 4), slice(3, 5))).shape == (2, 4, 2)


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.77])
def test_a_shrunk_picture_is_the_one_of_scikit_image(factor):
    from skimage.transform import resize

    picture = cell()[:330, :270].astype(np.float32)
    found = whole(
        resampled_image(Image.from_array(picture, "YX"), dict.fromkeys("YX", factor))
    )[0, 0]
    expected = resize(picture, found.shape, order=1, anti_aliasing=True)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.995
    assert abs(found - expected).mean() < 0.02 * np.ptp(picture)

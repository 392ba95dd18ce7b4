"""Blind spots with a margin, and whether an image needs one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unet_engine.models.spec import ModelSpec
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.restoration.blind_spots import (
    Blinding,
    blind,
    blind_middle,
    middle_slice,
)
from unet_engine.training.restoration.noise import (
    hidden_margin,
    neighbours_share_noise,
)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2), st.integers(0, 10_000))
def test_hidden_pixels_show_none_that_the_same_spot_hides(margin, seed):
    edge = 40
    images = torch.arange(edge * edge).float().reshape(1, 1, edge, edge)
    known = torch.zeros(1, edge, edge, dtype=torch.bool)
    # One spot, far from the border: which pixels it hides is plain.
    known[0, 20, 20] = True
    blinded, spots = blind(
        images,
        known,
        torch.Generator().manual_seed(seed),
        Blinding(share=3.0 * max(1, margin), margin=margin),
    )
    assert spots.sum() == 1
    square = slice(20 - margin, 21 + margin)
    shown = set(blinded[0, 0, square, square].ravel().tolist())
    hidden = set(images[0, 0, square, square].ravel().tolist())
    assert not shown & hidden
    outside = torch.ones(edge, edge, dtype=torch.bool)
    outside[square, square] = False
    assert torch.equal(blinded[0, 0][outside], images[0, 0][outside])


def test_neighbouring_slices_are_seen():
    spec = ModelSpec(architecture="unet", classes=(), in_channels=2, slices=3)
    images = torch.rand(2, spec.input_maps, 32, 32)
    known = torch.ones(2, 32, 32, dtype=torch.bool)
    middle = middle_slice(spec)
    assert (middle.start, middle.stop) == (2, 4)
    blinded, spots = blind_middle(images, known, torch.Generator(), middle)
    changed = blinded != images
    assert not changed[:, :2].any()
    assert not changed[:, 4:].any()
    assert torch.equal(changed[:, 2:3], spots > 0)


def images(*, sigma, noise=0.3, seed=0):
    """Return structures with noise, both blurred together afterwards."""
    random = np.random.default_rng(seed)
    clean = ndimage.gaussian_filter(random.normal(0, 30, (96, 96)), 5)
    noisy = clean / clean.std() + random.normal(0, noise, clean.shape)
    return [ndimage.gaussian_filter(noisy, sigma)[None].astype(np.float32)]


@pytest.mark.parametrize("sigma, shared", [(0.0, False), (0.3, False), (1.0, True)])
def test_blurred_noise_is_found(sigma, shared):
    assert neighbours_share_noise(images(sigma=sigma)) is shared


def test_the_user_decides():
    spec = ModelSpec(architecture="unet", classes=(), depth=1, width=2)
    image = images(sigma=1.0)[0]
    pairs = [TrainingPair(image, np.zeros(image.shape[1:], np.uint8))]
    found = [hidden_margin(pairs, spec, how) for how in ("auto", "yes", "no")]
    assert found == [1, 1, 0]


def test_one_pixel_has_no_neighbour():
    assert not neighbours_share_noise([np.zeros((1, 1, 1), np.float32)])

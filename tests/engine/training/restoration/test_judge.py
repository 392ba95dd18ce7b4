"""Filters and networks are judged on pixels that they cannot see."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from unet_engine.models.spec import ModelSpec
from unet_engine.training.restoration.blind_spots import Blinding
from unet_engine.training.restoration.filters import (
    candidates,
    fill_hidden,
    gaussian,
    noise_of,
)
from unet_engine.training.restoration.judge import Judgement, hide, judge

SPEC = ModelSpec(architecture="unet", classes=(), depth=1, width=2)
NOISE = 0.1


def scene(seed=0, edge=64, noise=NOISE):
    """Return smooth structures and, with noise, what a detector makes of them."""
    random = np.random.default_rng(seed)
    clean = ndimage.gaussian_filter(random.normal(0, 8, (edge, edge)), 4)
    clean = (clean - clean.min()) / np.ptp(clean)
    return clean, (clean + random.normal(0, noise, clean.shape)).astype(np.float32)


def tiles(**options):
    _, image = scene(**options)
    return [(image[None], np.ones(image.shape, dtype=bool))]


class Perfect(nn.Module):
    """Knows the image without noise."""

    def forward(self, x):
        clean, _ = scene()
        return torch.from_numpy(clean.astype(np.float32))[None, None].expand_as(x)


@pytest.mark.parametrize("margin", [0, 1])
def test_copying_what_is_there_wins_nothing(margin):
    found = judge(nn.Identity(), tiles(), SPEC, "cpu", Blinding(margin=margin))
    # The noise of the pixel itself, and that of those it was filled with.
    assert found.network > NOISE**2
    assert found.refusal


def test_who_knows_the_image_is_left_with_the_noise():
    found = judge(Perfect(), tiles(), SPEC, "cpu", Blinding())
    assert found.network == pytest.approx(NOISE**2, rel=0.25)
    assert not found.refusal
    assert found.network < min(found.filters.values())
    assert found.record()["filter"] == found.best_filter


@pytest.mark.parametrize("margin", [0, 1])
def test_what_is_hidden_is_nan_in_the_middle_slice_only(margin):
    random = np.random.default_rng(0)
    stack = random.random((3, 2, 40, 40)).astype(np.float32)
    known = np.zeros((40, 40), dtype=bool)
    known[:, :20] = True
    blinding = Blinding(margin=margin)
    hidden, spots = hide(stack, known, random, blinding)
    assert spots[:, :20].any()
    assert not spots[:, 20:].any()
    around = ndimage.maximum_filter(spots, 2 * margin + 1)
    assert np.isnan(hidden[1][:, around]).all()
    assert np.array_equal(hidden[1][:, ~around], stack[1][:, ~around])
    assert np.array_equal(hidden[[0, 2]], stack[[0, 2]])


def test_filters_give_numbers_everywhere():
    stack = np.random.default_rng(0).random((5, 1, 24, 24)).astype(np.float32)
    stack[2, 0, ::3, ::4] = np.nan
    names = set()
    for each in candidates(5):
        found = each.restore(stack)
        assert found.shape == (1, 24, 24)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        names.add(each.name)
    assert len(names) == len(list(candidates(5))) > len(list(candidates(1)))


def test_gaussian_is_the_mean_of_what_is_known():
    image = np.ones((1, 1, 9, 9), dtype=np.float32)
    image[0, 0, 4, 4] = np.nan
    np.testing.assert_allclose(gaussian(image, sigma=1.5), 1, rtol=1e-5)
    image[0, 0, 4, 4] = 7
    plain = ndimage.gaussian_filter(image[0, 0], 1.5, mode="mirror")
    np.testing.assert_allclose(gaussian(image, sigma=1.5)[0], plain, rtol=1e-5)


def test_gaussian_across_slices_keeps_what_is_the_same_in_all():
    stack = np.repeat(scene()[1][None, None], 5, axis=0)
    alone = gaussian(stack, sigma=1.0)
    np.testing.assert_allclose(
        gaussian(stack, sigma=1.0, along_z=1.0), alone, rtol=1e-4
    )


def test_known_pixels_are_not_filled():
    image = scene()[1][None].copy()
    image[0, 5, 5] = np.nan
    filled = fill_hidden(image)
    known = np.isfinite(image)
    assert np.array_equal(filled[known], image[known])
    assert filled[0, 5, 5] == pytest.approx(np.nanmean(image[0, 4:7, 4:7]), abs=0.1)


def test_noise_is_measured():
    assert noise_of(scene(edge=128)[1]) == pytest.approx(NOISE, rel=0.1)


class TestWords:
    def test_a_better_filter_is_named(self):
        errors = {"a Gaussian filter of 2 px": 0.2, "non-local means": 0.3}
        found = Judgement(network=0.25, mean=1.0, filters=errors)
        assert found.refusal.startswith("A Gaussian filter of 2 px does better here")
        assert "0.2," in found.refusal

    def test_noise_alone_is_named(self):
        found = Judgement(network=0.998, mean=1.0, filters={"a Gaussian": 1.01})
        assert "noise alone" in found.refusal

    def test_a_better_network_has_a_note(self):
        found = Judgement(network=0.1, mean=1.0, filters={"a Gaussian": 0.2})
        assert not found.refusal
        assert "a Gaussian, has 0.2" in found.note

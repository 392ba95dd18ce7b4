"""Tests of the features of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unet_engine.compute.runner import Runner
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.pixel_classification.features import (
    GRID,
    MARGIN,
    FeatureExtractor,
    filter_responses,
)

TINY = ModelSpec(depth=2, width=4)


def trained(spec: ModelSpec = TINY) -> Checkpoint:
    """Return random weights that count as trained."""
    fresh = start_checkpoint(spec)
    return Checkpoint(fresh.spec, fresh.weights, ({"name": "tiny"},))


class TestFeatures:
    def test_blocks_of_an_image_give_what_the_whole_gives(self):
        extractor = FeatureExtractor()
        rng = np.random.default_rng(0)
        whole = rng.random((1, 4 * 64 + 2 * MARGIN, 64 + 2 * MARGIN), dtype=np.float32)
        left = extractor(whole[:, : 128 + 2 * MARGIN])
        right = extractor(whole[:, 128:])
        both = torch.cat([left, right])
        # The coarsest structure reaches a little beyond the margin.
        assert torch.allclose(both, extractor(whole), atol=5e-3)

    def test_edges_are_seen_where_they_are(self):
        image = torch.zeros(1, 1, 64, 64)
        image[..., 32:] = 1
        gradient = filter_responses(image)[2]
        assert gradient[0, 0, 32].argmax() in (31, 32)
        assert gradient[0, 0, :, :20].max() < 1e-3

    @pytest.mark.parametrize("channels", [1, 3])
    def test_there_are_as_many_fine_features_as_documented(self, channels):
        spec = ModelSpec(depth=2, width=4, in_channels=channels)
        size = GRID + 2 * MARGIN
        block = np.zeros((channels, size, size), np.float32)
        alone, both = FeatureExtractor(), FeatureExtractor(trained(spec))
        assert alone(block).shape == (GRID, GRID, alone.count_fine(channels))
        assert both.count_fine(channels) == alone.count_fine(channels) + 4
        # Two levels of decoder, 4 and 8 maps, and the finest at half the size.
        assert both(block).shape[-1] == alone.count_fine(channels) + 16

    def test_what_a_network_sees_turns_with_the_image(self):
        extractor, alone = FeatureExtractor(trained()), FeatureExtractor()
        size = 2 * GRID + 2 * MARGIN
        rng = np.random.default_rng(0)
        block = rng.random((1, size, size), dtype=np.float32)
        seen = extractor(block)[..., alone.count_fine(1) :]
        turned = extractor(block.transpose(0, 2, 1).copy())
        assert seen.std(dim=(0, 1)).max() > 0.01
        assert torch.allclose(
            turned[..., alone.count_fine(1) :], seen.transpose(0, 1), atol=1e-4
        )

    def test_the_mean_over_symmetries_can_be_saved(self):
        alone, plain = FeatureExtractor(), FeatureExtractor(trained(), average=False)
        size = GRID + 2 * MARGIN
        rng = np.random.default_rng(0)
        block = rng.random((1, size, size), dtype=np.float32)
        mean = FeatureExtractor(trained())(block)
        assert plain(block).shape == mean.shape
        filters = slice(alone.count_fine(1))
        assert torch.equal(plain(block)[..., filters], mean[..., filters])
        assert not torch.allclose(plain(block), mean, atol=1e-3)

    @pytest.mark.parametrize("depth", [2, 5])
    def test_tuned_probabilities_are_those_of_the_whole_plane(self, depth):
        tuned = trained(ModelSpec(depth=depth, width=2))
        extractor = FeatureExtractor(tuned=tuned)
        plane = np.random.default_rng(0).random((1, 320, 320), dtype=np.float32)
        part = np.s_[128:192, 64:160]
        found = extractor.read(lambda at: plane[:, *at], part, (320, 320))
        whole = Runner(tuned, "cpu")(plane)
        assert extractor.n_tuned_channels == 2
        np.testing.assert_allclose(
            found[..., -2:].permute(2, 0, 1), whole[:, *part], atol=2e-6
        )

    def test_a_model_that_learned_nothing_is_left_out(self):
        assert FeatureExtractor(start_checkpoint(TINY)).channels == 0
        assert FeatureExtractor(trained()).channels == 1

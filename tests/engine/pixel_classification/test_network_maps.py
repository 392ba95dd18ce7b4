"""The decoder's maps of the inner part are those of the whole block."""

from __future__ import annotations

import pytest
import torch
from classifier_parts import trained

from unet_engine.compute.loading import load_network
from unet_engine.models.spec import ModelSpec
from unet_engine.pixel_classification.filters import enlarge
from unet_engine.pixel_classification.network_maps import (
    cut,
    decoded_maps,
    enlarged_inner,
    map_context,
)


def whole_maps(network, image: torch.Tensor) -> list[torch.Tensor]:
    """Return the maps of the whole block, the finest first."""
    below = network.contract(image)
    x, maps = below.pop(), []
    for up, merge in zip(network.up, network.merge, strict=True):
        x = merge(torch.cat((below.pop(), up(x)), dim=1))
        maps.append(x)
    return maps[::-1]


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("margin", [32, 64])
def test_they_equal_those_of_the_whole(depth, margin):
    network = load_network(trained(ModelSpec(depth=depth, width=4))).eval()
    torch.manual_seed(0)
    image = torch.rand(1, 1, 32 + 2 * margin, 64 + 2 * margin)
    with torch.no_grad():
        found, expected = (
            decoded_maps(network, image, margin),
            whole_maps(network, image),
        )
        assert len(found) == depth
        for level, (part, whole) in enumerate(zip(found, expected, strict=True)):
            # As far as it is needed; the deepest one is what it is.
            assert part.shape[2] <= -(-32 // 2**level) + 2 * map_context(level)
            factor = 2**level
            inner = enlarged_inner(part, level, factor)
            assert inner.shape[2:] == (32, 64)
            at = cut(enlarge(whole, image.shape[2:]), margin)
            torch.testing.assert_close(inner, at, atol=1e-5, rtol=1e-5)

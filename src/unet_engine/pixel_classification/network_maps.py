"""The maps of a U-Net's decoder in the inner part of a block.

Most of a block is margin, which the contracting path needs. The decoder is computed
only as far around the inner part as bears on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from unet_engine.pixel_classification.filters import enlarge

if TYPE_CHECKING:
    from torch import Tensor

    from unet_engine.models.networks.unet import UNet

_CONVOLVED = 2
"""Pixels around each output of a level that its two 3 x 3 convolutions take."""


def map_context(level: int) -> int:
    """Return how far a map of `decoded_maps` reaches beyond the inner part.

    Parameters
    ----------
    level
        Poolings between the image and the map; 0 is the finest.

    Returns
    -------
    int
        Pixels of the map, on each side: one to interpolate, and what the next finer
        level takes.
    """
    context = 1
    for _ in range(level):
        context = -(-(context + _CONVOLVED) // 2)
    return context


def decoded_maps(network: UNet, image: Tensor, margin: int) -> list[Tensor]:
    """Return the maps of the decoder around the inner part, the finest first.

    Parameters
    ----------
    network
        Of planes, padded.
    image
        ``(N, C, h, w)`` float32, sizes as the network takes them.
    margin
        Pixels of the image on each side that are not its inner part; the poolings of
        the network divide it.

    Returns
    -------
    list of Tensor
        ``(N, channels, h, w)`` each: the inner part and `map_context` around it.
    """
    below = network.contract(image)
    x, maps = below.pop(), []
    depth = len(below)
    reach = margin >> depth
    for level, up, merge in zip(
        reversed(range(depth)), network.up, network.merge, strict=True
    ):
        whole = margin >> level
        wanted = min(map_context(level) + _CONVOLVED, whole)
        parts = cut(below.pop(), whole - wanted), cut(up(x), 2 * reach - wanted)
        # What lies at the border of the part lacks its neighbours.
        x = cut(merge(torch.cat(parts, dim=1)), _CONVOLVED)
        reach = wanted - _CONVOLVED
        maps.append(x)
    return maps[::-1]


def enlarged_inner(values: Tensor, level: int, factor: int) -> Tensor:
    """Return a map of `decoded_maps` in the inner part, at the scale of the image.

    Parameters
    ----------
    values
        ``(N, channels, h, w)``.
    level
        Of the map in its network.
    factor
        Pixels of the image along an edge of one of the map.
    """
    size = torch.Size(n * factor for n in values.shape[2:])
    return cut(enlarge(values, size), map_context(level) * factor)


def cut(values: Tensor, border: int) -> Tensor:
    """Return ``(..., h, w)`` without so many pixels on each side."""
    if not border:
        return values
    return values[..., border:-border, border:-border]

"""The least time that a network's multiplications and additions could take."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from unet_engine.models.spec import build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.models.checkpoint import Checkpoint


def count_flops(checkpoint: Checkpoint, shape: Sequence[int]) -> int:
    """Count the multiplications and additions for an image, without any halo."""
    footprint = checkpoint.spec.footprint
    # Counted on sizes that the network takes, and scaled to the image.
    counted = [64 * d for d in footprint.divisor]
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = build(checkpoint.spec)
        network(torch.empty(1, checkpoint.spec.in_channels, *counted))
    return round(counter.get_total_flops() * prod(shape) / prod(counted))


def best_matrix_product(
    clock: Callable[[], float], dtype: torch.dtype = torch.float32
) -> float:
    """Return the rate of the fastest of some matrix products, per second."""
    rates = []
    for size in (1024, 2048, 3072):
        one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
        out = one @ other
        for _ in range(6):
            started = clock()
            torch.mm(one, other, out=out)
            rates.append(2 * size**3 / (clock() - started))
    return max(rates)

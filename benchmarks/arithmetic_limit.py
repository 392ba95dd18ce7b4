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
    clock: Callable[[], float],
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> float:
    """Return the rate of the fastest of some matrix products, per second."""
    rates = []
    # A GPU is busy with large ones only.
    for size in (1024, 2048, 3072) if device == "cpu" else (4096, 8192):
        one, other = (torch.randn(size, size).to(device, dtype) for _ in range(2))
        out = one @ other
        for _ in range(6):
            synchronise(device)
            started = clock()
            torch.mm(one, other, out=out)
            synchronise(device)
            rates.append(2 * size**3 / (clock() - started))
    return max(rates)


def synchronise(device: str) -> None:
    """Wait until a device has computed all that was begun."""
    if device != "cpu":
        getattr(torch, device).synchronize()

"""The moving average of the weights of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn

MOMENTUM = 0.99
"""Of the moving average of the weights: the last hundred steps or so count."""


class WeightAverage:
    """An exponential moving average of a network's weights and statistics.

    It predicts better than the weights of any single step, most of all while the
    learning rate is high (Polyak and Juditsky 1992).

    Parameters
    ----------
    network
        The network that is averaged.
    copy
        Another of the kind, which becomes the mean, in evaluation mode.
    momentum
        Share of the mean that a step leaves, once it is old.
    """

    def __init__(
        self, network: nn.Module, copy: nn.Module, momentum: float = MOMENTUM
    ) -> None:
        self._momentum = momentum
        copy.load_state_dict(network.state_dict())
        self.network = copy.eval().requires_grad_(False)
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the network; a young average moves faster."""
        self.steps += 1
        momentum = min(self._momentum, (1 + self.steps) / (10 + self.steps))
        for mean, new in zip(
            self.network.state_dict().values(),
            network.state_dict().values(),
            strict=True,
        ):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - momentum)
            else:
                mean.copy_(new)

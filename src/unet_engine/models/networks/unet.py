"""U-Net in its everyday padded form, in two and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unet_engine.models.networks.unet_paths import Pyramid

if TYPE_CHECKING:
    from unet_engine.models.spec import ModelSpec


class UNet(Pyramid):
    """Contracting path, expanding path, and the concatenations between them.

    Ronneberger, Fischer, Brox 2015, Fig. 1; in 3-D Çiçek et al. 2016, Fig. 2, with
    poolings along Z only on the levels of the spec. Input ``(N, in_channels,
    *spatial)`` float32 with sizes as the footprint allows; output ``(N,
    out_channels, *spatial)`` logits.
    """

    def __init__(self, spec: ModelSpec, inputs: int | None = None) -> None:
        super().__init__(spec, joined=2, inputs=inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, out_channels, *spatial)`` of a batch."""
        features = self.contract(x)
        x = features.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat((features.pop(), up(x)), dim=1))
        logits: Tensor = self.head(x)
        return logits

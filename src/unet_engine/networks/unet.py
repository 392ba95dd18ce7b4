"""U-Net (Ronneberger, Fischer, Brox 2015), in its everyday padded form."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from unet_engine.spec import ModelSpec


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU (section 2).

    The paper has neither padding nor normalisation: padding keeps the output as large
    as the input, normalisation lets the network train from random weights in minutes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            *_conv_norm_relu(in_channels, out_channels),
            *_conv_norm_relu(out_channels, out_channels),
        )


def _conv_norm_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    # The normalisation subtracts any bias again, so the convolution has none.
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


class UNet(nn.Module):
    """Contracting path, expanding path, and the concatenations between them (Fig. 1).

    Input ``(N, in_channels, Y, X)`` float32 with Y and X multiples of ``2**depth``;
    output ``(N, classes, Y, X)`` logits.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        self.down = nn.ModuleList(
            ConvBlock(i, o) for i, o in pairwise([spec.in_channels, *widths])
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(ConvBlock(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(spec.width, len(spec.classes), 1)
        self.pool = nn.MaxPool2d(2)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat((skips.pop(), up(x)), dim=1))
        logits: Tensor = self.head(x)
        return logits


def _initialise(module: nn.Module) -> None:
    # He et al. 2015, as in section 3: standard deviation sqrt(2 / incoming nodes).
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)

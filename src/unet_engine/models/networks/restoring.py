"""``RestoringUNet``: a U-Net that corrects the best mix of Gaussians of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from unet_engine.models.networks.unet import UNet
from unet_engine.models.receptive_fields import SMOOTHING_REACH

if TYPE_CHECKING:
    from unet_engine.models.spec import ModelSpec

SIGMAS = (0.7, 1.0, 1.5, 2.0, 3.0)
"""Standard deviations of the Gaussians in pixels: the range that suits noise of images,
in steps of about a half. Three of the widest are ``SMOOTHING_REACH``."""


class RestoringUNet(nn.Module):
    """Predict the pixels of a slice from it and its neighbours.

    The result is a weighted sum of Gaussians of all slices, which a training fits
    first, and what a U-Net of the slices and these Gaussians adds to it: before it has
    learned anything it is a filter already, and not a blank image.

    Input ``(N, input_maps, Y, X)`` float32, slice after slice with all channels of
    each, the middle one being restored; output ``(N, in_channels, Y, X)``.
    """

    kernels: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.unet = UNet(spec, spec.input_maps * (1 + len(SIGMAS)))
        smoothed = spec.input_maps * len(SIGMAS)
        self.mix = nn.Conv2d(smoothed, spec.in_channels, 1)
        kernels = torch.stack([_gaussian(sigma) for sigma in SIGMAS])
        self.register_buffer("kernels", kernels, persistent=False)
        for layer in (self.mix, self.unet.head):
            for weights in layer.parameters():
                # Nothing is added until it is learned. Without memory there is nothing
                # to set, and PyTorch would load its compiler.
                if not weights.is_meta:
                    nn.init.zeros_(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Return the restored slices ``(N, in_channels, Y, X)`` of a batch."""
        smoothed = self.smooth(x)
        correction: Tensor = self.unet(torch.cat((x, smoothed), dim=1))
        mixed: Tensor = self.mix(smoothed)
        return mixed + correction

    def smooth(self, x: Tensor) -> Tensor:
        """Return all Gaussians of each channel, ``(N, channels * sigmas, Y, X)``."""
        count, channels, height, width = x.shape
        single = x.reshape(count * channels, 1, height, width)
        reach = (SMOOTHING_REACH,) * 4
        padded = functional.pad(single, reach, mode="replicate")
        down = functional.conv2d(padded, self.kernels[:, None, :, None])
        across = self.kernels[:, None, None, :]
        found = functional.conv2d(down, across, groups=len(SIGMAS))
        return found.reshape(count, channels * len(SIGMAS), height, width)


def _gaussian(sigma: float) -> Tensor:
    positions = torch.arange(-SMOOTHING_REACH, SMOOTHING_REACH + 1, dtype=torch.float32)
    values = torch.exp(-0.5 * (positions / sigma) ** 2)
    return values / values.sum()

"""U-Net and 3-D U-Net as published: unpadded, so the output is smaller than the input.

Every output pixel depends on image alone: "the segmentation map only contains the
pixels, for which the full context is available in the input image" (Ronneberger,
Fischer, Brox 2015, section 1).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unet_engine.models.networks.unet_paths import POOLING, UP_CONVOLUTION, initialise
from unet_engine.models.receptive_fields import pooling_strides

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unet_engine.models.spec import ModelSpec


class CropUNet(nn.Module):
    """Crop and concatenate: the forward pass of both papers.

    Subclasses fill ``down``, ``up`` and ``merge``, and ``head``.
    """

    head: nn.Module

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.merge = nn.ModuleList()
        self.pools = nn.ModuleList(
            POOLING[spec.ndim](stride) for stride in pooling_strides(spec)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch, smaller than its input on all sides alike.

        ``(N, in_channels, *spatial)`` float32 becomes ``(N, classes, *spatial)``,
        ``2 * halo`` smaller on each axis.
        """
        self.spec.check_input(x.shape[2:])
        features = [self.down[0](x)]
        for pool, block in zip(self.pools, self.down[1:], strict=True):
            features.append(block(pool(features[-1])))
        x = features.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat((_centre(features.pop(), x.shape[2:]), x), dim=1))
        logits: Tensor = self.head(x)
        return logits


def _centre(features: Tensor, sizes: Iterable[int]) -> Tensor:
    for axis, size in enumerate(sizes, start=2):
        start = (features.shape[axis] - size) // 2
        features = features.narrow(axis, start, size)
    return features


class ValidUNet(CropUNet):
    """U-Net (Ronneberger, Fischer, Brox 2015, Fig. 1).

    3x3 convolutions without padding or normalisation, each followed by a ReLU;
    572 x 572 pixels in, 388 x 388 out, 31.0 million parameters at width 64.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        upwards = widths[-2::-1]
        for level, (i, o) in enumerate(pairwise([spec.in_channels, *widths])):
            block = _conv_relu(i, o) + _conv_relu(o, o)
            # "Drop-out layers at the end of the contracting path" (section 3.1): as
            # in the authors' network after each of its last two levels.
            if level >= spec.depth - 1:
                block.append(nn.Dropout(0.5))
            self.down.append(nn.Sequential(*block))
        self.up.extend(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in upwards)
        self.merge.extend(
            nn.Sequential(*_conv_relu(2 * w, w), *_conv_relu(w, w)) for w in upwards
        )
        self.head = nn.Conv2d(spec.width, spec.out_channels, 1)
        self.apply(initialise)


def _conv_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3), nn.ReLU(inplace=True)]


class ValidUNet3D(CropUNet):
    """3-D U-Net (Çiçek et al. 2016, section 2 and Fig. 2).

    3x3x3 convolutions without padding, each with batch normalisation before its ReLU,
    and channels doubled before a pooling and not after it, against bottlenecks:
    132 x 132 x 116 voxels in, 44 x 44 x 28 out, 19 069 955 weights and biases. The
    paper normalises by the statistics of the tile at prediction too; here by those of
    the training, without which a tile would not equal its part of the whole.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        widths = [2 * spec.width * 2**level for level in range(spec.depth + 1)]
        self.down.append(_widening(spec.in_channels, spec.width, widths[0]))
        self.down.extend(_widening(i, i, o) for i, o in pairwise(widths))
        for width, stride in zip(
            widths[-2::-1], reversed(pooling_strides(spec)), strict=True
        ):
            wide = 2 * width
            self.up.append(
                UP_CONVOLUTION[3](wide, wide, stride, stride=stride, bias=False)
            )
            self.merge.append(_widening(wide + width, width, width))
        self.head = nn.Conv3d(widths[0], spec.out_channels, 1)
        self.apply(initialise)


def _widening(in_channels: int, middle: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        *_conv_norm_relu(in_channels, middle), *_conv_norm_relu(middle, out_channels)
    )


def _conv_norm_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv3d(in_channels, out_channels, 3),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    ]

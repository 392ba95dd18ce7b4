"""Contracting and expanding path: what the U-Net and the autoencoder share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod, sqrt
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from unet_engine.models.networks.stages import Stage, pool_maximum, run_unpadded, score
from unet_engine.models.networks.subpixel import SubpixelConvolution
from unet_engine.models.receptive_fields import Layer, Upsampling, pooling_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.networks.stages import MapPart, Path
    from unet_engine.models.networks.subpixel import Convolution, UpConvolution
    from unet_engine.models.spec import ModelSpec

    Paths = tuple[Path, ...]

_ByDimension = dict[int, Callable[..., nn.Module]]

# The layers of PyTorch by the number of spatial dimensions.
CONVOLUTION: _ByDimension = {2: nn.Conv2d, 3: nn.Conv3d}
UP_CONVOLUTION: _ByDimension = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLING: _ByDimension = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
NORMALISATION: _ByDimension = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ConvBlock(nn.Sequential):
    """Two 3-wide convolutions, each with batch normalisation and ReLU.

    As in Ronneberger et al. 2015, section 2, and Çiçek et al. 2016, section 2, but
    padded, so that the output is as large as the input; the paper of 2015 has no
    normalisation, which lets the network train from random weights in minutes.
    """

    def __init__(self, ndim: int, in_channels: int, out_channels: int) -> None:
        super().__init__(
            *_conv_norm_relu(ndim, in_channels, out_channels),
            *_conv_norm_relu(ndim, out_channels, out_channels),
        )


def _conv_norm_relu(ndim: int, in_channels: int, out_channels: int) -> list[nn.Module]:
    # The normalisation subtracts any bias again, so the convolution has none.
    conv = CONVOLUTION[ndim](in_channels, out_channels, 3, padding=1, bias=False)
    return [conv, NORMALISATION[ndim](out_channels), nn.ReLU(inplace=True)]


class Pyramid(nn.Module):
    """The layers of a padded encoder-decoder; a subclass defines how they are joined.

    Parameters
    ----------
    spec
        What to build.
    joined
        Width of what ``merge`` takes, in multiples of the width of its level.
    inputs
        Channels of the input, where they are not those of the spec.
    """

    def __init__(
        self, spec: ModelSpec, *, joined: int, inputs: int | None = None
    ) -> None:
        super().__init__()
        self.spec = spec
        ndim, strides = spec.ndim, pooling_strides(spec)
        widths = [spec.width * 2**level for level in range(spec.depth + 1)]
        upwards = list(zip(reversed(widths[:-1]), reversed(strides), strict=True))
        self.down = nn.ModuleList(
            ConvBlock(ndim, i, o)
            for i, o in pairwise([inputs or spec.in_channels, *widths])
        )
        self.up = nn.ModuleList(
            UP_CONVOLUTION[ndim](2 * w, w, stride, stride=stride)
            for w, stride in upwards
        )
        self.merge = nn.ModuleList(ConvBlock(ndim, joined * w, w) for w, _ in upwards)
        self.head = CONVOLUTION[ndim](spec.width, spec.out_channels, 1)
        self.pools = nn.ModuleList(POOLING[ndim](stride) for stride in strides)
        self.apply(initialise)

    def stages(self) -> tuple[Stage, ...]:
        """Return the network as stages: a level down or up each, the last with head."""
        convolutions: Path = (Layer(3, padding=1),) * 2
        strides = pooling_strides(self.spec)
        stages = [self._down_stage(0, (convolutions,) * self.spec.ndim)]
        for level, stride in enumerate(strides, start=1):
            paths = tuple((Layer(s, s), *convolutions) for s in stride)
            stages.append(self._down_stage(level, paths))
        for step, stride in enumerate(reversed(strides)):
            paths = tuple((Upsampling(s, s), *convolutions) for s in stride)
            stages.append(self._up_stage(step, stride, paths, convolutions))
        return tuple(stages)

    def _down_stage(self, level: int, paths: Paths) -> Stage:
        unpooled = (1,) * self.spec.ndim
        strides = pooling_strides(self.spec)[level - 1] if level else unpooled

        def compute(blocks: Sequence[MapPart]) -> Tensor:
            [block] = blocks
            pooled = pool_maximum(block.values, strides)
            beyond = tuple(
                (low // stride, high // stride)
                for (low, high), stride in zip(block.beyond, strides, strict=True)
            )
            return run_unpadded(cast("nn.Sequential", self.down[level]), pooled, beyond)

        return Stage(
            sources=(level,),
            paths=(paths,),
            channels=self.spec.width * 2**level,
            scale=self._scale(level),
            grid=(1,) * self.spec.ndim,
            compute=compute,
        )

    def _up_stage(
        self,
        step: int,
        stride: tuple[int, ...],
        paths: Paths,
        convolutions: Path,
    ) -> Stage:
        depth, spec = self.spec.depth, self.spec
        level = depth - 1 - step
        first, *others = cast("nn.Sequential", self.merge[step])
        joining = SubpixelConvolution(
            cast("UpConvolution", self.up[step]), cast("Convolution", first)
        )
        below = depth + 1 + step
        skip: Paths = (convolutions,) * spec.ndim

        def compute(blocks: Sequence[MapPart]) -> Tensor:
            beyond = blocks[0].beyond
            joined = joining(*(block.values for block in blocks), beyond=beyond)
            merged = run_unpadded(others, joined)
            return merged if level else score(self.head, merged)

        return Stage(
            sources=(below, level + 1) if joining.joins else (below,),
            paths=(paths, skip) if joining.joins else (paths,),
            channels=spec.width * 2**level if level else spec.out_channels,
            scale=self._scale(level),
            grid=stride,
            compute=compute,
        )

    def _scale(self, level: int) -> tuple[int, ...]:
        strides = pooling_strides(self.spec)[:level]
        return tuple(prod(s[axis] for s in strides) for axis in range(self.spec.ndim))

    def contract(self, x: Tensor) -> list[Tensor]:
        """Return the features of each level, the finest first.

        ``(N, in_channels, *spatial)`` float32 becomes, for level ``n``, ``(N, width *
        2**n, *spatial)`` with sizes divided by the strides of the poolings before it.

        Raises
        ------
        SpecError
            When the network cannot take the size.
        """
        self.spec.check_input(x.shape[2:])
        features = [self.down[0](x)]
        for pool, block in zip(self.pools, self.down[1:], strict=True):
            features.append(block(pool(features[-1])))
        return features


def initialise(module: nn.Module) -> None:
    """Draw weights with standard deviation sqrt(2 / N), N incoming nodes of a neuron.

    He et al. 2015, as in section 3 of Ronneberger et al. 2015.
    """
    # Without memory there is nothing to draw, and PyTorch would load its compiler.
    if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        return
    if isinstance(module, (nn.Conv2d, nn.Conv3d)):
        incoming = module.in_channels * module.weight[0, 0].numel()
    elif isinstance(module, (nn.ConvTranspose2d, nn.ConvTranspose3d)):
        # Kernel and stride are equal: each output has one incoming position.
        incoming = module.in_channels
    else:
        return
    nn.init.normal_(module.weight, std=sqrt(2 / incoming))
    if module.bias is not None:
        nn.init.zeros_(module.bias)

"""Up-convolution, concatenation and convolution on the way up, in one.

Nothing nonlinear lies between an up-convolution and the convolution after it, so that
the two are one convolution of the coarse map, with fewer multiplications: each of the
pixels that one coarse pixel gives uses another part of its kernel (Shi et al. 2016,
section 3.2, "sub-pixel convolution"). The upsampled map is never made.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from unet_engine.models.networks.stages import clear, convolve, shrunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.networks.stages import Margins

    Convolution = nn.Conv2d | nn.Conv3d
    UpConvolution = nn.ConvTranspose2d | nn.ConvTranspose3d

_WIDTH = 3
"""Kernel of the convolution after the up-convolution, in pixels along every axis."""


class SubpixelConvolution:
    """The first convolution of a level on the way up, of what the level below gives.

    Parameters
    ----------
    up
        Up-convolution whose kernel is as large as its stride, 1 or 2 on each axis.
    convolution
        3-wide; of its input channels the last are those of `up`, the first, if there
        are more, those of a map of the level itself.
    """

    def __init__(self, up: UpConvolution, convolution: Convolution) -> None:
        self._strides = tuple(up.stride)
        from_below = up.weight.shape[1]
        beside = convolution.weight.shape[1] - from_below
        axes = up.weight.ndim - 2
        self._dtype = up.weight.dtype
        self._format = torch.channels_last if axes == 2 else torch.channels_last_3d
        with torch.no_grad():
            weights = convolution.weight.double()
            constant = weights.new_zeros(from_below)
            if up.bias is not None:
                constant += up.bias
            own = weights.new_zeros(len(weights))
            if convolution.bias is not None:
                own += convolution.bias
            below = _composed(up.weight.double(), weights[:, beside:], self._strides)
            # The bias of the up-convolution, as what it makes of a map of ones.
            ones = constant[None, :, *(None,) * axes].expand(1, -1, *self._strides)
            of_ones = _composed(ones, weights[:, beside:], self._strides)
            everywhere = weights[:, beside:].flatten(2).sum(2) @ constant
            self._below = self._placed(below)
            self._beside = self._placed(weights[:, :beside]) if beside else None
            self._of_ones = self._placed(of_ones)
            self._own_bias = own.to(self._dtype)
            self._bias = (own + everywhere).to(self._dtype)

    def _placed(self, weights: Tensor) -> Tensor:
        return weights.to(self._dtype).contiguous(memory_format=self._format)

    @property
    def joins(self) -> bool:
        """Whether it also takes a map of the level itself."""
        return self._beside is not None

    def __call__(
        self, below: Tensor, beside: Tensor | None = None, *, beyond: Margins = ()
    ) -> Tensor:
        """Return what the convolution gives, unpadded.

        Parameters
        ----------
        below
            ``(N, C, *coarse)`` of the level below.
        beside
            ``(N, C, *spatial)`` of the level itself, as large as `below` will be when
            it is upsampled; only where it `joins`.
        beyond
            How much of ``below`` lies beyond its map, in its pixels.

        Returns
        -------
        Tensor
            ``(N, C, *spatial)``, 2 pixels smaller; 0 beyond the map.
        """
        at_border = any(map(any, beyond))
        bias = self._own_bias if at_border else self._bias
        if self._beside is None or beside is None:
            parts = self._from_below(below, beyond, bias.repeat(prod(self._strides)))
            values = _spread(parts, self._strides, self._format)
        else:
            values = convolve(beside, self._beside, bias)
            parts = self._from_below(below, beyond, None)
            _by_part(values, self._strides).add_(_of_parts(parts, self._strides))
        pixels = tuple(
            (low * stride, high * stride)
            for (low, high), stride in zip(beyond, self._strides, strict=False)
        )
        clear(values, shrunk(pixels))
        return values

    def _from_below(
        self, below: Tensor, beyond: Margins, bias: Tensor | None
    ) -> Tensor:
        parts = convolve(below, self._below, bias)
        if any(map(any, beyond)):
            # Beyond the map the up-convolution gives nothing, not even its bias.
            known = below.new_ones(1, 1, *below.shape[2:])
            clear(known, beyond)
            parts += convolve(known, self._of_ones, None)
        return parts


def _composed(up: Tensor, weights: Tensor, strides: Sequence[int]) -> Tensor:
    """Return the convolution that equals an up-convolution and a convolution.

    The output of part ``p`` along an axis reads by tap ``t`` the pixel ``p + t`` of the
    upsampled map, which is part ``(p + t) % stride`` of a coarse pixel.
    """
    out_channels, axes = len(weights), len(strides)
    sizes = [(stride + _WIDTH - 2) // stride + 1 for stride in strides]
    composed = up.new_zeros(*strides, out_channels, len(up), *sizes)
    for part in np.ndindex(*strides):
        for tap in np.ndindex(*(_WIDTH,) * axes):
            pixel = [p + t for p, t in zip(part, tap, strict=True)]
            coarse = [n // s for n, s in zip(pixel, strides, strict=True)]
            within = [n % s for n, s in zip(pixel, strides, strict=True)]
            taps = weights[(slice(None), slice(None), *tap)]
            pixels = up[(slice(None), slice(None), *within)]
            composed[(*part, slice(None), slice(None), *coarse)] += taps @ pixels.T
    return composed.flatten(0, axes)


def _of_parts(parts: Tensor, strides: Sequence[int]) -> Tensor:
    """View the channels as those of each part, ``(N, *strides, C, *coarse)``."""
    return torch.unflatten(parts, 1, (*strides, -1))


def _by_part(values: Tensor, strides: Sequence[int]) -> Tensor:
    """View ``(N, C, *spatial)`` as ``(N, *strides, C, *coarse)``."""
    axes = len(strides)
    for axis in reversed(range(axes)):
        values = torch.unflatten(values, 2 + axis, (-1, strides[axis]))
    parts, coarse = range(3, 3 + 2 * axes, 2), range(2, 2 + 2 * axes, 2)
    return values.permute(0, *parts, 1, *coarse)


def _spread(
    parts: Tensor, strides: Sequence[int], memory_format: torch.memory_format
) -> Tensor:
    """Turn the channels of parts into pixels."""
    channels = parts.shape[1] // prod(strides)
    sizes = [n * s for n, s in zip(parts.shape[2:], strides, strict=True)]
    values = torch.empty(
        (len(parts), channels, *sizes),
        dtype=parts.dtype,
        device=parts.device,
        memory_format=memory_format,
    )
    _by_part(values, strides).copy_(_of_parts(parts, strides))
    return values

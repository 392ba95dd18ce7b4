"""Which input an output pixel depends on: strides, receptive fields, footprints.

Everything here is arithmetic along one axis at a time, without torch and without
weights, so that a spec can be checked before any network is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import count
from math import log2, prod
from typing import TYPE_CHECKING, Protocol

from unet_engine.tiling.tiles import Footprint

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or pooling along one axis.

    Output ``i`` reads ``kernel`` positions from ``i * stride - padding`` on.
    """

    kernel: int
    stride: int = 1
    padding: int = 0

    def reads(self, low: int, high: int) -> tuple[int, int]:
        """Return the first and last input position that outputs low..high read."""
        start = low * self.stride - self.padding
        return start, high * self.stride - self.padding + self.kernel - 1


@dataclass(frozen=True, slots=True)
class Upsampling:
    """A transposed convolution along one axis, cropped by ``crop`` at its start.

    Input ``i`` writes ``kernel`` positions from ``i * stride - crop`` on.
    """

    kernel: int
    stride: int
    crop: int = 0

    def reads(self, low: int, high: int) -> tuple[int, int]:
        """Return the first and last input position that outputs low..high read."""
        first = -((self.kernel - 1 - low - self.crop) // self.stride)
        return first, (high + self.crop) // self.stride


@cache
def smallest_halo(path: tuple[Layer | Upsampling, ...], divisor: int) -> int:
    """Find the least halo on the pooling grid that makes tiles equal to the whole.

    How far the receptive field of a pixel reaches depends on its phase in the grid. The
    whole image begins on it, and so does every tile.

    Parameters
    ----------
    path
        Layers from input to output, the longest way through the network.
    divisor
        The pooling grid; input sizes are multiples of it.
    """
    intervals = [_receptive_interval(path, phase) for phase in range(divisor)]
    left = [phase - low for phase, (low, _) in enumerate(intervals)]
    right = [high - phase for phase, (_, high) in enumerate(intervals)]

    def suffices(halo: int) -> bool:
        # For every size n of an inner region: what the rounding up to the grid adds
        # on the right counts as context.
        return left[0] <= halo and all(
            right[(n - 1) % divisor] <= halo + -n % divisor
            for n in range(1, divisor + 1)
        )

    return next(filter(suffices, count(step=divisor)))


def _receptive_interval(
    path: Sequence[Layer | Upsampling], position: int
) -> tuple[int, int]:
    low = high = position
    for layer in reversed(path):
        low, high = layer.reads(low, high)
    return low, high


class NetworkDescription(Protocol):
    """What the geometry of a network depends on; a `ModelSpec` has it.

    Attributes
    ----------
    architecture
        A name in ``ARCHITECTURES``.
    ndim
        2 for planes, 3 for volumes.
    depth
        Number of poolings.
    width
        Channels of the first level.
    dense_width
        Channels of the dense layers of an FCN.
    z_poolings
        Poolings that halve Z as well; None: all.
    classes
        Names of the classes; none where the network gives an image.
    """

    @property
    def architecture(self) -> str: ...
    @property
    def ndim(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def dense_width(self) -> int: ...
    @property
    def z_poolings(self) -> int | None: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


def pooling_strides(spec: NetworkDescription) -> tuple[tuple[int, ...], ...]:
    """Return the stride of each pooling of a U-Net-like network, per axis.

    In 3-D the deepest ``spec.z_poolings`` levels pool along Z too: a stack whose
    planes lie far apart is first brought to the same spacing along all axes.
    """
    if spec.ndim == 2:
        return ((2, 2),) * spec.depth
    poolings = spec.depth if spec.z_poolings is None else spec.z_poolings
    flat = spec.depth - poolings
    return ((1, 2, 2),) * flat + ((2, 2, 2),) * poolings


_PLANES_AT_BOTTOM = 4
"""Planes that the lowest level keeps: one more than its convolutions are wide."""


def z_poolings_for(planes: int, depth: int, *, elongation: float = 1.0) -> int:
    """Choose how often a network of volumes pools along Z.

    Parameters
    ----------
    planes
        Of the stack; some are left at the lowest level.
    depth
        Poolings of the network.
    elongation
        Distance of the planes over that of the pixels: the first levels pool within
        the planes only, until both distances are about the same.

    Returns
    -------
    int
        From 0 to ``depth``, for ``ModelSpec.z_poolings``.
    """
    flat = max(0, round(log2(elongation)))
    deepest = int(log2(max(1, planes / _PLANES_AT_BOTTOM)))
    return max(0, min(depth - flat, deepest))


SMOOTHING_REACH = 9
"""Pixels that the widest Gaussian before a U-Net that restores images reaches: three of
its standard deviations."""


def padded_footprint(spec: NetworkDescription) -> Footprint:
    """Footprint of a padded encoder-decoder: two 3-wide convolutions on each level.

    A U-Net of images has Gaussians before them.
    """
    restores = spec.architecture == "unet" and not spec.classes
    reach = SMOOTHING_REACH if restores else 0
    smoothing = (Layer(2 * reach + 1, padding=reach),) * restores
    halos, divisors = [], []
    for strides in zip(*pooling_strides(spec), strict=True):
        pair = (Layer(3, padding=1),) * 2
        path: list[Layer | Upsampling] = [*smoothing, *pair]
        for stride in strides:
            path += [Layer(stride, stride), *pair]
        for stride in reversed(strides):
            path += [Upsampling(stride, stride), *pair]
        divisors.append(prod(strides))
        halos.append(smallest_halo(tuple(path), divisors[-1]))
    return Footprint(
        halo=tuple(halos),
        divisor=tuple(divisors),
        remainder=(0,) * spec.ndim,
        padded=True,
    )


def valid_footprint(spec: NetworkDescription) -> Footprint:
    """Footprint of an unpadded U-Net: each pair of convolutions takes 4 pixels.

    With ``x`` pixels before the lowest pair of convolutions, input and output have
    ``divisor * x`` pixels plus a constant each. Every pooling then gets an even size
    and every cropped border is as wide on both sides (Ronneberger et al. 2015,
    section 2), and the halo is exactly what the convolutions take: 92 at depth 4.
    """
    halos, divisors, remainders = [], [], []
    for strides in zip(*pooling_strides(spec), strict=True):
        entering, leaving = 0, -4
        for stride in reversed(strides):
            entering = entering * stride + 4
            leaving = leaving * stride - 4
        divisors.append(prod(strides))
        remainders.append(entering % divisors[-1])
        halos.append((entering - leaving) // 2)
    return Footprint(
        halo=tuple(halos), divisor=tuple(divisors), remainder=tuple(remainders)
    )


def largest_level(spec: NetworkDescription) -> int:
    """Count the weights of a convolution of the lowest level, the largest there is."""
    bottom: int = spec.width * 2**spec.depth
    return int(3**spec.ndim) * bottom**2

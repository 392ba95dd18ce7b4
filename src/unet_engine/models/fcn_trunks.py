"""The classifiers under an FCN, and where their feature maps lie, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.models.receptive_fields import Layer, Upsampling, smallest_halo
from unet_engine.tiling.tiles import Footprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.models.receptive_fields import NetworkDescription


@dataclass(frozen=True, slots=True)
class TrunkLayer:
    """A layer of a classifier: a convolution with ReLU, or a max pooling.

    Attributes
    ----------
    channels
        Multiple of the spec's width; 0 for a pooling.
    """

    shape: Layer
    channels: int = 0


@dataclass(frozen=True, slots=True)
class Trunk:
    """The convolutional part of a classifier and the window of its dense layers.

    Attributes
    ----------
    layers
        In the order of torchvision's ``features``, the ReLUs left out.
    dense
        The first dense layer as a convolution.
    """

    layers: tuple[TrunkLayer, ...]
    dense: Layer

    @property
    def channels(self) -> int:
        """Multiple of the spec's width that the last level has."""
        return next(n for n in (r.channels for r in reversed(self.layers)) if n)


def _vgg_block(channels: int, convolutions: int) -> tuple[TrunkLayer, ...]:
    convolution = TrunkLayer(Layer(3, padding=1), channels)
    return (convolution,) * convolutions + (TrunkLayer(Layer(2, 2)),)


_ALEXNET_POOL = TrunkLayer(Layer(3, 2, padding=1))
"""Pooling of 3 pixels every 2 (Krizhevsky et al. 2012, section 3.4)."""

TRUNKS = {
    # Simonyan and Zisserman 2015, configuration D.
    "vgg16": Trunk(
        layers=(
            *_vgg_block(1, 2),
            *_vgg_block(2, 2),
            *_vgg_block(4, 3),
            *_vgg_block(8, 3),
            *_vgg_block(8, 3),
        ),
        dense=Layer(7, padding=3),
    ),
    # Krizhevsky 2014 ("One weird trick"), as torchvision has it, with more padding:
    # every map is exactly input / stride wide, so any multiple of 32 fits, and its
    # position i is, up to the dense layers, centred on pixel i * stride + 1.
    "alexnet": Trunk(
        layers=(
            TrunkLayer(Layer(11, 4, padding=4), 1),
            _ALEXNET_POOL,
            TrunkLayer(Layer(5, padding=2), 3),
            _ALEXNET_POOL,
            TrunkLayer(Layer(3, padding=1), 6),
            TrunkLayer(Layer(3, padding=1), 4),
            TrunkLayer(Layer(3, padding=1), 4),
            _ALEXNET_POOL,
        ),
        dense=Layer(6, padding=2),
    ),
}
"""The classifiers that an FCN can be built on."""


@dataclass(frozen=True, slots=True)
class FCNForm:
    """Which FCN: on which trunk, and the stride of its finest scores (32, 16, 8)."""

    trunk: str
    stride: int

    @property
    def skip_strides(self) -> tuple[int, ...]:
        """Strides of the pooling layers whose scores are added, coarsest first."""
        return tuple(s for s in (16, 8) if s >= self.stride)


FCN_FORMS = {
    f"fcn{stride}s-{trunk}": FCNForm(trunk, stride)
    for trunk in TRUNKS
    for stride in (32, 16, 8)
}
"""The forms of FCN, by the name of their architecture."""

FCN_DEPTH = 5
"""Halvings of an FCN's trunk: to a stride of 32 (AlexNet's stride of 4 is two)."""


def first_centre(layers: Sequence[Layer]) -> float:
    """Return the pixel on which position 0 of the last layer's map is centred."""
    centre, jump = 0.0, 1
    for layer in layers:
        centre += jump * ((layer.kernel - 1) / 2 - layer.padding)
        jump *= layer.stride
    return centre


def _poolings(trunk: Trunk) -> dict[int, int]:
    """Map the stride after each pooling to its index in ``trunk.layers``."""
    strides = accumulate((layer.shape.stride for layer in trunk.layers), mul)
    return {
        stride: index
        for index, (stride, layer) in enumerate(zip(strides, trunk.layers, strict=True))
        if not layer.channels
    }


def skip_channels(form: FCNForm, width: int) -> tuple[tuple[int, int], ...]:
    """Return where the added scores of an FCN come from, coarsest first.

    Returns
    -------
    tuple
        Per skip: index of the pooling in torchvision's ``features``, where each
        convolution is followed by its ReLU, and channels.
    """
    layers = TRUNKS[form.trunk].layers
    poolings = _poolings(TRUNKS[form.trunk])
    return tuple(
        (
            index + sum(layer.channels > 0 for layer in layers[:index]),
            width * layers[index - 1].channels,
        )
        for index in (poolings[stride] for stride in form.skip_strides)
    )


def bilinear_upsampling(stride: int, centre: float) -> Upsampling:
    """Place bilinear interpolation on the pixel grid.

    Parameters
    ----------
    stride
        Fine positions to a coarse one.
    centre
        Where coarse position 0 lies among the fine ones: halfway between two of them
        (an even kernel interpolates, as in Long et al. 2015) or on one (an odd one).
    """
    kernel = 2 * stride - int(centre == int(centre))
    return Upsampling(kernel, stride, crop=int((kernel - 1) / 2 - centre))


def fcn_upsamplings(form: FCNForm) -> tuple[Upsampling, ...]:
    """Return the upsamplings of an FCN, coarsest first, the one to pixels last.

    The original pads the image by 100 pixels and crops each map by a fixed offset;
    here the crop follows from the centres of the positions, so that the maps lie on
    each other exactly whatever the size.
    """
    trunk = TRUNKS[form.trunk]
    shapes = [layer.shape for layer in trunk.layers]
    poolings = _poolings(trunk)
    stride, centre = 32, first_centre([*shapes, trunk.dense])
    steps = []
    for finer in (*form.skip_strides, 1):
        origin = first_centre(shapes[: poolings[finer] + 1]) if finer > 1 else 0.0
        steps.append(bilinear_upsampling(stride // finer, (centre - origin) / finer))
        stride, centre = finer, origin
    return tuple(steps)


def bilinear_kernel(size: int) -> npt.NDArray[np.float32]:
    """Return the ``(size, size)`` float32 filter of bilinear interpolation."""
    stride = (size + 1) // 2
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    ramp = (1 - distance / stride).astype(np.float32)
    return np.outer(ramp, ramp)


def fcn_footprint(spec: NetworkDescription) -> Footprint:
    """Footprint of an FCN, the same along both axes; sizes are multiples of 32."""
    form = FCN_FORMS[spec.architecture]
    trunk = TRUNKS[form.trunk]
    path = (
        *(layer.shape for layer in trunk.layers),
        trunk.dense,
        *fcn_upsamplings(form),
    )
    halo = smallest_halo(path, 32)
    return Footprint.isotropic(spec.ndim, halo=halo, divisor=32, padded=True)


def largest_dense(spec: NetworkDescription) -> int:
    """Count the weights of the largest convolution of an FCN."""
    trunk = TRUNKS[FCN_FORMS[spec.architecture].trunk]
    channels = spec.width * max(layer.channels for layer in trunk.layers)
    first = spec.width * trunk.channels * trunk.dense.kernel**2
    return max(first * spec.dense_width, spec.dense_width**2, 9 * channels**2)

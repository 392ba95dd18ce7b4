"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s.

Long, Shelhamer, Darrell 2015 ("Fully Convolutional Networks for Semantic
Segmentation"), section 4, on VGG-16 and AlexNet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unet_engine.models.fcn_trunks import (
    FCN_FORMS,
    TRUNKS,
    bilinear_kernel,
    fcn_upsamplings,
    skip_channels,
)
from unet_engine.models.networks.fcn_backbones import Standardisation, make_trunk
from unet_engine.models.networks.unet_paths import initialise

if TYPE_CHECKING:
    from unet_engine.models.receptive_fields import Upsampling
    from unet_engine.models.spec import ModelSpec


class BilinearUpsampling(nn.Module):
    """Transposed convolution that starts as, or always is, bilinear interpolation.

    "We initialize the 2x upsampling to bilinear interpolation, but allow the
    parameters to be learned" and "the final layer deconvolutional filters are fixed"
    (sections 4.2 and 4.3).

    Parameters
    ----------
    channels
        Score maps, one per class.
    placement
        Stride, kernel and crop.
    learned
        Whether the filters are parameters, between all pairs of maps.
    """

    weight: Tensor

    def __init__(self, channels: int, placement: Upsampling, *, learned: bool) -> None:
        super().__init__()
        self._stride, self._crop = placement.stride, placement.crop
        # In numpy: arithmetic of tensors without memory loads PyTorch's compiler.
        between = np.eye(channels) if learned else np.ones((channels, 1))
        kernel = between[:, :, None, None] * bilinear_kernel(placement.kernel)
        weight = torch.tensor(kernel.astype(np.float32))
        if learned:
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight, persistent=False)
        self._groups = 1 if learned else channels

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, stride * h, stride * w)``."""
        full = functional.conv_transpose2d(
            x, self.weight, stride=self._stride, groups=self._groups
        )
        for axis in (2, 3):
            full = full.narrow(axis, self._crop, self._stride * x.shape[axis])
        return full


class Score(nn.Conv2d):
    """A 1x1 convolution to few score maps, computed in float32 also under autocast.

    oneDNN's gradient of the bias in bfloat16 on processors with AMX, of 1x1
    convolutions with 2560 input channels or more and at most 8 output channels, writes
    64 bytes into 4 and corrupts the heap, with PyTorch 2.11 to 2.14. This is also
    the last layer, whose rounding nothing after it would mend.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, classes, y, x)``, of the type of the weights."""
        weight, bias = self.weight, self.bias
        # Tensors without memory, which have shapes only, have no autocast.
        kind = x.device.type if x.device.type != "meta" else "cpu"
        with torch.autocast(kind, enabled=False):
            scores = functional.conv2d(
                x.float(), weight.float(), None if bias is None else bias.float()
            )
        return scores.to(weight.dtype)


class FCN(nn.Module):
    """A classifier made convolutional, scored coarsely, upsampled to pixels (Fig. 3).

    Scores of the pooling layers are added element by element on the way up: pool4 in
    FCN-16s, pool4 and pool3 in FCN-8s; on AlexNet those of the same strides, 16 and
    8, which the paper does not have. Input ``(N, in_channels, Y, X)`` float32 with Y
    and X multiples of 32; output ``(N, classes, Y, X)`` logits. Every layer is padded
    so that the maps lie on each other exactly, where the original pads the image by
    100 pixels and crops.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        form = FCN_FORMS[spec.architecture]
        trunk = TRUNKS[form.trunk]
        window = trunk.dense.kernel
        classes, dense = spec.out_channels, spec.dense_width
        skips = skip_channels(form, spec.width)
        self.standardise = Standardisation(spec.in_channels)
        self.features = make_trunk(trunk, spec.in_channels, spec.width)
        self.fc6 = nn.Conv2d(spec.width * trunk.channels, dense, window)
        self.fc7 = nn.Conv2d(dense, dense, 1)
        self.apply(initialise)
        self.score = _zero_score(dense, classes)
        self.skip_scores = nn.ModuleList(
            _zero_score(channels, classes) for _, channels in skips
        )
        *steps, last = fcn_upsamplings(form)
        self.upsamplings = nn.ModuleList(
            BilinearUpsampling(classes, step, learned=True) for step in steps
        )
        self.to_pixels = BilinearUpsampling(classes, last, learned=False)
        self.dropout = nn.Dropout(0.5)
        before, after = trunk.dense.padding, window - 1 - trunk.dense.padding
        self._margins = (before, after, before, after)
        # The ReLUs count in torchvision's ``features``, as in ``make_trunk``.
        self._taps = tuple(index for index, _ in skips)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(N, classes, Y, X)`` of a batch."""
        self.spec.check_input(x.shape[2:])
        x = self.standardise(x)
        pooled: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                pooled.append(x)
        x = self.dropout(functional.relu(self.fc6(functional.pad(x, self._margins))))
        scores: Tensor = self.score(self.dropout(functional.relu(self.fc7(x))))
        for upsample, score in zip(self.upsamplings, self.skip_scores, strict=True):
            scores = upsample(scores) + score(pooled.pop())
        scores = self.to_pixels(scores)
        return scores


def _zero_score(in_channels: int, classes: int) -> Score:
    # "We zero-initialize the class scoring layer, as random initialization yielded
    # neither better performance nor faster convergence" (section 4.3).
    score = Score(in_channels, classes)
    nn.init.zeros_(score.weight)
    if score.bias is not None:
        nn.init.zeros_(score.bias)
    return score

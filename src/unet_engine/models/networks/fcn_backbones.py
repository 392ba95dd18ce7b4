"""The classifiers under an FCN: VGG-16 and AlexNet, made convolutional.

Layouts and ImageNet weights are torchvision's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unet_engine.models.weight_transfer import dense_to_convolution

if TYPE_CHECKING:
    from unet_engine.models.fcn_trunks import Trunk

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of red, green and blue over ImageNet, from 0 to 1, as torchvision's weights have."""


class Standardisation(nn.Module):
    """What the ImageNet classifiers expect, from values between 0 and 1.

    RGB gets the mean and standard deviation of each colour over ImageNet, any other
    number of channels their averages. Fixed, and not part of the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, colours in (("mean", _MEAN), ("std", _STD)):
            # A mean of tensors without memory would load PyTorch's compiler.
            mean = sum(colours) / len(colours)
            values = torch.tensor(colours if channels == 3 else (mean,) * channels)
            self.register_buffer(name, values[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``(N, C, Y, X)``."""
        return (x - self.mean) / self.std


def make_trunk(trunk: Trunk, in_channels: int, width: int) -> nn.Sequential:
    """Build the convolutional part of a classifier, numbered as torchvision's."""
    layers: list[nn.Module] = []
    for layer in trunk.layers:
        kernel, stride = layer.shape.kernel, layer.shape.stride
        padding = layer.shape.padding
        if layer.channels:
            channels = width * layer.channels
            layers += [
                nn.Conv2d(in_channels, channels, kernel, stride, padding),
                nn.ReLU(inplace=True),
            ]
            in_channels = channels
        else:
            layers.append(nn.MaxPool2d(kernel, stride, padding))
    return nn.Sequential(*layers)


def convolutionalise(
    features: nn.Module, classifier: nn.Sequential, window: int
) -> nn.Sequential:
    """Turn a classifier of patches into one that slides over images of any size.

    Each dense layer becomes a convolution: the first as wide as the window of features
    that it took, the others 1x1 (Long et al. 2015, section 3.1; Sermanet et al. 2014,
    "OverFeat", section 3.5). Flattening and pooling to a fixed size fall away.

    Parameters
    ----------
    features
        The convolutional part.
    classifier
        Linear layers and what works on each value alone (ReLU, dropout).
    window
        Edge of the feature map that the first linear layer takes, 7 for VGG-16.

    Returns
    -------
    torch.nn.Sequential
        Maps ``(N, C, Y, X)`` to ``(N, classes, y, x)``, with the same weights.
    """
    layers: list[nn.Module] = []
    for layer in classifier:
        if not isinstance(layer, nn.Linear):
            layers.append(layer)
            continue
        weight = torch.from_numpy(
            dense_to_convolution(layer.weight.detach().cpu().numpy(), window)
        )
        convolution = nn.Conv2d(
            weight.shape[1], weight.shape[0], window, bias=layer.bias is not None
        )
        convolution.weight.data.copy_(weight)
        if convolution.bias is not None:
            convolution.bias.data.copy_(layer.bias.detach())
        layers.append(convolution)
        window = 1
    return nn.Sequential(features, *layers)

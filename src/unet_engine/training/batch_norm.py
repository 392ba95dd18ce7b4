"""Statistics of batch normalisation for images unlike those of the training.

Schneider et al. 2020, section 3: statistics between those of the training and those of
the images at hand serve better than either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from unet_engine.compute.loading import load_network
from unet_engine.tiling.tiles import read_reflected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.data.pairs import TrainingPair

SHARE = 0.5
"""Of the images' statistics, against the model's own: each half."""

_EDGE = 512
"""Edge in pixels of the part of an image that is measured: quick, and many pixels."""

_MOST_IMAGES = 8
"""Images that are measured: more change the statistics little."""


class Renormalised(NamedTuple):
    """A model with statistics of other images.

    Attributes
    ----------
    checkpoint
        With statistics between its own and those of the images.
    shift
        How far the statistics of its first layer lie from those of the training: the
        mean squared distance of the means, in variances. Measured: 0.0 to 0.04 on
        images of a kind that it was trained on, 0.2 to 0.8 on much darker ones.
    """

    checkpoint: Checkpoint
    shift: float


@torch.no_grad()
def renormalised(
    checkpoint: Checkpoint, pairs: Sequence[TrainingPair], *, share: float = SHARE
) -> Renormalised:
    """Return a model of planes whose statistics lie between its own and the images'.

    Parameters
    ----------
    checkpoint
        A padded network; without batch normalisation it stays as it is.
    pairs
        Images, at least one; the labels are not used.
    share
        Of the images' statistics, from 0 to 1.
    """
    network = load_network(checkpoint)
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
    }
    for layer in layers.values():
        layer.reset_running_stats()
        # None: the plain mean over all images.
        layer.momentum = None
    network.eval()
    for layer in layers.values():
        layer.train()
    for pair in pairs[:: -(-len(pairs) // _MOST_IMAGES)]:
        network(torch.from_numpy(_middle(pair.image, checkpoint.spec))[None])
    weights = dict(checkpoint.weights)
    shift = _first_shift(layers, checkpoint)
    for name, layer in layers.items():
        for part in ("running_mean", "running_var"):
            own = np.asarray(weights[f"{name}.{part}"])
            measured = getattr(layer, part).numpy()
            weights[f"{name}.{part}"] = (1 - share) * own + share * measured
    return Renormalised(replace(checkpoint, weights=weights), shift)


def _first_shift(layers: Mapping[str, nn.BatchNorm2d], checkpoint: Checkpoint) -> float:
    """Return how far the first layer has moved; 0 without any."""
    if not layers:
        return 0.0
    name, layer = next(iter(layers.items()))
    mean, variance = (
        np.asarray(checkpoint.weights[f"{name}.running_{part}"])
        for part in ("mean", "var")
    )
    assert layer.running_mean is not None
    apart = layer.running_mean.numpy() - mean
    return float(np.mean(apart**2 / (variance + layer.eps)))


def _middle(image: npt.NDArray[np.float32], spec: ModelSpec) -> npt.NDArray[np.float32]:
    """Return the middle of an image, as large as is quick, in a size that fits."""
    outer = []
    for axis, size in enumerate(image.shape[1:]):
        fitting = spec.footprint.allowed_size(min(size, _EDGE), axis)
        start = (size - fitting) // 2
        outer.append((start, start + fitting))
    block = read_reflected(lambda at: image[:, *at], outer, image.shape[1:])
    return np.ascontiguousarray(block, dtype=np.float32)

"""A checkpoint becomes a network."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import CheckpointError
from unet_engine.models.checkpoint import check_weights
from unet_engine.models.object_maps import without_object_maps
from unet_engine.models.spec import WHY_NOT_BUILT, build

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec


def load_network(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint with its weights, on the CPU.

    Raises
    ------
    CheckpointError
        When the weights are not those of the spec, or no numbers; names the first
        tensor that is wrong.
    """
    if checkpoint.classifier is not None and not checkpoint.has_network:
        raise CheckpointError(
            f"{checkpoint.title} has pixel classifiers and no network of its classes; "
            "fine-tune it first, or predict with it"
        )
    if checkpoint.spec.imported is not None:
        raise CheckpointError(f"{checkpoint.title}: {WHY_NOT_BUILT}")
    # Compared without memory first: a changed spec may need terabytes.
    with torch.device("meta"):
        _check_weights(checkpoint, build(checkpoint.spec).state_dict())
    check_weights(checkpoint)
    # The fresh weights are thrown away and must not move the caller's random numbers.
    with torch.random.fork_rng(devices=[]), translated_errors():
        network = build(checkpoint.spec)
    network.load_state_dict(
        {name: torch.tensor(weights) for name, weights in checkpoint.weights.items()}
    )
    return network


def folded_network(checkpoint: Checkpoint, *, object_maps: bool = False) -> nn.Module:
    """Build the network of a checkpoint for prediction, with BatchNorm folded.

    Its output has a channel for each class and, with ``object_maps``, one for each of
    these.
    """
    if not object_maps:
        checkpoint = without_object_maps(checkpoint)
    network = load_network(checkpoint).eval().requires_grad_(False)
    fold_normalisation(network)
    return network


def _check_weights(checkpoint: Checkpoint, expected: dict[str, Any]) -> None:
    found = checkpoint.weights
    for name, tensor in expected.items():
        if name not in found:
            problem = f"has no tensor {name!r}"
        elif tuple(found[name].shape) != tuple(tensor.shape):
            problem = (
                f"has {name!r} of shape {tuple(found[name].shape)} "
                f"instead of {tuple(tensor.shape)}"
            )
        else:
            continue
        raise CheckpointError(_misfit(checkpoint.spec, problem))
    if extra := sorted(set(found) - set(expected)):
        raise CheckpointError(_misfit(checkpoint.spec, f"has a tensor {extra[0]!r}"))


def _misfit(spec: ModelSpec, problem: str) -> str:
    maps = f", {len(spec.object_maps)} object maps" if spec.object_maps else ""
    return (
        f"the model {problem}, which does not fit its own spec ({spec.architecture}, "
        f"depth {spec.depth}, width {spec.width}, {spec.in_channels} channels, "
        f"{len(spec.classes)} classes{maps}); the file was changed, get it again"
    )


def fold_normalisation(network: nn.Module) -> None:
    """Fold every BatchNorm into the convolution before it, in place.

    Only neighbours in a ``Sequential`` are folded; the network must be in eval mode
    and computes the same function with fewer passes over memory.
    """
    for block in network.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for index, (conv, norm) in enumerate(pairwise(list(block))):
            if isinstance(conv, (nn.Conv2d, nn.Conv3d)) and isinstance(
                norm, (nn.BatchNorm2d, nn.BatchNorm3d)
            ):
                block[index] = fuse_conv_bn_eval(conv, norm)
                block[index + 1] = nn.Identity()

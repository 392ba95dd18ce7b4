"""From what a network computes to probabilities and object maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from unet_engine.models.spec import ModelSpec


def activated(logits: Tensor, spec: ModelSpec) -> Tensor:
    """Return the probabilities of the classes and, after them, the object maps.

    Parameters
    ----------
    logits
        ``(N, out_channels, *spatial)`` float32; of a model without classes an image,
        which is returned as it is.
    spec
        Of the network.

    Returns
    -------
    Tensor
        In the shape of the logits; the classes of a pixel add up to 1, and each object
        map is in [0, 1].
    """
    if not spec.classes:
        return logits
    if not spec.object_maps:
        return logits.softmax(dim=1)
    classes = len(spec.classes)
    parts = logits[:, :classes].softmax(dim=1), logits[:, classes:].sigmoid()
    return torch.cat(parts, dim=1)

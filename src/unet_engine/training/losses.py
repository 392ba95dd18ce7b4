"""Losses on the labelled pixels only: an unlabelled pixel has no gradient at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from torch import Tensor


def masked_cross_entropy(
    logits: Tensor, target: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Average the cross entropy over the labelled pixels; 0 without any.

    Parameters
    ----------
    logits
        ``(N, classes, *spatial)`` float32, of planes or volumes.
    target
        ``(N, *spatial)`` int64 class ids, or ``IGNORE``.
    weights
        ``(N, *spatial)`` float32: the average is weighted by them. None: all alike.
    """
    labelled = target != IGNORE
    if weights is None:
        total = functional.cross_entropy(
            logits, target, ignore_index=IGNORE, reduction="sum"
        )
        return total / labelled.sum().clamp(min=1)
    each = functional.cross_entropy(
        logits, target, ignore_index=IGNORE, reduction="none"
    )
    return (weights * each).sum() / (weights * labelled).sum().clamp(min=1e-6)


def soft_cross_entropy(logits: Tensor, soft_target: Tensor, mask: Tensor) -> Tensor:
    """Average the cross entropy with soft targets; 0 without any.

    Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network",
    section 2, at temperature 1.

    Parameters
    ----------
    logits
        ``(N, classes, *spatial)`` float32.
    soft_target
        Float32 probabilities in the shape of the logits, 0 throughout where there is
        no target.
    mask
        ``(N, *spatial)`` bool, the pixels that count.
    """
    known = soft_target.sum(dim=1) * mask
    each = -(soft_target * logits.log_softmax(dim=1)).sum(dim=1)
    return (each * mask).sum() / known.sum().clamp(min=1)


def masked_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Average 1 - soft Dice over the classes that are labelled in the batch.

    Milletari et al. 2016, "V-Net", section 3, over the labelled pixels of the batch
    taken together, so that a crop with a few labelled pixels weighs little. 0 without
    labelled pixels.

    Parameters
    ----------
    logits
        ``(N, classes, *spatial)`` float32.
    target
        ``(N, *spatial)`` int64 class ids, or ``IGNORE``.
    """
    classes = logits.shape[1]
    labelled = target != IGNORE
    truth = functional.one_hot(target.where(labelled, 0), classes).movedim(-1, 1)
    truth = truth * labelled.unsqueeze(1)
    probability = logits.softmax(dim=1) * labelled.unsqueeze(1)
    everywhere = (0, *range(2, logits.ndim))
    common = (probability * truth).sum(dim=everywhere)
    size = (probability + truth).sum(dim=everywhere)
    present = truth.sum(dim=everywhere) > 0
    dice = 2 * common / size.clamp(min=1e-6)
    return ((1 - dice) * present).sum() / present.sum().clamp(min=1)


def masked_map_entropy(logits: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
    """Add the binary cross entropies of object maps, each averaged over known pixels.

    Parameters
    ----------
    logits
        ``(N, maps, *spatial)`` float32.
    maps
        What they should be after a sigmoid, float32 in [0, 1] in the same shape; NaN
        where it is not known. 0 of a map that is known nowhere.
    mask
        ``(N, *spatial)`` bool, the pixels that count.
    """
    known = ~torch.isnan(maps) & mask.unsqueeze(1)
    each = functional.binary_cross_entropy_with_logits(
        logits, maps.where(known, 0), reduction="none"
    )
    everywhere = (0, *range(2, logits.ndim))
    counts = known.sum(dim=everywhere).clamp(min=1)
    return ((each * known).sum(dim=everywhere) / counts).sum()

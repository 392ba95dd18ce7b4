"""Auxiliary tasks of ``general`` beside its own classes: extra heads and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from unet_engine.labels import IGNORE
from unet_engine.synthetic.scenes import TASKS
from unet_engine.training.losses import masked_cross_entropy, masked_dice

if TYPE_CHECKING:
    from bundled_models.crops import Batch
    from unet_engine.models.networks.unet import UNet

COARSE_WEIGHT = 0.4
"""Weight of the losses on coarser levels: deep supervision, less than the finest."""
MEASURES = 2
"""Outputs of a head that are no classes: distance to an edge, and clean brightness."""


class MultiTask(nn.Module):
    """A U-Net with a head for each task, also on coarser levels of its decoder.

    Parameters
    ----------
    network
        A ``UNet``; its own head is the one that is kept.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        spec = network.spec
        self.network = network
        self.heads = nn.ModuleList(
            nn.Conv2d(spec.width * 2**level, len(TASKS) + MEASURES, 1)
            for level in range(min(3, spec.depth))
        )
        self._decoded: list[Tensor] = []
        for merge in network.merge:
            merge.register_forward_hook(
                lambda _, __, features: self._decoded.insert(0, features)
            )

    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits of the network, and those of the heads, the finest first.

        ``(N, classes, Y, X)``, and of level k ``(N, tasks + 2, Y / 2^k, X / 2^k)``.
        """
        logits = self.network(images)
        levels = zip(self.heads, self._decoded, strict=False)
        outputs = [head(features) for head, features in levels]
        self._decoded.clear()
        return logits, outputs


def task_losses(outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return the loss of each task where its target is known, at any level.

    Parameters
    ----------
    outputs
        ``(N, tasks + 2, y, x)`` float32, as fine as the batch or coarser by a power
        of two.
    batch
        What is true.
    """
    factor = batch.task_targets.shape[-1] // outputs.shape[-1]
    known = _coarser((batch.task_targets != IGNORE).float(), factor)
    truth = _coarser((batch.task_targets == 1).float(), factor)
    share = truth.sum(dim=(0, 2, 3)) / known.sum(dim=(0, 2, 3)).clamp(min=1)
    # Rare classes count more, but not so much that everything is found everywhere.
    weight = (1 / share.clamp(min=1e-4) - 1).sqrt().clamp(1, 5)[:, None, None]
    each = functional.binary_cross_entropy_with_logits(
        outputs[:, : len(TASKS)], truth, pos_weight=weight, reduction="none"
    )
    total = (each * known).sum(dim=(0, 2, 3)) / known.sum(dim=(0, 2, 3)).clamp(min=1)
    losses = dict(zip(TASKS, total, strict=True))
    measured = _coarser(batch.measures, factor)
    valid = _coarser(batch.valid, factor)
    off = (outputs[:, len(TASKS) :] - measured).abs() * valid
    distance, clean = off.sum(dim=(0, 2, 3)) / valid.sum(dim=(0, 2, 3)).clamp(min=1)
    return losses | {"distance": distance, "clean": clean}


def _coarser(values: Tensor, factor: int) -> Tensor:
    return functional.avg_pool2d(values, factor) if factor > 1 else values


def batch_losses(
    logits: Tensor, outputs: list[Tensor], batch: Batch
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss that is learned from, and its parts.

    ``logits`` and ``outputs`` are those of `MultiTask`.
    """
    main = masked_cross_entropy(logits, batch.target)
    main = main + 0.5 * masked_dice(logits, batch.target)
    losses = task_losses(outputs[0], batch)
    total = main + torch.stack(list(losses.values())).sum()
    for coarse in outputs[1:]:
        total = (
            total
            + COARSE_WEIGHT
            * torch.stack(list(task_losses(coarse, batch).values())).sum()
        )
    parts = {"main": main, **losses}
    return total, {name: float(loss.detach()) for name, loss in parts.items()}

"""Batch normalisation by the statistics of what all processes compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SharedBatchNorm(nn.Module):
    """A BatchNorm over the crops of all processes, with its weights and their names.

    ``nn.SyncBatchNorm`` does the same, on a GPU only.

    Parameters
    ----------
    norm
        The layer that it takes the place of.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> None:
        super().__init__()
        self.eps = norm.eps
        # PyTorch's default; None would be a mean over all steps, which no network has.
        self.momentum = 0.1 if norm.momentum is None else norm.momentum
        self._parameters, self._buffers = norm._parameters, norm._buffers
        self.training = norm.training

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise ``(N, C, *spatial)``, in its own type."""
        if not self.training:
            return nn.functional.batch_norm(
                maps,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                eps=self.eps,
            )
        values = maps.float()
        axes = (0, *range(2, maps.ndim))
        shape = (1, -1, *(1 for _ in axes[1:]))
        count = values.new_tensor([values.numel() / values.shape[1]])
        total = added(torch.cat((values.sum(axes), count)))
        mean, number = total[:-1] / total[-1], total[-1].detach()
        centred = values - mean.view(shape)
        variance = added((centred**2).sum(axes)) / number
        self._follow(mean.detach(), variance.detach() * number / (number - 1))
        factor = torch.rsqrt(variance + self.eps) * self.weight
        found = centred * factor.view(shape) + self.bias.view(shape)
        return found.to(maps.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


def share_statistics(network: nn.Module) -> None:
    """Let each BatchNorm of a network normalise by the crops of all processes."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (nn.BatchNorm2d, nn.BatchNorm3d)):
                setattr(module, name, SharedBatchNorm(child))


def added(values: Tensor) -> Tensor:
    """Return the sum of what all processes have; its gradient is their sum as well."""
    found: Tensor = _Added.apply(values)  # type: ignore[no-untyped-call]
    return found


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.detach().clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total

"""The part of a step that all processes compute together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import nn

from unet_engine.training.forward import forward, prepare_to_learn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

FIRST = 0
"""Number of the process that has weights, optimiser and labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedStep:
    """What a process needs to know of a step.

    Attributes
    ----------
    shape
        Of the batch, ``(N, C, *spatial)``.
    dtype
        To multiply in, by its name in torch.
    frozen
        Whether the statistics stay as they are.
    seed
        Of dropout, None where there is none. Each process adds its number: crops have
        masks of their own.
    """

    shape: tuple[int, ...]
    dtype: str
    frozen: bool
    seed: int | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def send_weights(network: nn.Module) -> None:
    """Give all processes the weights and statistics of the first."""
    _broadcast(
        [
            tensor
            for tensor in network.state_dict().values()
            if tensor.is_floating_point()
        ]
    )


def share_step(
    network: nn.Module,
    images: Tensor,
    step: SharedStep,
    rank: int,
    gradient_of: Callable[[Tensor], Tensor],
) -> None:
    """Compute the own share of a batch; the first process gets all gradients, added.

    The loss is that of the whole batch, which no mean over the shares is: few pixels
    are labelled, and unevenly.

    Parameters
    ----------
    network
        With the same weights in all processes.
    images
        The whole batch in the first process, room for it in the others.
    step
        The same for all of them.
    rank
        Number of this process.
    gradient_of
        Asked in the first process: the gradient of the loss by the logits of the whole
        batch, in their shape.
    """
    torch.distributed.broadcast(images, FIRST)
    own = own_share(len(images), rank, torch.distributed.get_world_size())
    prepare_to_learn(network, frozen=step.frozen)
    seed = None if step.seed is None else step.seed + rank
    logits = forward(network, images[own], getattr(torch, step.dtype), seed)
    every = logits.new_zeros((len(images), *logits.shape[1:]))
    every[own] = logits.detach()
    torch.distributed.all_reduce(every)
    gradient = gradient_of(every) if rank == FIRST else torch.zeros_like(every)
    gradient = gradient.contiguous()
    torch.distributed.broadcast(gradient, FIRST)
    torch.autograd.backward(logits, gradient[own])
    _add_gradients(list(network.parameters()), rank)


def own_share(crops: int, rank: int, count: int) -> slice:
    """Return which crops of a batch a process computes; shares differ by one."""
    return slice(crops * rank // count, crops * (rank + 1) // count)


def _broadcast(tensors: Sequence[Tensor]) -> None:
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    torch.distributed.broadcast(flat, FIRST)
    _spread(flat, tensors)


def _add_gradients(parameters: Sequence[nn.Parameter], rank: int) -> None:
    """Replace the gradients in the first process by the sums over all of them."""
    # A layer may be without in one process only where no crop of it has any.
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.reduce(flat, FIRST)
    if rank == FIRST:
        _spread(flat, gradients)


@torch.no_grad()
def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    """Write one after the other into tensors, which keep their order in memory."""
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))

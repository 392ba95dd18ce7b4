"""The optimisers of a training: PyTorch's own arithmetic without its compiler.

The classes in ``torch.optim`` import ``torch._dynamo`` when one is made, which takes
more than a second and loads triton (see ``unet_engine.llvm``). The functions that they
call do not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn


_ADAM = "mean", "square", "steps"
"""Of a weight: moving averages of its gradient and of the square of it, and steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Weights that are changed alike.

    Attributes
    ----------
    parameters
        At least one.
    decay
        Share of a weight, times the learning rate, that a step takes off.
    rate_factor
        Their learning rate, in those of the training.
    """

    parameters: Sequence[nn.Parameter]
    decay: float = 0.0
    rate_factor: float = 1.0


class Optimiser(ABC):
    """Changes weights by their gradients.

    Parameters
    ----------
    groups
        Each parameter in one of them.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = tuple(groups)

    def forget_gradients(self) -> None:
        """Free the gradients and their memory."""
        for group in self._groups:
            for parameter in group.parameters:
                parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change every weight that has a gradient.

        Parameters
        ----------
        learning_rate
            Of a group whose rate factor is 1.
        """
        for group in self._groups:
            weights = [p for p in group.parameters if p.grad is not None]
            if weights:
                self._change(weights, learning_rate * group.rate_factor, group.decay)

    def state(self) -> dict[str, Tensor]:
        """Return what the next step depends on, by the number of the weight."""
        return {
            f"{number}.{name}": tensor
            for number, weight in enumerate(self._weights())
            for name, tensor in self._state_of(weight).items()
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a ``state`` of the same weights.

        Raises
        ------
        ValueError, KeyError
            When it is of others; nothing has changed then.
        """
        parts: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            number, _, name = key.partition(".")
            parts.setdefault(number, {})[name] = tensor
        weights = {str(n): weight for n, weight in enumerate(self._weights())}
        found = [(weights[n], self._restored(weights[n], p)) for n, p in parts.items()]
        for weight, remembered in found:
            self._remember(weight, remembered)

    def _weights(self) -> Iterator[nn.Parameter]:
        for group in self._groups:
            yield from group.parameters

    @abstractmethod
    def _state_of(self, weight: nn.Parameter) -> dict[str, Tensor]:
        """Return what is remembered of a weight; nothing before its first step."""

    @abstractmethod
    def _restored(
        self, weight: nn.Parameter, state: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        """Return what ``_state_of`` returned as it is remembered."""

    @abstractmethod
    def _remember(self, weight: nn.Parameter, state: tuple[Tensor, ...]) -> None:
        """Remember what ``_restored`` returned."""

    @abstractmethod
    def _change(
        self, weights: list[nn.Parameter], learning_rate: float, decay: float
    ) -> None:
        """Change weights of one group in place."""


class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Equal to ``torch.optim.AdamW`` with its usual betas and epsilon, bit by bit.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        super().__init__(groups)
        self._state: dict[nn.Parameter, tuple[Tensor, Tensor, Tensor]] = {}

    def _change(
        self, weights: list[nn.Parameter], learning_rate: float, decay: float
    ) -> None:
        for weight in weights:
            if weight not in self._state:
                self._state[weight] = (
                    torch.zeros_like(weight, memory_format=torch.preserve_format),
                    torch.zeros_like(weight, memory_format=torch.preserve_format),
                    # On the CPU: a step need not wait for the GPU to count.
                    torch.tensor(0.0, dtype=torch.float32),
                )
        means, squares, steps = zip(*(self._state[w] for w in weights), strict=True)
        adamw(
            list(weights),
            [_gradient(weight) for weight in weights],
            list(means),
            list(squares),
            [],
            list(steps),
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=decay,
            eps=1e-8,
            maximize=False,
        )

    def _state_of(self, weight: nn.Parameter) -> dict[str, Tensor]:
        if weight not in self._state:
            return {}
        return dict(zip(_ADAM, self._state[weight], strict=True))

    def _restored(
        self, weight: nn.Parameter, state: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        mean, square, steps = (state[name] for name in _ADAM)
        return _like(weight, mean), _like(weight, square), steps.clone().reshape(())

    def _remember(self, weight: nn.Parameter, state: tuple[Tensor, ...]) -> None:
        mean, square, steps = state
        self._state[weight] = mean, square, steps


class MomentumSGD(Optimiser):
    """Stochastic gradient descent with momentum.

    Equal to ``torch.optim.SGD``, bit by bit.

    Parameters
    ----------
    groups
        Each parameter in one of them.
    momentum
        Share of the last step that goes into the next.
    """

    def __init__(self, groups: Sequence[Group], momentum: float) -> None:
        super().__init__(groups)
        self.momentum = momentum
        self._velocity: dict[nn.Parameter, Tensor | None] = {}

    def _change(
        self, weights: list[nn.Parameter], learning_rate: float, decay: float
    ) -> None:
        velocities = [self._velocity.get(weight) for weight in weights]
        sgd(
            list(weights),
            [_gradient(weight) for weight in weights],
            velocities,
            weight_decay=decay,
            momentum=self.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )
        self._velocity.update(zip(weights, velocities, strict=True))

    def _state_of(self, weight: nn.Parameter) -> dict[str, Tensor]:
        velocity = self._velocity.get(weight)
        return {} if velocity is None else {"velocity": velocity}

    def _restored(
        self, weight: nn.Parameter, state: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        return (_like(weight, state["velocity"]),)

    def _remember(self, weight: nn.Parameter, state: tuple[Tensor, ...]) -> None:
        (self._velocity[weight],) = state


def _like(weight: nn.Parameter, values: Tensor) -> Tensor:
    """Return values where and in the order of memory in which a weight is."""
    if values.shape != weight.shape:
        raise ValueError(f"it has {tuple(values.shape)} for {tuple(weight.shape)}")
    empty = torch.empty_like(weight, memory_format=torch.preserve_format)
    return empty.detach().copy_(values)


def _gradient(weight: nn.Parameter) -> Tensor:
    assert weight.grad is not None
    return weight.grad

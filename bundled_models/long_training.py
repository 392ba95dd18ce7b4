"""A training of hours whose whole state is saved, restored and gone on with."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from unet_engine.files.atomic import whole_file
from unet_engine.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

_LARGEST_GRADIENT = 5.0
"""Norm to which gradients are cut: a batch that is out of the ordinary moves little."""
_FORGOTTEN = 0.02
"""Part of a running mean of a loss that a step replaces."""


class LongTraining:
    """All that changes while a model is trained.

    Parameters
    ----------
    model
        What is optimised.
    network
        The part of it whose weights are averaged; ``copy`` is another of the kind.
    peak
        Highest learning rate.
    momentum
        Of the average.

    Attributes
    ----------
    step, seconds
        How far it is.
    losses
        Running mean of each loss.
    """

    def __init__(
        self,
        model: nn.Module,
        network: nn.Module,
        copy: nn.Module,
        *,
        peak: float,
        momentum: float,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network
        self.average = WeightAverage(network, copy, momentum)
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=peak, weight_decay=1e-4
        )
        self.step, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}

    def follow(self, losses: dict[str, Tensor], learning_rate: float) -> None:
        """Take a step that makes the sum of the losses smaller."""
        total = torch.stack(list(losses.values())).sum()
        values = {name: loss.item() for name, loss in losses.items()}
        self.descend(total, values, learning_rate)

    def descend(
        self, total: Tensor, losses: Mapping[str, float], learning_rate: float
    ) -> None:
        """Take a step that makes a loss smaller, and follow its parts."""
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate
        if torch.isfinite(total):
            self.optimiser.step()
            self.average.update(self.network)
        self.step += 1
        for name, value in losses.items():
            mean = self.losses.get(name, value)
            self.losses[name] = (1 - _FORGOTTEN) * mean + _FORGOTTEN * value

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return those of the averaged network."""
        return {
            name: tensor.detach().contiguous().numpy().copy()
            for name, tensor in self.average.network.state_dict().items()
        }

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        tensors = {
            f"{part}.{name}": tensor
            for part, module in (
                ("model", self.model),
                ("average", self.average.network),
            )
            for name, tensor in module.state_dict().items()
        } | {
            f"optimiser.{number}.{name}": tensor
            for number, values in self.optimiser.state_dict()["state"].items()
            for name, tensor in values.items()
        }
        facts = {"step": self.step, "seconds": self.seconds, "losses": self.losses}
        plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
        with whole_file(path) as temporary:
            safetensors.torch.save_file(
                plain, temporary, metadata={"state": json.dumps(facts)}
            )

    def restore(self, path: Path) -> None:
        """Go on from a state that ``save`` wrote."""
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["state"])
        tensors = safetensors.torch.load_file(path)
        self.model.load_state_dict(_under("model.", tensors))
        self.average.network.load_state_dict(_under("average.", tensors))
        self.average.steps = facts["step"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under("optimiser.", tensors).items():
            number, entry = name.split(".")
            state.setdefault(int(number), {})[entry] = tensor
        groups: Any = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.losses = facts["losses"]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def state_path(out: Path) -> Path:
    """Return where the state of a training lies, beside its model."""
    return out.with_suffix(".training.safetensors")


def write_log(path: Path, row: dict[str, float]) -> None:
    """Append a line; the first one names the columns."""
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)

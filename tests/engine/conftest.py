"""Models at hand for the engine's tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.compute.runner import Runner
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec, build
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from pathlib import Path

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="session")
def make_checkpoint() -> MakeCheckpoint:
    """Return a maker of models with random weights and BatchNorm statistics."""

    def make(spec: ModelSpec | None = None, seed: int = 0) -> Checkpoint:
        spec = spec or ModelSpec(depth=2, width=4)
        rng = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(spec)
        weights = {name: t.numpy().copy() for name, t in network.state_dict().items()}
        for name, values in weights.items():
            stem, _, kind = name.rpartition(".")
            normalises = f"{stem}.running_var" in weights
            if normalises and kind in ("running_var", "weight"):
                values[...] = rng.uniform(0.5, 1.5, values.shape)
            elif normalises and kind in ("running_mean", "bias"):
                values[...] = rng.normal(0, 0.2, values.shape)
            elif kind == "weight" and not values.any():
                # The scores of an FCN start at zero, which no tile could get wrong.
                values[...] = rng.normal(0, 0.2, values.shape)
        return Checkpoint(spec, weights, ())

    return make


@pytest.fixture
def model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint: MakeCheckpoint
) -> Checkpoint:
    """Return a model that the store has as ``tiny``."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    checkpoint = make_checkpoint()
    ModelStore().save("tiny", checkpoint)
    return checkpoint


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Have Ctrl+C pressed at a block that is predicted; return the calls so far."""

    def prepare(number: int) -> list[int]:
        genuine = Runner.__call__
        calls: list[int] = []

        def interrupted(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
            calls.append(1)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGINT)
            return genuine(self, block, *wanted)

        monkeypatch.setattr(Runner, "__call__", interrupted)
        return calls

    return prepare

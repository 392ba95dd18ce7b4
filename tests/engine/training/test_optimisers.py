"""The optimisers of a training equal those of PyTorch, without its compiler."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from unet_engine.training.optimisers import AdamW, Group, MomentumSGD, Optimiser

KINDS = ("adamw", "sgd")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def split(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    parameters = list(module.parameters())
    return [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]


def ours(kind: str, module: nn.Module) -> Optimiser:
    kernels, others = split(module)
    groups = [
        Group(parameters=kernels, decay=0.1),
        Group(parameters=others, rate_factor=10),
    ]
    return AdamW(groups) if kind == "adamw" else MomentumSGD(groups, 0.99)


def reference(kind: str, module: nn.Module) -> torch.optim.Optimizer:
    kernels, others = split(module)
    groups = [
        {"params": kernels, "weight_decay": 0.1},
        {"params": others, "weight_decay": 0.0},
    ]
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.SGD(groups, lr=0.0, momentum=0.99)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_equals_that_of_pytorch(kind: str):
    module = network()
    twin = copy.deepcopy(module)
    optimiser, expected = ours(kind, module), reference(kind, twin)
    for step in range(5):
        rate = 1e-4 / (1 + step)
        for group, factor in zip(expected.param_groups, (1, 10), strict=True):
            group["lr"] = rate * factor
        x = torch.randn(2, 1, 12, 12)
        optimiser.forget_gradients()
        expected.zero_grad()
        module(x).square().mean().backward()
        twin(x).square().mean().backward()
        optimiser.step(rate)
        expected.step()
        for found, right in zip(module.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(found, right, rtol=0, atol=0)
    assert all(torch.isfinite(weights).all() for weights in module.parameters())
    assert not torch.equal(network()[0].weight, module[0].weight)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_without_gradient_stays(kind: str):
    module = network()
    module[2].requires_grad_(False)
    before = copy.deepcopy(module)
    optimiser = ours(kind, module)
    module(torch.randn(2, 1, 12, 12)).square().mean().backward()
    optimiser.step(0.1)
    assert torch.equal(before[2].weight, module[2].weight)
    assert not torch.equal(before[0].weight, module[0].weight)


TRAIN = """
import sys
import numpy as np
from unet_engine.training.config import FineTuneConfig, PretrainConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.images import Image
from unet_engine.training.pretraining import iter_pretrain
from unet_engine.models.spec import ModelSpec
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.models.starting import start_checkpoint

pixels = np.random.default_rng(0).random((64, 64)).astype(np.float32)
pair = TrainingPair(pixels[None], (pixels > 0.5).astype(np.uint8), "a")
common = {"device": "cpu", "minutes": 0.0, "steps": 2, "crop": 32, "batch": 1}
start = start_checkpoint(ModelSpec(depth=2, width=4))
for optimiser in "adamw", "sgd":
    list(iter_fine_tune(start, [pair], FineTuneConfig(optimiser=optimiser, **common)))
bare = ModelSpec(architecture="autoencoder", classes=(), depth=2, width=4)
image = Image.from_array(pixels, "YX")
list(iter_pretrain(start_checkpoint(bare), [image], PretrainConfig(**common)))
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.slow
def test_trainings_do_not_load_the_compiler_of_pytorch():
    """It would load triton, which crashes where Mesa draws the window."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr

"""Every network learns from random weights with the settings that it brings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from unet_engine.models.architectures import ARCHITECTURES
from unet_engine.models.networks.fcn import Score
from unet_engine.models.spec import ModelSpec, build
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.optimisation import Optimisation

ROWS = [(name, ndim) for name, row in ARCHITECTURES.items() for ndim in row.ndims]
FCNS = [name for name in ARCHITECTURES if name.startswith("fcn")]


def blobs(ndim: int, seed: int) -> TrainingPair:
    """Return a noisy image of smooth blobs with its labels."""
    generator = np.random.default_rng(seed)
    shape = (160, 160) if ndim == 2 else (48, 64, 64)
    truth = ndimage.gaussian_filter(generator.normal(size=shape), 5) > 0.01
    image = truth + generator.normal(0, 0.3, (1, *shape))
    return TrainingPair(
        image.astype(np.float32), truth.astype(np.uint8), f"blobs-{seed}"
    )


def losses(spec: ModelSpec, steps: int, crop: int) -> list[float]:
    """Train with the recipe of the architecture; return the loss of every step."""
    recipe = dict(ARCHITECTURES[spec.architecture].recipe)
    recipe.update(crop=crop, batch=1, minutes=0, steps=steps, device="cpu")
    config = FineTuneConfig(**recipe)
    pairs = [blobs(spec.ndim, seed) for seed in range(2)]
    optimisation = Optimisation(start_checkpoint(spec), pairs, config, "cpu")
    return [optimisation.step(config.learning_rate) for _ in range(steps)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ndim"), ROWS)
def test_a_narrow_network_learns_with_its_own_recipe(name: str, ndim: int) -> None:
    small = {"dense_width": 32} if name.startswith("fcn") else {"depth": 2}
    spec = ModelSpec.for_architecture(name, ndim=ndim, width=4, **small)
    found = losses(spec, steps=24, crop=64 if ndim == 2 else 32)
    assert np.isfinite(found).all()
    assert np.mean(found[-8:]) < np.mean(found[:4])
    assert max(found) < 2 * found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", FCNS)
def test_a_published_fcn_does_not_diverge_with_its_own_recipe(name: str) -> None:
    spec = ModelSpec.for_architecture(name)
    found = losses(spec, steps=6, crop=64)
    assert np.isfinite(found).all()
    assert max(found) < 2 * found[0]


@pytest.mark.parametrize(("name", "ndim"), ROWS)
def test_no_convolution_is_one_whose_gradient_writes_too_far(
    name: str, ndim: int
) -> None:
    """See `Score`: oneDNN, bfloat16, AMX, 2560 channels to at most 8."""
    with torch.device("meta"):
        network = build(ModelSpec.for_architecture(name, ndim=ndim))
    dangerous = [
        module
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.Conv3d))
        and set(module.kernel_size) == {1}
        and module.in_channels >= 2560
        and module.out_channels <= 8
    ]
    assert all(isinstance(module, Score) for module in dangerous)
    assert len(dangerous) == name.startswith("fcn")


def test_scores_are_computed_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    score, features = Score(512, 2), torch.randn(1, 512, 2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = score(features)
        rounded = nn.functional.conv2d(features, score.weight, score.bias)
    assert found.dtype == torch.float32
    assert torch.equal(found, score(features))
    assert rounded.dtype == torch.bfloat16


def test_scores_keep_the_type_of_their_weights() -> None:
    score = Score(16, 2).to(torch.bfloat16)
    found = score(torch.randn(1, 16, 2, 2).to(torch.bfloat16))
    assert found.dtype == torch.bfloat16


@pytest.mark.slow
def test_an_fcn_of_the_published_width_trains_in_bfloat16() -> None:
    """The heap was corrupted here on AMX: glibc ends the process at the next free."""
    spec = ModelSpec.for_architecture("fcn8s-alexnet")
    network = build(spec).train()
    for _ in range(3):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(torch.randn(1, spec.in_channels, 64, 64))
        logits.float().square().mean().backward()
    gradient = network.score.bias.grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())

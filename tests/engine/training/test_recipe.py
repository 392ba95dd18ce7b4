"""The parts of the published recipe that a training can switch on."""

import dataclasses

import numpy as np
import pytest

from unet_engine.compute.runner import Runner
from unet_engine.generators import drain
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.optimisers import AdamW, MomentumSGD

CONFIG = FineTuneConfig(
    device="cpu", minutes=0, steps=60, crop=32, batch=4, learning_rate=1e-2, elastic=2
)
UNET = ModelSpec(depth=2, width=4)
VALID = ModelSpec.for_architecture("unet-valid", depth=2, width=4)


def discs(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    truth = np.zeros((64, 64), np.uint8)
    for _ in range(6):
        (cy, cx), r = rng.integers(0, 64, 2), rng.integers(5, 10)
        truth[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = 1
    image = truth + rng.normal(0, 0.2, (1, 64, 64))
    return TrainingPair(image.astype(np.float32), truth, f"discs{seed}")


PAIRS = tuple(discs(seed) for seed in range(3))


def train(spec, **changes):
    run = iter_fine_tune(
        start_checkpoint(spec), PAIRS, dataclasses.replace(CONFIG, **changes)
    )
    return drain(run)


def learner(spec=UNET, **changes):
    return Optimisation(
        start_checkpoint(spec), PAIRS, dataclasses.replace(CONFIG, **changes), "cpu"
    )


PUBLISHED = {
    "optimiser": "sgd",
    "border_weight": 10.0,
    "dice": False,
    "learning_rate": 1e-2,
    "steps": 150,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "sgd", "learning_rate": 1e-2, "steps": 150},
        {"border_weight": 10.0, "dice": False},
    ],
)
def test_everyday_network_learns_with_parts_of_the_recipe(changes):
    result = train(UNET, **changes)
    assert result.after.iou > max(0.8, result.before.iou + 0.3)


@pytest.mark.slow
def test_published_network_learns_with_the_published_recipe():
    result = train(VALID, **PUBLISHED)
    assert result.after.iou > 0.85
    unseen = discs(99)
    halo = VALID.footprint.halo[0]
    size = VALID.footprint.allowed_size(64 + 2 * halo, 0)
    after = size - 64 - halo
    margins = ((0, 0), (halo, after), (halo, after))
    padded = np.pad(unseen.image, margins, mode="reflect")
    found = Runner(result.checkpoint, "cpu")(padded).argmax(axis=0)[:64, :64]
    assert np.mean(found != unseen.target) < 0.08


@pytest.mark.parametrize("spec", [UNET, VALID], ids=["padded", "valid"])
def test_crop_that_is_learned_is_as_large_as_requested(spec):
    images, targets, weights, *_ = learner(spec)._draw()
    halo = 0 if spec is UNET else spec.footprint.halo[0]
    spec.check_input(images.shape[2:])
    assert images.shape[2] - 2 * halo == targets.shape[1]
    assert 32 <= targets.shape[1] < 36
    assert weights is None


def test_unpadded_network_learns_the_centre_of_its_input():
    calm = learner(VALID, elastic=0, flips=False, scaling=1.0, intensity=0)
    images, targets, *_ = calm._draw()
    halo = VALID.footprint.halo[0]
    inner = images[:, 0, halo:-halo, halo:-halo].numpy()
    known = targets.numpy() < 2
    assert np.mean((inner > 0.5)[known] == targets.numpy()[known]) > 0.97


def test_border_weight_reaches_the_loss():
    _, targets, weights, *_ = learner(border_weight=10.0)._draw()
    assert weights.shape == targets.shape
    assert weights.max() > 3
    plain, weighed = learner(), learner(border_weight=10.0)
    assert plain.step(1e-3) != pytest.approx(weighed.step(1e-3), rel=1e-3)


def test_dice_can_be_left_out():
    both, alone = learner(), learner(dice=False)
    assert both.step(1e-3) > alone.step(1e-3) + 0.1


def test_optimiser_is_the_one_requested():
    published = learner(optimiser="sgd")._optimiser
    assert isinstance(published, MomentumSGD)
    assert published.momentum == 0.99
    assert isinstance(learner()._optimiser, AdamW)

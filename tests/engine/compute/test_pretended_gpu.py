"""What is computed on a GPU stays there, shown by one that is only pretended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from pretended_gpu import pretended_gpu

from unet_engine.compute import devices
from unet_engine.compute.runner import Runner
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import Step
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.forward import autocast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unet_engine.models.checkpoint import Checkpoint

pytestmark = pytest.mark.cpu

SPECS = {
    "stages": ModelSpec(depth=2, width=4),
    "volume": ModelSpec(depth=1, width=4, ndim=3),
    "valid": ModelSpec.for_architecture("unet-valid", depth=1, width=4),
    "fcn": ModelSpec.for_architecture("fcn8s-vgg16", width=4),
}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(devices, "_works", lambda device: device == "cuda")
    with pretended_gpu():
        yield


def test_two_devices_are_not_mixed(gpu: None):
    there, here = torch.ones(2, device="cuda"), torch.ones(2)
    with pytest.raises(RuntimeError, match="two devices"):
        _ = there + here
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there + 1).device.type == "cuda"
    assert there.cpu().numpy().sum() == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_a_prediction_there_is_that_of_the_cpu(
    name: str, gpu: None, make_checkpoint: Callable[[ModelSpec], Checkpoint]
):
    spec = SPECS[name]
    checkpoint = make_checkpoint(spec)
    shape = (70, 90) if spec.ndim == 2 else (6, 40, 30)
    pixels = np.random.default_rng(0).random(shape, np.float32)
    image = Image.from_array(pixels, "ZYX"[-spec.ndim :])
    found = {}
    for device in ("cpu", "cuda"):
        config = PredictConfig(device=device, tile=32, probabilities=True)
        found[device] = predict(image, checkpoint, config)
    assert found["cuda"].device == "cuda"
    assert Runner(checkpoint, "cuda")._network is not None
    cpu, cuda = found["cpu"].probabilities, found["cuda"].probabilities
    np.testing.assert_allclose(cuda, cpu, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stages", "volume"])
def test_a_training_there_is_that_of_the_cpu(
    name: str, gpu: None, make_checkpoint: Callable[[ModelSpec], Checkpoint]
):
    spec = SPECS[name]
    checkpoint = make_checkpoint(spec)
    shape = (64, 64) if spec.ndim == 2 else (6, 40, 40)
    pixels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    pair = TrainingPair(pixels[None], (pixels > 0.5).astype(np.uint8), "noise")
    losses = {}
    for device in ("cpu", "cuda"):
        config = FineTuneConfig(device=device, steps=3, minutes=0, crop=32, batch=2)
        losses[device] = [
            event.loss
            for event in iter_fine_tune(checkpoint, [pair], config)
            if isinstance(event, Step)
        ]
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=1e-3)


@pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
def test_the_second_gpu_trains_in_the_precision_of_its_kind():
    precision = autocast(torch.device("cuda:1").type, torch.bfloat16)
    assert isinstance(precision, torch.autocast) and precision.device == "cuda"

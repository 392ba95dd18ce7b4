"""Tests of what only a GPU can show: how it rounds, its memory, its half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unet_engine.compute.devices import (
    prediction_precision,
    training_precision,
    why_unusable,
)
from unet_engine.compute.runner import Runner
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.training import optimisation
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import Step
from unet_engine.training.fine_tuning import iter_fine_tune

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
]


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray]:
    return nuclei((300, 340), seed=0)


def probabilities(image: np.ndarray, device: str, **options: object) -> np.ndarray:
    config = PredictConfig(device=device, probabilities=True, **options)  # type: ignore[arg-type]
    found = predict(Image.from_array(image, "YX"), ModelStore().load("nuclei"), config)
    assert found.device == device and found.probabilities is not None
    return found.probabilities


def test_the_gpu_works():
    assert why_unusable("cuda") == ""


def test_it_gives_what_the_cpu_gives(cells):
    # ``Runner`` itself: the tests of another device replace the CPU in ``predict``.
    runner = Runner(ModelStore().load("nuclei"), "cuda")
    block = np.random.default_rng(0).normal(size=(1, 256, 256)).astype(np.float32)
    network = runner._network.cpu().float()
    with torch.inference_mode():
        expected = network(torch.from_numpy(block)[None]).softmax(dim=1)[0].numpy()
    found = Runner(ModelStore().load("nuclei"), "cuda")(block)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("tile", [64, 128])
def test_tiles_give_what_the_whole_gives(cells, tile: int):
    whole = probabilities(cells[0], "cuda", tile=8192)
    np.testing.assert_allclose(
        probabilities(cells[0], "cuda", tile=tile), whole, atol=1e-4
    )


def test_half_precision_is_near_and_of_the_gpu(cells):
    assert prediction_precision("cuda", "half") in (torch.bfloat16, torch.float16)
    full = probabilities(cells[0], "cuda")
    half = probabilities(cells[0], "cuda", precision="half")
    assert np.abs(half - full).mean() < 0.01
    assert ((half.argmax(0) == full.argmax(0)).mean()) > 0.98


def test_a_tile_that_is_too_large_is_halved_and_its_memory_freed(cells):
    before = torch.cuda.memory_allocated()
    runner = Runner(ModelStore().load("nuclei"), "cuda")
    block = np.zeros((1, 512, 512), np.float32)
    runner(block, ((64, 448), (64, 448)))
    assert torch.cuda.memory_allocated() > before
    runner.release_memory()
    del runner
    torch.cuda.empty_cache()
    assert torch.cuda.memory_allocated() <= before + 2**20


def test_a_training_learns(cells):
    image, ids = cells
    pixels = ((image - image.mean()) / image.std()).astype(np.float32)[None]
    pair = TrainingPair(pixels, (ids > 0).astype(np.uint8), "cells")
    checkpoint = ModelStore().load("nuclei")
    config = FineTuneConfig(device="cuda", steps=20, minutes=0, crop=128)
    losses = [
        event.loss
        for event in iter_fine_tune(checkpoint, [pair], config)
        if isinstance(event, Step)
    ]
    assert len(losses) == 20 and np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) + 0.05


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
@pytest.mark.parametrize("statistics", ["frozen", "batch"])
def test_two_gpus_learn_what_one_learns(cells, monkeypatch, statistics: str):
    # In 16 bits kernels of other sizes round otherwise.
    monkeypatch.setattr(optimisation, "training_precision", lambda _: torch.float32)
    image, ids = cells
    pixels = ((image - image.mean()) / image.std()).astype(np.float32)[None]
    pair = TrainingPair(pixels, (ids > 0).astype(np.uint8), "cells")
    weights = []
    for processes in (1, 2):
        config = FineTuneConfig(
            device="cuda",
            statistics=statistics,  # type: ignore[arg-type]
            processes=processes,
            crop=64,
        )
        learning = optimisation.Optimisation(
            ModelStore().load("nuclei"), [pair], config, "cuda"
        )
        for _ in range(3):
            learning.step(1e-3)
        learning.close()
        weights.append(learning.weights())
    for name, values in weights[0].items():
        np.testing.assert_allclose(weights[1][name], values, atol=1e-3, err_msg=name)


def test_volumes_are_predicted_and_learned_from():
    spec = ModelSpec(ndim=3, depth=1, width=4)
    from unet_engine.models.starting import start_checkpoint

    volume = np.random.default_rng(0).normal(size=(8, 40, 40)).astype(np.float32)
    target = (volume > 0).astype(np.uint8)
    pair = TrainingPair(volume[None], target, "volume")
    config = FineTuneConfig(device="cuda", steps=2, minutes=0, crop=32, batch=2)
    events = list(iter_fine_tune(start_checkpoint(spec), [pair], config))
    assert sum(isinstance(event, Step) for event in events) == 2


def test_training_is_in_half_precision_where_the_gpu_is_made_for_it():
    native = torch.cuda.get_device_capability() >= (8, 0)
    assert (training_precision("cuda") == torch.bfloat16) == native

"""Steps that processes share are those of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.errors import EngineError, SpecError
from unet_engine.models.spec import ModelSpec
from unet_engine.training import optimisation
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import Step
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.parallel import processes
from unet_engine.training.parallel.processes import check_processes
from unet_engine.training.parallel.shares import own_share

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

pytestmark = pytest.mark.cpu

CONFIG = FineTuneConfig(device="cpu", minutes=0, steps=4, crop=32, batch=3)
"""With shares of one and two crops."""


@pytest.fixture
def pair() -> TrainingPair:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 64, 64)).astype(np.float32)
    target = (image[0] > 0.3).astype(np.uint8)
    # Few pixels, all in one corner: the crops have very different numbers of them.
    target[12:] = 255
    return TrainingPair(image, target, "noise")


def learned(
    checkpoint: Checkpoint, pair: TrainingPair, config: FineTuneConfig
) -> tuple[dict[str, np.ndarray], list[float]]:
    learning = Optimisation(checkpoint, [pair], config, "cpu")
    try:
        losses = [learning.step(1e-2) for _ in range(config.steps)]
    finally:
        learning.close()
    weights = learning.network.state_dict()
    return {name: tensor.numpy() for name, tensor in weights.items()}, losses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statistics", "ndim"), [("frozen", 2), ("batch", 2), ("batch", 3)]
)
def test_two_processes_learn_what_one_learns(
    statistics: str,
    ndim: int,
    pair: TrainingPair,
    make_checkpoint: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
):
    # In 16 bits kernels of other sizes round otherwise.
    monkeypatch.setattr(optimisation, "training_precision", lambda _: torch.float32)
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=4, ndim=ndim))
    if ndim == 3:
        volume = np.repeat(pair.image[:, None], 4, axis=1)
        pair = TrainingPair(volume, np.repeat(pair.target[None], 4, axis=0))
    config = replace(CONFIG, statistics=statistics)
    expected, losses_of_one = learned(checkpoint, pair, config)
    found, losses = learned(checkpoint, pair, replace(config, processes=2))
    assert losses == pytest.approx(losses_of_one, rel=1e-4)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert np.abs(values - checkpoint.weights[name]).max() > 0 or (
            statistics == "frozen"
        )
        np.testing.assert_allclose(found[name], values, atol=1e-3, err_msg=name)


@pytest.mark.slow
def test_a_training_is_shared_and_its_processes_end_with_it(
    pair: TrainingPair, make_checkpoint: Callable[..., Checkpoint]
):
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=4))
    events = iter_fine_tune(checkpoint, [pair], replace(CONFIG, processes=2))
    steps = 0
    for event in events:
        steps += isinstance(event, Step)
        if steps == 2:
            break
    children = workers_of(os.getpid())
    assert len(children) == 1
    # Ctrl-C is for this process, which keeps what was learned.
    assert os.name == "nt" or os.getpgid(children[0]) != os.getpgid(0)
    events.close()
    assert not workers_of(os.getpid())
    assert not torch.distributed.is_initialized()


@pytest.mark.slow
def test_a_process_that_ends_is_an_error_that_says_what_to_do(
    pair: TrainingPair, make_checkpoint: Callable[..., Checkpoint]
):
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=4))
    config = replace(CONFIG, processes=2)
    learning = Optimisation(checkpoint, [pair], config, "cpu")
    learning.step(1e-3)
    (child,) = workers_of(os.getpid())
    os.kill(child, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"2 processes .* ended.*set processes to 1"):
        for _ in range(2):
            learning.step(1e-3)
    assert not workers_of(os.getpid())
    # What it says works.
    learned(checkpoint, pair, replace(config, processes=1))


@pytest.mark.slow
def test_a_step_without_memory_is_repeated_with_fewer_crops(
    pair: TrainingPair,
    make_checkpoint: Callable[..., Checkpoint],
    monkeypatch: pytest.MonkeyPatch,
):
    checkpoint = make_checkpoint(ModelSpec(depth=1, width=4))
    config = replace(CONFIG, processes=2, batch=5)
    learning = Optimisation(checkpoint, [pair], config, "cpu")
    genuine, sizes = processes.share_step, []

    def short_of_memory(network: object, images: torch.Tensor, *rest: object) -> None:
        sizes.append(len(images))
        if len(sizes) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        genuine(network, images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(processes, "share_step", short_of_memory)
    for _ in range(2):
        assert np.isfinite(learning.step(1e-3))
    learning.close()
    assert sizes == [5, 5, 2] and learning.batch == 2


@pytest.mark.slow
def test_processes_do_not_outlive_the_one_they_work_for(tmp_path):
    program = f"""
import os, sys, numpy as np
sys.path[:0] = {sys.path!r}
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.optimisation import Optimisation
image = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)
pair = TrainingPair(image, (image[0] > 0).astype(np.uint8))
config = FineTuneConfig(device="cpu", crop=32, batch=2, processes=2, steps=1)
start = start_checkpoint(ModelSpec(depth=1, width=4))
optimisation = Optimisation(start, [pair], config, "cpu")
optimisation.step(1e-3)
print("stepped", flush=True)
sys.stdin.read()
"""
    path = tmp_path / "program.py"
    path.write_text(program)
    process = subprocess.Popen(
        [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"stepped\n"
    (child,) = workers_of(process.pid)
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    for _ in range(200):
        if not is_running(child):
            break
        time.sleep(0.05)
    assert not is_running(child)


@pytest.mark.parametrize(
    ("count", "batch", "device", "advice"),
    [
        (3, 2, "cpu", "set batch to 3"),
        (2, 4, "mps", "set device to cuda"),
        (2, 4, "cuda:1", "set device to cuda"),
        (3, 4, "cuda", "there are 2; set processes to 2"),
    ],
)
def test_more_processes_than_there_is_work_or_gpus_are_refused(
    count: int,
    batch: int,
    device: str,
    advice: str,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SpecError, match=advice):
        check_processes(count, batch, device)
    check_processes(2, 4, "cuda")
    check_processes(1, 1, "mps")


def test_each_crop_is_in_one_share():
    for crops, count in (3, 2), (8, 3), (4, 4):
        shares = [list(range(crops))[own_share(crops, r, count)] for r in range(count)]
        assert [crop for share in shares for crop in share] == list(range(crops))
        assert min(map(len, shares)) >= 1


def workers_of(parent: int) -> list[int]:
    import psutil

    return [
        child.pid
        for child in psutil.Process(parent).children()
        if "unet_engine.training.parallel.worker" in child.cmdline()
    ]


def is_running(process: int) -> bool:
    import psutil

    return psutil.pid_exists(process) and (
        psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    )

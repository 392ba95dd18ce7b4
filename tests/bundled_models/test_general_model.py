"""The command that makes the bundled ``general`` model, on folders of a few images."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from unet_engine.images import Normalisation
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.synthetic.scenes import TASKS
from unet_engine.synthetic.scenes.scene import BOUNDARY
from unet_engine.training.course.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[2]
TINY = {"depth": 2, "width": 4}


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bundled_models.general")


@pytest.fixture
def crops(general: ModuleType) -> ModuleType:
    return import_module("bundled_models.crops")


@pytest.fixture
def tasks(general: ModuleType) -> ModuleType:
    return import_module("bundled_models.tasks")


@pytest.fixture
def data(write_sets: Callable[..., Path], crops: ModuleType) -> Path:
    """Return a folder with seven images of each set, some of them held out."""
    return write_sets(crops.SETS, images=7)


def train(general: ModuleType, training: Any, real: Any, steps: int, of: int) -> None:
    schedule = Schedule(steps=of, seconds=0, peak=general.PEAK)
    run = general.run(training, real, schedule, 32, 2)
    for _ in range(steps):
        next(run)


def test_a_batch_depends_on_its_seed_and_on_nothing_else(crops, data):
    real = crops.RealCrops.read(data)
    batch, again = (crops.draw_batch(real, 6, 32, seed=(0, 4)) for _ in range(2))
    other = crops.draw_batch(real, 6, 32, seed=(0, 5))
    for part in "images", "target", "task_targets", "measures", "valid":
        assert torch.equal(getattr(batch, part), getattr(again, part))
    assert not torch.equal(batch.images, other.images)
    assert batch.images.shape == (6, 3, 32, 32)
    assert batch.task_targets.shape == (6, len(TASKS), 32, 32)


def test_images_are_held_out_by_their_names_and_never_drawn(crops, data):
    from bundled_models.sets import is_held_out

    real = crops.RealCrops.read(data)
    for name, about in crops.SETS.items():
        if about.series or about.step:
            continue
        names = [path.stem for path in (data / name / "images").iterdir()]
        out = sum(map(is_held_out, names))
        assert len(real.images[name]) == len(names) - out
        assert len(real.held_out.get(name, [])) == out
    assert real.held_out


def test_beyond_the_image_nothing_is_labelled(crops, data):
    real = crops.RealCrops.read(data)
    crop = real.draw(np.random.default_rng(0), 160)
    beyond = crop.target == IGNORE
    assert 0.2 < beyond.mean() < 1
    assert (crop.task_targets[:, beyond] == IGNORE).all()
    assert (crop.valid[0][beyond] == 0).all()


def test_a_task_without_targets_has_no_gradient(tasks, crops, data):
    batch = crops.draw_batch(crops.RealCrops.read(data), 3, 32, seed=(1, 1))
    batch = replace(batch, task_targets=torch.full_like(batch.task_targets, IGNORE))
    for size in 32, 16:
        outputs = torch.randn(3, len(TASKS) + tasks.MEASURES, size, size)
        outputs.requires_grad_()
        losses = tasks.task_losses(outputs, batch)
        torch.autograd.backward(sum(losses[name] for name in TASKS))
        assert not outputs.grad.any()


@pytest.mark.slow
def test_a_resumed_training_is_the_uninterrupted_one(general, crops, data, tmp_path):
    real = crops.RealCrops.read(data)
    spec = general.SPEC.changed(**TINY)
    whole = general.Training(0, spec)
    train(general, whole, real, 4, of=4)

    first = general.Training(0, spec)
    train(general, first, real, 2, of=4)
    first.save(tmp_path / "state.safetensors")
    second = general.Training(0, spec)
    second.restore(tmp_path / "state.safetensors")
    assert second.step == 2
    train(general, second, real, 2, of=4)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name
    for name, tensor in whole.average.network.state_dict().items():
        assert torch.equal(second.average.network.state_dict()[name], tensor), name
    assert second.losses == pytest.approx(whole.losses)


@pytest.mark.slow
def test_the_loss_falls(general, crops, data, monkeypatch):
    monkeypatch.setattr(crops, "REAL_SHARE", 1.0)
    training = general.Training(0, general.SPEC.changed(**TINY))
    batch = crops.draw_batch(crops.RealCrops.read(data), 4, 32, seed=(0, 0))
    training.learn(batch, 5e-3)
    before = training.losses["main"]
    for _ in range(25):
        training.losses.clear()
        training.learn(batch, 5e-3)
    assert training.losses["main"] < 0.8 * before


@pytest.mark.slow
def test_the_command_trains_saves_and_goes_on(
    general, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(general, "SPEC", general.SPEC.changed(**TINY))
    out = tmp_path / "general.safetensors"
    command = ["general", "--data", str(data), "--out", str(out), "--crop", "32"]
    for steps in 1, 3:
        monkeypatch.setattr(
            sys, "argv", [*command, "--batch", "2", "--steps", str(steps)]
        )
        general.main()
        checkpoint = Checkpoint.load(out)
        assert checkpoint.history[-1]["steps"] == steps
        assert checkpoint.spec.classes == ("background", "interior", "boundary")
        assert not [name for name in checkpoint.weights if "heads" in name]
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "3"]
    assert {"main", "iou_dsb2018_nuclei", *TASKS} <= set(rows[0])
    assert "iou_dsb2018_nuclei" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "message"),
    [((), "--minutes or --steps"), (("--steps", "1"), "no folder dsb2018_nuclei")],
)
def test_impossible_orders_are_refused(
    general, tmp_path, monkeypatch, capsys, extra, message
):
    out = tmp_path / "general.safetensors"
    order = ["general", "--data", str(tmp_path), "--out", str(out), *extra]
    monkeypatch.setattr(sys, "argv", order)
    with pytest.raises(SystemExit):
        general.main()
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_walls_are_boundary_and_what_lies_between_neurons_is_membrane(crops, tmp_path):
    labels = np.zeros((64, 64), np.int32)
    labels[20:44, 20:44], labels[26:38, 26:38] = 2, 1
    read = import_module("bundled_models.real_images")
    image = read.RealImage(
        pixels=np.zeros((1, 64, 64), np.uint8),
        normalisation=Normalisation((0.0,), (1.0,)),
        ids=(labels == 1).astype(np.int32),
        walls=labels == 2,
    )
    neurons = replace(image, ids=1 + (labels > 0), walls=None, task="membrane")
    rng = np.random.default_rng(0)
    drawn = [crops.RealCrops({"x": [one]}, {}) for one in (image, neurons)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(crops.SETS, "x", read.SetOfImages(share=1.0))
        myelin, membrane = (one.draw(rng, 64) for one in drawn)
    assert (myelin.target == BOUNDARY).mean() > 0.15
    assert (myelin.task_targets == IGNORE).all()
    rims = membrane.target == BOUNDARY
    assert rims.any()
    at = TASKS.index("membrane")
    known = membrane.task_targets[at] != IGNORE
    assert (membrane.task_targets[at] == rims)[known].all()

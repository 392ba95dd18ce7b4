"""The command that makes the bundled ``nuclei`` model: what it makes of its images."""

from __future__ import annotations

import csv
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import crops_path
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT))
    module = import_module("bundled_models.nuclei")
    monkeypatch.setattr(module, "SPEC", module.SPEC.changed(depth=2, width=4))
    return module


@pytest.fixture
def images(command: ModuleType) -> ModuleType:
    return import_module("bundled_models.nuclei_images")


@pytest.fixture
def crops(command: ModuleType) -> ModuleType:
    return import_module("bundled_models.nuclei_crops")


def labelled(images: ModuleType, diameter: float, *, separated: bool = True):
    pixels, ids = nuclei((128, 128), seed=0, diameter=diameter)
    return images._labelled("one", pixels[None], ids, separated=separated)


@pytest.mark.parametrize("diameter", [9.0, 24.0])
def test_objects_are_drawn_at_the_size_of_the_model(images, crops, diameter):
    image = labelled(images, diameter)
    sizes = []
    for seed in range(20):
        drawn = crops.draw_crop(image, 128, np.random.default_rng(seed))
        target = drawn[1]
        sizes.append(np.sqrt((target == 1).sum()))
    assert max(sizes) > 1.5 * min(sizes), "at many scales"
    rng = np.random.default_rng(0)
    cut = [crops._cut(image, 128, rng)[1] for _ in range(20)]
    diameters = []
    for ids in cut:
        areas = np.bincount(np.maximum(ids, 0).ravel())[1:]
        diameters.append(np.median(np.sqrt(areas[areas > 0] * 4 / np.pi)))
    assert 15 < np.median(diameters) < 36


def test_maps_separate_objects_that_touch(images, crops):
    ids = np.zeros((24, 40), np.int32)
    ids[4:20, 4:20], ids[4:20, 20:36] = 1, 2
    distance = images.relative_distance(ids)
    assert distance.max() == 1
    assert distance[12, 12] > 0.8
    assert distance[12, 19] < 0.2
    edges = crops.boundary(ids)
    assert edges[12, 19]
    assert edges[12, 20]
    assert edges[4, 10]
    assert not edges[12, 10]
    assert not edges[ids == 0].any()


def test_objects_that_were_merged_teach_no_maps(images, crops):
    image = labelled(images, 24.0, separated=False)
    _, target, _, known = crops.draw_crop(image, 64, np.random.default_rng(0))
    assert not known.any()
    assert (target == 1).any()


def test_a_loss_knows_nothing_where_the_truth_is_unknown(command, images, crops):
    drawn = {"generated": [labelled(images, 24.0)]}
    batch = crops.draw_batch(drawn, 2, 64, (0, 0))
    batch.target[:] = IGNORE
    batch.known[:] = 0
    logits = [torch.randn(2, 4, 64, 64) for _ in range(2)]
    found = [command.losses(one, batch) for one in logits]
    for name in "dice", "distance", "boundary":
        assert found[0][name] == found[1][name]


def test_a_batch_depends_on_its_seed(images, crops):
    drawn = {"generated": [labelled(images, 24.0)]}
    batches = [crops.draw_batch(drawn, 2, 48, (0, step)) for step in (1, 1, 2)]
    assert torch.equal(batches[0].images, batches[1].images)
    assert not torch.equal(batches[0].images, batches[2].images)


def test_the_command_writes_a_model_and_goes_on_with_it(
    command: ModuleType,
    write_sets: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    names = [name for name in command.SETS if name != "fluo_mouse_embryo_3d"]
    monkeypatch.setattr(command, "SETS", dict.fromkeys(names, 0.2))
    monkeypatch.setattr(command, "generate_images", lambda _: [])
    data, out = write_sets(names, images=9), tmp_path / "mine.safetensors"
    for steps in ("2", "4"):
        words = ["--data", data, "--out", out, "--steps", steps]
        words += ["--crop", "32", "--batch", "2"]
        monkeypatch.setattr(sys, "argv", ["nuclei", *map(str, words)])
        command.main()
    model = Checkpoint.load(out)
    assert model.spec.object_maps == ("distance", "boundary")
    assert model.history[0]["steps"] == 4
    assert crops_path(out).is_file()
    with out.with_suffix(".csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]

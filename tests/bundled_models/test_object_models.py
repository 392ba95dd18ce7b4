"""The commands that make the models that see objects: what they make of images."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from unet_engine.labels import IGNORE
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def recipe():
    found = import_module("bundled_models.nuclei").RECIPE
    return replace(found, spec=found.spec.changed(depth=2, width=4))


@pytest.fixture
def images() -> ModuleType:
    return import_module("bundled_models.nuclei_images")


@pytest.fixture
def crops() -> ModuleType:
    return import_module("bundled_models.object_crops")


@pytest.fixture
def training() -> ModuleType:
    return import_module("bundled_models.object_training")


def labelled(images: ModuleType, diameter: float, *, separated: bool = True):
    pixels, ids = nuclei((128, 128), seed=0, diameter=diameter)
    return images._labelled("one", pixels[None], ids, separated=separated)


@pytest.mark.parametrize("diameter", [9.0, 24.0])
def test_objects_are_drawn_at_the_size_of_the_model(recipe, images, crops, diameter):
    image = labelled(images, diameter)
    sizes = []
    for seed in range(20):
        drawn = crops.draw_crop(recipe, image, 128, np.random.default_rng(seed))
        target = drawn[1]
        sizes.append(np.sqrt((target == 1).sum()))
    assert max(sizes) > 1.5 * min(sizes), "at many scales"
    rng = np.random.default_rng(0)
    cut = [crops._cut(image, 128, recipe.object_size, rng)[1] for _ in range(20)]
    diameters = []
    for ids in cut:
        areas = np.bincount(np.maximum(ids, 0).ravel())[1:]
        diameters.append(np.median(np.sqrt(areas[areas > 0] * 4 / np.pi)))
    assert 15 < np.median(diameters) < 36


def test_maps_separate_objects_that_touch(crops):
    ids = np.zeros((24, 40), np.int32)
    ids[4:20, 4:20], ids[4:20, 20:36] = 1, 2
    relative_distance = import_module("bundled_models.labelled_image").relative_distance
    distance = relative_distance(ids)
    assert distance.max() == 1
    assert distance[12, 12] > 0.8
    assert distance[12, 19] < 0.2
    edges = crops.boundary(ids)
    assert edges[12, 19]
    assert edges[12, 20]
    assert edges[4, 10]
    assert not edges[12, 10]
    assert not edges[ids == 0].any()


def test_maps_count_more_where_objects_touch(recipe, images, crops):
    ids = np.zeros((24, 60), np.int32)
    ids[4:20, 4:20], ids[4:20, 21:36], ids[4:20, 44:56] = 1, 2, 3
    touching = crops.contacts(ids, 1)
    # A gap of a pixel is a contact, one of eight is none, and the ground is none.
    assert touching[12, 20]
    assert not touching[:, 30:].any()
    assert not touching[:, :18].any()
    image = images._labelled("one", np.where(ids > 0, 200.0, 20.0)[None], ids)
    drawn = [
        crops.draw_crop(recipe, image, 64, np.random.default_rng(seed))[3]
        for seed in range(30)
    ]
    assert {float(w) for weights in drawn for w in np.unique(weights)} == {
        0.0, 1.0, 1 + crops.CONTACT_WEIGHT,
    }  # fmt: skip
    shown = sum((weights > 1).any() for weights in drawn)
    assert shown > 15, "most crops show a contact"


def test_objects_that_were_merged_teach_no_maps(recipe, images, crops):
    image = labelled(images, 24.0, separated=False)
    rng = np.random.default_rng(0)
    _, target, _, weights = crops.draw_crop(recipe, image, 64, rng)
    assert not weights.any()
    assert (target == 1).any()


def test_a_loss_knows_nothing_where_the_truth_is_unknown(
    recipe, training, images, crops
):
    drawn = {"generated": [labelled(images, 24.0)]}
    batch = crops.draw_batch(recipe, drawn, 2, 64, (0, 0))
    batch.target[:] = IGNORE
    batch.weights[:] = 0
    logits = [torch.randn(2, 4, 64, 64) for _ in range(2)]
    found = [training.losses(one, batch) for one in logits]
    for name in "dice", "distance", "boundary":
        assert found[0][name] == found[1][name]


def test_a_batch_depends_on_its_seed(recipe, images, crops):
    drawn = {"generated": [labelled(images, 24.0)]}
    batches = [crops.draw_batch(recipe, drawn, 2, 48, (0, step)) for step in (1, 1, 2)]
    assert torch.equal(batches[0].images, batches[1].images)
    assert not torch.equal(batches[0].images, batches[2].images)


def run(training, recipe, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    training.train_objects(recipe, "Train.")


@pytest.mark.slow
def test_the_command_writes_a_model_and_goes_on_with_it(
    recipe,
    training: ModuleType,
    write_sets: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    names = [name for name in recipe.sets if name != "fluo_mouse_embryo_3d"]
    few = replace(recipe, shares=dict.fromkeys(names, 0.2), generate=lambda _: [])
    data, out = write_sets(names, images=9), tmp_path / "mine.safetensors"
    for steps in 2, 4:
        words = ["--data", data, "--out", out, "--steps", steps]
        run(training, few, monkeypatch, *words, "--crop", 32, "--batch", 2)
    model = Checkpoint.load(out)
    assert model.spec.object_maps == ("distance", "boundary")
    assert model.history[0]["steps"] == 4
    assert model.spec.background_range is None, "it is 0 by its own brightness"
    assert crops_path(out).is_file()
    with out.with_suffix(".csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "4"]


@pytest.mark.slow
def test_cells_begin_with_the_features_of_a_model_of_other_classes(
    training, write_sets, tmp_path, monkeypatch
):
    cells = import_module("bundled_models.cells").RECIPE
    spec = cells.spec.changed(depth=2, width=4)
    names = ["phc_t98g_cells", "phc_monolayer_nist"]
    few = replace(
        cells, spec=spec, shares=dict.fromkeys(names, 0.5), generate=lambda _: []
    )
    data = write_sets(names, images=10)
    other = start_checkpoint(ModelSpec(in_channels=3, depth=2, width=4), 1)
    other.save(tmp_path / "other.safetensors")
    words = ["--data", data, "--out", tmp_path / "mine.safetensors"]
    words += ["--start", tmp_path / "other.safetensors", "--steps", 1]
    run(training, few, monkeypatch, *words, "--crop", 32, "--batch", 2)
    model = Checkpoint.load(tmp_path / "mine.safetensors")
    assert model.spec.classes == ("background", "cell")
    least, most = model.spec.background_range
    assert 0 < least < most < 0.5, "of bright objects on a dark ground"
    name = "down.2.3.weight"
    assert np.allclose(model.weights[name], other.weights[name], atol=0.01)


def test_a_block_of_neighbours_is_on_one_side(write_sets):
    sets = import_module("bundled_models.sets")
    folder = write_sets(["one"], images=10) / "one"
    held, kept = (
        [image.name for image, _ in sets.list_blocks(folder, held_out=side)]
        for side in (True, False)
    )
    assert held == ["0-2.png", "0-7.png"]
    assert len(kept) == 8


def test_a_semantic_set_teaches_no_maps(write_sets):
    read = import_module("bundled_models.cells_images").read_cells
    data = write_sets(["phc_t98g_cells", "phc_monolayer_nist"], images=10)
    separated = {
        name: {image.separated for image in read(data, name, held_out=False)}
        for name in ("phc_t98g_cells", "phc_monolayer_nist")
    }
    assert separated == {"phc_t98g_cells": {True}, "phc_monolayer_nist": {False}}


def test_cells_that_are_generated_have_outlines_of_their_own():
    module = import_module("bundled_models.cells_images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_SCENES", 6)
        found = module.generate_cells(0)
    assert len(found) >= 4
    for image in found:
        assert image.diameter <= module.LARGEST
        assert image.distance.max() == pytest.approx(1, abs=0.2)
        shown = module.show_cells(
            image, image.pixels, image.ids, np.random.default_rng(0)
        )
        assert shown.shape == image.ids.shape


def test_the_mean_of_two_models_lies_between_them(tmp_path, monkeypatch):
    spec = ModelSpec(depth=2, width=4)
    first, further = (
        replace(start_checkpoint(spec, seed), history=({"name": name},))
        for seed, name in enumerate(("first", "further"))
    )
    paths = [tmp_path / f"{name}.safetensors" for name in ("a", "b", "mean")]
    first.save(paths[0])
    further.save(paths[1])
    monkeypatch.setattr(sys, "argv", ["mean", *map(str, paths)])
    import_module("bundled_models.weight_mean").main()
    mean = Checkpoint.load(paths[2])
    name = "down.2.3.weight"
    halves = (first.weights[name] + further.weights[name]) / 2
    assert np.allclose(mean.weights[name], halves, atol=1e-6)
    assert mean.history[-1] == {"name": "further", "averaged_with": "first"}

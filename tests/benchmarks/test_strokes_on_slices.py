"""Tests of the study of strokes on some slices of a stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import strokes_volumes  # noqa: E402
from stroke_study.volumes import foreground, inflated  # noqa: E402

from unet_engine.compute.loading import load_network  # noqa: E402
from unet_engine.images import Image  # noqa: E402
from unet_engine.labels import IGNORE  # noqa: E402
from unet_engine.models.spec import ModelSpec  # noqa: E402
from unet_engine.models.starting import start_checkpoint  # noqa: E402
from unet_engine.prediction.config import PredictConfig  # noqa: E402
from unet_engine.prediction.segmentation import predict  # noqa: E402


def test_only_the_chosen_slices_are_painted():
    truth = np.zeros((8, 64, 64), np.uint8)
    truth[:, 20:50, 20:50] = 1
    target = strokes_volumes.paint(truth, [2, 5], strokes=2, seed=0)
    painted = target != IGNORE
    assert set(np.flatnonzero(painted.any(axis=(1, 2)))) == {2, 5}
    assert np.array_equal(target[painted], truth[painted])
    assert set(np.unique(target[painted])) == {0, 1}


def test_planes_of_all_directions_are_put_back_into_their_places():
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 32), np.uint8)
    image = Image.from_array(pixels, "ZYX", name="noise")
    spec = ModelSpec(depth=2, width=4, classes=strokes_volumes.CLASSES)
    model = start_checkpoint(spec)
    grid = [strokes_volumes.sampled(size) for size in pixels.shape]
    found = strokes_volumes.probability(image, model, grid, ("XYZ",))
    turned = Image.from_array(pixels.transpose(2, 1, 0), "ZYX", name="turned")
    config = PredictConfig(probabilities=True)
    expected = predict(turned, model, config).probabilities[1].transpose(2, 1, 0)
    assert np.abs(found - expected[np.ix_(*grid)]).max() < 1e-5


def test_painted_slices_are_not_scored():
    places = strokes_volumes.sampled(30, [7, 15, 22])
    assert len(places) == strokes_volumes.SAMPLES
    assert not {7, 15, 22} & set(places)


def test_what_fills_the_volume_is_scored_by_its_walls():
    ids = np.ones((6, 8, 8), np.uint16)
    ids[:, :, 4:] = 2
    walls = foreground(ids)
    assert set(np.flatnonzero(walls.any(axis=(0, 1)))) == {3, 4}
    ids[:, :4] = 0
    assert np.array_equal(foreground(ids), ids > 0)


def test_an_inflated_network_gives_on_equal_slices_what_that_of_planes_gives():
    planes = start_checkpoint(ModelSpec(depth=2, width=4), seed=3)
    volumes = inflated(planes)
    assert volumes.spec.ndim == 3
    plane = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    with torch.no_grad():
        expected = load_network(planes).eval()(torch.from_numpy(plane))
        stack = torch.from_numpy(np.repeat(plane[:, :, None], 64, axis=2))
        found = load_network(volumes).eval()(stack)
    # The middle slice is out of reach of the border, where the stack is padded.
    assert torch.allclose(found[:, :, 32], expected, atol=1e-4)


@pytest.mark.slow
def test_the_command_scores_each_way(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.zeros((12, 32, 32), np.uint8)
    ids[:, 10:30, 10:30] = 3
    for kind, pixels in (
        ("images", (rng.normal(60, 9, ids.shape) + 20 * ids).astype(np.uint8)),
        ("labels", ids),
    ):
        (tmp_path / "discs" / kind).mkdir(parents=True)
        path = tmp_path / "discs" / kind / "stack.tif"
        tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"})
    command = [sys.executable, str(BENCHMARKS / "strokes_volumes.py")]
    command += ["--data", str(tmp_path), "--sets", "discs", "--steps", "2"]
    command += ["--methods", "nuclei,volume"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["method"] for row in rows] == ["nuclei", "nuclei+three", "volume"]
    assert all(0 <= row["ap"] <= 1 for row in rows)


def test_a_folder_without_a_stack_is_named(tmp_path, capsys):
    assert strokes_volumes.main(["--data", str(tmp_path), "--sets", "none"]) == 1
    assert "none/images has no stack" in capsys.readouterr().err

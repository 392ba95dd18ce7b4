"""Tests of what is measured of a machine, kept and used again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unet_engine.compute import block_size as tuning
from unet_engine.compute import calibration
from unet_engine.compute.block_size import tune
from unet_engine.compute.blockwise import BLOCK_EDGE
from unet_engine.compute.calibration import (
    CACHE_VARIABLE,
    Calibration,
    recall,
    remember,
)
from unet_engine.compute.runner import Runner
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction import segmentation as inference
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

SPEC = ModelSpec(depth=2, width=4)


def cache_file() -> Path:
    return Path(os.environ[CACHE_VARIABLE]) / "calibration.json"


def test_what_is_remembered_is_recalled_for_that_network_and_device():
    assert recall(SPEC, "cpu") == Calibration()
    assert remember(SPEC, "cpu", block_edge=96)
    assert remember(SPEC, "cpu", seconds_per_megapixel=1.5)
    assert recall(SPEC, "cpu") == Calibration(block_edge=96, seconds_per_megapixel=1.5)
    named = ModelSpec(depth=2, width=4, classes=("other", "names"))
    assert recall(named, "cpu") == recall(SPEC, "cpu")
    assert recall(ModelSpec(depth=3, width=4), "cpu") == Calibration()
    assert recall(SPEC, "cuda") == Calibration()


def test_another_machine_is_measured_anew(monkeypatch: pytest.MonkeyPatch):
    remember(SPEC, "cpu", block_edge=96)
    monkeypatch.setattr(calibration, "_machine", lambda: ["riscv64", "another", "9.0"])
    assert recall(SPEC, "cpu") == Calibration()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"KEY": 3}', '{"KEY": {"a": 1}}'])
def test_a_damaged_file_is_as_none(text: str):
    remember(SPEC, "cpu", block_edge=96)
    (key,) = json.loads(cache_file().read_text())
    cache_file().write_text(text.replace("KEY", key))
    assert recall(SPEC, "cpu") == Calibration()
    assert remember(SPEC, "cpu", block_edge=64)
    assert recall(SPEC, "cpu").block_edge == 64


@pytest.mark.cpu
def test_the_fastest_blocks_are_measured_once_and_used(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch
):
    runner = Runner(make_checkpoint(SPEC), "cpu")
    measured: list[int] = []

    def fastest(runner: Runner) -> int:
        measured.append(1)
        return 128

    monkeypatch.setattr(tuning, "_fastest_edge", fastest)
    tune(runner, measure=False)
    assert (runner.block_edge, measured) == (BLOCK_EDGE, [])
    for _ in range(2):
        tune(runner, measure=True)
        assert (runner.block_edge, measured) == (128, [1])


def test_measuring_finds_one_of_the_sizes(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuning, "_EDGES", {2: 40})
    clock = iter(range(1000))
    # Each takes longer than the one before.
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: next(clock) ** 2)
    assert tuning._fastest_edge(Runner(make_checkpoint(SPEC), "cpu")) == 96


def test_nothing_is_measured_that_cannot_be_kept(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "folder"))
    monkeypatch.setattr(tuning, "_fastest_edge", lambda runner: 1 / 0)
    runner = Runner(make_checkpoint(SPEC), "cpu")
    tune(runner, measure=True)
    assert runner.block_edge == BLOCK_EDGE


def image(edge: int = 96) -> Image:
    pixels = np.random.default_rng(0).random((edge, edge)).astype(np.float32)
    return Image.from_array(pixels, "YX", name="noise")


@pytest.mark.cpu
def test_a_long_run_calibrates_and_records_its_speed(
    make_checkpoint: Callable, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inference, "_LONG_RUN", 96 * 96)
    monkeypatch.setattr(inference, "_TIMED_RUN", 96 * 96)
    monkeypatch.setattr(tuning, "_fastest_edge", lambda runner: 64)
    checkpoint = make_checkpoint(SPEC)
    config = PredictConfig(device="cpu")
    predict(image(), checkpoint, config, near=((), (5.0, 5.0)))
    assert recall(SPEC, "cpu").block_edge == 0, "the user waits for the first tile"
    predict(image(), checkpoint, config)
    assert recall(SPEC, "cpu").block_edge == 64
    assert recall(SPEC, "cpu").seconds_per_megapixel > 0


def test_a_run_that_is_gone_on_with_keeps_its_blocks(
    make_checkpoint: Callable[[ModelSpec], Checkpoint], tmp_path: Path
):
    checkpoint = make_checkpoint(SPEC)
    config = PredictConfig(device="cpu", tile=32, probabilities=True)
    whole = predict(image(), checkpoint, config).probabilities
    paths = tmp_path / "labels.ome.zarr", tmp_path / "probabilities.ome.zarr"
    run = iter_predict(image(), checkpoint, config, into=DiskOutput(*paths))
    for _ in range(4):
        next(run)
    run.close()
    # Another, longer run measures that other blocks are faster.
    remember(SPEC, "cpu", block_edge=7)
    results = DiskOutput(*paths, resume=True)
    assert results.block_edge == BLOCK_EDGE
    result = predict(image(), checkpoint, config, into=results)
    assert result.complete
    assert result.probabilities is not None
    np.testing.assert_array_equal(result.probabilities[:, :, :], whole)

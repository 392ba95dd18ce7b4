"""Tests of the study of strokes on some slices of a stack."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import strokes_volumes  # noqa: E402

from unet_engine.labels import IGNORE  # noqa: E402


def test_only_the_chosen_slices_are_painted():
    truth = np.zeros((8, 64, 64), np.uint8)
    truth[:, 20:50, 20:50] = 1
    target = strokes_volumes.paint(truth, [2, 5], strokes=2, seed=0)
    painted = target != IGNORE
    assert set(np.flatnonzero(painted.any(axis=(1, 2)))) == {2, 5}
    assert np.array_equal(target[painted], truth[painted])
    assert set(np.unique(target[painted])) == {0, 1}


@pytest.mark.slow
def test_the_command_scores_without_and_with_soft_targets(tmp_path):
    rng = np.random.default_rng(0)
    ids = np.zeros((8, 48, 48), np.uint8)
    ids[:, 10:30, 10:30] = 3
    for kind, pixels in (
        ("images", (rng.normal(60, 9, ids.shape) + 20 * ids).astype(np.uint8)),
        ("labels", ids),
    ):
        (tmp_path / "discs" / kind).mkdir(parents=True)
        path = tmp_path / "discs" / kind / "stack.tif"
        tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"})
    command = [sys.executable, str(BENCHMARKS / "strokes_volumes.py")]
    command += ["--data", str(tmp_path), "--set", "discs", "--steps", "2"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["soft_targets"] for row in rows] == [False, True]
    assert all(0 <= row["ap"] <= 1 for row in rows)


def test_a_folder_without_a_stack_is_named(tmp_path, capsys):
    assert strokes_volumes.main(["--data", str(tmp_path), "--set", "none"]) == 1
    assert "none/images has no stack" in capsys.readouterr().err

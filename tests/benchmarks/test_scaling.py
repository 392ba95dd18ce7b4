"""Test of the promise that memory does not grow with the image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scaling.py"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(tmp_path: Path):
    table = tmp_path / "scaling.json"
    # Both of several tiles, which are as large as suits the network.
    options = ["--network=small", "--sizes", "6000", "16000", f"--json={table}"]
    subprocess.run(
        [sys.executable, str(BENCHMARK), f"--data={tmp_path}", *options],
        check=True,
        capture_output=True,
    )
    small, large = json.loads(table.read_text())
    assert small["edge"] == 6000
    # The larger one has 220 MB more of pixels and of labels, and 880 MB in float32;
    # one run and the next may differ by a third of that.
    assert large["peak_rss_mb"] - small["peak_rss_mb"] < 150
    assert large["growth_mb"] == large["peak_rss_mb"] - small["peak_rss_mb"]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_objects_on_disk(tmp_path: Path):
    table = tmp_path / "scaling.json"
    subprocess.run(
        [
            sys.executable,
            str(BENCHMARK),
            "--objects",
            "--sizes",
            "4000",
            "7000",
            f"--json={table}",
        ],
        check=True,
        capture_output=True,
    )
    small, large = json.loads(table.read_text())
    # The larger one has 33 MB more of mask and 132 MB more of ids, twice.
    assert large["peak_rss_mb"] - small["peak_rss_mb"] < 80

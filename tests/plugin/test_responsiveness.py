"""Test of the benchmark of how soon tiles appear."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "responsiveness.py"


@pytest.mark.slow
def test_tiles_appear_and_the_window_stays_alive(tmp_path: Path) -> None:
    table = tmp_path / "responsiveness.json"
    options = ["--edge=1100", "--seconds=1", f"--data={tmp_path}", f"--json={table}"]
    subprocess.run(
        [sys.executable, str(BENCHMARK), *options],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    plane, stack = json.loads(table.read_text())
    assert plane["image"] == "1100 x 1100"
    assert stack["image"] == "2 x 1100 x 1100"
    for row in (plane, stack):
        assert 0 < row["first_tile_s"] <= row["full_viewport_s"] <= row["seconds"] + 1
        assert 0 < row["block_p99_ms"] <= row["block_max_ms"]
        assert row["tiles"] >= 4

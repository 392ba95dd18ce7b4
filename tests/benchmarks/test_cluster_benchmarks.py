"""Tests of the cost model of the documents, and of the scheduling of many tiles."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import cluster_cost  # noqa: E402


def test_the_table_of_the_documents_is_that_of_the_model():
    text = (ROOT / "docs/explanation/scaling.md").read_text("utf-8")
    assert "\n".join(cluster_cost.rows()) in text


def test_twice_the_workers_take_half_the_time_of_computing():
    one = cluster_cost.Cluster("", 1, 1.0, 1.0, 0.0)
    two = cluster_cost.Cluster("", 2, 1.0, 1.0, 0.0)
    once, twice = cluster_cost.hours(one, 1), cluster_cost.hours(two, 1)
    # 0.5 million million pixels at a second for each million.
    assert once["computing"] == pytest.approx(5e5 / 3600)
    assert once["computing"] == 2 * twice["computing"]
    assert once["storage"] == twice["storage"]


@pytest.mark.slow
def test_what_is_scheduled_does_not_grow_with_the_tiles(tmp_path: Path):
    table = tmp_path / "scheduling.json"
    script = ROOT / "benchmarks/cluster_scheduling.py"
    subprocess.run(
        [sys.executable, str(script), "--tiles=60000", f"--json={table}"],
        check=True,
        capture_output=True,
    )
    row = json.loads(table.read_text())
    assert row["tiles"] >= 60000
    # Two batches of each of two workers.
    assert row["tasks_at_once"] <= 4
    # One tile as an object of Python is half a kilobyte: 30 MB of them.
    assert row["rss_end_mb"] - row["rss_half_mb"] < 15

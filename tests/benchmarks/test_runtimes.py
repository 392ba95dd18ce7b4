"""Other runtimes on the exported weights: their results, on whole images and tiles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("part", runtimes.PARTS)
def test_onnx_runtime_gives_what_the_runner_gives(part: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "nuclei.onnx"
    runtimes.export("nuclei", path)
    rows = runtimes.compare("nuclei", part, edge=64, threads=1, rounds=1, path=path)
    assert "onnxruntime" in [row["runtime"] for row in rows]
    assert all(row["max_dp"] < 1e-4 and row["ratio"] > 0 for row in rows)


def test_a_tile_has_the_halo_that_it_needs() -> None:
    checkpoint = runtimes.load("nuclei")
    block, wanted = runtimes._make_block(checkpoint, "tile", 128)
    halo = checkpoint.spec.footprint.halo
    for (low, high), size, least in zip(wanted, block.shape[2:], halo, strict=True):
        assert high - low == 128
        assert low >= least and size - high >= least
    whole, all_of_it = runtimes._make_block(checkpoint, "whole", 128)
    assert whole.shape[2:] == (128, 128) and all_of_it == [(0, 128)] * 2

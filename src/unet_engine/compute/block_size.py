"""Choose by measurement how a network runs on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute import calibration
from unet_engine.compute.blockwise import BLOCK_EDGE

if TYPE_CHECKING:
    from unet_engine.compute.runner import AnyRunner

_CANDIDATES = (96, 128, 192, 256, 384)
"""Edges of blocks that are tried, in pixels: from what fits the cache of one core to
what fits that of several."""

_EDGES = {2: 448, 3: 64}
"""Edge in pixels of the tile that is timed, by dimensions: of a usual size, so that
borders of blocks weigh as much as in a prediction."""

_ROUNDS = 2
"""Times that each edge is tried; the faster one counts."""


def tune(runner: AnyRunner, *, measure: bool) -> None:
    """Make a runner use the blocks that are fastest on this machine.

    Parameters
    ----------
    runner
        Of a network in stages on a CPU; others stay as they are.
    measure
        Measure them if they are not known, which takes about as long as ten tiles of
        448 x 448 pixels.
    """
    if not runner.in_blocks:
        return
    block_edge = calibration.recall(runner.spec, runner.device).block_edge
    # What cannot be kept would be another one in the next run, and a run that is
    # resumed would not be byte for byte the same.
    if not block_edge and measure and calibration.remember(runner.spec, runner.device):
        block_edge = _fastest_edge(runner)
        calibration.remember(runner.spec, runner.device, block_edge=block_edge)
    runner.block_edge = block_edge or BLOCK_EDGE


def _fastest_edge(runner: AnyRunner) -> int:
    spec, edge = runner.spec, _EDGES[runner.spec.ndim]
    halos = spec.footprint.halo
    outer = spec.footprint.around([(0, edge)] * spec.ndim)
    shape = [stop - start for start, stop in outer]
    generator = np.random.default_rng(0)
    block = generator.random((spec.input_maps, *shape), dtype=np.float32)
    wanted = [(halo, halo + edge) for halo in halos]
    seconds = dict.fromkeys(_CANDIDATES, float("inf"))
    # All of them in turn, as the load of a machine changes from second to second.
    for _ in range(_ROUNDS):
        for block_edge in _CANDIDATES:
            runner.block_edge = block_edge
            started = time.perf_counter()
            runner(block, wanted)
            seconds[block_edge] = min(
                seconds[block_edge], time.perf_counter() - started
            )
    return min(seconds, key=seconds.__getitem__)

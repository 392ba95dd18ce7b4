"""Choose by measurement how a network runs on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute import calibration
from unet_engine.compute.blockwise import CELLS

if TYPE_CHECKING:
    from unet_engine.compute.runner import Runner

_CELLS = (96, 128, 192, 256, 384)
_EDGES = {2: 448, 3: 64}
_ROUNDS = 2


def tune(runner: Runner, *, measure: bool) -> None:
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
    cells = calibration.recall(runner.spec, runner.device).cells
    # What cannot be kept would be another one in the next run, and a run that is gone
    # on with would not be byte for byte the same.
    if not cells and measure and calibration.remember(runner.spec, runner.device):
        cells = _fastest_cells(runner)
        calibration.remember(runner.spec, runner.device, cells=cells)
    runner.cells = cells or CELLS


def _fastest_cells(runner: Runner) -> int:
    spec, edge = runner.spec, _EDGES[runner.spec.ndim]
    halos = spec.footprint.halo
    outer = spec.footprint.around([(0, edge)] * spec.ndim)
    shape = [stop - start for start, stop in outer]
    generator = np.random.default_rng(0)
    block = generator.random((spec.in_channels, *shape), dtype=np.float32)
    wanted = [(halo, halo + edge) for halo in halos]
    seconds = dict.fromkeys(_CELLS, float("inf"))
    # All of them in turn, as the load of a machine changes from second to second.
    for _ in range(_ROUNDS):
        for cells in _CELLS:
            runner.cells = cells
            started = time.perf_counter()
            runner(block, wanted)
            seconds[cells] = min(seconds[cells], time.perf_counter() - started)
    return min(seconds, key=seconds.__getitem__)

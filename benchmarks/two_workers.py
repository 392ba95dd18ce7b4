"""Predict an OME-Zarr by one and by two processes of one thread each; compare both.

::

    python benchmarks/two_workers.py --edge 4096 --rounds 3 --json two_workers.json

The workers read the image and write the mask themselves. Both have the same two
processes at hand, of which the first run uses one. Needs two idle cores: the load that
there was is among the figures. Where cores are shared, the processor time of the
busiest process, which others do not lengthen much, shows what two idle ones would give.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from unet_engine import DiskOutput, ModelStore, PredictConfig, open_image, predict
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.remote.connection import Connection, connect
from unet_engine.stopping import never
from unet_engine.synthetic.nuclei import nuclei

DEVICE = "local:2"
CHUNK = 512
"""Pixels of an edge of the chunks of the image, as in usual OME-Zarr."""


def write_image(path: Path, edge: int) -> None:
    """Write generated nuclei, repeated, as an OME-Zarr."""
    pixels = nuclei((512, 512), seed=0)[0]
    repeats = -(-edge // 512)
    image = Multiscale(
        path=path,
        axes="YX",
        shape=(edge, edge),
        chunks=(CHUNK, CHUNK),
        dtype=pixels.dtype,
    )
    image.open(anew=True)[...] = np.tile(pixels, (repeats, repeats))[:edge, :edge]
    assert image.finish(lambda: False, {})


def timed(image: Path, out: Path, workers: int) -> tuple[float, float]:
    """Predict by so many of the two workers.

    Returns
    -------
    tuple
        The seconds, and those of processor time of the busiest process.
    """
    processes = [psutil.Process(), *map(psutil.Process, worker_ids())]
    before = list(map(processor_time, processes))
    genuine = Connection._suitable
    # The others of them idle.
    Connection._suitable = lambda line: genuine(line)[:workers]  # type: ignore[method-assign]
    try:
        started = time.monotonic()
        result = predict(
            open_image(image),
            ModelStore().load("nuclei"),
            PredictConfig(device=DEVICE, object_size="off"),
            into=DiskOutput(out),
        )
        seconds = time.monotonic() - started
    finally:
        Connection._suitable = genuine  # type: ignore[method-assign]
    assert result.complete
    assert not result.notes, result.notes
    after = map(processor_time, processes)
    return seconds, max(a - b for a, b in zip(after, before, strict=True))


def worker_ids() -> list[int]:
    """Return the process ids of the workers."""
    found = connect(DEVICE, never).client.run(os.getpid)
    return [int(number) for number in found.values()]


def processor_time(process: psutil.Process) -> float:
    """Return the seconds of processor time that a process took so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def measure(edge: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Predict in turn by one worker and by two."""
    image = folder / "image.ome.zarr"
    write_image(image, edge)
    timed(image, folder / "first" / "mask.ome.zarr", 2)
    taken: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for round_ in range(rounds):
        for workers, times in taken.items():
            out = folder / f"{workers}-{round_}" / "mask.ome.zarr"
            times.append(timed(image, out, workers))
    same = contents(folder / "1-0") == contents(folder / "2-0")
    one, two = np.array(taken[1]), np.array(taken[2])
    ratio, of_processors = np.median(one / two, axis=0)
    return {
        "edge": edge,
        "one_s": one[:, 0].round(1).tolist(),
        "two_s": two[:, 0].round(1).tolist(),
        "one_cpu_s": one[:, 1].round(1).tolist(),
        "two_cpu_s": two[:, 1].round(1).tolist(),
        "ratio": round(float(ratio), 2),
        "cpu_ratio": round(float(of_processors), 2),
        "same_bytes": same,
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=4096, help="in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        row = measure(arguments.edge, arguments.rounds, Path(folder))
    for name, value in row.items():
        print(f"{name:>10} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Predict an OME-Zarr by one and by two processes of one thread each; compare both.

::

    python benchmarks/two_workers.py --edge 4096 --rounds 3 --json two_workers.json

The workers read the image and write the mask themselves. Both have the same two
processes at hand, of which the first run uses one. Needs two idle cores: the load that
there was is among the figures.
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

from unet_engine import DiskOutput, ModelStore, PredictConfig, open_image, predict
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.remote.connection import Connection
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


def timed(image: Path, out: Path, workers: int) -> float:
    """Predict by so many of the two workers; return the seconds."""
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
    return seconds


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
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for round_ in range(rounds):
        for workers, times in seconds.items():
            out = folder / f"{workers}-{round_}" / "mask.ome.zarr"
            times.append(timed(image, out, workers))
    same = contents(folder / "1-0") == contents(folder / "2-0")
    ratios = [one / two for one, two in zip(*seconds.values(), strict=True)]
    return {
        "edge": edge,
        "one_s": [round(s, 1) for s in seconds[1]],
        "two_s": [round(s, 1) for s in seconds[2]],
        "ratio": round(float(np.median(ratios)), 2),
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

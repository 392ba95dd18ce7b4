"""Kill a run to disk at one file operation after the other, and let it go on.

Run as a program: ``kill_points.py FOLDER EVERY`` kills at each EVERY-th operation.
Prints how many runs were killed; fails when one does not end in the very files of an
uninterrupted run. No torch: the tiles
are made up. Each run is a child of a process that has no threads yet.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numcodecs  # noqa: F401
import numpy as np
import zarr  # noqa: F401

from unet_engine.images import Image, Normalisation
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.outputs import PredictionRun
from unet_engine.prediction.plan import plan_prediction
from unet_engine.stopping import never

OPERATIONS = ("replace", "fsync", "unlink", "mkdir", "rmdir")
SHAPE = (2, 1100, 40)


def run(folder: Path) -> None:
    """Write a run of six tiles and its probabilities, from where it is."""
    spec = ModelSpec(depth=2, width=4)
    image = Image.from_array(np.zeros(SHAPE, np.uint8), "ZYX", name="made up")
    config = PredictConfig(tile=512, probabilities=True)
    plan = plan_prediction(image, spec, config)
    results = DiskOutput(folder / "a.ome.zarr", folder / "b.ome.zarr", resume=True)
    finished = results.begin(
        PredictionRun(
            image=image,
            fingerprint="",
            checkpoint=Checkpoint(spec, {}, ()),
            config=config,
            plan=plan,
            normalisation=Normalisation(low=(0.0,), high=(1.0,)),
            block_edge=0,
            device="cpu",
        )
    )
    for number in range(plan.total):
        if number in finished:
            continue
        index, tile = plan.at(number)
        size = [stop - start for start, stop in tile.inner]
        values = np.random.default_rng(number).random((2, *size), np.float32)
        if number > 3:
            # Chunks of nothing but background are written like others.
            values[...] = 0
        results.write(index, tile, (values[1] > 0.5).astype(np.uint8), values)
        # As if half a second had passed: every second tile is noted at once.
        if number % 2:
            results._commit()
    assert results.finish(never)
    results.close()


def kill_at(number: int) -> None:
    """Kill this process before its operation of this number."""
    left = [number]

    def counting(genuine: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return genuine(*arguments, **options)

        return call

    for name in OPERATIONS:
        setattr(os, name, counting(getattr(os, name)))


def in_child(folder: Path, kill: int | None = None) -> bool:
    """Run in a child; True when it came to its end."""
    child = os.fork()
    if child == 0:
        if kill is not None:
            kill_at(kill)
        run(folder)
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if kill is None or not os.WIFSIGNALED(status):
        assert status == 0, f"a run failed with status {status}"
        return True
    return False


def contents(folder: Path) -> dict[str, str]:
    """Return a digest of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main(root: Path, every: int) -> None:
    """Kill a run at operation after operation, the runs that go on as well."""
    whole = root / "whole"
    whole.mkdir()
    in_child(whole)
    expected = contents(whole)
    killed, number = 0, 0
    while True:
        folder = root / "killed"
        folder.mkdir()
        if in_child(folder, number):
            break
        # Killed again while it goes on: at an early, then at a late operation.
        in_child(folder, number % 7)
        in_child(folder, 20)
        in_child(folder)
        found = contents(folder)
        assert found == expected, (number, set(found.items()) ^ set(expected.items()))
        shutil.rmtree(folder)
        killed += 1
        number += every
    sys.stdout.write(str(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Schedule a million tiles without computing them: what each costs, and the memory.

::

    python benchmarks/cluster_scheduling.py --json cluster_scheduling.json
    python benchmarks/cluster_scheduling.py --tiles 20000 --most 1

The run is that of ``napari-unet predict IMAGE.zarr MASK.zarr --device tcp://...``: the
same loop gives batches of tiles to workers, takes their receipts and keeps the record
of finished tiles on disk. Only the workers, threads of this process beside the
scheduler, do nothing. So the memory is that of client and scheduler together.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from unet_engine.images import Normalisation, open_image
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.storage import store_at
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.remote import storage
from unet_engine.prediction.remote.storage import WrittenBatch
from unet_engine.remote import connection
from unet_engine.worker import storage as worker

if TYPE_CHECKING:
    from distributed import LocalCluster

TILE = 256
"""Edge of a tile in pixels: small ones, so that the image is not larger than any."""
DEVICE = "tcp://127.0.0.1:1"
"""Name of the connection, which is made here and not by an address."""
IMAGE = "memory://image.zarr"
SAMPLES = 20
"""Times at which memory is read in a run."""


def make_image(tiles: int) -> None:
    """Make an image of a number of tiles at least, without its chunks."""
    import zarr

    edge = math.isqrt(tiles - 1) + 1
    zarr.create_array(
        store_at(Address(IMAGE)),
        shape=(edge * TILE, edge * TILE),
        chunks=(4 * TILE, 4 * TILE),
        dtype="u1",
        dimension_names=["y", "x"],
        zarr_format=3,
    )


def do_nothing(run: str, numbers: tuple[int, ...]) -> WrittenBatch:
    """Take the place of ``predict_batch``."""
    return WrittenBatch(numbers)


def measure(tiles: int, workers: int, folder: Path) -> dict[str, Any]:
    """Schedule tiles and return what it took."""
    from distributed import Client, LocalCluster

    make_image(tiles)
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        connection._connections[DEVICE] = connection.Connection(DEVICE, client)
        return schedule(cluster, folder)


def schedule(cluster: LocalCluster, folder: Path) -> dict[str, Any]:
    """Run the loop of a prediction to the last tile."""
    from unet_engine.models.starting import start_checkpoint
    from unet_engine.prediction.segmentation import iter_predict

    image = open_image(IMAGE, missing_chunks="fill")
    run = iter_predict(
        image,
        start_checkpoint(ModelSpec(depth=2, width=4)),
        PredictConfig(device=DEVICE, tile=TILE, object_size="off"),
        normalisation=Normalisation(low=(0.0,), high=(255.0,)),
        into=DiskOutput(folder / "labels.ome.zarr"),
    )
    process = psutil.Process()
    first = next(run)
    # The first tiles load libraries and fill caches.
    started, memory = time.monotonic(), [process.memory_info().rss]
    tasks, step = 0, max(1, first.total // SAMPLES)
    for event in run:
        if event.done % step == 0:
            memory.append(process.memory_info().rss)
            tasks = max(tasks, len(cluster.scheduler.tasks))
        if event.done == event.total:
            # What follows is work: the smaller levels.
            break
    seconds = time.monotonic() - started
    run.close()
    record = next(folder.rglob("tiles")).stat().st_size
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        "tiles": first.total,
        "most": storage.MOST_TILES,
        "seconds": round(seconds, 1),
        "tiles_per_s": round(first.total / seconds),
        "us_per_tile": round(1e6 * seconds / first.total, 1),
        "ms_per_task": round(1e3 * seconds * storage.MOST_TILES / first.total, 2),
        "tasks_at_once": tasks,
        "rss_start_mb": round(memory[0] / 2**20),
        "rss_half_mb": round(memory[len(memory) // 2] / 2**20),
        "rss_end_mb": round(memory[-1] / 2**20),
        "peak_rss_mb": round(peak / 2**20),
        "record_mb": round(record / 2**20, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=10**6)
    parser.add_argument("--workers", type=int, default=2, help="threads")
    parser.add_argument("--most", type=int, help="tiles of a batch at most")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.most:
        storage.MOST_TILES = arguments.most
    worker.predict_batch = do_nothing
    with tempfile.TemporaryDirectory() as folder:
        row = measure(arguments.tiles, arguments.workers, Path(folder))
    for name, value in row.items():
        print(f"{name:>14} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=2) + "\n")


if __name__ == "__main__":
    main()

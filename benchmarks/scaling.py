"""Predict larger and larger images to disk; see that memory stays and time follows.

::

    python benchmarks/scaling.py --data ../shared/data --json scaling.json
    python benchmarks/scaling.py --objects --sizes 4000 12000

Each size runs in a process of its own, one after the other: a lazy image is read tile
by tile and predicted into an OME-Zarr with all its levels. The pixels are those of a
real image of ``--data``, mirrored on and on, or generated when there is none. Peak
memory is that of the whole process (``ru_maxrss``), torch included. ``--quick`` takes a
small network and ends at 8,000 x 8,000. ``--objects`` separates the objects of masks of
these sizes instead, from zarr to zarr and with a table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images import Image, open_image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.tiling.tiles import reflect_indices

if TYPE_CHECKING:
    import numpy.typing as npt

SIZES = (4_000, 10_000, 20_000, 40_000)
"""Pixels of an edge: up to a whole slide of 1.6 gigapixels."""
QUICK_SIZES = (1_000, 4_000, 8_000)
"""Pixels of an edge in a quick run, which is for trying the command."""
CHUNK = 512
"""Pixels of an edge of the chunks that the image is read in, as in usual OME-Zarr."""
SAMPLE = "dsb2018_nuclei/images/*.*"
COLUMNS = ("edge", "network", "seconds", "s_per_mpx", "peak_rss_mb", "growth_mb")


class Mirrored:
    """An image of any size, made of one that is mirrored; nothing of it is kept."""

    def __init__(self, pixels: npt.NDArray[Any], edge: int) -> None:
        self._pixels = pixels
        self.shape = (edge, edge)
        self.dtype = pixels.dtype
        self.ndim = 2

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[Any]:
        rows, columns = (
            reflect_indices(k.start, k.stop, n)
            for k, n in zip(key, self._pixels.shape, strict=True)
        )
        return self._pixels[np.ix_(rows, columns)]


def sample(data: Path) -> npt.NDArray[Any]:
    """Return a plane of ``--data``, ``(Y, X)``, or a generated one."""
    for path in sorted(data.glob(SAMPLE)):
        image = open_image(path)
        return (image.to_grey() if image.rgb else image).read()[0]
    return nuclei((512, 512), seed=0)[0]


def measure(edge: int, network: str, data: Path, folder: Path) -> dict[str, Any]:
    """Predict one image to disk in this process."""
    from unet_engine.models.starting import start_checkpoint
    from unet_engine.models.store import ModelStore
    from unet_engine.prediction.segmentation import predict

    image = Image.from_array(Mirrored(sample(data), edge), "YX", name="mirrored")
    checkpoint = (
        start_checkpoint(ModelSpec(depth=2, width=4))
        if network == "small"
        else ModelStore().load(network)
    )
    started = time.monotonic()
    out = DiskOutput(folder / "labels.ome.zarr")
    result = predict(image, checkpoint, PredictConfig(device="cpu"), into=out)
    assert result.complete
    return as_row(edge, network, time.monotonic() - started)


def measure_objects(edge: int, folder: Path) -> dict[str, Any]:
    """Separate and measure the objects of one mask in this process."""
    import zarr

    from unet_engine.cli import main as command

    mask = Mirrored((nuclei((512, 512), seed=0)[1] > 0).astype(np.uint8), edge)
    array = zarr.create_array(
        folder / "mask.zarr",
        shape=mask.shape,
        chunks=(CHUNK, CHUNK),
        dtype=mask.dtype,
        config={"write_empty_chunks": True},
    )
    for y, x in product(range(0, edge, CHUNK), repeat=2):
        where = (slice(y, min(y + CHUNK, edge)), slice(x, min(x + CHUNK, edge)))
        array[where] = mask[where]
    out = [f"--output={folder / 'o.ome.zarr'}", f"--table={folder / 'o.csv'}"]
    started = time.monotonic()
    with redirect_stdout(sys.stderr):
        code = command(["objects", str(folder / "mask.zarr"), *out, "--quiet"])
    assert code == 0
    return as_row(edge, "objects", time.monotonic() - started)


def as_row(edge: int, network: str, seconds: float) -> dict[str, Any]:
    """Return what this process took."""
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        "edge": edge,
        "network": network,
        "seconds": round(seconds, 1),
        "s_per_mpx": round(seconds / edge**2 * 1e6, 3),
        "peak_rss_mb": round(peak / 2**20),
    }


def run_alone(edge: int, network: str, data: Path) -> dict[str, Any]:
    """Measure one size in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--data={data}", f"--folder={folder}"]
        options += ["--objects"] if network == "objects" else [f"--network={network}"]
        done = subprocess.run(
            [sys.executable, __file__, f"--only={edge}", *options],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true", help="a small network, < 50 s")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--sizes", type=int, nargs="+", help="edges in pixels")
    parser.add_argument("--network", help="a model of the store, or small")
    parser.add_argument(
        "--objects", action="store_true", help="separate objects instead of predicting"
    )
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    network = arguments.network or ("small" if arguments.quick else "nuclei")
    if arguments.objects:
        network = "objects"
    if arguments.only:
        row = (
            measure_objects(arguments.only, arguments.folder)
            if network == "objects"
            else measure(arguments.only, network, arguments.data, arguments.folder)
        )
        print(json.dumps(row))
        return
    rows: list[dict[str, Any]] = []
    print(" ".join(f"{name:>12}" for name in COLUMNS))
    for edge in arguments.sizes or (QUICK_SIZES if arguments.quick else SIZES):
        row = run_alone(edge, network, arguments.data)
        first = rows[0]["peak_rss_mb"] if rows else row["peak_rss_mb"]
        rows.append({**row, "growth_mb": row["peak_rss_mb"] - first})
        print(" ".join(f"{rows[-1][name]:>12}" for name in COLUMNS), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

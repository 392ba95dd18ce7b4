"""Compare a prediction from a file to a file with the network's work alone.

::

    python benchmarks/disk_to_disk.py --device cuda --json disk.json

``whole`` is the network on as large an image as the device holds, in one piece, from a
tensor on the device to one on the device, channels last and without any halo.
``disk`` predicts a tiled TIFF with the same weights in the same precision and writes
the mask as OME-Zarr, at the defaults: reading, brightness, halos, checks and writing
are in it. ``share`` is the throughput of the one in that of the other.

``--waits 50`` needs no GPU: in place of the network it waits as long as a device would
that computes 50 megapixels a second, which leaves the cores to the rest as a GPU does.
Once tiles are predicted one after the other, once as beside a GPU::

    python benchmarks/disk_to_disk.py --waits 50
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import tifffile
import torch
from network_variants import Variant, measure

from unet_engine.compute.devices import prediction_precision
from unet_engine.compute.runner import Runner
from unet_engine.images import open_image
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import predict
from unet_engine.prediction.tile_predictor import TilePredictor
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unet_engine.models.checkpoint import Checkpoint

COLUMNS = ("precision", "whole_mpx_per_s", "disk_mpx_per_s", "share", "note")
NAMES = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}
_SMALLEST = 256
"""Edge in pixels below which a whole image is no measure."""


def whole(
    checkpoint: Checkpoint, device: str, precision: str, edge: int
) -> tuple[float, str]:
    """Return megapixels a second on the largest image that fits, and its edge."""
    while True:
        image = torch.randn(1, checkpoint.spec.in_channels, edge, edge)
        try:
            seconds, _, _ = measure(Variant(precision), checkpoint, image, device)
        except torch.OutOfMemoryError:
            if edge <= _SMALLEST:
                raise
            edge //= 2
            continue
        return edge**2 / seconds / 1e6, f"whole: {edge} pixels"


def disk(
    checkpoint: Checkpoint, device: Any, precision: Any, edge: int, folder: Path
) -> float:
    """Return megapixels a second from a file to a file."""
    source = folder / "image.tif"
    if not source.exists():
        tile, _ = nuclei((512, 512), seed=0)
        pixels = np.tile(tile, (-(-edge // 512),) * 2)[:edge, :edge]
        tifffile.imwrite(source, pixels, tile=(256, 256), photometric="minisblack")
    config = PredictConfig(device=device, precision=precision)
    seconds = []
    # The first one loads what the second has.
    for number in range(2):
        into = DiskOutput(folder / f"{precision}{number}.ome.zarr")
        started = time.perf_counter()
        predict(open_image(source), checkpoint, config, into=into)
        seconds.append(time.perf_counter() - started)
    return edge**2 / min(seconds) / 1e6


@contextmanager
def waiting(megapixels_per_s: float, threads: int) -> Iterator[None]:
    """Let a device that is not there compute; tiles are predicted by threads."""

    def wait(self: Any, block: Any, wanted: Any = None) -> Any:
        height, width = block.shape[-2:]
        time.sleep(height * width / megapixels_per_s / 1e6)
        inner = tuple(slice(*part) for part in wanted or ((0, height), (0, width)))
        found = np.empty((2, *block[0][inner].shape), np.float32)
        found[1] = block[0][inner] > 0
        found[0] = 1 - found[1]
        return found

    with (
        patch.object(Runner, "__call__", wait),
        patch.object(TilePredictor, "threads", threads),
    ):
        yield


def waited_rows(arguments: argparse.Namespace) -> None:
    """Measure what is done beside a device of a given speed, and print it."""
    checkpoint = start_checkpoint(ModelSpec.for_architecture("unet", width=8))
    for _ in range(arguments.repeats):
        for threads in (1, 2):
            with (
                tempfile.TemporaryDirectory() as folder,
                waiting(arguments.waits, threads),
            ):
                found = disk(checkpoint, "cpu", "full", arguments.edge, Path(folder))
            share = found / arguments.waits
            print(f"{threads} threads | {found:.1f} | {share:.2f}", flush=True)


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure both precisions; return the rows of the table."""
    spec = ModelSpec.for_architecture("unet", width=arguments.width)
    checkpoint = start_checkpoint(spec)
    device, found = arguments.device, []
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("full", "half"):
            dtype = prediction_precision(device, precision)
            if precision == "half" and dtype == torch.float32:
                continue
            of_whole, note = whole(checkpoint, device, NAMES[dtype], arguments.whole)
            of_disk = disk(checkpoint, device, precision, arguments.edge, Path(folder))
            found.append(
                {
                    "precision": f"{precision} ({NAMES[dtype]})",
                    "whole_mpx_per_s": round(of_whole, 2),
                    "disk_mpx_per_s": round(of_disk, 2),
                    "share": round(of_disk / of_whole, 2),
                    "note": f"{note}; disk: {arguments.edge} pixels",
                }
            )
            if arguments.json:
                arguments.json.write_text(json.dumps(found, indent=2) + "\n")
            print(" | ".join(str(found[-1][name]) for name in COLUMNS), flush=True)
    return found


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--edge", type=int, default=8192, help="of the file's image")
    parser.add_argument("--whole", type=int, default=4096, help="of the whole image")
    parser.add_argument("--width", type=int, default=64, help="of the U-Net")
    parser.add_argument("--waits", type=float, help="Mpx/s of a device not there")
    parser.add_argument("--repeats", type=int, default=3, help="with --waits")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    if arguments.waits:
        waited_rows(arguments)
        return
    print(" | ".join(COLUMNS))
    rows(arguments)


if __name__ == "__main__":
    main()

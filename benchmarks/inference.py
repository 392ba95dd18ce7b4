"""Compare this project's prediction with MONAI's sliding window, on the same weights.

::

    python benchmarks/inference.py --data ../shared/data --json inference.json

Every method predicts the same image with the same weights on one device, in a process
of its own, one after the other and all of them again for every round; the table has the
median of the rounds. Timed is the network's work from the normalised image in memory
to the probabilities in memory, after a smaller image to get warm. ``gemm_fraction`` is
the least time that the network's arithmetic could take, its multiplications and
additions over the rate of the best matrix product in the same round, divided by the
time it took. ``max_dp`` is the largest difference in probability to the whole image in
one piece. MONAI is measured where it is installed, ``half`` where
the device is made for it. On a machine that does other work, too, ``--one-core``
counts the seconds that one core spent on it.
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
from importlib.util import find_spec
from math import prod
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from arithmetic_limit import best_matrix_product, count_flops

from unet_engine.images import Image, Normalisation, open_image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.synthetic.nuclei import nuclei
from unet_engine.tiling.tiles import Tile, read_reflected, reflect_indices

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint

    Pixels = npt.NDArray[np.float32]

SIZES = ("512x512", "2048x2048", "8192x8192", "32x256x256")
QUICK_SIZES = ("512x512", "1024x1024")
SAMPLE = "dsb2018_nuclei/images/*.*"
OURS: dict[str, dict[str, Any]] = {
    "exact": {},
    "measured_halo": {"halo": "measured"},
    "half": {"precision": "half"},
}
MONAI = {"monai_025": (0.25, "constant"), "monai_050_gaussian": (0.5, "gaussian")}
"""Overlap of the windows as part of their edge, and how they are blended: the defaults
of MONAI, and a common choice for smooth borders."""
COLUMNS = (
    "method",
    "backend",
    "image",
    "s_per_mpx",
    "speedup_vs_monai_025",
    "gemm_fraction",
    "max_dp",
    "peak_rss_mb",
)
_WHOLE_PIXELS = 2**23
"""Larger images do not fit the memory in one piece."""


def make_image(data: Path, shape: tuple[int, ...]) -> Pixels:
    """Return a normalised ``(1, *shape)`` image: a real one that is mirrored on."""
    planes = [open_image(path) for path in sorted(data.glob(SAMPLE))[:1]]
    plane = (
        planes[0] if planes else Image.from_array(nuclei((512, 512), seed=0)[0], "YX")
    )
    plane = plane.to_grey() if plane.rgb else plane
    pixels = Normalisation.measure(plane).apply(plane.read())[0]
    where = [
        reflect_indices(0, size, n)
        for size, n in zip(shape[-2:], pixels.shape, strict=True)
    ]
    plane_of_size = np.ascontiguousarray(pixels[np.ix_(*where)])
    return np.broadcast_to(plane_of_size, (1, *shape)).copy()


def make_model(model: str, ndim: int) -> Checkpoint:
    """Load a model of the store or a file; of volumes an untrained one is made.

    Object maps are left out: all methods give the classes.
    """
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.object_maps import without_object_maps
    from unet_engine.models.starting import start_checkpoint
    from unet_engine.models.store import ModelStore

    if ndim == 3:
        return start_checkpoint(ModelSpec.for_architecture("unet", ndim=3))
    if Path(model).suffix == ".safetensors":
        return without_object_maps(Checkpoint.load(model))
    return without_object_maps(ModelStore().load(model))


def make_method(
    name: str, checkpoint: Checkpoint, image: Pixels, device: Any
) -> Callable[[Pixels], Pixels]:
    """Return what predicts the ``(classes, *shape)`` probabilities of an image."""
    if name in OURS:
        return _ours(checkpoint, image, device, **OURS[name])
    if name in MONAI:
        return _monai(checkpoint, device, *MONAI[name])
    return _whole(checkpoint, device)


def _ours(
    checkpoint: Checkpoint, image: Pixels, device: Any, **settings: Any
) -> Callable[[Pixels], Pixels]:
    from unet_engine.compute.measured_halo import measure_halo
    from unet_engine.prediction.segmentation import predict

    config = PredictConfig(device=device, probabilities=True, **settings)
    if config.halo == "measured" and checkpoint.spec.measured_halo is None:
        checkpoint = measure_halo(checkpoint, [image])
    # The image is normalised already.
    unchanged = Normalisation(low=(0.0,), high=(1.0,))

    def run(image: Pixels) -> Pixels:
        axes = "ZYX" if image.ndim == 4 else "YX"
        result = predict(
            Image.from_array(image[0], axes),
            checkpoint,
            config,
            normalisation=unchanged,
        )
        assert result.probabilities is not None
        return result.probabilities

    return run


def _monai(
    checkpoint: Checkpoint, device: str, overlap: float, mode: str
) -> Callable[[Pixels], Pixels]:
    import torch
    from monai.inferers import sliding_window_inference

    from unet_engine.compute.loading import load_network
    from unet_engine.compute.runner import full_precision

    network = load_network(checkpoint).eval().to(device)
    window = (256, 256) if checkpoint.spec.ndim == 2 else (32, 96, 96)

    def run(image: Pixels) -> Pixels:
        with torch.inference_mode(), full_precision(device):
            found = sliding_window_inference(
                torch.from_numpy(image)[None].to(device),
                window,
                1,
                lambda block: network(block).softmax(dim=1),
                overlap=overlap,
                mode=mode,
            )
        pixels: Pixels = found[0].cpu().numpy()
        return pixels

    return run


def _whole(checkpoint: Checkpoint, device: str) -> Callable[[Pixels], Pixels]:
    import torch

    from unet_engine.compute.loading import load_network
    from unet_engine.compute.runner import full_precision

    network = load_network(checkpoint).eval().to(device)
    footprint = checkpoint.spec.footprint

    def run(image: Pixels) -> Pixels:
        shape = image.shape[1:]
        inner = tuple((0, n) for n in shape)
        tile = Tile(inner, footprint.around(inner, shape))
        block = read_reflected(
            lambda where: image[(0, *where)][None], tile.outer, shape
        )
        with torch.inference_mode(), full_precision(device):
            found = network(torch.from_numpy(block)[None].to(device)).softmax(dim=1)[0]
        pixels: Pixels = found.cpu().numpy()[
            (slice(None), *tile.local_slices(found.shape[1:]))
        ]
        return pixels

    return run


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one method on one image in this process."""
    import torch

    shape = _shape(arguments.image)
    checkpoint = make_model(arguments.model, len(shape))
    clock = time.perf_counter
    if arguments.one_core:
        torch.set_num_threads(1)
        clock = time.process_time
    if arguments.only == "gemm":
        rate = best_matrix_product(clock, device=arguments.device)
        return {"flops": count_flops(checkpoint, shape), "rate": rate}
    image = make_image(arguments.data, shape)
    method = make_method(arguments.only, checkpoint, image, arguments.device)
    method(image[(slice(None), *(slice(0, min(n, 320)) for n in shape))])
    seconds = []
    while not seconds or (sum(seconds) < 2 and len(seconds) < 5):
        started = clock()
        found = method(image)
        seconds.append(clock() - started)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    np.save(arguments.result, found.astype(np.float32))
    return {"seconds": median(seconds), "peak_rss_mb": round(peak / 2**20)}


def run_alone(
    name: str, image: str, result: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure one method on one image in a process of its own."""
    options = [f"--data={arguments.data}", f"--model={arguments.model}"]
    options += [f"--device={arguments.device}"]
    options += ["--one-core"] * arguments.one_core
    command = [sys.executable, __file__, f"--only={name}", f"--image={image}"]
    done = subprocess.run(
        [*command, *options, f"--result={result}"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def compare(
    image: str, methods: list[str], rounds: int, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """Measure all methods on one image; return the rows of the table."""
    pixels = prod(_shape(image))
    if pixels > _WHOLE_PIXELS:
        methods = [name for name in methods if name != "whole"]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ["gemm", *methods]}
    with tempfile.TemporaryDirectory() as folder:
        results = {name: Path(folder) / f"{name}.npy" for name in found}
        for _ in range(rounds):
            for name, runs in found.items():
                runs.append(run_alone(name, image, results[name], arguments))
        differences = {
            name: _difference(results[name], results.get("whole")) for name in methods
        }
    limits = [run["flops"] / run["rate"] for run in found.pop("gemm")]
    seconds = {name: [r["seconds"] for r in runs] for name, runs in found.items()}
    return [
        {
            "method": name,
            "backend": f"torch-{arguments.device}",
            "image": image,
            "s_per_mpx": round(median(seconds[name]) / pixels * 1e6, 3),
            "speedup_vs_monai_025": _ratio(seconds.get("monai_025"), seconds[name]),
            "gemm_fraction": _ratio(limits, seconds[name]),
            "max_dp": differences[name],
            "peak_rss_mb": max(run["peak_rss_mb"] for run in found[name]),
        }
        for name in methods
    ]


def _ratio(one: list[float] | None, other: list[float]) -> float | None:
    if one is None:
        return None
    return round(median(a / b for a, b in zip(one, other, strict=True)), 2)


def _difference(path: Path, whole: Path | None) -> float | None:
    if whole is None:
        return None
    found, expected = (np.load(p, mmap_mode="r") for p in (path, whole))
    return float(f"{np.abs(found - expected).max():.2g}")


def _shape(image: str) -> tuple[int, ...]:
    return tuple(int(n) for n in image.split("x"))


def _present_methods(device: str) -> list[str]:
    import torch

    from unet_engine.compute.devices import prediction_precision

    methods = [*OURS, *MONAI, "whole"]
    if prediction_precision(device, "half") == torch.float32:
        methods.remove("half")
    if find_spec("monai") is None:
        methods = [name for name in methods if name not in MONAI]
    return methods


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true", help="small images, < 50 s")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--images", nargs="+", help="sizes, such as 512x512")
    parser.add_argument("--model", default="nuclei", help="a name or a file")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--one-core", action="store_true", help="count its seconds")
    parser.add_argument("--methods", nargs="+", help="all that can run here")
    parser.add_argument("--rounds", type=int, help="1 with --quick, else 3")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--image", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    methods = arguments.methods or _present_methods(arguments.device)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    rows: list[dict[str, Any]] = []
    print(" ".join(f"{name:>20}" for name in COLUMNS))
    for image in arguments.images or (QUICK_SIZES if arguments.quick else SIZES):
        for row in compare(image, methods, rounds, arguments):
            rows.append(row)
            cells = ("-" if row[name] is None else row[name] for name in COLUMNS)
            print(" ".join(f"{cell!s:>20}" for cell in cells), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

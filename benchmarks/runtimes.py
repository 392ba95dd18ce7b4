"""Compare prediction by other runtimes with this project's own, on the same weights.

::

    pip install onnx onnxruntime openvino
    python benchmarks/runtimes.py --json runtimes.json

A bundled model is exported to ONNX as a package of bioimage.io has it, and ONNX Runtime
and OpenVINO compute it on the CPU, in 32 bits, as does this project's ``Runner`` in the
blocks that are fastest here; from the normalised image in memory to the probabilities
in memory. ``whole`` is an image in one piece, ``tile`` as large a part of a larger one,
with the halo that it needs to be what the whole gives: the runtimes compute all of it.
All take turns, so that other work on the machine slows all of them. ``ratio`` is the
median over the rounds of this project's seconds over those of the runtime: above 1 the
runtime is faster. Seconds are those of the process where there is one thread, and of
the clock where there are more. ``max_dp`` is the largest difference in probability to
the ``Runner``. A runtime that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.compute.block_size import tune
from unet_engine.compute.calibration import CACHE_VARIABLE
from unet_engine.compute.loading import folded_network
from unet_engine.compute.runner import Runner
from unet_engine.model_packages.network import ProbabilityNetwork
from unet_engine.model_packages.weights import write_onnx
from unet_engine.models.starting import with_classes
from unet_engine.models.store import ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint

    Pixels = npt.NDArray[np.float32]
    Wanted = list[tuple[int, int]]
    Predict = Callable[[Pixels, Wanted], Pixels]

PARTS = ("whole", "tile")
COLUMNS = (
    "model",
    "part",
    "edge",
    "threads",
    "runtime",
    "ours_s",
    "runtime_s",
    "ratio",
    "max_dp",
)


def load(name: str) -> Checkpoint:
    """Return a bundled model that gives probabilities."""
    checkpoint = ModelStore().load(name)
    if checkpoint.spec.classes:
        return checkpoint
    return with_classes(checkpoint, ("background", "foreground"))


def ours(checkpoint: Checkpoint) -> Predict:
    """Return this project's prediction of ``(N, C, Y, X)``."""
    runner = Runner(checkpoint, "cpu", object_maps=True)
    tune(runner, measure=True)

    def run(images: Pixels, wanted: Wanted) -> Pixels:
        return runner(images, wanted)

    return run


def onnx_runtime(path: Path, threads: int) -> Predict:
    """Return the prediction of a file by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for the next call would slow the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )

    def run(images: Pixels, wanted: Wanted) -> Pixels:
        (found,) = session.run(None, {"input": images})
        return _cropped(found, wanted)

    return run


def openvino_runtime(path: Path, threads: int) -> Predict:
    """Return the prediction of a file by OpenVINO, in 32 bits."""
    import openvino

    compiled = openvino.Core().compile_model(
        str(path),
        "CPU",
        {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"},
    )

    def run(images: Pixels, wanted: Wanted) -> Pixels:
        return _cropped(compiled(images)[0], wanted)

    return run


def _cropped(found: Pixels, wanted: Wanted) -> Pixels:
    return found[(..., *(slice(*interval) for interval in wanted))].copy()


RUNTIMES = {"onnxruntime": onnx_runtime, "openvino": openvino_runtime}


def compare(
    name: str, part: str, edge: int, threads: int, rounds: int, path: Path
) -> list[dict[str, Any]]:
    """Measure all runtimes on one image or tile; return the rows of the table."""
    torch.set_num_threads(threads)
    checkpoint = load(name)
    methods: dict[str, Predict] = {"ours": ours(checkpoint)}
    for runtime, prepare in RUNTIMES.items():
        if find_spec(runtime) is not None:
            methods[runtime] = prepare(path, threads)
    images, wanted = _make_block(checkpoint, part, edge)
    # The first call of each gets its memory.
    found = {method: predict(images, wanted) for method, predict in methods.items()}
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(rounds):
        for method, predict in methods.items():
            started = clock()
            predict(images, wanted)
            seconds[method].append(clock() - started)
    return [
        {
            "model": name,
            "part": part,
            "edge": edge,
            "threads": threads,
            "runtime": method,
            "ours_s": round(median(seconds["ours"]), 3),
            "runtime_s": round(median(seconds[method]), 3),
            "ratio": _ratio(seconds["ours"], seconds[method]),
            "max_dp": float(f"{np.abs(found[method] - found['ours']).max():.2g}"),
        }
        for method in methods
        if method != "ours"
    ]


def _make_block(checkpoint: Checkpoint, part: str, edge: int) -> tuple[Pixels, Wanted]:
    """Return ``(1, C, Y, X)`` and what of it is wanted, ``edge`` pixels wide."""
    shape = (edge, edge) if part == "whole" else (4 * edge, 4 * edge)
    start = 0 if part == "whole" else edge
    inner = ((start, start + edge),) * 2
    outer = checkpoint.spec.footprint.around(inner, shape)
    sizes = [high - low for low, high in outer]
    wanted = [(start - low, start + edge - low) for low, _ in outer]
    rng = np.random.default_rng(0)
    block = rng.normal(size=(1, checkpoint.spec.in_channels, *sizes))
    return block.astype(np.float32), wanted


def _ratio(ours: list[float], others: list[float]) -> float:
    return round(median(a / b for a, b in zip(ours, others, strict=True)), 2)


def export(name: str, path: Path) -> None:
    """Write a model as ONNX, for images of any size."""
    checkpoint = load(name)
    example = np.zeros((1, checkpoint.spec.in_channels, 128, 128), np.float32)
    network = folded_network(checkpoint, object_maps=True)
    write_onnx(ProbabilityNetwork(network, checkpoint.spec), example, path)


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["nuclei", "general"])
    parser.add_argument("--edges", nargs="+", type=int, default=[512, 1024])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(" ".join(f"{name:>12}" for name in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        # The blocks of the user's own predictions stay as they are.
        os.environ[CACHE_VARIABLE] = folder
        for name in arguments.models:
            path = Path(folder, f"{name}.onnx")
            export(name, path)
            cases = product(PARTS, arguments.edges, arguments.threads)
            for case in cases:
                for row in compare(name, *case, arguments.rounds, path):
                    rows.append(row)
                    cells = (row[column] for column in COLUMNS)
                    print(" ".join(f"{cell!s:>12}" for cell in cells), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Time one network in the ways in which a device can compute it.

::

    python benchmarks/network_variants.py --device cuda --json variants.json

The published U-Net with random weights on one block, from a tensor on the device to one
on the device: its format in memory, the precision, and whether PyTorch starts its
kernels one by one (``eager``), all at once as a CUDA graph, or compiles them. ``ms`` is
the median of repeated calls after ten to get warm; ``product`` are those of this
project's ``Runner``, from memory of the CPU to memory of the CPU. ``mpx_per_s`` is the
whole image over that time. ``max_dp`` is the largest difference in probability to 64
bits on the CPU, where ``--exact`` has them computed. A variant that fails is a row with
the reason, and so is one that was not begun within ``--minutes``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from arithmetic_limit import synchronise

from unet_engine.compute.loading import folded_network
from unet_engine.compute.runner import Runner
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from unet_engine.models.checkpoint import Checkpoint

COLUMNS = ("variant", "ms", "mpx_per_s", "max_dp", "peak_mb", "note")
WARM = 10
"""Calls before the first that is timed."""
REPEATS = 30
"""Calls that are timed, of which the median counts."""
MOST_S = 3.0
"""Seconds of repeats of one variant, on a slow device."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute the network."""

    precision: str
    how: str = "eager"
    channels_last: bool = True

    @property
    def name(self) -> str:
        """Return what a row of the table is called."""
        order = "channels last" if self.channels_last else "channels first"
        return f"{self.precision}, {order}, {self.how}"


PRECISIONS = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def variants(device: str) -> list[Variant]:
    """Return those that a device has, the most informative first."""
    if device != "cuda":
        return [Variant("float32", channels_last=False), Variant("float32")]
    return [
        Variant("float32", channels_last=False),
        *(Variant(precision) for precision in PRECISIONS),
        Variant("float16", channels_last=False),
        *(Variant(p, "graph") for p in ("float32", "tf32", "bfloat16", "float16")),
        *(Variant(precision, "compiled") for precision in ("float16", "tf32")),
    ]


def prepare(
    variant: Variant, checkpoint: Checkpoint, image: Tensor, device: str
) -> Callable[[], Tensor]:
    """Return what computes the probabilities of the image once, on the device."""
    dtype = PRECISIONS[variant.precision]
    form = torch.channels_last if variant.channels_last else torch.contiguous_format
    network = folded_network(checkpoint).to(device, dtype).to(memory_format=form)
    placed = image.to(device, dtype).contiguous(memory_format=form)
    if variant.how == "compiled":
        network = torch.compile(network)  # type: ignore[assignment]

    def run() -> Tensor:
        probabilities: Tensor = network(placed).float().softmax(dim=1)
        return probabilities

    return _graphed(run) if variant.how == "graph" else run


def _graphed(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return what starts all kernels of a call at once."""
    # As PyTorch's documentation has it: warm up on a stream of its own.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = run()

    def start() -> Tensor:
        graph.replay()
        return found

    return start


def timed(run: Callable[[], object], device: str) -> float:
    """Return the median seconds of a call."""
    started = time.perf_counter()
    for _ in range(WARM):
        run()
        synchronise(device)
        if time.perf_counter() - started > MOST_S:
            break
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < MOST_S:
        started = time.perf_counter()
        run()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def measure(
    variant: Variant, checkpoint: Checkpoint, image: Tensor, device: str
) -> tuple[float, Tensor, float]:
    """Return seconds, probabilities, and megabytes on the GPU at the most."""
    tf32 = variant.precision == "tf32"
    # All sizes are the same: cuDNN may try which of its kernels is the fastest.
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=tf32),
    ):
        _forget_peak(device)
        run = prepare(variant, checkpoint, image, device)
        seconds = timed(run, device)
        return seconds, run().cpu(), _peak_mb(device)


def measure_product(
    checkpoint: Checkpoint, image: Tensor, device: str, precision: Any
) -> tuple[float, Tensor, float]:
    """Return the same of this project's runner."""
    _forget_peak(device)
    runner = Runner(checkpoint, device, precision)  # type: ignore[arg-type]
    block = image.numpy()[0]
    wanted = [(0, size) for size in block.shape[1:]]
    seconds = timed(lambda: runner(block, wanted), device)
    return seconds, torch.from_numpy(runner(block, wanted))[None], _peak_mb(device)


def _forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_mb(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0


def exact(checkpoint: Checkpoint, image: Tensor) -> Tensor:
    """Return the probabilities in 64 bits."""
    network: nn.Module = folded_network(checkpoint).double()
    with torch.inference_mode():
        found: Tensor = network(image.double()).softmax(dim=1)
    return found


def rows(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all variants; return the rows of the table."""
    spec = ModelSpec.for_architecture("unet", width=arguments.width)
    checkpoint = start_checkpoint(spec)
    shape = (1, spec.in_channels, arguments.edge, arguments.edge)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = exact(checkpoint, image) if arguments.exact else None
    device = arguments.device
    measured: dict[str, Callable[[], tuple[float, Tensor, float]]] = {
        f"product, {precision}": lambda p=precision: measure_product(  # type: ignore[misc]
            checkpoint, image, device, p
        )
        for precision in ("full", "half")
    }
    for one in variants(device):
        measured[one.name] = lambda v=one: measure(  # type: ignore[misc]
            v, checkpoint, image, device
        )
    started, found = time.perf_counter(), []
    for name, how in measured.items():
        late = time.perf_counter() - started > 60 * arguments.minutes
        found.append(_row(name, how, expected, arguments.edge, late=late))
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=2) + "\n")
        print(" | ".join(str(found[-1].get(name, "")) for name in COLUMNS), flush=True)
    return found


def _row(
    name: str,
    how: Callable[[], tuple[float, Tensor, float]],
    expected: Tensor | None,
    edge: int,
    *,
    late: bool,
) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": name}
    if late:
        return {**row, "note": "no time was left"}
    try:
        seconds, probabilities, peak = how()
    except Exception as error:  # noqa: BLE001 - whatever it is, the next is measured
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {**row, "note": reason[:200]}
    row |= {
        "ms": round(1000 * seconds, 3),
        "mpx_per_s": round(edge**2 / seconds / 1e6, 2),
        "peak_mb": round(peak),
    }
    if expected is not None:
        difference = float((probabilities.double() - expected).abs().max())
        row["max_dp"] = float(f"{difference:.2g}")
    return row


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda", "mps"))
    parser.add_argument("--edge", type=int, default=512, help="of the block in pixels")
    parser.add_argument("--width", type=int, default=64, help="of the U-Net")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--exact", action="store_true", help="compare with 64 bits")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    print(" | ".join(COLUMNS))
    rows(arguments)


if __name__ == "__main__":
    main()

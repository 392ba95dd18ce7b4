"""Time until the first optimiser of a process has made a step.

::

    python benchmarks/first_optimiser.py

``torch.optim`` imports PyTorch's compiler with its first optimiser. Each way runs in
fresh processes, in turn, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

_START = """
import time, torch
from torch import nn
from unet_engine.training.optimisers import AdamW, Group
weights = [nn.Parameter(torch.ones(8))]
weights[0].grad = torch.ones(8)
started = time.perf_counter()
"""
_WAYS = {
    "torch.optim.AdamW": "torch.optim.AdamW(weights, lr=1e-3).step()",
    "unet_engine.training.optimisers.AdamW": (
        "AdamW([Group(parameters=weights)]).step(1e-3)"
    ),
}
_END = "\nprint(time.perf_counter() - started)"


def seconds(way: str) -> float:
    """Return the seconds of the first step, in a new process."""
    command = [sys.executable, "-c", _START + _WAYS[way] + _END]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Measure both ways in turn and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {way: [] for way in _WAYS}
    for _ in range(arguments.repeats):
        for way in _WAYS:
            times[way].append(seconds(way))
    for way, found in times.items():
        print(f"{way:30} {statistics.median(found):8.4f} s")


if __name__ == "__main__":
    main()

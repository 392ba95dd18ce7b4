"""What a prediction of terabytes takes on a cluster, from figures that were measured.

::

    python benchmarks/cluster_cost.py
    python benchmarks/cluster_cost.py --workers 20 --s-per-mpx 0.1 --gb-per-s 4

Three things can be the slowest, and the slowest one decides: what workers compute, what
the storage delivers, and what the one process that gives out the tiles can handle.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

BYTES_OF_PIXEL = 2
"""Of an image of 16 bits, as the storage delivers it; compression saves some of it."""

CPU_S_PER_MPX = 1.43
"""Of one vCPU: 0.713 s of two (benchmarks/RESULTS.md, `nuclei`, exact, 8192 x 8192)."""

GPU_S_PER_MPX = 0.004
"""Not measured: 80 GFLOP per Mpx, the same network, at 20 TFLOP/s in 32 bits."""

MASK_BYTES_OF_PIXEL = 0.046
"""Of a mask of nuclei with its levels, compressed, as measured."""

TILE_PX = 1024
"""Edge of a tile."""

HALO_PX = 94
"""Of `nuclei`, which is read on each side of a batch of tiles."""

TILE_S = 8.4e-5
"""Of the process that gives out tiles, for each (benchmarks/cluster_scheduling.py, 16
workers, on a machine with much else to do)."""

TASK_S = 5.5e-3
"""Of it for each batch, likewise."""


@dataclass(frozen=True)
class Cluster:
    """Machines that predict.

    Attributes
    ----------
    name
        For the table.
    workers
        Processes that compute, each one vCPU or one GPU.
    s_per_mpx
        Seconds of one worker for a million pixels.
    gb_per_s
        That storage and network deliver to all of them together.
    price
        Of all of them, in USD for an hour.
    batch
        Tiles that a worker gets at once, as ``tiles_of_batch`` decides.
    """

    name: str
    workers: int
    s_per_mpx: float
    gb_per_s: float
    price: float
    batch: int = 16


CLUSTERS = (
    Cluster("16 vCPU, a local disk", 16, CPU_S_PER_MPX, 1.0, 16 * 0.04),
    Cluster("64 nodes of 32 vCPU", 2048, CPU_S_PER_MPX, 10.0, 2048 * 0.04),
    Cluster("8 GPUs, one server", 8, GPU_S_PER_MPX, 5.0, 8 * 3.0, 64),
    Cluster("32 GPUs, object storage", 32, GPU_S_PER_MPX, 20.0, 32 * 3.0, 64),
)
"""Prices of 0.04 USD for a vCPU and 3 USD for a GPU in an hour are round ones."""

SIZES_TB = (1, 100, 1000)
"""Terabytes of images: a large slide scanner's month, and beyond."""


def hours(cluster: Cluster, terabytes: float) -> dict[str, float]:
    """Return the hours that each part takes on its own."""
    pixels = terabytes * 1e12 / BYTES_OF_PIXEL
    tiles = pixels / TILE_PX**2
    edge = TILE_PX * cluster.batch**0.5
    read = BYTES_OF_PIXEL * ((edge + 2 * HALO_PX) / edge) ** 2
    moved = pixels * (read + MASK_BYTES_OF_PIXEL)
    seconds = {
        "computing": pixels / 1e6 * cluster.s_per_mpx / cluster.workers,
        "storage": moved / (cluster.gb_per_s * 1e9),
        "scheduling": tiles * TILE_S + tiles / cluster.batch * TASK_S,
    }
    return {part: s / 3600 for part, s in seconds.items()}


def rows(clusters: tuple[Cluster, ...] = CLUSTERS) -> list[str]:
    """Return a table in Markdown."""
    lines = [
        "| cluster | data | tiles | hours | decided by | scheduling alone (h) | USD |",
        "|---|---|---|---|---|---|---|",
    ]
    for cluster in clusters:
        for size in SIZES_TB:
            parts = hours(cluster, size)
            slowest = max(parts, key=lambda part: parts[part])
            tiles = size * 1e12 / BYTES_OF_PIXEL / TILE_PX**2
            lines.append(
                f"| {cluster.name} | {size} TB | {_short(tiles)} | "
                f"{_short(parts[slowest])} | {slowest} | "
                f"{_short(parts['scheduling'])} | "
                f"{_short(parts[slowest] * cluster.price)} |"
            )
    return lines


def _short(value: float) -> str:
    """Return two digits that count."""
    if value >= 1e6:
        return f"{_short(value / 1e6)} million"
    return f"{value:.2g}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, help="of a cluster of your own")
    parser.add_argument("--s-per-mpx", type=float, default=CPU_S_PER_MPX)
    parser.add_argument("--gb-per-s", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=16, help="64 for GPUs")
    parser.add_argument("--price", type=float, default=0.0, help="USD for an hour")
    arguments = parser.parse_args()
    clusters = CLUSTERS
    if arguments.workers:
        figures = arguments.workers, arguments.s_per_mpx, arguments.gb_per_s
        clusters = (Cluster("yours", *figures, arguments.price, arguments.batch),)
    print("\n".join(rows(clusters)))


if __name__ == "__main__":
    main()

"""Tiles that lie together, for one task: what they read of an image overlaps."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.tiling.tiles import TilePlan


def iter_batches(
    plan: PredictionPlan,
    *,
    most: int,
    chunks: Sequence[int] = (),
    finished: Container[int] = frozenset(),
) -> Iterator[tuple[int, ...]]:
    """Yield numbers of tiles, each once, in batches that lie in few chunks.

    A batch is a box of neighbouring tiles, or all of some planes that follow each other
    where these have few tiles. One batch is made at a time: a million tiles need no
    memory.

    Parameters
    ----------
    plan
        Whose tiles they are.
    most
        Tiles of a batch.
    chunks
        Of the image along its last axes, as many as a tile has, in pixels.
    finished
        Numbers that are left out.
    """
    box = box_of_tiles(plan.tiles, most, chunks)
    planes = max(1, most // len(plan.tiles)) if prod(box) == len(plan.tiles) else 1
    counts = tuple(map(len, plan.tiles.starts))
    for first in range(0, len(plan.planes), planes):
        together = plan.planes[first : first + planes]
        bases = [plan.number(index, plan.tiles[0]) for index in together]
        for numbers in _boxes(counts, box):
            batch = tuple(
                base + number
                for base in bases
                for number in numbers
                if base + number not in finished
            )
            if batch:
                yield batch


def box_of_tiles(
    tiles: TilePlan, most: int, chunks: Sequence[int] = ()
) -> tuple[int, ...]:
    """Return how many tiles a batch has along each axis, ``most`` in all.

    It grows where it spans the fewest chunks, so that it has little border.
    """
    counts = tuple(map(len, tiles.starts))
    sizes = tuple(chunks) or (1,) * len(counts)
    steps = [max(t, c) for t, c in zip(tiles.tile, sizes, strict=True)]
    box = [1] * len(counts)
    while True:
        spans = [
            (n * t / s, axis)
            for axis, (n, t, s) in enumerate(zip(box, tiles.tile, steps, strict=True))
            if n < counts[axis] and prod(box) // n * min(2 * n, counts[axis]) <= most
        ]
        if not spans:
            return tuple(box)
        # Of equal ones the last axis, along which chunks lie next to each other.
        axis = min(spans, key=lambda span: (span[0], -span[1]))[1]
        box[axis] = min(2 * box[axis], counts[axis])


def _boxes(counts: Sequence[int], box: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield the numbers in each box of a grid, in raster order."""
    for corner in product(
        *(range(0, n, size) for n, size in zip(counts, box, strict=True))
    ):
        inside = (
            range(start, min(start + size, n))
            for start, size, n in zip(corner, box, counts, strict=True)
        )
        yield tuple(_number(counts, place) for place in product(*inside))


def _number(counts: Sequence[int], place: Sequence[int]) -> int:
    number = 0
    for n, position in zip(counts, place, strict=True):
        number = number * n + position
    return number

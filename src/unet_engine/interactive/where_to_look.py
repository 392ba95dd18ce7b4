"""Where a correction helps most: where the prediction is least certain, spread out.

Uncertainty sampling (Settles 2009, *Active learning literature survey*, section 3.1):
the entropy of the probabilities, pooled to squares of about the size of what a person
looks at, and ranked so that no two of a list show the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from unet_engine.places import Index

    Cell = tuple[Index, int, int]
    Floats = npt.NDArray[np.float32]

CELL = 128
"""Edge in pixels of a square of the image that is suggested as one place."""

_BRUSH = 9
"""Uncertainty is averaged over a square as wide as a brush, in pixels."""

_LEAST_PREDICTED = 0.25
"""Smallest share of a square that must be predicted for it to be ranked."""

_LEAST = 0.1
"""Uncertainty below which a place is not suggested."""

_AGAIN = 0.5
"""Factor on a place's rank for each better one in the same slice, of a stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A place where a correction would help.

    Attributes
    ----------
    index
        Position along the leading axes.
    rows, columns
        Of the plane.
    uncertainty
        From 0, certain, to 1, all classes equally probable everywhere.
    """

    index: tuple[int, ...]
    rows: slice
    columns: slice
    uncertainty: float


def entropy(probabilities: npt.ArrayLike) -> Floats:
    """Return the entropy of class probabilities, 1 where all are equal.

    Parameters
    ----------
    probabilities
        ``(classes, *spatial)`` in [0, 1]; at least two classes.

    Returns
    -------
    ndarray
        ``(*spatial)`` float32 in [0, 1].
    """
    known = np.asarray(probabilities, dtype=np.float32)
    logs = np.log(known, out=np.zeros_like(known), where=known > 0)
    bits: Floats = -(known * logs).sum(axis=0) / np.float32(np.log(len(known)))
    return bits.clip(0, 1)


class Survey:
    """Uncertainty of the parts of an image that were predicted so far.

    Parameters
    ----------
    shape
        Height and width of a plane.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._sums: dict[Cell, float] = {}
        self._predicted: dict[Cell, int] = {}

    def add(
        self,
        index: Index,
        inner: Sequence[slice],
        uncertainty: npt.NDArray[np.floating],
        touched: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Take a tile into account.

        Parameters
        ----------
        index
            Position along the leading axes.
        inner
            Rows and columns of the tile.
        uncertainty
            ``(h, w)`` floats in [0, 1], such as `entropy`.
        touched
            ``(h, w)`` bool, where the user painted: nothing is uncertain there.
        """
        known = uncertainty if touched is None else np.where(touched, 0, uncertainty)
        # The border of every object is uncertain, and a stroke there helps little. A
        # thin line averaged over a brush and squared counts for less than a patch.
        pooled = uniform_filter(np.asarray(known, np.float32), _BRUSH, mode="nearest")
        pooled **= 2
        rows, columns = inner
        for row, column in product(*(_cells_of(part) for part in inner)):
            part = pooled[
                _within(row, rows, len(pooled)),
                _within(column, columns, pooled.shape[1]),
            ]
            cell = (tuple(index), row, column)
            self._sums[cell] = self._sums.get(cell, 0.0) + float(part.sum())
            self._predicted[cell] = self._predicted.get(cell, 0) + part.size

    def suggestions(self) -> Iterator[Suggestion]:
        """Yield the squares of which enough was predicted, in no order."""
        for cell, total in self._sums.items():
            index, row, column = cell
            rows, columns = (
                slice(k * CELL, min((k + 1) * CELL, size))
                for k, size in zip((row, column), self.shape, strict=True)
            )
            area = (rows.stop - rows.start) * (columns.stop - columns.start)
            if self._predicted[cell] >= _LEAST_PREDICTED * area:
                yield Suggestion(
                    index=index,
                    rows=rows,
                    columns=columns,
                    # Small ones at the border hold less of what could be learned.
                    uncertainty=(total / self._predicted[cell] * area / CELL**2) ** 0.5,
                )


def rank_suggestions(
    survey: Survey, count: int, *, skip: Collection[Suggestion] = ()
) -> list[Suggestion]:
    """Return the most uncertain places, the first one first.

    No two of them touch, also not from slice to slice, and in a stack a place counts
    half as much for each better one in its slice.

    Parameters
    ----------
    survey
        Of what was predicted.
    count
        Most places to return.
    skip
        Places that were shown: neither they nor their neighbours are returned.
    """
    left = {_cell(r): r for r in survey.suggestions() if r.uncertainty >= _LEAST}
    for shown in skip:
        _take_out(left, _cell(shown))
    taken: dict[Index, int] = {}
    ranked: list[Suggestion] = []
    while left and len(ranked) < count:
        cell, best = max(
            left.items(),
            key=lambda item: item[1].uncertainty * _AGAIN ** taken.get(item[0][0], 0),
        )
        ranked.append(best)
        if best.index:
            taken[best.index] = taken.get(best.index, 0) + 1
        _take_out(left, cell)
    return ranked


def sample_tiles(
    leading: Sequence[int],
    shape: tuple[int, int],
    *,
    edge: int,
    near: tuple[Index, float, float],
    seed: int = 0,
) -> Iterator[tuple[Index, slice, slice]]:
    """Yield tiles of an image of any size, in turn from near the view and anywhere.

    Each tile comes once, all of them in the end; take as many as there is time for.

    Parameters
    ----------
    leading
        Lengths of the leading axes.
    shape
        Height and width of a plane.
    edge
        Of a tile, in pixels.
    near
        Plane on screen, and the row and column in its middle.
    seed
        Of the tiles from anywhere.

    Yields
    ------
    index, rows, columns
        Plane, and part of it.
    """
    grid = tuple(-(-size // edge) for size in shape)
    whole = (*leading, *grid)
    start = (*near[0], *(int(at // edge) for at in near[1:]))
    start = tuple(min(max(0, at), n - 1) for at, n in zip(start, whole, strict=True))
    sources = [_outwards(start, grid), _anywhere(whole, seed)]
    done: set[tuple[int, ...]] = set()
    while sources:
        source = sources.pop(0)
        place = next((p for p in source if p not in done), None)
        if place is None:
            continue
        sources.append(source)
        done.add(place)
        *index, row, column = place
        rows, columns = (
            slice(k * edge, min((k + 1) * edge, size))
            for k, size in zip((row, column), shape, strict=True)
        )
        yield tuple(index), rows, columns


def _outwards(
    start: tuple[int, ...], grid: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """Yield the tiles of a plane in rings around one."""
    *index, row, column = start
    for reach in range(max(grid)):
        ring = range(-reach, reach + 1)
        for down, right in product(ring, ring):
            y, x = row + down, column + right
            inside = 0 <= y < grid[0] and 0 <= x < grid[1]
            if inside and max(abs(down), abs(right)) == reach:
                yield *index, y, x


def _anywhere(whole: tuple[int, ...], seed: int) -> Iterator[tuple[int, ...]]:
    """Yield all tiles in an order in which any first few are spread out."""
    total = int(np.prod(whole))
    # A stride near the golden section that meets every tile: nothing is listed, however
    # large the image is.
    stride = max(1, round(total * 0.618))
    while np.gcd(stride, total) != 1:
        stride += 1
    start = int(np.random.default_rng(seed).integers(total))
    for step in range(total):
        place = np.unravel_index((start + step * stride) % total, whole)
        yield tuple(int(k) for k in place)


def _cells_of(part: slice) -> range:
    return range(part.start // CELL, -(-part.stop // CELL))


def _within(cell: int, part: slice, size: int) -> slice:
    """Return the pixels of a tile that lie in a row or column of squares."""
    start = max(0, cell * CELL - part.start)
    return slice(start, min(size, (cell + 1) * CELL - part.start))


def _cell(region: Suggestion) -> Cell:
    return region.index, region.rows.start // CELL, region.columns.start // CELL


def _take_out(left: dict[Cell, Suggestion], cell: Cell) -> None:
    """Drop a square and those that touch it."""
    index, row, column = cell
    for moved in product((-1, 0, 1), repeat=len(index) + 2):
        *planes, down, right = moved
        there = tuple(i + d for i, d in zip(index, planes, strict=True))
        left.pop((there, row + down, column + right), None)

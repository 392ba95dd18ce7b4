"""Classes compared: pixels by true and predicted class, and the worst squares."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.labels import IGNORE
from unet_engine.metrics.comparison.results import (
    Comparison,
    WorstPlace,
    class_scores,
    wrong_pixels,
)
from unet_engine.metrics.confusion import Confusion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from unet_engine.places import Index, Region

    Ids = npt.NDArray[np.integer[Any]]
    Cell = tuple[Index, int, int]

CELL = 128
"""Edge in pixels of a square that is ranked: what a person looks at as one place."""


class ClassCounter:
    """Compares class ids block by block.

    Parameters
    ----------
    names
        Of the classes, background first; those beyond are called by their number.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self._confusion = Confusion(IGNORE)
        self._wrong: dict[Cell, int] = {}

    def add(self, index: Index, region: Region, truth: Ids, predicted: Ids) -> None:
        """Count a block whose first row and column are multiples of `CELL`."""
        self._confusion.add(truth, predicted)
        wrong = differing(truth, predicted)
        counts = _sums_of_squares(wrong)
        first = [part.start // CELL for part in region]
        for row, column in np.argwhere(counts):
            cell = (index, first[0] + int(row), first[1] + int(column))
            self._wrong[cell] = int(counts[row, column])

    def result(
        self,
        read: Callable[[Index, Region], tuple[Ids, Ids]],
        shape: tuple[int, int],
        most: int,
    ) -> Comparison:
        """Return scores and the worst squares, no two of which touch in a plane.

        Parameters
        ----------
        read
            Returns truth and prediction of a region.
        shape
            Height and width of a plane.
        most
            Squares at most.
        """
        return Comparison(
            classes=class_scores(self._confusion, self._names),
            objects=None,
            pixels=self._confusion.pixels,
            wrong_pixels=wrong_pixels(self._confusion),
            worst=tuple(self._describe(c, read, shape) for c in self._rank(most)),
        )

    def _rank(self, most: int) -> list[Cell]:
        ranked: list[Cell] = []
        beside: set[Cell] = set()
        # Of equal ones the first in the image.
        for cell in sorted(self._wrong, key=lambda c: (-self._wrong[c], c)):
            if len(ranked) == most:
                break
            if cell not in beside:
                index, row, column = cell
                ranked.append(cell)
                beside |= {
                    (index, row + down, column + right)
                    for down, right in product((-1, 0, 1), repeat=2)
                }
        return ranked

    def _describe(
        self,
        cell: Cell,
        read: Callable[[Index, Region], tuple[Ids, Ids]],
        shape: tuple[int, int],
    ) -> WorstPlace:
        index, row, column = cell
        region = (_span(row, shape[0]), _span(column, shape[1]))
        truth, predicted = read(index, region)
        wrong = differing(truth, predicted)
        pairs, counts = np.unique(
            np.stack([truth[wrong], predicted[wrong]]), axis=1, return_counts=True
        )
        true, found = pairs[:, counts.argmax()].tolist()
        rows, columns = (
            slice(part.start + int(at.min()), part.start + int(at.max()) + 1)
            for part, at in zip(region, np.nonzero(wrong), strict=True)
        )
        return WorstPlace(
            kind="class",
            index=index,
            rows=rows,
            columns=columns,
            pixels=int(wrong.sum()),
            true=(int(true),),
            predicted=(int(found),),
        )


def differing(truth: Ids, predicted: Ids) -> npt.NDArray[np.bool_]:
    """Return where the truth has a label and the prediction another one."""
    wrong: npt.NDArray[np.bool_] = (truth != predicted) & (truth != IGNORE)
    return wrong


def _sums_of_squares(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Return how many pixels of each square of `CELL` are wrong."""
    starts = [np.arange(0, size, CELL) for size in wrong.shape]
    by_row = np.add.reduceat(wrong.astype(np.intp), starts[0], axis=0)
    sums: npt.NDArray[np.intp] = np.add.reduceat(by_row, starts[1], axis=1)
    return sums


def _span(at: int, size: int) -> slice:
    return slice(at * CELL, min((at + 1) * CELL, size))

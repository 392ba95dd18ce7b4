"""Objects compared: which overlap by how much, where each lies, what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.metrics.comparison.mistakes import MISTAKE_KINDS, find_mistakes
from unet_engine.metrics.comparison.results import (
    Comparison,
    ObjectScores,
    WorstPlace,
    class_scores,
    wrong_pixels,
)
from unet_engine.metrics.confusion import Confusion
from unet_engine.metrics.objects import Matches, match_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.metrics.comparison.mistakes import ObjectMistake
    from unet_engine.places import Index, Region

    Ids = npt.NDArray[np.integer[Any]]
    Numbers = npt.NDArray[np.int64]


_TABLE = 2**22
"""Highest id that is looked up in a table: 32 MB of positions."""


class ObjectCounter:
    """Compares object ids block by block; an object may lie in many of them.

    Parameters
    ----------
    ndim
        Axes that an object extends along: 2, or 3 for volumes.
    ignore
        Value of the truth that nobody labelled; None: there is none.
    """

    def __init__(self, ndim: int = 2, ignore: int | None = None) -> None:
        self._ndim = ndim
        self._ignore = ignore
        self._frame = _Frame()
        self._at: Index | None = None
        self._matches: list[Matches] = []
        self._mistakes: Counter[Any] = Counter(dict.fromkeys(MISTAKE_KINDS, 0))
        self._worst: list[WorstPlace] = []
        self._foreground = Confusion(2)

    def add(self, index: Index, region: Region, truth: Ids, predicted: Ids) -> None:
        """Count a block; those of a frame come one after the other."""
        frame = index[: len(index) - (self._ndim - 2)]
        if frame != self._at:
            self._end_frame()
            self._at = frame
        for name, ids in (("truth", truth), ("prediction", predicted)):
            if ids.size and ids.min() < 0:
                raise DataError(
                    f"the {name} has the object id {ids.min()}; ids start at 1 and 0 "
                    "is background"
                )
        there = (truth > 0).astype(np.uint8)
        if self._ignore is not None and (truth == self._ignore).any():
            known = truth != self._ignore
            truth, predicted = np.where(known, truth, 0), np.where(known, predicted, 0)
            there = np.where(known, there, np.uint8(IGNORE))
        self._foreground.add(there, (predicted > 0).astype(np.uint8))
        depth = index[-1] if self._ndim == 3 else 0
        self._frame.add((depth, region[0].start, region[1].start), truth, predicted)

    def result(self, most: int) -> Comparison:
        """Return scores and the worst objects."""
        self._end_frame()
        total = Matches(
            true_positives=sum(m.true_positives for m in self._matches),
            false_positives=sum(m.false_positives for m in self._matches),
            false_negatives=sum(m.false_negatives for m in self._matches),
        )
        worst = sorted(self._worst, key=lambda one: -one.pixels)[:most]
        return Comparison(
            classes=class_scores(self._foreground, ("background", "foreground"))[1:],
            objects=ObjectScores(matches=total, mistakes=dict(self._mistakes)),
            pixels=self._foreground.pixels,
            wrong_pixels=wrong_pixels(self._foreground),
            worst=tuple(worst),
        )

    def _end_frame(self) -> None:
        if self._at is None:
            return
        table, true, predicted = self._frame.result()
        self._matches.append(match_objects(table, 0.5))
        for mistake in find_mistakes(table):
            self._mistakes[mistake.kind] += 1
            self._worst.append(self._place(mistake, true, predicted))
        self._frame = _Frame()

    def _place(
        self, mistake: ObjectMistake, true: _Located, predicted: _Located
    ) -> WorstPlace:
        boxes = np.concatenate(
            [true.boxes[list(mistake.true)], predicted.boxes[list(mistake.predicted)]]
        )
        first, last = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
        depth = ((int(first[0]) + int(last[0]) - 1) // 2,) if self._ndim == 3 else ()
        assert self._at is not None
        return WorstPlace(
            kind=mistake.kind,
            index=(*self._at, *depth),
            rows=slice(int(first[1]), int(last[1])),
            columns=slice(int(first[2]), int(last[2])),
            pixels=mistake.pixels,
            true=tuple(int(true.ids[at]) for at in mistake.true),
            predicted=tuple(int(predicted.ids[at]) for at in mistake.predicted),
        )


@dataclass(slots=True)
class _Located:
    """Objects in the order of a table, background first.

    ``ids`` ``(n,)``; ``boxes`` ``(n, 2, 3)``: first and behind the last along Z, Y, X.
    """

    ids: Numbers
    boxes: Numbers


@dataclass(slots=True)
class _Frame:
    """What is known of the objects of a frame so far."""

    pairs: list[Numbers] = field(default_factory=list)
    boxes: tuple[list[Numbers], list[Numbers]] = field(default_factory=lambda: ([], []))

    def add(self, origin: tuple[int, int, int], truth: Ids, predicted: Ids) -> None:
        numbered = []
        for ids, boxes in zip((truth, predicted), self.boxes, strict=True):
            values, inverse = _numbered(ids)
            boxes.append(_boxes(values, inverse, origin))
            numbered.append((values, inverse))
        (rows, at_row), (columns, at_column) = numbered
        codes = at_row.ravel() * len(columns) + at_column.ravel()
        pairs, at = _numbered(codes)
        counts = np.bincount(at, minlength=len(pairs))
        row, column = np.divmod(pairs, len(columns))
        self.pairs.append(np.stack([rows[row], columns[column], counts]))

    def result(self) -> tuple[sparse.csr_array, _Located, _Located]:
        """Return the table of overlaps, and the objects in its order."""
        true, predicted, counts = np.concatenate(self.pairs, axis=1)
        located = [_joined(np.concatenate(boxes)) for boxes in self.boxes]
        rows, columns = (
            np.searchsorted(one.ids, ids)
            for one, ids in zip(located, (true, predicted), strict=True)
        )
        shape = (len(located[0].ids), len(located[1].ids))
        table = sparse.csr_array((counts, (rows, columns)), shape=shape)
        table.sum_duplicates()
        return table, located[0], located[1]


def _numbered(ids: Ids) -> tuple[Numbers, npt.NDArray[np.intp]]:
    """Return the ids that occur, and the position among them of each; as `unique`."""
    highest = int(ids.max())
    if highest > _TABLE:
        values, inverse = np.unique(ids, return_inverse=True)
        return values.astype(np.int64), inverse.reshape(ids.shape)
    # A table of all ids takes a tenth of the time that sorting does.
    there = np.zeros(highest + 1, bool)
    there[ids] = True
    position = np.cumsum(there) - 1
    return np.flatnonzero(there), position[ids]


def _boxes(
    values: Numbers, inverse: npt.NDArray[np.intp], origin: Sequence[int]
) -> Numbers:
    """Return ``(n, 7)``: id, first and behind the last pixel along Z, Y, X."""
    found = ndimage.find_objects(inverse + 1)
    depth, top, left = origin
    rows = [
        (
            int(value),
            *(depth, top + y.start, left + x.start),
            *(depth + 1, top + y.stop, left + x.stop),
        )
        for value, (y, x) in zip(values, found, strict=True)
    ]
    return np.array(rows, np.int64).reshape(-1, 7)


def _joined(boxes: Numbers) -> _Located:
    """Join the boxes of the same ids; the background is the first, if it is nowhere."""
    background = np.zeros((1, 7), np.int64)
    boxes = np.concatenate([background, boxes])
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")]
    ids, starts = np.unique(boxes[:, 0], return_index=True)
    low = np.minimum.reduceat(boxes[:, 1:4], starts)
    high = np.maximum.reduceat(boxes[:, 4:], starts)
    return _Located(ids, np.stack([low, high], axis=1))

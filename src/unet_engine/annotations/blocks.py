"""``Blocks``: class ids of sparse planes, in squares that may still lie on disk."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.annotations.act_history import ActHistory, EarlierTimes
from unet_engine.annotations.block import EDGE, Block
from unet_engine.annotations.paint_times import PaintTimes
from unet_engine.annotations.records import Box
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.annotations.block import Counts, Key, Place, StoredBlock
    from unet_engine.places import Index

logger = logging.getLogger(__name__)


class Blocks:
    """Blocks by plane and place, and what changes in them from act to act.

    Between two acts no block is ever changed in place: a changed one is another object.
    So a copy of all is one of the references.

    Attributes
    ----------
    conflicts
        Touched pixels that got two classes; the newer one counts.
    damaged
        Blocks on disk that could not be read.
    """

    def __init__(self) -> None:
        self.conflicts = 0
        self.damaged = 0
        self._counts = np.zeros(IGNORE + 1, np.int64)
        self._planes: dict[Index, dict[Key, Block | StoredBlock]] = {}
        self._before: dict[Place, Block | None] = {}
        self._history = ActHistory()

    def add_stored(self, index: Index, key: Key, block: StoredBlock) -> None:
        """Add a block without reading it."""
        self._planes.setdefault(index, {})[key] = block
        self._count(block.counts)
        self.conflicts += block.conflicts

    def planes(self) -> tuple[Index, ...]:
        """Return the indices of the planes that have blocks, in order."""
        return tuple(sorted(index for index, blocks in self._planes.items() if blocks))

    def keys(self, index: Index) -> tuple[Key, ...]:
        """Return the places of the blocks of a plane."""
        return tuple(self._planes.get(index, ()))

    def items(self) -> Iterator[tuple[Index, Key, Block | StoredBlock]]:
        """Yield every block; those on disk are not read."""
        for index, blocks in self._planes.items():
            for key, block in blocks.items():
                yield index, key, block

    def counts(self) -> Counts:
        """Return the number of touched pixels of each class."""
        kept = self._counts[:IGNORE]
        return {int(c): int(kept[c]) for c in np.flatnonzero(kept)}

    def find(self, index: Index, key: Key) -> Block | None:
        """Return a block, or None where there is none. It must not be changed.

        One on disk that is damaged is left out from then on.
        """
        block = self._planes.get(index, {}).get(key)
        if block is None or isinstance(block, Block):
            return block
        try:
            return block.load()
        except DataError as error:
            logger.warning("strokes of plane %s are lost: %s", index, error)
            self._count(block.counts, -1)
            self.conflicts -= block.conflicts
            self.damaged += 1
            del self._planes[index][key]
            return None

    def own(self, index: Index, key: Key) -> Block:
        """Return a block to change in this act; an empty one where there is none."""
        place = (index, key)
        if place in self._before:
            return self._block(place)
        before = self._before[place] = self.find(index, key)
        mine = Block.empty() if before is None else before.copy()
        self._planes.setdefault(index, {})[key] = mine
        return mine

    def share(self) -> Blocks:
        """Return an independent copy that shares the memory of what does not change."""
        other = Blocks()
        other.conflicts, other.damaged = self.conflicts, self.damaged
        other._counts = self._counts.copy()
        other._planes = {index: dict(blocks) for index, blocks in self._planes.items()}
        for index, key in self._before:
            other._planes[index][key] = self.own(index, key).copy()
        return other

    def settle(
        self,
        time: float,
        *,
        undo: bool = False,
        earlier: Mapping[Place, EarlierTimes] | None = None,
    ) -> list[Box]:
        """End an act: count what changed in it, and note when.

        Parameters
        ----------
        time
            Of the act, in seconds since 1970.
        undo
            It took an earlier act back, and the conflicts of that one with it. Pixels
            get their earlier time where the last act that is not undone covered them.
        earlier
            What undo gives back, as it was saved; None: what is remembered.

        Returns
        -------
        list
            The class ids of every changed part now; one box in a block at most.
        """
        boxes = self._end_changes()
        if undo and boxes:
            remembered = self._history.pop()
            earlier = remembered if earlier is None else earlier
        settled, covered = [], {}
        for place, box in boxes.items():
            before, block = self._before[place] or Block.empty(), self._block(place)
            if (earlier_part := _covered_part(before, block, box)) is not None:
                covered[place] = earlier_part
            block = self._settle_block(before, block, box, undo=undo)
            given = (earlier or {}).get(place) if undo else None
            block = replace(block, times=_dated(before, block, box, time, given))
            settled.append(_changed_part(place, block, box, undo=undo))
            self._put(place, None if np.all(block.ids == IGNORE) else block)
        if boxes and not undo:
            self._history.push(covered)
        self._before.clear()
        return settled

    def forget_history(self) -> None:
        """Forget what undo can give back."""
        self._history.clear()

    def _end_changes(self) -> dict[Place, tuple[slice, slice]]:
        """Return where the act changed something; the rest is as it was."""
        boxes = {}
        for place, before in self._before.items():
            old = Block.empty() if before is None else before
            box = _bounds(old.ids != self._block(place).ids)
            if box is None:
                self._put(place, before)
            else:
                boxes[place] = box
        return boxes

    def _block(self, place: Place) -> Block:
        index, key = place
        block = self._planes[index][key]
        assert isinstance(block, Block)
        return block

    def _put(self, place: Place, block: Block | None) -> None:
        index, key = place
        if block is None:
            del self._planes[index][key]
        else:
            self._planes[index][key] = block

    def _settle_block(
        self, old: Block, block: Block, box: tuple[slice, slice], *, undo: bool
    ) -> Block:
        """Count what changed in a block, and how often pixels were repainted."""
        before, after = old.ids[box], block.ids[box]
        for sign, ids in ((-1, before), (1, after)):
            self._counts += sign * np.bincount(ids.ravel(), minlength=IGNORE + 1)
        changed = (before != after) & (before != IGNORE) & (after != IGNORE)
        if block.repaints is None and (undo or not changed.any()):
            return block
        repaints = (
            np.zeros((EDGE, EDGE), np.uint8)
            if block.repaints is None
            else block.repaints
        )
        part = repaints[box]
        if undo:
            part[changed & (part > 0)] -= 1
        else:
            part[changed & (part < np.iinfo(np.uint8).max)] += 1
            part[(before == IGNORE) & (after != IGNORE)] = 0
        block = Block(block.ids, repaints, block.times)
        self.conflicts += block.conflicts - old.conflicts
        return block

    def _count(self, counts: Counts, sign: int = 1) -> None:
        for label, count in counts.items():
            self._counts[label] += sign * count


def _dated(
    before: Block,
    block: Block,
    box: tuple[slice, slice],
    time: float,
    given: EarlierTimes | None,
) -> PaintTimes:
    """Return the times of a block after an act, and after what undo gives back."""
    changed = before.ids[box] != block.ids[box]
    times = before.known_times.replaced(box, changed, PaintTimes.all_at(time))
    if given is None:
        return times
    there = given.box
    changed = before.ids[there] != block.ids[there]
    same = changed & (block.ids[there] == given.ids)
    return times.replaced(there, same, given.times)


def _covered_part(
    before: Block, block: Block, box: tuple[slice, slice]
) -> EarlierTimes | None:
    """Return the touched pixels that an act changed as they were; None for none."""
    old = before.ids[box]
    ids = np.where(old == block.ids[box], IGNORE, old).astype(np.uint8)
    if np.all(ids == IGNORE):
        return None
    return EarlierTimes(box, ids, before.known_times[box].kept())


def _changed_part(
    place: Place, block: Block, box: tuple[slice, slice], *, undo: bool
) -> Box:
    index, (row, column) = place
    corner = (row * EDGE + box[0].start, column * EDGE + box[1].start)
    times = block.known_times[box].kept() if undo else None
    return Box(index, corner, block.ids[box].copy(), times)


def _bounds(changed: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Return the smallest box around what changed, or None."""
    rows = np.flatnonzero(changed.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(changed.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def overlaps(
    rows: range, columns: range, keys: Sequence[Key] | None = None
) -> Iterator[tuple[Key, tuple[slice, slice], tuple[slice, slice]]]:
    """Yield blocks that meet a region: key, slices in block and in region."""
    if not len(rows) or not len(columns):
        return
    if keys is None:
        keys = [
            (r, c)
            for r in range(rows.start // EDGE, (rows.stop - 1) // EDGE + 1)
            for c in range(columns.start // EDGE, (columns.stop - 1) // EDGE + 1)
        ]
    for key in keys:
        (top, rows_here), (left, columns_here) = (
            _meet(k * EDGE, part) for k, part in zip(key, (rows, columns), strict=True)
        )
        if top.start < top.stop and left.start < left.stop:
            yield key, (top, left), (rows_here, columns_here)


def _meet(corner: int, part: range) -> tuple[slice, slice]:
    """Return where a block and an interval meet, in each of them; empty if nowhere."""
    start, stop = max(corner, part.start), min(corner + EDGE, part.stop)
    return (
        slice(start - corner, stop - corner),
        slice(start - part.start, stop - part.start),
    )


def split_pixels(
    where: list[npt.NDArray[Any]],
) -> Iterator[tuple[Index, Key, Any, Any, Any]]:
    """Sort pixels into blocks: plane, block, rows, columns in it, which pixels."""
    if not where[0].size:
        return
    *leading, y, x = (w.astype(np.intp, copy=False) for w in where)
    keys = np.stack([*leading, y // EDGE, x // EDGE])
    order = np.lexsort(keys[::-1])
    keys = keys[:, order]
    starts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
    for chosen, start in zip(
        np.split(order, starts), (0, *starts.tolist()), strict=True
    ):
        *index, row, column = (int(k) for k in keys[:, start])
        yield (
            tuple(index),
            (row, column),
            y[chosen] % EDGE,
            x[chosen] % EDGE,
            chosen,
        )


def as_class_ids(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return numbers as uint8 class ids; raise `DataError` where they are none."""
    if values.dtype.kind not in "biu":
        raise DataError(f"class ids are whole numbers, not {values.dtype}")
    if values.size and not (values.min() >= 0 and values.max() <= IGNORE):
        raise DataError(
            f"class ids run from 0 to {IGNORE - 1}, got {values.min()} to "
            f"{values.max()}; paint with the labels of the classes"
        )
    return values.astype(np.uint8, copy=False)

"""``Blocks``: class ids of sparse planes, in squares that may still lie on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unet_engine.annotations.records import Box
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.places import Index

logger = logging.getLogger(__name__)

EDGE = 256
"""Edge of a block in pixels."""

Key = tuple[int, int]
"""Row and column of a block in its plane."""

Counts = dict[int, int]
"""Touched pixels of each class."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A square of a plane.

    Attributes
    ----------
    ids
        ``(EDGE, EDGE)`` uint8 class ids, ``IGNORE`` where nobody touched it.
    repaints
        The same shape and dtype: how often a pixel got another class than it had. None
        where none did.
    """

    ids: npt.NDArray[np.uint8]
    repaints: npt.NDArray[np.uint8] | None = None

    @classmethod
    def empty(cls) -> Block:
        """Return a block that nobody touched."""
        return cls(np.full((EDGE, EDGE), IGNORE, np.uint8))

    def copy(self) -> Block:
        """Return an independent copy."""
        repaints = None if self.repaints is None else self.repaints.copy()
        return Block(self.ids.copy(), repaints)

    @property
    def counts(self) -> Counts:
        """Touched pixels of each class."""
        found = np.bincount(self.ids.ravel(), minlength=IGNORE + 1)[:IGNORE]
        return {int(c): int(found[c]) for c in np.flatnonzero(found)}

    @property
    def conflicts(self) -> int:
        """Touched pixels that got two classes."""
        if self.repaints is None:
            return 0
        return int(np.count_nonzero((self.repaints > 0) & (self.ids != IGNORE)))


class StoredBlock(Protocol):
    """A block on disk, which was not read yet."""

    @property
    def counts(self) -> Counts:
        """Touched pixels of each class."""

    @property
    def conflicts(self) -> int:
        """Touched pixels that got two classes."""

    def load(self) -> Block:
        """Read it.

        Raises
        ------
        DataError
            When it is damaged.
        """


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
        self._before: dict[tuple[Index, Key], Block | None] = {}

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
            changed = self._planes[index][key]
            assert isinstance(changed, Block)
            return changed
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

    def settle(self, *, undo: bool = False) -> list[Box]:
        """End an act: count what changed in it.

        Parameters
        ----------
        undo
            It took an earlier act back, and the conflicts of that one with it.

        Returns
        -------
        list
            The class ids of every changed part now; one box in a block at most.
        """
        boxes = []
        for (index, key), before in self._before.items():
            block = self._planes[index][key]
            assert isinstance(block, Block)
            old = Block.empty() if before is None else before
            box = _bounds(old.ids != block.ids)
            if box is None:
                self._put_back(index, key, before)
                continue
            block = self._settle_block(old, block, box, undo=undo)
            self._planes[index][key] = block
            corner = (key[0] * EDGE + box[0].start, key[1] * EDGE + box[1].start)
            boxes.append(Box(index, corner, block.ids[box].copy()))
            if np.all(block.ids == IGNORE):
                del self._planes[index][key]
        self._before.clear()
        return boxes

    def _put_back(self, index: Index, key: Key, before: Block | None) -> None:
        if before is None:
            del self._planes[index][key]
        else:
            self._planes[index][key] = before

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
        block = Block(block.ids, repaints)
        self.conflicts += block.conflicts - old.conflicts
        return block

    def _count(self, counts: Counts, sign: int = 1) -> None:
        for label, count in counts.items():
            self._counts[label] += sign * count


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

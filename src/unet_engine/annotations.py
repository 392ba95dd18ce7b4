"""``Annotations``: what the user touched, sparse and in blocks.

A touched pixel is truth; all others are ``IGNORE``, the model's guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

_BLOCK = 256
_Blocks = dict[tuple[int, int], "npt.NDArray[np.uint8]"]


class Annotations:
    """The touched pixels of a label image, in memory in proportion to what was touched.

    Parameters
    ----------
    shape
        Of the whole label array, leading axes included: ``(*leading, Y, X)``.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(n) for n in shape)
        if len(self.shape) < 2 or min(self.shape) < 1:
            raise DataError(
                f"labels of shape {self.shape} are no plane; annotations need at least "
                "a height and a width"
            )
        self._planes: dict[tuple[int, ...], _Blocks] = {}

    def set(self, indices: Sequence[npt.ArrayLike], values: npt.ArrayLike) -> None:
        """Note that pixels were given a value.

        Parameters
        ----------
        indices
            An index array for each axis of ``shape``, as the paint event of a Labels
            layer holds them; of a pixel that occurs twice, the last value counts.
        values
            A class id for each pixel, or one for all; ``IGNORE`` forgets them.

        Raises
        ------
        DataError
            When an index lies outside the image or a value is no class id.
        """
        *where, given = np.broadcast_arrays(*self._checked(indices), np.asarray(values))
        ids = _class_ids(given.ravel())
        emptied = bool(np.any(ids == IGNORE))
        for index, key, y, x, chosen in self._split([w.ravel() for w in where]):
            self._block(index, key)[y, x] = ids[chosen]
            if emptied:
                self._prune(index, key)

    def clear(self, indices: Sequence[npt.ArrayLike]) -> None:
        """Forget pixels: they are the model's guess again.

        Raises
        ------
        DataError
            When an index lies outside the image.
        """
        self.set(indices, IGNORE)

    def get(self, indices: Sequence[npt.ArrayLike]) -> npt.NDArray[np.uint8]:
        """Return the class id of each pixel, ``IGNORE`` where nobody touched it.

        ``set`` with these values takes a later stroke back.

        Raises
        ------
        DataError
            When an index lies outside the image.
        """
        where = np.broadcast_arrays(*self._checked(indices))
        values = np.full(where[0].size, IGNORE, dtype=np.uint8)
        for index, key, y, x, chosen in self._split([w.ravel() for w in where]):
            block = self._planes.get(index, {}).get(key)
            if block is not None:
                values[chosen] = block[y, x]
        return values.reshape(where[0].shape)

    def accept(
        self,
        index: Sequence[int],
        region: Sequence[slice],
        labels: npt.ArrayLike,
    ) -> None:
        """Note that a whole region is correct as it is.

        Parameters
        ----------
        index
            Position along the leading axes.
        region
            Slices of height and width.
        labels
            ``(h, w)`` class ids of the region.

        Raises
        ------
        DataError
            When the region is not inside the image or the labels do not fit it.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        ids = _class_ids(np.asarray(labels))
        if ids.shape != (len(rows), len(columns)):
            raise DataError(
                f"labels of shape {ids.shape} do not fit the region of "
                f"{len(rows)} x {len(columns)} pixels"
            )
        for key, there, here in _overlaps(rows, columns):
            self._block(index, key)[there] = ids[here]
            self._prune(index, key)

    def apply_to(
        self,
        index: Sequence[int],
        labels: npt.NDArray[Any],
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> None:
        """Write what was touched over a fresh prediction, in place.

        Parameters
        ----------
        index
            Position along the leading axes.
        labels
            ``(h, w)`` class ids of the region, changed in place.
        region
            Slices of height and width; the whole plane by default.

        Raises
        ------
        DataError
            When the region is not inside the image or the labels do not fit it.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        if labels.shape != (len(rows), len(columns)):
            raise DataError(
                f"a prediction of shape {labels.shape} does not fit annotations of "
                f"{len(rows)} x {len(columns)} pixels"
            )
        for there, here in self._touched_parts(index, rows, columns):
            touched = there != IGNORE
            labels[here][touched] = there[touched]

    def target(
        self,
        index: Sequence[int],
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> npt.NDArray[np.uint8]:
        """Return what to learn from a plane, or a region of it.

        Returns
        -------
        ndarray
            ``(Y, X)`` uint8 class ids, ``IGNORE`` where nobody touched it.

        Raises
        ------
        DataError
            When index or region are not inside the image.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        plane = np.full((len(rows), len(columns)), IGNORE, dtype=np.uint8)
        for there, here in self._touched_parts(index, rows, columns):
            plane[here] = there
        return plane

    def touched(
        self,
        index: Sequence[int],
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> npt.NDArray[np.bool_]:
        """Return where a plane was touched, ``(Y, X)`` bool."""
        touched: npt.NDArray[np.bool_] = self.target(index, region) != IGNORE
        return touched

    def planes(self) -> tuple[tuple[int, ...], ...]:
        """Return the indices of the planes that hold annotation, in order."""
        return tuple(sorted(index for index, blocks in self._planes.items() if blocks))

    def classes(self) -> dict[int, int]:
        """Return the number of touched pixels of each class."""
        counts = np.zeros(IGNORE, dtype=np.int64)
        for blocks in self._planes.values():
            for block in blocks.values():
                counts += np.bincount(block.ravel(), minlength=IGNORE + 1)[:IGNORE]
        return {int(c): int(counts[c]) for c in np.flatnonzero(counts)}

    def count(self) -> int:
        """Return the number of touched pixels."""
        return sum(self.classes().values())

    def copy(self) -> Annotations:
        """Return an independent copy, for a run that must not see later strokes."""
        other = Annotations(self.shape)
        other._planes = {
            index: {key: block.copy() for key, block in blocks.items()}
            for index, blocks in self._planes.items()
        }
        return other

    def _checked(self, indices: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        if len(indices) != len(self.shape):
            raise DataError(
                f"{len(indices)} index arrays do not fit labels of shape {self.shape}"
            )
        arrays = [np.asarray(i) for i in indices]
        for array, size in zip(arrays, self.shape, strict=True):
            if array.size and not (array.min() >= 0 and array.max() < size):
                raise DataError(
                    f"a pixel at {array.min()} to {array.max()} lies outside labels of "
                    f"shape {self.shape}; was the layer replaced by another one?"
                )
        return arrays

    def _checked_index(self, index: Sequence[int]) -> tuple[int, ...]:
        index = tuple(int(i) for i in index)
        leading = self.shape[:-2]
        if len(index) != len(leading) or not all(
            0 <= i < n for i, n in zip(index, leading, strict=True)
        ):
            raise DataError(f"there is no plane {index} in labels of {self.shape}")
        return index

    def _checked_region(self, region: Sequence[slice]) -> tuple[range, range]:
        rows, columns = (
            range(*part.indices(size))
            for part, size in zip(region, self.shape[-2:], strict=True)
        )
        if rows.step != 1 or columns.step != 1:
            raise DataError(f"the region {tuple(region)} has steps; use plain slices")
        return rows, columns

    def _split(
        self, where: list[npt.NDArray[Any]]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, int], Any, Any, Any]]:
        """Sort pixels into blocks: plane, block, rows, columns in it, which pixels."""
        if not where[0].size:
            return
        *leading, y, x = (w.astype(np.intp, copy=False) for w in where)
        keys = np.stack([*leading, y // _BLOCK, x // _BLOCK])
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
                y[chosen] % _BLOCK,
                x[chosen] % _BLOCK,
                chosen,
            )

    def _block(
        self, index: tuple[int, ...], key: tuple[int, int]
    ) -> npt.NDArray[np.uint8]:
        blocks = self._planes.setdefault(index, {})
        if key not in blocks:
            blocks[key] = np.full((_BLOCK, _BLOCK), IGNORE, dtype=np.uint8)
        return blocks[key]

    def _prune(self, index: tuple[int, ...], key: tuple[int, int]) -> None:
        if np.all(self._planes[index][key] == IGNORE):
            del self._planes[index][key]

    def _touched_parts(
        self, index: tuple[int, ...], rows: range, columns: range
    ) -> Iterator[tuple[npt.NDArray[np.uint8], tuple[slice, slice]]]:
        """Yield the parts of blocks inside a region and their place in it."""
        blocks = self._planes.get(index, {})
        for key, there, here in _overlaps(rows, columns, tuple(blocks)):
            yield blocks[key][there], here


def _overlaps(
    rows: range, columns: range, keys: Sequence[tuple[int, int]] | None = None
) -> Iterator[tuple[tuple[int, int], tuple[slice, slice], tuple[slice, slice]]]:
    """Yield blocks that meet a region: key, slices in block and in region."""
    if not len(rows) or not len(columns):
        return
    if keys is None:
        keys = [
            (r, c)
            for r in range(rows.start // _BLOCK, (rows.stop - 1) // _BLOCK + 1)
            for c in range(columns.start // _BLOCK, (columns.stop - 1) // _BLOCK + 1)
        ]
    for key in keys:
        (top, rows_here), (left, columns_here) = (
            _meet(k * _BLOCK, part)
            for k, part in zip(key, (rows, columns), strict=True)
        )
        if top.start < top.stop and left.start < left.stop:
            yield key, (top, left), (rows_here, columns_here)


def _meet(corner: int, part: range) -> tuple[slice, slice]:
    """Return where a block and an interval meet, seen from each; empty if nowhere."""
    start, stop = max(corner, part.start), min(corner + _BLOCK, part.stop)
    return (
        slice(start - corner, stop - corner),
        slice(start - part.start, stop - part.start),
    )


def _class_ids(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.dtype.kind not in "biu":
        raise DataError(f"class ids are whole numbers, not {values.dtype}")
    if values.size and not (values.min() >= 0 and values.max() <= IGNORE):
        raise DataError(
            f"class ids run from 0 to {IGNORE - 1}, got {values.min()} to "
            f"{values.max()}; paint with the labels of the classes"
        )
    return values.astype(np.uint8, copy=False)

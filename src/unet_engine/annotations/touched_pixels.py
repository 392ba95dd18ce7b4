"""The touched pixels of a label image: where they are, and of which class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unet_engine.annotations.block import EDGE
from unet_engine.annotations.blocks import Blocks, overlaps, split_pixels
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.annotations.block import Block


class TouchedPixels:
    """What is read of annotations; see `Annotations`, which are changed and saved.

    Parameters
    ----------
    shape
        Of the whole label array, leading axes included: ``(*leading, Y, X)``.

    Raises
    ------
    DataError
        When it is no plane.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(int(n) for n in shape)
        if len(self.shape) < 2 or min(self.shape) < 1:
            raise DataError(
                f"labels of shape {self.shape} are no plane; annotations need at least "
                "a height and a width"
            )
        self._blocks = Blocks()
        # What each stored value means, in a copy for another order of classes.
        self._values: npt.NDArray[np.uint8] | None = None

    def get(self, indices: Sequence[npt.ArrayLike]) -> npt.NDArray[np.uint8]:
        """Return the class id of each pixel, ``IGNORE`` where nobody touched it.

        ``set`` with these values takes a later stroke back.

        Parameters
        ----------
        indices
            An integer index array for each axis of ``shape``, of one shape.

        Returns
        -------
        ndarray
            uint8 of that shape.

        Raises
        ------
        DataError
            When an index lies outside the image.
        """
        where = np.broadcast_arrays(*self._checked(indices))
        values = np.full(where[0].size, IGNORE, dtype=np.uint8)
        for index, key, y, x, chosen in split_pixels([w.ravel() for w in where]):
            block = self._blocks.find(index, key)
            if block is not None:
                ids = block.ids[y, x]
                values[chosen] = ids if self._values is None else self._values[ids]
        return values.reshape(where[0].shape)

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
            ``(h, w)`` integer class ids of the region, changed in place.
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

    def times(
        self,
        index: Sequence[int],
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> npt.NDArray[np.float64]:
        """Return when each pixel of a plane, or a region of it, got its class.

        A stroke, "accept" or redo gives pixels that had another class, or none, the
        time when it ended; undo gives them back the time that they had before. No two
        acts on an image have one time, and a later act has a later time even where the
        clock went back. They are the same when the annotations are opened again.

        Returns
        -------
        ndarray
            ``(h, w)`` float64 seconds since 1970. NaN where nobody touched it, 0 where
            it was painted in a version that did not save the time. Pixels that an undo
            brought back in an order that is not the last first have the time of it.

        Raises
        ------
        DataError
            When index or region are not inside the image.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        plane = np.full((len(rows), len(columns)), np.nan)
        for block, there, here in self._met_blocks(index, rows, columns):
            ids = block.ids[there]
            touched = (ids if self._values is None else self._values[ids]) != IGNORE
            plane[here][touched] = block.known_times[there].values[touched]
        return plane

    def contradicted(
        self,
        index: Sequence[int],
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> npt.NDArray[np.bool_]:
        """Return which touched pixels got one class and later another, which counts.

        Returns
        -------
        ndarray
            ``(h, w)`` bool of the plane, or of a region of it.

        Raises
        ------
        DataError
            When index or region are not inside the image.
        """
        index = self._checked_index(index)
        rows, columns = self._checked_region(region)
        found = np.zeros((len(rows), len(columns)), bool)
        for block, there, here in self._met_blocks(index, rows, columns):
            if block.repaints is not None:
                touched = block.ids[there] != IGNORE
                found[here] = (block.repaints[there] > 0) & touched
        return found

    def planes(self) -> tuple[tuple[int, ...], ...]:
        """Return the indices of the planes that hold annotation, in order."""
        return self._blocks.planes()

    def regions(self, index: Sequence[int]) -> tuple[tuple[slice, slice], ...]:
        """Return the parts of a plane outside of which nothing was touched.

        Parameters
        ----------
        index
            Position along the leading axes.

        Raises
        ------
        DataError
            When there is no such plane.
        """
        keys = self._blocks.keys(self._checked_index(index))
        height, width = self.shape[-2:]
        return tuple(
            (
                slice(row * EDGE, min((row + 1) * EDGE, height)),
                slice(column * EDGE, min((column + 1) * EDGE, width)),
            )
            for row, column in sorted(keys)
        )

    def classes(self) -> dict[int, int]:
        """Return the number of touched pixels of each class."""
        counts = self._blocks.counts()
        if self._values is None:
            return counts
        renumbered: dict[int, int] = {}
        for value, count in counts.items():
            if (new := int(self._values[value])) != IGNORE:
                renumbered[new] = renumbered.get(new, 0) + count
        return renumbered

    def count(self) -> int:
        """Return the number of touched pixels."""
        return sum(self.classes().values())

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

    def _touched_parts(
        self, index: tuple[int, ...], rows: range, columns: range
    ) -> Iterator[tuple[npt.NDArray[np.uint8], tuple[slice, slice]]]:
        """Yield the class ids of blocks inside a region and their place in it."""
        for block, there, here in self._met_blocks(index, rows, columns):
            ids = block.ids[there]
            yield ids if self._values is None else self._values[ids], here

    def _met_blocks(
        self, index: tuple[int, ...], rows: range, columns: range
    ) -> Iterator[tuple[Block, tuple[slice, slice], tuple[slice, slice]]]:
        """Yield blocks that meet a region: each with slices in it and in the region."""
        known = self._blocks.keys(index)
        blocks = (len(rows) // EDGE + 2) * (len(columns) // EDGE + 2)
        for key, there, here in overlaps(
            rows, columns, known if len(known) < blocks else None
        ):
            if (block := self._blocks.find(index, key)) is not None:
                yield block, there, here

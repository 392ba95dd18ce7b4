"""``PaintTimes``: when each pixel got its class, in a byte or two for a pixel.

An image has few acts and many pixels: a pixel holds the number of a row in a short
table of times.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

UNKNOWN = 0.0
"""Time of what was painted in a version that did not save it: before all others."""

_HEAD = struct.Struct("<II")


@dataclass(frozen=True, slots=True, eq=False)
class PaintTimes:
    """Times of the pixels of a box, in seconds since 1970.

    Arrays are never changed in place, so they may be shared.

    Attributes
    ----------
    rows
        Unsigned integers in the shape of the box: the row of each pixel in ``table``.
        Untouched pixels have any.
    table
        ``(n,)`` float64.
    """

    rows: npt.NDArray[np.unsignedinteger[Any]]
    table: npt.NDArray[np.float64]

    @classmethod
    def all_at(cls, time: float, shape: tuple[int, ...] = ()) -> PaintTimes:
        """Return one time for all pixels; without a shape for a box of any."""
        return cls(np.zeros(shape, np.uint8), np.array([time]))

    def __getitem__(self, box: tuple[slice, ...]) -> PaintTimes:
        """Return the times of a part; it shares the memory."""
        return PaintTimes(self.rows[box], self.table)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Times in the shape of the box, float64."""
        times: npt.NDArray[np.float64] = self.table[self.rows]
        return times

    def kept(self) -> PaintTimes:
        """Return an equal one that shares no memory, with the rows that are in use."""
        used = np.flatnonzero(np.bincount(self.rows.ravel(), minlength=1))
        numbers = np.zeros(len(self.table), np.min_scalar_type(len(used)))
        numbers[used] = np.arange(len(used))
        return PaintTimes(numbers[self.rows], self.table[used])

    def replaced(
        self, box: tuple[slice, ...], where: npt.NDArray[np.bool_], by: PaintTimes
    ) -> PaintTimes:
        """Return times of which some in a part are others.

        Parameters
        ----------
        box
            The part.
        where
            Its pixels that get other times, bool.
        by
            Times of all its pixels.
        """
        start = len(self.table)
        table = np.concatenate([self.table, by.table])
        rows = self.rows.astype(
            np.promote_types(self.rows.dtype, np.min_scalar_type(len(table) - 1))
        )
        others = np.broadcast_to(by.rows, where.shape)[where]
        rows[box][where] = others.astype(rows.dtype) + rows.dtype.type(start)
        return PaintTimes(rows, table)

    def pack(self) -> bytes:
        """Return it as bytes: size of the table and of a row number, both, in order."""
        kept = self.kept()
        head = _HEAD.pack(len(kept.table), kept.rows.dtype.itemsize)
        rows = kept.rows.astype(f"<u{kept.rows.dtype.itemsize}")
        return head + kept.table.astype("<f8").tobytes() + rows.tobytes()

    @classmethod
    def unpack(
        cls, data: bytes, start: int, shape: tuple[int, ...]
    ) -> tuple[PaintTimes, int]:
        """Read what ``pack`` returned.

        Returns
        -------
        PaintTimes
            Of a box of that shape.
        int
            Where it ends in the data.

        Raises
        ------
        ValueError
            When it is something else.
        """
        try:
            length, size = _HEAD.unpack_from(data, start)
            start += _HEAD.size
            table = np.frombuffer(data, "<f8", length, start)
            start += table.nbytes
            rows = np.frombuffer(data, f"<u{size}", int(np.prod(shape)), start)
        except (struct.error, TypeError) as error:
            raise ValueError(str(error)) from error
        if rows.size and rows.max() >= length:
            raise ValueError("a pixel has a time that is missing in the table")
        return cls(rows.reshape(shape), table), start + rows.nbytes

"""What one label image holds: how often each value occurs, and in how many pieces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_FRAGMENTS = 1.1
"""Pieces for each occurrence up to which values may number objects: few are cut."""

_MOST_PIECED = 4096
"""Values above which no pieces are counted: so many are ids without further proof."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The values of one label image.

    Attributes
    ----------
    name
        Of the file or layer, for messages.
    pixels
        Number of pixels of every value.
    places
        In how many planes or volumes every value occurs; empty where not counted.
    pieces
        Of how many connected pieces every value consists there, over all places.
    """

    name: str
    pixels: Counter[int]
    places: Counter[int] = field(default_factory=Counter)
    pieces: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, name: str, labels: npt.NDArray[Any], *, pieces: bool = True) -> Tally:
        """Count what an array holds.

        Parameters
        ----------
        name
            Of the file or layer.
        labels
            ``(*leading, Y, X)`` whole numbers; pieces go on along the last three axes.
        pieces
            Count the pieces too, which needs the whole array.

        Raises
        ------
        DataError
            When the values are no whole numbers.
        """
        ids = whole_numbers(labels, name)
        tally = cls(name, Counter(_count(ids)))
        nonzero = len(tally.pixels.keys() - {0})
        if pieces and 0 < nonzero <= _MOST_PIECED:
            for volume in ids.reshape(-1, *ids.shape[-3:]) if ids.ndim > 3 else [ids]:
                tally._count_pieces(volume)
        return tally

    def _count_pieces(self, volume: npt.NDArray[Any]) -> None:
        # Here: opening an image, and so the dock, needs no scikit-image.
        from skimage.measure import label as connected_components

        found, first = np.unique(connected_components(volume), return_index=True)
        values = volume.ravel()[first[found > 0]]
        self.pieces.update(values.tolist())
        self.places.update(np.unique(values).tolist())

    def add(self, block: npt.NDArray[Any]) -> None:
        """Count the pixels of a further block, of any shape, without its pieces.

        Raises
        ------
        DataError
            When the values are no whole numbers.
        """
        self.pixels.update(_count(whole_numbers(block, self.name)))

    def values(self, without: int | None = None) -> frozenset[int]:
        """Return the values that occur, but one."""
        return frozenset(self.pixels.keys() - {without})


def each_is_one_piece(tallies: Sequence[Tally], without: int | None = None) -> bool:
    """Whether every value above 0 is one connected piece wherever it occurs."""
    left_out = {0, without}
    places = sum(
        n for t in tallies for value, n in t.places.items() if value not in left_out
    )
    pieces = sum(
        n for t in tallies for value, n in t.pieces.items() if value not in left_out
    )
    return 0 < pieces <= _FRAGMENTS * places


def whole_numbers(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.integer[Any]]:
    """Return label values as integers, whatever type they were saved in.

    Of any shape, which stays: uint8 for bool, int64 for floats, else the same dtype.

    Raises
    ------
    DataError
        When they are fractions, not finite, or no real numbers.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            ids = values.astype(np.int64)
        if np.any(ids != values):
            raise DataError(
                f"{name} holds fractions, infinities or NaN; labels are whole numbers: "
                "threshold a probability map first"
            )
        return ids
    if values.dtype.kind not in "iu":
        raise DataError(f"{name} holds {values.dtype}; labels are whole numbers")
    return values


def _count(ids: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    # Counting small numbers directly is far faster than sorting them.
    if ids.dtype.kind == "u" and ids.dtype.itemsize <= 2:
        counts = np.bincount(ids.ravel())
        return {int(v): int(counts[v]) for v in np.flatnonzero(counts)}
    values, counts = np.unique(ids, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))

"""``Block``: a square of a plane, with what was painted in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from unet_engine.annotations.paint_times import UNKNOWN, PaintTimes
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.places import Index

EDGE = 256
"""Edge of a block in pixels."""

Key = tuple[int, int]
"""Row and column of a block in its plane."""

Place = tuple["Index", Key]
"""A block in a plane."""

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
    times
        When the pixels got their classes; None where nobody knows, as in files of
        earlier versions.
    """

    ids: npt.NDArray[np.uint8]
    repaints: npt.NDArray[np.uint8] | None = None
    times: PaintTimes | None = None

    @classmethod
    def empty(cls) -> Block:
        """Return a block that nobody touched."""
        return cls(np.full((EDGE, EDGE), IGNORE, np.uint8))

    def copy(self) -> Block:
        """Return an independent copy."""
        repaints = None if self.repaints is None else self.repaints.copy()
        return Block(self.ids.copy(), repaints, self.times)

    @property
    def known_times(self) -> PaintTimes:
        """When the pixels got their classes; `UNKNOWN` where nobody knows."""
        return self.times or PaintTimes.all_at(UNKNOWN, self.ids.shape)

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

"""``ActHistory``: what acts covered, so that undo gives pixels their times back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from unet_engine.annotations.block import Place
    from unet_engine.annotations.paint_times import PaintTimes

_MOST_BYTES = 2**24
"""Memory for all of it; what the oldest acts covered is forgotten first."""


@dataclass(frozen=True, slots=True, eq=False)
class EarlierTimes:
    """What the pixels of a box were before an act, which undo gives back.

    Attributes
    ----------
    box
        Rows and columns in a block.
    ids
        uint8 class ids in the shape of the box; ``IGNORE`` where nothing is given back.
    times
        Of the same pixels.
    """

    box: tuple[slice, slice]
    ids: npt.NDArray[np.uint8]
    times: PaintTimes

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.ids.nbytes + self.times.rows.nbytes + self.times.table.nbytes


class ActHistory:
    """What the acts that can be undone covered, the last one on top.

    It is forgotten when annotations are opened, as is what the user can undo.
    """

    def __init__(self) -> None:
        self._acts: deque[Mapping[Place, EarlierTimes]] = deque()
        self._bytes = 0

    def push(self, covered: Mapping[Place, EarlierTimes]) -> None:
        """Add an act: of each block in which it covered something, what that was."""
        self._acts.append(covered)
        self._bytes += _size(covered)
        while self._bytes > _MOST_BYTES:
            self._bytes -= _size(self._acts.popleft())

    def pop(self) -> Mapping[Place, EarlierTimes]:
        """Take the last act off and return what it covered; nothing if none is left."""
        if not self._acts:
            return {}
        covered = self._acts.pop()
        self._bytes -= _size(covered)
        return covered

    def clear(self) -> None:
        """Forget all acts."""
        self._acts.clear()
        self._bytes = 0


def _size(covered: Mapping[Any, EarlierTimes]) -> int:
    return sum(earlier.nbytes for earlier in covered.values())

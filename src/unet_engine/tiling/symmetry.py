"""The 8 flips and turns of a plane, and the tile that each of them needs.

Where a network does not pad itself a tile reaches a little farther on one side than on
the other, as the pooling grid requires. A flipped network input must do so on the other
side; then all tiles, flipped or not, have the grid in one phase, and the mean over the
8 of tiles equals that of the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.places import Interval
    from unet_engine.tiling.tiles import Footprint

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Symmetry:
    """A flip along Y, a flip along X, then an exchange of Y and X.

    The eight of them are the symmetries of a square. In a volume each plane is flipped
    and turned, and the order of the planes is kept.
    """

    flip_y: bool
    flip_x: bool
    transpose: bool

    def __call__(self, block: Array) -> Array:
        """Apply to ``(..., Y, X)`` float32; returns a view of it."""
        flipped = self._flip(block)
        return np.swapaxes(flipped, -1, -2) if self.transpose else flipped

    def undo(self, block: Array) -> Array:
        """Apply the inverse to ``(..., Y, X)`` float32; returns a view of it."""
        return self._flip(np.swapaxes(block, -1, -2) if self.transpose else block)

    def place(
        self, region: Sequence[Interval], shape: Sequence[int]
    ) -> tuple[Interval, ...]:
        """Return where a region of a block of ``shape`` lies once it is applied."""
        *first, y, x = region
        if self.flip_y:
            y = (shape[-2] - y[1], shape[-2] - y[0])
        if self.flip_x:
            x = (shape[-1] - x[1], shape[-1] - x[0])
        return (*first, x, y) if self.transpose else (*first, y, x)

    def tile_for(self, tile: Tile, footprint: Footprint) -> Tile:
        """Return the tile with the outer region that the flipped input needs."""
        if footprint.padded:
            # Its outer regions begin and end on the grid, whichever way they turn.
            return tile
        first = len(tile.inner) - 2
        outer = list(tile.outer)
        for axis, flipped in enumerate((self.flip_y, self.flip_x), start=first):
            if flipped:
                outer[axis] = _mirrored_outer(tile.inner[axis], footprint, axis)
        return Tile(tile.inner, tuple(outer))

    def _flip(self, block: Array) -> Array:
        rows = slice(None, None, -1 if self.flip_y else None)
        columns = slice(None, None, -1 if self.flip_x else None)
        return block[..., rows, columns]


SYMMETRIES = tuple(Symmetry(*flags) for flags in product((False, True), repeat=3))
"""All eight; the first one changes nothing."""


def _mirrored_outer(inner: Interval, footprint: Footprint, axis: int) -> Interval:
    """Return the outer interval, placed from its end as others are from the start.

    The inner region counts up to the next line of the pooling grid, so that in a
    flipped image, too, every tile starts on the grid.
    """
    start, stop = inner
    divisor, halo = footprint.divisor[axis], footprint.halo[axis]
    end = stop + -stop % divisor
    size = footprint.allowed_size(end - start + 2 * halo, axis)
    return end + halo - size, end + halo

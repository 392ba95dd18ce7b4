"""Grids of another size over the same extent: positions and weights, block by block.

A grid of ``new_size`` pixels covers what one of ``size`` pixels covers, so the centre
of its pixel ``i`` lies at ``(i + 0.5) * size / new_size - 0.5`` of the other. The
weights depend on that position alone: any block equals that part of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.places import Interval

_MOSTLY = 0.5
"""Share of the weights that has to fall on numbers: a pixel of which most is missing is
missing itself, so that a border moves to neither side."""


def resampled_size(size: int, factor: float) -> int:
    """Return the pixels of an axis of ``size`` pixels on a grid ``factor`` as fine."""
    return max(1, round(size * factor))


@dataclass(frozen=True, slots=True, eq=False)
class AxisWeights:
    """How a part of a new axis is computed from a part of the old one.

    Attributes
    ----------
    needed
        Pixels of the old axis.
    matrix
        ``(new, needed)`` sparse; each row has the sum 1.
    """

    needed: Interval
    matrix: Any

    @classmethod
    def of(cls, size: int, new_size: int, wanted: Interval) -> AxisWeights:
        """Return the weights of linear interpolation, anti-aliased where it shrinks.

        They fall linearly with the distance, to 0 at a pixel of the coarser grid. Those
        beyond the ends of the axis are left out, and the others make up for them.

        Parameters
        ----------
        size, new_size
            Pixels of the old and of the new axis.
        wanted
            Part of the new axis.
        """
        step = size / new_size
        reach = max(1.0, step)
        centres = (np.arange(*wanted) + 0.5) * step - 0.5
        first = np.floor(centres - reach).astype(np.intp) + 1
        places = first[:, None] + np.arange(ceil(2 * reach))
        weights = np.maximum(1 - np.abs(places - centres[:, None]) / reach, 0)
        weights[(places < 0) | (places >= size)] = 0
        weights /= weights.sum(axis=1, keepdims=True)
        used = places[weights > 0]
        low, high = int(used.min()), int(used.max()) + 1
        rows, taps = np.nonzero(weights)
        values = weights[rows, taps].astype(np.float32)
        matrix = csr_array(
            (values, (rows, places[rows, taps] - low)), (len(centres), high - low)
        )
        return cls((low, high), matrix)

    def apply(self, block: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        """Resample an axis of a block of floats that has the ``needed`` pixels there.

        Pixels that are not finite take no part; a new pixel of which they are the
        larger part is NaN.
        """
        finite = np.isfinite(block)
        if finite.all():
            return self._weighted(block, axis)
        known = self._weighted(finite.astype(block.dtype), axis)
        total = self._weighted(np.where(finite, block, 0), axis)
        lost = known < _MOSTLY
        known[lost] = np.nan
        mean: npt.NDArray[Any] = total / known
        return mean

    def _weighted(self, block: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        moved = np.moveaxis(block, axis, 0)
        flat = np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
        found = (self.matrix @ flat).astype(block.dtype, copy=False)
        return np.moveaxis(found.reshape(-1, *moved.shape[1:]), 0, axis)

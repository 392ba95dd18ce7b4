"""What is added up over the blocks of a plane or volume for every object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.objects.blocks import ImageBlock

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

LEFT_OUT = "pixels without intensity"
"""Column of how many pixels of an object are NaN or infinite in a channel."""


class ObjectSums:
    """Sums over the objects of the blocks that were added, one row for each object.

    Attributes
    ----------
    ids
        ``(n,)`` in ascending order, after ``finish``.
    sizes
        ``(n,)`` pixels.
    positions
        ``(n, ndim)`` sums of the pixel positions in the plane or volume.
    lowest, highest
        ``(n, ndim)`` first and last pixel along each axis.
    """

    def __init__(self, ndim: int, channels: int) -> None:
        self._channels = channels
        self._shift: Floats | None = None
        self.ids: Ints = np.zeros(0, np.int64)
        self.sizes: Ints = np.zeros(0, np.int64)
        self.positions: Floats = np.zeros((0, ndim))
        self.lowest: Ints = np.zeros((0, ndim), np.int64)
        self.highest: Ints = np.zeros((0, ndim), np.int64)
        # Of every channel, of finite pixels: how many; sum, sum of squares; least,
        # greatest.
        self._finite: Ints = np.zeros((0, channels), np.int64)
        self._moments: Floats = np.zeros((0, channels, 2))
        self._extremes: Floats = np.zeros((0, channels, 2))
        self._parts: list[ObjectSums] = []

    def add(
        self,
        block: ImageBlock,
        labels: npt.NDArray[np.integer[Any]],
        intensities: npt.NDArray[Any] | None,
    ) -> None:
        """Add the core of a block.

        Parameters
        ----------
        block
            Where it lies.
        labels
            Integer ids of the shape of its core; 0 is background.
        intensities
            ``(channels, *core)`` of any dtype, or None without channels.
        """
        where = np.nonzero(labels)
        if not where[0].size:
            return
        part = ObjectSums(labels.ndim, self._channels)
        ids, rows = np.unique(labels[where], return_inverse=True)
        part.ids, count = ids.astype(np.int64), ids.size
        part.sizes = np.bincount(rows, minlength=count)
        places = [w + s.start for w, s in zip(where, block.core, strict=True)]
        part.positions = np.stack([np.bincount(rows, p, count) for p in places], axis=1)
        part.lowest = np.stack([_least(rows, p, count) for p in places], axis=1)
        part.highest = np.stack([-_least(rows, -p, count) for p in places], axis=1)
        part._finite = np.zeros((count, self._channels), np.int64)
        part._moments = np.zeros((count, self._channels, 2))
        part._extremes = np.zeros((count, self._channels, 2))
        if intensities is not None:
            values = np.stack([channel[where] for channel in intensities])
            values = values.astype(np.float64)
            if self._shift is None:
                # Squares of what is far from 0 would drown the differences.
                self._shift = np.array([_finite_mean(channel) for channel in values])
            part._measure(rows, values, self._shift)
        self._parts.append(part)

    def _measure(self, rows: Ints, values: Floats, shift: Floats) -> None:
        count = self.ids.size
        for channel, column in enumerate(values):
            finite, where = column, rows
            if not (known := np.isfinite(column)).all():
                finite, where = column[known], rows[known]
            moved = finite - shift[channel]
            self._finite[:, channel] = np.bincount(where, minlength=count)
            self._moments[:, channel, 0] = np.bincount(where, moved, count)
            self._moments[:, channel, 1] = np.bincount(where, moved**2, count)
            for side, sign in enumerate((1, -1)):
                least = np.full(count, np.inf)
                np.minimum.at(least, where, sign * finite)
                self._extremes[:, channel, side] = sign * least

    def finish(self) -> ObjectSums:
        """Return the sums over all blocks."""
        if not self._parts:
            return self
        parts = self._parts
        ids, rows = np.unique(
            np.concatenate([p.ids for p in parts]), return_inverse=True
        )
        whole = ObjectSums(parts[0].lowest.shape[1], self._channels)
        whole.ids, whole._shift = ids, self._shift
        whole.sizes = _summed(rows, [p.sizes for p in parts])
        whole.positions = _summed(rows, [p.positions for p in parts])
        whole._finite = _summed(rows, [p._finite for p in parts])
        whole._moments = _summed(rows, [p._moments for p in parts])
        whole.lowest = _lowest(rows, [p.lowest for p in parts])
        whole.highest = -_lowest(rows, [-p.highest for p in parts])
        whole._extremes = _lowest(rows, [p._extremes * (1, -1) for p in parts])
        whole._extremes *= (1, -1)
        return whole

    def intensities(self) -> dict[str, Floats | Ints]:
        """Return mean, standard deviation, least and greatest value of each channel.

        Of finite pixels; how many were left out because they are none stands in the
        column `LEFT_OUT` of each channel. NaN where none is finite.
        """
        table: dict[str, Floats | Ints] = {}
        shift = np.zeros(self._channels) if self._shift is None else self._shift
        for channel in range(self._channels):
            suffix = f" {channel}" if self._channels > 1 else ""
            finite = self._finite[:, channel]
            with np.errstate(invalid="ignore"):
                mean, square = (self._moments[:, channel] / finite[:, None]).T
            spread = np.sqrt(np.maximum(square - mean**2, 0))
            lowest, highest = np.where(finite, self._extremes[:, channel].T, np.nan)
            table[f"mean intensity{suffix}"] = mean + shift[channel]
            table[f"std intensity{suffix}"] = spread
            table[f"min intensity{suffix}"] = lowest
            table[f"max intensity{suffix}"] = highest
            table[f"{LEFT_OUT}{suffix}"] = self.sizes - finite
        return table


def _finite_mean(values: Floats) -> float:
    """Return the mean of the finite ones of ``(n,)``; 0 without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else 0.0


def _least(rows: Ints, values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Return the least value of each of ``count`` rows, all of which occur."""
    least = np.empty(count, values.dtype)
    least[rows] = values
    np.minimum.at(least, rows, values)
    return least


def _summed(rows: Ints, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    values = np.concatenate(parts)
    total = np.zeros((int(rows.max()) + 1, *values.shape[1:]), values.dtype)
    np.add.at(total, rows, values)
    return total


def _lowest(rows: Ints, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    values = np.concatenate(parts)
    lowest = np.empty((int(rows.max()) + 1, *values.shape[1:]), values.dtype)
    lowest[rows] = values
    np.minimum.at(lowest, rows, values)
    return lowest

"""What is added up over the blocks of a plane or volume for every object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.instances.blocks import Block

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


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
        # Of every channel: sum, sum of squares; least, greatest.
        self._moments: Floats = np.zeros((0, channels, 2))
        self._extremes: Floats = np.zeros((0, channels, 2))
        self._parts: list[ObjectSums] = []

    def add(
        self,
        block: Block,
        labels: npt.NDArray[np.integer[Any]],
        intensities: npt.NDArray[Any] | None,
    ) -> None:
        """Add the core of a block.

        Parameters
        ----------
        block
            Where it lies.
        labels
            Ids of its core.
        intensities
            ``(channels, *core)``, or None without channels.
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
        part._moments = np.zeros((count, self._channels, 2))
        part._extremes = np.zeros((count, self._channels, 2))
        if intensities is not None:
            values = np.stack([channel[where] for channel in intensities])
            values = values.astype(np.float64)
            if self._shift is None:
                # Squares of what is far from 0 would drown the differences.
                self._shift = np.nan_to_num(values.mean(axis=1))
            part._measure(rows, values, self._shift)
        self._parts.append(part)

    def _measure(self, rows: Ints, values: Floats, shift: Floats) -> None:
        count = self.ids.size
        for channel, column in enumerate(values):
            moved = column - shift[channel]
            self._moments[:, channel, 0] = np.bincount(rows, moved, count)
            self._moments[:, channel, 1] = np.bincount(rows, moved**2, count)
            self._extremes[:, channel, 0] = _least(rows, column, count)
            self._extremes[:, channel, 1] = -_least(rows, -column, count)

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
        whole._moments = _summed(rows, [p._moments for p in parts])
        whole.lowest = _lowest(rows, [p.lowest for p in parts])
        whole.highest = -_lowest(rows, [-p.highest for p in parts])
        whole._extremes = _lowest(rows, [p._extremes * (1, -1) for p in parts])
        whole._extremes *= (1, -1)
        return whole

    def intensities(self) -> dict[str, Floats]:
        """Return mean, standard deviation, least and greatest value of each channel."""
        table = {}
        shift = np.zeros(self._channels) if self._shift is None else self._shift
        for channel in range(self._channels):
            suffix = f" {channel}" if self._channels > 1 else ""
            mean, square = (self._moments[:, channel] / self.sizes[:, None]).T
            spread = np.sqrt(np.maximum(square - mean**2, 0))
            table[f"mean intensity{suffix}"] = mean + shift[channel]
            table[f"std intensity{suffix}"] = spread
            table[f"min intensity{suffix}"] = self._extremes[:, channel, 0]
            table[f"max intensity{suffix}"] = self._extremes[:, channel, 1]
        return table


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

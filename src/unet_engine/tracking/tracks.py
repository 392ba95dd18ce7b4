"""Objects through time: the nodes and edges of a graph, and the tracks they make up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """The objects of all frames, and which of them are the same.

    A track is an object from frame to frame, without a gap. It ends where an object
    divides, where objects fuse, and where nothing follows.

    Attributes
    ----------
    frames, labels, sizes
        ``(n,)`` int64: frame from 0, id there, and pixels of every object, sorted by
        frames and ids.
    centroids
        ``(n, ndim)`` in pixels.
    tracks
        ``(n,)`` int64, the track of every object, from 1 in the order of their begin.
    edges
        ``(m, 2)`` int64 rows of objects: one and what it becomes in the next frame.
    parents
        ``(tracks + 1,)`` int64, by track: that which it comes from by division, or the
        one of which it got most by a fusion; 0 where there is none.
    length
        Number of frames.
    """

    frames: Ints
    labels: Ints
    sizes: Ints
    centroids: Floats
    tracks: Ints
    edges: Ints
    parents: Ints
    length: int

    @property
    def count(self) -> int:
        """Number of tracks."""
        return len(self.parents) - 1

    @property
    def divisions(self) -> Ints:
        """Rows of objects that become more than one."""
        return np.flatnonzero(np.bincount(self.edges[:, 0], minlength=1) > 1)

    @property
    def fusions(self) -> Ints:
        """Rows of objects that come from more than one."""
        return np.flatnonzero(np.bincount(self.edges[:, 1], minlength=1) > 1)

    @property
    def extents(self) -> tuple[Ints, Ints]:
        """First and last frame of every track, ``(tracks,)`` each."""
        first = np.full(self.count + 1, self.length, np.int64)
        last = np.zeros(self.count + 1, np.int64)
        np.minimum.at(first, self.tracks, self.frames)
        np.maximum.at(last, self.tracks, self.frames)
        return first[1:], last[1:]

    def table(self) -> dict[str, npt.NDArray[Any]]:
        """Return a row for each track.

        Returns
        -------
        dict of ndarray
            track, first and last frame, parent (0 for none), and the tracks that fused
            to it, separated by spaces.
        """
        first, last = self.extents
        fused = [""] * (self.count + 1)
        for row in self.fusions:
            before = self.edges[self.edges[:, 1] == row, 0]
            ids = np.unique(self.tracks[before])
            fused[int(self.tracks[row])] = " ".join(map(str, ids))
        return {
            "track": np.arange(1, self.count + 1),
            "first frame": first,
            "last frame": last,
            "parent": self.parents[1:],
            "fused from": np.array(fused[1:], object),
        }

    def in_frame(self, frame: int) -> slice:
        """Return the rows of the objects of a frame."""
        return slice(*np.searchsorted(self.frames, (frame, frame + 1)).tolist())


def track_labels(
    tracks: Tracks, frame: int, labels: npt.NDArray[Any]
) -> npt.NDArray[np.uint32]:
    """Return ids of a frame, or of a part of it, as numbers of tracks.

    Parameters
    ----------
    tracks
        As they were linked.
    frame
        From 0.
    labels
        Ids of any shape.

    Returns
    -------
    ndarray
        uint32 of that shape, 0 where there is no object.
    """
    rows = tracks.in_frame(frame)
    ids = np.concatenate(([0], tracks.labels[rows]))
    numbers = np.concatenate(([0], tracks.tracks[rows])).astype(np.uint32)
    found: npt.NDArray[np.uint32] = numbers[np.searchsorted(ids, labels)]
    return found

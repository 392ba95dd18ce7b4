"""Which objects of neighbouring frames are the same: those that overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.objects.block_sums import ObjectSums
from unet_engine.objects.blocks import BlockDone, BlockGrid, release_pages
from unet_engine.stopping import never
from unet_engine.tracking.tracks import Tracks

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from unet_engine.stopping import Stop

    Ints = npt.NDArray[np.int64]

LEAST_OVERLAP = 0.25
"""Share of the smaller of two objects, each the best for the other, that both cover:
less is usually a neighbour that moved in."""

_MAJORITY = 0.5
"""Share of an object that lies in another one from which it can lie in no third."""


def link_frames(
    labels: Any,
    ndim: int = 2,
    *,
    least_overlap: float = LEAST_OVERLAP,
    stop: Stop = never,
) -> Tracks:
    """Find out which objects of a time series are the same.

    It runs ``iter_link_frames`` to its end.

    Parameters
    ----------
    labels
        Array-like ``(T, Y, X)`` or ``(T, Z, Y, X)`` of object ids, 0 where there is no
        object; ids of different frames need not agree. Parts of two frames are read at
        a time.
    ndim
        In how many dimensions an object extends, 2 or 3.
    least_overlap
        Above 0, up to 1: share of the smaller of two objects that they have in common,
        where each overlaps the other most.
    stop
        Polled before every block.

    Returns
    -------
    Tracks

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When the labels have other axes, or ``least_overlap`` is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from unet_engine import link_frames
    >>> labels = np.zeros((2, 9, 20), np.uint8)
    >>> labels[0, 2:7, 2:18] = 5
    >>> labels[1, 2:7, 2:9], labels[1, 2:7, 11:18] = 1, 2
    >>> tracks = link_frames(labels)
    >>> tracks.parents.tolist()
    [0, 0, 1, 1]
    """
    run = iter_link_frames(labels, ndim, least_overlap=least_overlap, stop=stop)
    return drain(run)


def iter_link_frames(
    labels: Any,
    ndim: int = 2,
    *,
    least_overlap: float = LEAST_OVERLAP,
    stop: Stop = never,
) -> Generator[BlockDone, None, Tracks]:
    """Find out which objects are the same, and yield after every block.

    Objects of two frames are linked where each overlaps the other most; an object of
    which the greater part lies in one before comes from that one (division), and one
    of which the greater part lies in one after becomes that one (fusion).

    Parameters, results and errors are those of ``link_frames``.

    Yields
    ------
    BlockDone
    """
    grid = BlockGrid.for_array(labels, ndim)
    if len(grid.leading) != 1:
        raise DataError(
            f"labels of shape {grid.shape} are no time series of objects in {ndim} "
            f"dimensions; give (T, {', '.join('ZYX'[-ndim:])})"
        )
    if not 0 < least_overlap <= 1:
        raise DataError(f"the least overlap is {least_overlap}; use 0.25, or up to 1")
    frames: list[ObjectSums] = []
    linked: list[Ints] = []
    shared: list[Ints] = []
    before, done = 0, 0
    for (frame,) in np.ndindex(*grid.leading):
        sums = ObjectSums(ndim, 0)
        pairs: list[Ints] = []
        for block in grid.blocks_at((frame,)):
            if stop():
                raise Cancelled("stopped before all frames were linked")
            here = np.asarray(labels[block.core_slices])
            sums.add(block, here, None)
            if frame:
                there = np.asarray(labels[(frame - 1, *block.core)])
                both = (here != 0) & (there != 0)
                pairs.append(np.stack((there[both], here[both])).astype(np.int64))
            release_pages(labels)
            done += 1
            yield BlockDone(done=done, total=len(grid))
        frames.append(sums.finish())
        if frame:
            found, common = _links(frames[-2], frames[-1], pairs, least_overlap)
            offset = np.array([before, before + frames[-2].ids.size])
            linked.append(found + offset)
            shared.append(common)
            before += frames[-2].ids.size
    return _as_tracks(frames, linked, shared)


def _links(
    earlier: ObjectSums, later: ObjectSums, pairs: list[Ints], least: float
) -> tuple[Ints, Ints]:
    """Return rows of objects of two frames that are linked, and how much they share."""
    each, common = np.unique(np.hstack(pairs), axis=1, return_counts=True)
    a = np.searchsorted(earlier.ids, each[0])
    b = np.searchsorted(later.ids, each[1])
    to, origin = _best(a, common, earlier.ids.size), _best(b, common, later.ids.size)
    rows = np.arange(a.size)
    goes_on, comes_from = to[a] == rows, origin[b] == rows
    size_a, size_b = earlier.sizes[a], later.sizes[b]
    # A tie is none: half of an object in each of two others decides nothing.
    fuses = goes_on & (common > _MAJORITY * size_a)
    divides = comes_from & (common > _MAJORITY * size_b)
    same = goes_on & comes_from & (common >= least * np.minimum(size_a, size_b))
    linked = fuses | divides | same
    return np.stack((a[linked], b[linked]), axis=1), common[linked]


def _best(rows: Ints, common: Ints, count: int) -> Ints:
    """Return for each row the position of its largest overlap, the first of several."""
    best = np.full(count, -1, np.int64)
    order = np.lexsort((-np.arange(rows.size), common))
    best[rows[order]] = order
    return best


def _as_tracks(
    frames: list[ObjectSums], linked: list[Ints], shared: list[Ints]
) -> Tracks:
    sizes = np.concatenate([one.sizes for one in frames])
    edges = np.concatenate([np.zeros((0, 2), np.int64), *linked])
    common = np.concatenate([np.zeros(0, np.int64), *shared])
    after = np.bincount(edges[:, 0], minlength=sizes.size)
    before = np.bincount(edges[:, 1], minlength=sizes.size)
    # Of several origins the largest counts, and is the last one written here.
    origin = np.full(sizes.size, -1, np.int64)
    order = np.lexsort((-edges[:, 0], common))
    origin[edges[order, 1]] = edges[order, 0]
    tracks = np.zeros(sizes.size, np.int64)
    parents = [0]
    for row in range(sizes.size):
        from_ = int(origin[row])
        if from_ >= 0 and after[from_] == 1 and before[row] == 1:
            tracks[row] = tracks[from_]
            continue
        parents.append(int(tracks[from_]) if from_ >= 0 else 0)
        tracks[row] = len(parents) - 1
    counts = [one.ids.size for one in frames]
    return Tracks(
        frames=np.repeat(np.arange(len(frames)), counts),
        labels=np.concatenate([one.ids for one in frames]),
        sizes=sizes,
        centroids=np.concatenate([o.positions / o.sizes[:, None] for o in frames]),
        tracks=tracks,
        edges=edges,
        parents=np.array(parents),
        length=len(frames),
    )

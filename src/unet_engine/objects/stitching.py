"""Ids that agree across blocks: fragments of blocks are joined, then numbered.

Each block labels its outer region alone and writes the ids of its core. Where the outer
region covers what earlier blocks wrote, the same pixels carry two ids, and those that
mean the same object are joined at the end: the connected components of the graph of
these pairs are the objects (Rosenfeld and Pfaltz 1966, "Sequential operations in
digital picture processing", J. ACM 13, with blocks for pixels). Memory is that of one
block, the pairs along the borders and a few numbers per fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from unet_engine.errors import DataError
from unet_engine.objects.blocks import release_pages

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.objects.blocks import BlockGrid, ImageBlock

    Ints = npt.NDArray[np.int64]

_MOST_FRAGMENTS = np.iinfo(np.uint32).max
"""Fragments that the 32 bits of an id can number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragments:
    """What is known of the fragments after all blocks; entry 0 is the background.

    Attributes
    ----------
    roots
        Object of every fragment, numbered from 0 without order.
    sizes
        Pixels of every fragment.
    first
        Flat index in the whole array of the first pixel of every fragment.
    """

    roots: Ints
    sizes: Ints
    first: Ints

    def numbered(self, keep: npt.NDArray[np.bool_]) -> Ints:
        """Number the objects from 1 in the raster order of their first pixels.

        Parameters
        ----------
        keep
            ``(objects,)`` bool, by the root; the fragments of others become 0.

        Returns
        -------
        ndarray
            ``(fragments + 1,)`` int64: number of the object of every fragment.
        """
        first = np.full(keep.size, np.iinfo(np.int64).max)
        np.minimum.at(first, self.roots, self.first)
        order = np.argsort(first, kind="stable")
        order = order[keep[order]]
        numbers = np.zeros(keep.size, np.int64)
        numbers[order] = np.arange(1, order.size + 1)
        return numbers[self.roots]

    def total(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Sum ``(fragments, ...)`` values to ``(objects, ...)``, of the same dtype."""
        sums = np.zeros((int(self.roots.max()) + 1, *values.shape[1:]), values.dtype)
        np.add.at(sums, self.roots, values)
        return sums


class Stitcher:
    """Collects the fragments of the blocks of a grid, which come in its order.

    Parameters
    ----------
    grid
        The blocks.
    labels
        Array-like of ``grid.shape`` that takes the ids of the fragments.
    same_pixels
        True when any pixel in common makes two fragments one object (connected
        components). Otherwise each must hold more than half of the other in what both
        blocks contain.
    """

    def __init__(self, grid: BlockGrid, labels: Any, *, same_pixels: bool) -> None:
        self._grid = grid
        self._labels = labels
        self._same_pixels = same_pixels
        self._starts: list[int] = []
        self._pairs: list[Ints] = []
        self._sizes: list[Ints] = [np.zeros(1, np.int64)]
        self._first: list[Ints] = [np.full(1, np.iinfo(np.int64).max)]
        self._count = 0

    def add(self, block: ImageBlock, local: npt.NDArray[np.integer[Any]]) -> Ints:
        """Write the core of a block and note what it shares with earlier ones.

        Parameters
        ----------
        block
            The next one of the grid.
        local
            Integer ids from 1 of the shape of ``block.outer``, in any order; 0 is
            background.

        Returns
        -------
        ndarray
            ``(n,)`` int64, the local ids that occur in the core: fragments in the order
            in which they are counted.

        Raises
        ------
        DataError
            When there are more fragments than 32 bits can number.
        """
        core = local[block.local]
        sizes = np.bincount(core.ravel(), minlength=int(local.max(initial=0)) + 1)
        sizes[0] = 0
        present = np.flatnonzero(sizes)
        if self._count + present.size > _MOST_FRAGMENTS:
            raise DataError(
                "the mask falls into more pieces than can be numbered; "
                "smooth it or take a part of it"
            )
        numbers = np.zeros(sizes.size, np.int64)
        numbers[present] = np.arange(1, present.size + 1) + self._count
        if self._grid.overlap:
            self._match(block, local, numbers)
        self._labels[block.core_slices] = numbers[core].astype(np.uint32)
        release_pages(self._labels)
        self._starts.append(self._count + 1)
        self._sizes.append(sizes[present])
        self._first.append(self._first_pixels(block, core, sizes.size)[present])
        self._count += present.size
        return present

    def _first_pixels(
        self, block: ImageBlock, core: npt.NDArray[np.integer[Any]], count: int
    ) -> Ints:
        """Return the flat index in the whole array of the first pixel of each id."""
        first = np.zeros(count, np.int64)
        # Of several assignments the last one stays, which is the first pixel.
        first[core.ravel()[::-1]] = np.arange(core.size - 1, -1, -1)
        where = np.unravel_index(first, core.shape)
        place = [np.full(count, i) for i in block.index]
        place += [w + s.start for w, s in zip(where, block.core, strict=True)]
        flat: Ints = np.ravel_multi_index(tuple(place), self._grid.shape)
        return flat

    def _match(
        self, block: ImageBlock, local: npt.NDArray[np.integer[Any]], numbers: Ints
    ) -> None:
        owners = self._grid.owners(block)
        seen = owners >= 0
        if not seen.any():
            return
        written = np.asarray(self._labels[block.outer_slices])[seen].astype(np.int64)
        own = numbers[local[seen]]
        both = (written > 0) & (own > 0)
        width = self._count + numbers.size + 1
        codes, shared = np.unique(own[both] * width + written[both], return_counts=True)
        pairs = np.stack([codes // width, codes % width])
        if not self._same_pixels:
            pairs = pairs[:, self._agree(pairs, shared, written, own, owners[seen])]
        self._pairs.append(pairs)

    def _agree(
        self, pairs: Ints, shared: Ints, written: Ints, own: Ints, owners: Ints
    ) -> npt.NDArray[np.bool_]:
        """Find pairs that share more than half of both, in the core of the earlier."""
        earlier = np.bincount(written, minlength=1)[pairs[1]]
        # An object may continue in several earlier blocks; each holds its own part.
        blocks = len(self._grid)
        codes, counts = np.unique(own * blocks + owners, return_counts=True)
        passed = len(self._starts) - len(self._starts) % self._plane_blocks
        starts = np.asarray(self._starts)
        owner = np.searchsorted(starts, pairs[1], side="right") - 1 - passed
        here = counts[np.searchsorted(codes, pairs[0] * blocks + owner)]
        agreed: npt.NDArray[np.bool_] = (2 * shared > earlier) & (2 * shared > here)
        return agreed

    @property
    def _plane_blocks(self) -> int:
        return int(np.prod(self._grid.counts))

    def finish(self) -> Fragments:
        """Join the fragments; no block may come after this."""
        count = self._count + 1
        pairs = np.concatenate([np.empty((2, 0), np.int64), *self._pairs], axis=1)
        graph = sparse.coo_array(
            (np.ones(pairs.shape[1], np.bool_), (pairs[0], pairs[1])), (count, count)
        )
        _, roots = connected_components(graph, directed=False)
        return Fragments(
            roots=roots.astype(np.int64),
            sizes=np.concatenate(self._sizes),
            first=np.concatenate(self._first),
        )

"""From class ids to object ids, block by block, as if it were one piece."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.labels import IGNORE
from unet_engine.objects.blocks import (
    BlockDone,
    BlockGrid,
    release_pages,
    scratch_array,
)
from unet_engine.objects.class_mask import read_ids
from unet_engine.objects.components import fill_holes
from unet_engine.objects.config import ObjectConfig
from unet_engine.objects.slices import link_slices
from unet_engine.objects.splitting import SplitRule, read_pixels, split_here
from unet_engine.objects.stitching import Stitcher
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.objects.blocks import ImageBlock
    from unet_engine.objects.class_mask import SemanticMask
    from unet_engine.objects.components import Ints
    from unet_engine.objects.splitting import BlockPixels, SplitBlocks
    from unet_engine.objects.stitching import Fragments
    from unet_engine.stopping import Stop

_MOST_CLASSES = 16
"""Values of a mask above which they count as object ids: no usual model has more."""
_USUAL_LEAST, _LEAST_SHARE = 30, 0.2
"""Pixels below which objects are left out, but at most this share of the usual one.
On nuclei reduced to half their size, 7 pixels wide, 30 pixels alone took the AP at 0.5
from 0.81 to 0.66; see "nuclei without a stroke" in benchmarks/RESULTS.md."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objects:
    """The objects of a mask.

    Attributes
    ----------
    labels
        ``(*leading, *spatial)`` object ids in the smallest of uint8, uint16 and uint32,
        from 1 in the raster order of their first pixels; perhaps in a temporary file.
        Objects of different planes (volumes) have different ids.
    classes
        ``(n,)`` uint8, the class of every object; empty when ids were kept.
    ndim
        In how many dimensions an object extends.
    small
        Number of objects that were left out as too small.
    """

    labels: Any
    classes: npt.NDArray[np.uint8]
    ndim: int
    small: int = 0


def label_objects(
    mask: SemanticMask,
    config: ObjectConfig | None = None,
    *,
    block: Sequence[int] | None = None,
    out: Any = None,
    stop: Stop = never,
) -> Objects:
    """Find the objects of a mask and give each a number.

    It runs ``iter_label_objects`` to its end.

    Parameters
    ----------
    mask
        Class ids; only a block is read at a time.
    config
        How objects are found; None for a watershed with the defaults.
    block
        Largest block per spatial axis; chosen from size and chunks when None.
    out
        Array-like of the shape of the mask, uint32, that takes the labels; made when
        None, in a temporary file where it is large.
    stop
        Polled before every block.

    Returns
    -------
    Objects
        ``labels`` holds the ids, 0 where there is no object.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When the mask holds no class ids, or ``out`` does not fit.

    Examples
    --------
    Two discs that touch are two objects:

    >>> import numpy as np
    >>> from unet_engine import SemanticMask, label_objects
    >>> y, x = np.mgrid[:40, :60]
    >>> discs = [(y - 20) ** 2 + (x - centre) ** 2 < 130 for centre in (20, 41)]
    >>> mask = np.any(discs, axis=0).astype(np.uint8)
    >>> objects = label_objects(SemanticMask(classes=mask))
    >>> np.unique(objects.labels).tolist()
    [0, 1, 2]
    """
    run = iter_label_objects(mask, config, block=block, out=out, stop=stop)
    return drain(run)


def iter_label_objects(
    mask: SemanticMask,
    config: ObjectConfig | None = None,
    *,
    block: Sequence[int] | None = None,
    out: Any = None,
    stop: Stop = never,
    split: SplitBlocks = split_here,
) -> Generator[BlockDone, None, Objects]:
    """Find the objects of a mask and yield after every block.

    The result of components does not depend on the blocks. That of a watershed does not
    either where no clump (objects that touch, along corners too) spans more than
    ``config.overlap`` pixels along an axis. In a larger clump an object near the border
    of a block is cut as the ``overlap`` pixels around suggest; the parts on both sides
    are one object where the blocks agree on more than half of each.

    Parameters and errors are those of ``label_objects``; ``split`` finds the objects of
    each block, in their order, and may do so elsewhere.

    Yields
    ------
    BlockDone

    Returns
    -------
    Objects
    """
    config = config or ObjectConfig()
    if config.method == "keep":
        return (yield from _keep(mask, out, block, stop))
    if config.volumes == "linked" and mask.ndim == 3:
        return (yield from _link(mask, config, out, block, stop, split))
    overlap = config.overlap if config.method == "watershed" else 1
    grid = BlockGrid.for_array(mask.classes, mask.ndim, block=block, overlap=overlap)
    labels = _output(out, grid, np.uint32)
    total = (4 if config.fill_holes else 2) * len(grid)
    source, done = mask, 0
    if config.fill_holes:
        near = BlockGrid(shape=grid.shape, ndim=grid.ndim, block=grid.block, overlap=1)
        filling = fill_holes(mask.read, near, config.connectivity)
        filled = yield from _counted(filling, total, stop)
        source, done = mask.with_classes(filled), 2 * len(grid)
    stitcher = Stitcher(grid, labels, same_pixels=config.method == "components")
    votes = _Votes(mask.boundary)
    waiting: deque[tuple[ImageBlock, npt.NDArray[np.uint8]]] = deque()
    rule = SplitRule(config=config, spacing=mask.spacing, boundary=mask.boundary)
    for local in split(_pixels(source, grid, config, waiting, stop), rule):
        block_here, classes = waiting.popleft()
        present = stitcher.add(block_here, local)
        release_pages(source.classes)
        release_pages(source.object_maps)
        votes.add(block_here, classes, local, present)
        done += 1
        yield BlockDone(done=done, total=total)
    fragments = stitcher.finish()
    numbers, object_classes, small = _number(fragments, votes, config)
    final = labels
    if out is None and object_classes.size <= np.iinfo(np.uint16).max:
        final = scratch_array(grid.shape, np.min_scalar_type(object_classes.size))
    for block_here in _polled(grid, stop):
        where = block_here.core_slices
        final[where] = numbers[np.asarray(labels[where])].astype(final.dtype)
        release_pages(labels)
        release_pages(final)
        done += 1
        yield BlockDone(done=done, total=total)
    return Objects(labels=final, classes=object_classes, ndim=mask.ndim, small=small)


class _Votes:
    """Counts the pixels of every class in every fragment."""

    def __init__(self, boundary: int | None) -> None:
        self._boundary = boundary
        self._fragments: list[Ints] = []
        self._classes: list[Ints] = []
        self._counts: list[Ints] = []
        self._start = 1

    def add(self, block: ImageBlock, classes: Ints, local: Ints, present: Ints) -> None:
        width = int(classes.max(initial=0)) + 1
        codes = local[block.local].astype(np.int64) * width + classes[block.local]
        table = np.bincount(codes.ravel(), minlength=width)
        table = np.pad(table, (0, -table.size % width)).reshape(-1, width)[present]
        fragments, found = np.nonzero(table)
        self._fragments.append(fragments + self._start)
        self._classes.append(found)
        # A boundary is of no class of its own, unless there is nothing else.
        counts = table[fragments, found]
        votes = counts if self._boundary is None else counts * (found != self._boundary)
        self._counts.append(votes)
        self._start += present.size

    def decide(self, roots: Ints, objects: int) -> npt.NDArray[np.uint8]:
        """Return the most frequent class of every object, the lower one of equals."""
        decided = np.zeros(objects, np.uint8)
        if not self._fragments:
            return decided
        width = IGNORE + 1
        each = roots[np.concatenate(self._fragments)] * width
        each += np.concatenate(self._classes)
        codes, inverse = np.unique(each, return_inverse=True)
        counts = np.bincount(inverse, np.concatenate(self._counts))
        order = np.lexsort((-codes, counts))
        decided[codes[order] // width] = (codes[order] % width).astype(np.uint8)
        return decided


def _number(
    fragments: Fragments, votes: _Votes, config: ObjectConfig
) -> tuple[Ints, npt.NDArray[np.uint8], int]:
    """Return the object of every fragment, the class of every object, those left out.

    The last is the number of objects that are too small.
    """
    sizes = fragments.total(fragments.sizes)
    classes = votes.decide(fragments.roots, sizes.size)
    objects = (sizes > 0) & (classes > 0)
    named = (classes > 0) & (classes != IGNORE)
    if (kinds := np.unique(classes[named]).size) > _MOST_CLASSES:
        raise DataError(
            f"the mask holds {kinds} values, which look like object ids; keep them "
            "(method keep), or give a mask of classes"
        )
    if named.any():
        objects &= named
    else:
        # A mask of 0 and 255 alone, as painting programs write them.
        classes = np.minimum(classes, 1)
    keep = objects & (sizes >= _least_size(config, sizes[objects]))
    numbers = fragments.numbered(keep)
    roots = np.zeros(int(numbers.max()) + 1, np.int64)
    roots[numbers] = fragments.roots
    return numbers, classes[roots[1:]], int(np.count_nonzero(objects & ~keep))


def _least_size(config: ObjectConfig, sizes: Ints) -> float:
    """Return the pixels below which one of the objects that were found is left out."""
    if config.min_size != "auto":
        return config.min_size
    ordered = np.sort(sizes)
    covered = np.cumsum(ordered)
    # Specks may be many, but most pixels of the objects lie in usual ones.
    middle = np.searchsorted(covered, covered[-1] / 2) if ordered.size else 0
    usual = float(ordered[middle]) if ordered.size else np.inf
    return min(_USUAL_LEAST, _LEAST_SHARE * usual)


def _pixels(
    mask: SemanticMask,
    grid: BlockGrid,
    config: ObjectConfig,
    waiting: deque[tuple[ImageBlock, npt.NDArray[np.uint8]]],
    stop: Stop,
) -> Iterator[BlockPixels]:
    """Yield what is needed of each block, and keep what is needed later."""
    for block in _polled(grid, stop):
        classes = mask.read(block)
        waiting.append((block, classes))
        yield read_pixels(mask, block, classes, config)


def _link(
    mask: SemanticMask,
    config: ObjectConfig,
    out: Any,
    block: Sequence[int] | None,
    stop: Stop,
    split: SplitBlocks,
) -> Generator[BlockDone, None, Objects]:
    """Find objects slice by slice, and join those of neighbouring slices."""
    planes = replace(
        mask, ndim=2, spacing=None if mask.spacing is None else mask.spacing[-2:]
    )
    single = replace(config, volumes="whole", min_size=0)
    found = yield from iter_label_objects(
        planes,
        single,
        block=None if block is None else block[-2:],
        stop=stop,
        split=split,
    )
    count = found.classes.size
    grid = BlockGrid.for_array(mask.classes, 2)
    labels = _output(out, grid, np.uint32)
    numbers = np.zeros(count + 1, np.int64)
    for done, step in enumerate(link_slices(found.labels, count), start=1):
        _check(stop)
        if step is not None:
            numbers = step
        yield BlockDone(done=done, total=2 * len(grid) + 1)
    sizes = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    for part in grid:
        ids = np.asarray(found.labels[part.core_slices])
        sizes += np.bincount(numbers[ids].ravel(), minlength=sizes.size)
    keep = sizes >= _least_size(config, sizes[1:])
    keep[0] = False
    final = np.cumsum(keep) * keep
    classes = np.zeros(sizes.size, np.uint8)
    # Of the slices of an object the first one names its class.
    classes[numbers[count:0:-1]] = found.classes[::-1]
    for done, part in enumerate(_polled(grid, stop), start=len(grid) + 2):
        ids = np.asarray(found.labels[part.core_slices])
        labels[part.core_slices] = final[numbers[ids]].astype(np.uint32)
        release_pages(labels)
        yield BlockDone(done=done, total=2 * len(grid) + 1)
    return Objects(
        labels=labels,
        classes=classes[keep],
        ndim=3,
        small=int(np.count_nonzero(~keep[1:])),
    )


def _keep(
    mask: SemanticMask, out: Any, block: Sequence[int] | None, stop: Stop
) -> Generator[BlockDone, None, Objects]:
    grid = BlockGrid.for_array(mask.classes, mask.ndim, block=block)
    labels = _output(out, grid, np.uint32)
    for done, one in enumerate(_polled(grid, stop), start=1):
        ids = read_ids(mask.classes, one.core_slices)
        if ids.size and ids.max() > np.iinfo(np.uint32).max:
            raise DataError(f"the id {ids.max()} is too large; renumber the objects")
        labels[one.core_slices] = ids.astype(np.uint32)
        yield BlockDone(done=done, total=len(grid))
    return Objects(labels=labels, classes=np.zeros(0, np.uint8), ndim=mask.ndim)


def _output(out: Any, grid: BlockGrid, dtype: npt.DTypeLike) -> Any:
    if out is None:
        return scratch_array(grid.shape, dtype)
    if tuple(out.shape) != grid.shape or out.dtype != dtype:
        raise DataError(
            f"the output is {tuple(out.shape)} {out.dtype}; the labels need "
            f"{grid.shape} {np.dtype(dtype)}"
        )
    return out


def _polled(grid: BlockGrid, stop: Stop) -> Iterator[ImageBlock]:
    for block in grid:
        _check(stop)
        yield block


def _counted(
    run: Generator[BlockDone, None, npt.NDArray[np.uint8]], total: int, stop: Stop
) -> Generator[BlockDone, None, npt.NDArray[np.uint8]]:
    """Pass the steps of a part on as steps of the whole."""
    while True:
        _check(stop)
        try:
            step = next(run)
        except StopIteration as finished:
            return cast("npt.NDArray[np.uint8]", finished.value)
        yield BlockDone(done=step.done, total=total)


def _check(stop: Stop) -> None:
    if stop():
        raise Cancelled("stopped before the objects were found; nothing was written")

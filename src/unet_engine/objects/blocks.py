"""Blocks of arrays larger than memory: where they lie and how they overlap.

::

    outer ┌──────────────┐
          │ earlier │    │   Blocks come in raster order. ``core`` regions are disjoint
          │   ┌─────┴──┐ │   and cover the plane or volume; ``outer`` ones overlap and
          │ e │  core  │ │   end at the image. The pixels of ``outer`` that belong to
          │   └────────┘ │   the core of an earlier block are ``earlier``.
          └──────────────┘
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

_PIXELS = {2: 2**21, 3: 2**22}
"""Pixels of a block by dimensions, where the caller chose none: a second or two and
below 500 MB of a watershed, see "Objects from masks" in benchmarks/RESULTS.md."""

_IN_MEMORY_BYTES = 2**24
"""Bytes of an array up to which it stays in memory: one block of four-byte ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDone:
    """One finished step of a run over blocks.

    Attributes
    ----------
    done, total
        Steps finished so far, this one included, and steps in the run.
    """

    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBlock:
    """One block of one plane or volume.

    Attributes
    ----------
    index
        Position along the leading axes.
    core, outer
        Slices in the plane or volume, one per spatial axis.
    """

    index: tuple[int, ...]
    core: tuple[slice, ...]
    outer: tuple[slice, ...]

    @property
    def core_slices(self) -> tuple[int | slice, ...]:
        """Slices of the core in the whole array."""
        return (*self.index, *self.core)

    @property
    def outer_slices(self) -> tuple[int | slice, ...]:
        """Slices of the outer region in the whole array."""
        return (*self.index, *self.outer)

    @property
    def local(self) -> tuple[slice, ...]:
        """Slices of the core in the outer region."""
        return tuple(
            slice(core.start - outer.start, core.stop - outer.start)
            for core, outer in zip(self.core, self.outer, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class BlockGrid:
    """All blocks of an array: leading axes one by one, the last ``ndim`` in blocks.

    Attributes
    ----------
    shape
        Of the whole array, ``(*leading, *spatial)``.
    ndim
        Number of spatial axes, 2 or 3: in how many dimensions an object extends.
    block
        Largest core, per spatial axis.
    overlap
        Pixels that ``outer`` adds on each side of ``core``.
    """

    shape: tuple[int, ...]
    ndim: int
    block: tuple[int, ...]
    overlap: int = 0

    @classmethod
    def for_array(
        cls,
        array: Any,
        ndim: int,
        *,
        block: Sequence[int] | None = None,
        overlap: int = 0,
    ) -> BlockGrid:
        """Plan the blocks of an array-like.

        Parameters
        ----------
        array
            Anything with ``shape``; ``chunks``, as zarr and dask have, are kept whole.
        ndim
            Number of spatial axes, 2 or 3.
        block
            Largest core per spatial axis; chosen when None.
        overlap
            Pixels by which the outer region of a block reaches into its neighbours.

        Raises
        ------
        DataError
            When the array has too few axes or no pixels, or ``block`` does not fit.
        """
        shape = tuple(int(n) for n in array.shape)
        if ndim not in _PIXELS or len(shape) < ndim or 0 in shape:
            raise DataError(
                f"an array of shape {shape} holds no objects in {ndim} dimensions; "
                "give (..., Y, X) for 2 and (..., Z, Y, X) for 3"
            )
        spatial = shape[-ndim:]
        sizes = tuple(block) if block else _block_shape(spatial, _chunks(array, ndim))
        if len(sizes) != ndim or min(sizes) < 1:
            raise DataError(
                f"blocks of {sizes} do not fit {ndim} dimensions; give {ndim} sizes "
                "of at least 1"
            )
        sizes = tuple(min(s, n) for s, n in zip(sizes, spatial, strict=True))
        return cls(shape=shape, ndim=ndim, block=sizes, overlap=overlap)

    @property
    def spatial(self) -> tuple[int, ...]:
        """Shape of a plane or volume."""
        return self.shape[-self.ndim :]

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the other axes."""
        return self.shape[: -self.ndim]

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each spatial axis."""
        return tuple(-(-n // b) for n, b in zip(self.spatial, self.block, strict=True))

    def __len__(self) -> int:
        return prod(self.leading) * prod(self.counts)

    def __iter__(self) -> Iterator[ImageBlock]:
        """Iterate over the blocks in raster order."""
        for index in np.ndindex(*self.leading):
            yield from self.blocks_at(index)

    def blocks_at(self, index: tuple[int, ...]) -> Iterator[ImageBlock]:
        """Iterate over the blocks of one plane or volume in raster order."""
        for corner in product(*map(range, self.counts)):
            core = tuple(
                slice(c * b, min((c + 1) * b, n))
                for c, b, n in zip(corner, self.block, self.spatial, strict=True)
            )
            yield ImageBlock(
                index=index,
                core=core,
                outer=tuple(
                    slice(max(s.start - self.overlap, 0), min(s.stop + self.overlap, n))
                    for s, n in zip(core, self.spatial, strict=True)
                ),
            )

    def owners(self, block: ImageBlock) -> npt.NDArray[np.int64]:
        """Number the blocks whose cores make up the outer region of ``block``.

        Returns
        -------
        ndarray
            int64 of the shape of ``block.outer``: position of the owner of every pixel
            among the blocks of this plane or volume, in raster order; -1 in ``block``
            itself and after it.
        """
        strides = [prod(self.counts[a + 1 :]) for a in range(self.ndim)]
        numbers = np.zeros((1,) * self.ndim, np.int64)
        own = 0
        for axis, (outer, core) in enumerate(zip(block.outer, block.core, strict=True)):
            along = np.arange(outer.start, outer.stop) // self.block[axis]
            shape = [1] * self.ndim
            shape[axis] = -1
            numbers = numbers + along.reshape(shape) * strides[axis]
            own += core.start // self.block[axis] * strides[axis]
        return np.where(numbers < own, numbers, -1)


def scratch_array(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros: in memory if small, else in a temporary file without a name.

    Parameters
    ----------
    shape, dtype
        Of the array.

    Returns
    -------
    ndarray
        An array, or a ``numpy.memmap`` whose file is deleted with it.

    Raises
    ------
    DataError
        When the disk is full.
    """
    size = prod(shape) * np.dtype(dtype).itemsize
    if size <= _IN_MEMORY_BYTES:
        return np.zeros(shape, dtype)
    try:
        # A file with gaps is made on any disk; one that fills up ends the process.
        if size > shutil.disk_usage(tempfile.gettempdir()).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, dtype=dtype, mode="w+", shape=tuple(shape))
    except OSError as error:
        raise DataError(
            f"{size / 1e9:.1f} GB of temporary space cannot be had "
            f"({error.strerror or error}); free some, or set TMPDIR to a larger disk"
        ) from error


def release_pages(array: Any) -> None:
    """Take what a block read or wrote of a temporary file out of this process.

    The system keeps it as long as there is room; else memory in use would seem to grow
    with the image.
    """
    if not isinstance(array, np.memmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return
    # Pages that are copied on write would lose what was written.
    if isinstance(array.base, mmap.mmap) and array.mode != "c":
        array.base.madvise(mmap.MADV_DONTNEED)


def _chunks(array: Any, ndim: int) -> tuple[int, ...]:
    chunks = getattr(array, "chunks", None) or (1,) * len(array.shape)
    # dask has the length of every chunk, zarr one length for all.
    each = (c if isinstance(c, int) else max(c) for c in chunks)
    return tuple(map(int, each))[-ndim:]


def _block_shape(spatial: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    sizes = list(spatial)
    while prod(sizes) > _PIXELS[len(sizes)]:
        axis = int(np.argmax(sizes))
        half = -(-sizes[axis] // (2 * chunks[axis])) * chunks[axis]
        if half >= sizes[axis]:
            break
        sizes[axis] = half
    return tuple(sizes)

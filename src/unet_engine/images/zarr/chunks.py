"""Arrays in chunks: read one by one, checked, and kept while tiles share them."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import replace
from itertools import accumulate, product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images.zarr.retrying import describe_failure, of_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.images.image import Image
    from unet_engine.images.zarr.addresses import Address

    Place = Path | Address

MissingChunks = Literal["refuse", "fill"]
"""What a chunk that is not there means: it was lost, or it holds the fill value."""

_CACHE_BYTES = 2**27
"""Bytes of chunks that are kept, 128 MiB: those of a tile and its neighbours."""


class ZarrPixels:
    """A zarr array whose missing and damaged chunks are errors that name them.

    zarr itself returns the fill value where a chunk is missing, lost or never written.
    A missing chunk within a shard is taken for empty: shards are written as a whole.

    Parameters
    ----------
    array
        A ``zarr.Array``; chunks are checked when it lies in a folder.
    missing
        ``"refuse"`` them, or ``"fill"`` them as zarr does.
    place
        Where the array lies, if other processes can open it there.
    """

    def __init__(
        self,
        array: Any,
        *,
        missing: MissingChunks = "refuse",
        place: Place | None = None,
    ) -> None:
        self.place = place
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = array.dtype
        self.chunks: tuple[int, ...] = tuple(array.chunks)
        self._array = array
        root = getattr(array.store, "root", None)
        self.folder = Path(root, array.path) if isinstance(root, Path) else None
        self._stored: tuple[int, ...] = tuple(array.shards or array.chunks)
        self.missing = missing

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a hyper-rectangle.

        Raises
        ------
        DataError
            When a chunk of it is missing, or cannot be read or decoded.
        """
        spans = _spans(key, self.shape)
        if self.missing == "refuse" and self.folder is not None:
            self._check_present(spans)
        try:
            return np.asarray(self._array[key])
        except MemoryError:
            raise
        except Exception as error:
            # Every codec and every storage has errors of its own.
            reason = str(error) or type(error).__name__
            if isinstance(error, FileNotFoundError):
                # It states itself what to do.
                line = reason
            elif of_storage(error):
                line = (
                    f"cannot be read ({describe_failure(error)}); check that the "
                    "storage may be read and can be reached, and try again"
                )
            else:
                line = (
                    f"cannot be decoded ({reason}); the chunk is damaged, copy or "
                    "export it again"
                )
            raise DataError(f"{self._title}: {_region(spans)} {line}") from error

    def files_of(self, key: Sequence[int | slice]) -> set[str]:
        """Return the names in ``folder`` of the chunks that a region lies in."""
        chunks = _chunks_of(_spans(key, self.shape), self._stored)
        return {self._name(chunk) for chunk in chunks}

    def _name(self, chunk: tuple[int, ...]) -> str:
        name: str = self._array.metadata.encode_chunk_key(chunk)
        return name

    def _check_present(self, spans: Sequence[range]) -> None:
        for chunk in _chunks_of(spans, self._stored):
            name = self._name(chunk)
            if not os.path.exists(f"{self.folder}/{name}"):
                where = [
                    range(i * size, min((i + 1) * size, n))
                    for i, size, n in zip(chunk, self._stored, self.shape, strict=True)
                ]
                raise DataError(
                    f"{self._title}: the chunk {name} ({_region(where)}) is missing; "
                    "copy or export it again, or pass --missing-chunks fill if the "
                    "file was written without its empty chunks"
                )

    @property
    def _title(self) -> str:
        place = None if isinstance(self.place, Path) else self.place
        return str(self.folder or place or self._array.name or "the zarr array")


class ChunkCache:
    """An array in chunks that keeps those that were used last, up to 128 MiB.

    Tiles overlap by their halos and seldom lie on the chunks of a file, so each chunk
    is needed several times. Takes a full key of integers and slices without steps.
    """

    def __init__(self, data: Any) -> None:
        self.shape: tuple[int, ...] = tuple(data.shape)
        self.dtype = data.dtype
        self._data = data
        self._edges = [
            _edges(chunk, size)
            for chunk, size in zip(data.chunks, self.shape, strict=True)
        ]
        self._blocks = RecentBlocks()

    @property
    def whole(self) -> Any:
        """The array itself, of which nothing is kept."""
        return self._data

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Put a hyper-rectangle together from its chunks."""
        spans = _spans(key, self.shape)
        out = np.empty([len(span) for span in spans], self.dtype)
        for numbers in product(*map(_between, self._edges, spans)):
            block, corner = self._block(numbers, spans)
            source, target = [], []
            for span, start, size in zip(spans, corner, block.shape, strict=True):
                low, high = max(span.start, start), min(span.stop, start + size)
                source.append(slice(low - start, high - start))
                target.append(slice(low - span.start, high - span.start))
            out[tuple(target)] = block[tuple(source)]
        return out[tuple(0 if isinstance(k, int) else slice(None) for k in key)]

    def files_of(self, key: Sequence[int | slice]) -> set[str]:
        """Return the names of the chunks that a region lies in, if they are files."""
        return files_of(self._data, key)

    def _block(
        self, numbers: tuple[int, ...], spans: Sequence[range]
    ) -> tuple[npt.NDArray[Any], list[int]]:
        """Return a chunk and its corner; of one too large to keep what is needed."""
        limits = [
            (edges[n], edges[n + 1])
            for edges, n in zip(self._edges, numbers, strict=True)
        ]
        nbytes = prod(stop - start for start, stop in limits) * self.dtype.itemsize
        if nbytes > _CACHE_BYTES:
            limits = [
                (max(start, span.start), min(stop, span.stop))
                for (start, stop), span in zip(limits, spans, strict=True)
            ]
        where = tuple(slice(start, stop) for start, stop in limits)
        return (
            self._blocks.get(
                tuple(limits), lambda: np.asarray(self._data[where], self.dtype)
            ),
            [start for start, _ in limits],
        )


class RecentBlocks:
    """The arrays that were used last, up to 128 MiB; for several threads."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._blocks)

    def get(
        self, key: Hashable, read: Callable[[], npt.NDArray[Any]]
    ) -> npt.NDArray[Any]:
        """Return the array of a key, of any shape, read when it is not kept.

        It is the one that is kept: not to be changed.
        """
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
        # Outside the lock: threads read at the same time, rarely the same one.
        block = read()
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = block
                self._bytes += block.nbytes
                while self._bytes > _CACHE_BYTES:
                    self._bytes -= self._blocks.popitem(last=False)[1].nbytes
        return block


def files_of(data: Any, key: Sequence[int | slice]) -> set[str]:
    """Return the names of the chunks that a region of an array lies in.

    Empty when its chunks are no files in a folder.
    """
    return data.files_of(key) if isinstance(data, ZarrPixels | ChunkCache) else set()


def keep_chunks(image: Image) -> Image:
    """Return the image with a cache of its chunks, if its data come in chunks.

    The cache is for one run: changes of the data do not reach it.
    """
    data = image.data
    if isinstance(data, ChunkCache) or not isinstance(
        getattr(data, "chunks", None), tuple
    ):
        return image
    return replace(image, data=ChunkCache(data))


def _edges(chunk: int | Sequence[int], size: int) -> list[int]:
    """Return where the chunks of an axis start, and its end."""
    if isinstance(chunk, int | np.integer):
        return [*range(0, size, int(chunk)), size]
    return [0, *accumulate(int(n) for n in chunk)]


def _between(edges: Sequence[int], span: range) -> range:
    """Return the numbers of the chunks that a span touches."""
    return range(
        bisect_right(edges, span.start) - 1, bisect_right(edges, span.stop - 1)
    )


def _spans(key: Sequence[int | slice], shape: Sequence[int]) -> list[range]:
    return [
        range(*k.indices(n)) if isinstance(k, slice) else range(k, k + 1)
        for k, n in zip(key, shape, strict=True)
    ]


def _chunks_of(
    spans: Sequence[range], chunks: Sequence[int]
) -> Iterator[tuple[int, ...]]:
    return product(
        *(
            range(span.start // size, -(-span.stop // size))
            for span, size in zip(spans, chunks, strict=True)
        )
    )


def _region(spans: Sequence[range]) -> str:
    return f"pixels [{', '.join(f'{s.start}:{s.stop}' for s in spans)}]"

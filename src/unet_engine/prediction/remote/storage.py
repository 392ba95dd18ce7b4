"""Images and results that workers open themselves, so that no pixel is sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import Enum
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images.zarr.chunks import ChunkCache, ZarrPixels
from unet_engine.images.zarr.ome_zarr import open_array
from unet_engine.prediction.disk_output import DiskOutput

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.images.zarr.chunks import MissingChunks
    from unet_engine.images.zarr.storage import Place
    from unet_engine.prediction.disk_target import DiskTarget
    from unet_engine.prediction.empty_tiles import EmptyRule, EmptyTiles
    from unet_engine.prediction.outputs import Output
    from unet_engine.prediction.plan import PredictionPlan

_PROBE = 64
"""Edge in pixels of the part of an image that both ends compare."""

MOST_TILES = 64
"""Tiles of a batch: of small ones, more cost less than a hundredth of their time."""

_MOST_OF_CPU = 2**24
"""Pixels of a batch, about ten seconds of a CPU: what a worker that ends loses."""

_MOST_OF_GPU = 2**26
"""Pixels of a batch of a GPU, which takes a second or less for them."""

CHUNKS_OF_LEVEL = 64
"""Chunks of a smaller level that a worker fills at once, in a second or two."""

_BATCHES_OF_EACH = 4
"""Batches of each worker at least: the last ones end at about the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredPixels:
    """The pixels of an image that each process opens itself.

    Attributes
    ----------
    place
        Of the zarr array.
    missing
        What a missing chunk means.
    shape, dtype
        Of the array.
    """

    place: Place
    missing: MissingChunks
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def open(self) -> ZarrPixels:
        """Open them.

        Raises
        ------
        Exception
            Whatever zarr and the storage raise.
        """
        return open_array(self.place, self.missing)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredRun:
    """What workers read and write themselves.

    Attributes
    ----------
    image
        The image, with ``StoredPixels``.
    probe
        Digest of some of its pixels.
    targets
        The results, which are there.
    record, identity
        Where the identity of the run is written, and what is there.
    rule
        Which tiles are not predicted, if there may be any.
    channels
        Of a predicted tile.
    """

    image: Image
    probe: str
    targets: tuple[DiskTarget, ...]
    record: Place
    identity: bytes
    rule: EmptyRule | None
    channels: int


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """Tiles that a worker has written.

    Attributes
    ----------
    numbers
        As of the plan.
    retreats
        As of the worker's predictor.
    skipped
        How many of the tiles were empty.
    """

    numbers: tuple[int, ...]
    retreats: tuple[str, ...] = ()
    skipped: int = 0


class WrittenMark(Enum):
    """Stands for a tile that a worker has written."""

    WRITTEN = "written"


WRITTEN = WrittenMark.WRITTEN


@dataclass(frozen=True, slots=True)
class FilledChunks:
    """Chunks of a smaller level that a worker has written."""


class WrittenTile:
    """A tile that a worker has written: read from the results when it is asked for.

    Parameters
    ----------
    array
        The results, of all classes or of the labels.
    key
        Where it is.
    """

    def __init__(self, array: Any, key: tuple[int | slice, ...]) -> None:
        self._array, self._key = array, key
        self.dtype = np.dtype(array.dtype)
        self.shape = tuple(k.stop - k.start for k in key if isinstance(k, slice))
        self.ndim = len(self.shape)

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Read it."""
        return np.asarray(self._array[self._key], dtype)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read it, and return a part."""
        part: npt.NDArray[Any] = np.asarray(self)[key]
        return part


def stored_run(
    image: Image, output: Output, empty: EmptyTiles | None = None
) -> StoredRun | None:
    """Return what workers have to open; None when image or results are no zarrs.

    Raises
    ------
    DataError
        When the image cannot be read.
    """
    elsewhere = opened_elsewhere(image)
    if elsewhere is None or not isinstance(output, DiskOutput):
        return None
    record, identity = output.record
    return StoredRun(
        image=elsewhere,
        probe=probe_of(image),
        targets=output.targets,
        record=record,
        identity=identity,
        rule=None if empty is None else empty.rule.absolute(),
        channels=0 if empty is None else empty.channels,
    )


def tiles_of_batch(plan: PredictionPlan, workers: int, device: str) -> int:
    """Return how many tiles a worker gets at once: none is to be without any."""
    most = _MOST_OF_CPU if device == "cpu" else _MOST_OF_GPU
    most //= prod(plan.tiles.tile)
    share = plan.total // (_BATCHES_OF_EACH * workers)
    return max(1, min(MOST_TILES, most, share))


def chunks_of_tiles(image: Image, ndim: int) -> tuple[int, ...]:
    """Return the chunks of a stored image along the axes of its tiles, in pixels."""
    chunks = getattr(image.data, "chunks", None)
    if chunks is None:
        chunks = image.data.whole.chunks
    sizes = dict(zip(image.axes, chunks, strict=True))
    return tuple(int(sizes[axis]) for axis in "ZYX"[-ndim:])


def opened_elsewhere(image: Image) -> Image | None:
    """Return an image as other processes open it; None when its pixels are no zarr."""
    data = image.data.whole if isinstance(image.data, ChunkCache) else image.data
    if not isinstance(data, ZarrPixels) or data.place is None:
        return None
    place = data.place.absolute() if isinstance(data.place, Path) else data.place
    source = None if image.source is None else image.source.absolute()
    pixels = StoredPixels(place, data.missing, data.shape, np.dtype(data.dtype))
    return replace(image, data=pixels, source=source)


def probe_of(image: Image) -> str:
    """Return a digest of some pixels in the middle of an image.

    Raises
    ------
    DataError
        When they cannot be read.
    """
    index = tuple(size // 2 for size in image.leading_shape)
    region = tuple(
        slice(max(0, size // 2 - _PROBE // 2), min(size, size // 2 + _PROBE // 2))
        for size in image.plane_shape
    )
    pixels = image.read(index, region)
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype.str}".encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()

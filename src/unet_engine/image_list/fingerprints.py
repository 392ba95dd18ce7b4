"""Whether an image is the same as before: size and time of its file, and a digest."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images import is_zarr, open_image

if TYPE_CHECKING:
    from pathlib import Path

_WHOLE = 2**26
"""Bytes of a file that is read as a whole: 64 MiB, a tenth of a second from a disk."""

_PARTS = 64
"""Parts of a larger file that are read, evenly spread from its first to its last."""

_PART_BYTES = 2**16
"""Bytes of such a part."""

_REGION = 256
"""Edge in pixels of what is read of a plane of a zarr, which has no file of its own."""

_METADATA = ("zarr.json", ".zarray", ".zattrs")
"""Files that describe a zarr array, of both versions."""


def stamp_of(path: Path) -> str | None:
    """Return size and time of a file; None when it is missing.

    Empty for a folder, whose time is that of its last new entry.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    is_folder = path.is_dir()
    return "" if is_folder else f"{status.st_size} {status.st_mtime_ns}"


def size_in(stamp: str) -> str:
    """Return the size of a file from its stamp."""
    return stamp.partition(" ")[0]


def digest_of(path: Path) -> str:
    """Return a digest of what an image file holds.

    Of a file up to 64 MiB all bytes, of a larger one its size and 64 parts; of a zarr
    shape, type and the middles of its first, middle and last plane. So a change of a
    large file outside of those parts shows in its stamp only.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    try:
        return _of_zarr(path) if is_zarr(path) else _of_file(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}; check its permissions"
        ) from error


def fingerprint(path: Path) -> dict[str, str]:
    """Return ``stamp`` and ``digest`` of an image, for its entry.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    # First: a change in between must not go unnoticed.
    stamp = stamp_of(path)
    return {"stamp": stamp or "", "digest": digest_of(path)}


def _of_file(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(str(size).encode())
        if size <= _WHOLE:
            while part := file.read(2**20):
                digest.update(part)
        else:
            for number in range(_PARTS):
                file.seek((size - _PART_BYTES) * number // (_PARTS - 1))
                digest.update(file.read(_PART_BYTES))
    return digest.hexdigest()


def _of_zarr(path: Path) -> str:
    try:
        image = open_image(path, missing_chunks="fill")
    except UnknownAxesError:
        # Which axes are planes is for the user to state; what it is made of stays.
        return _of_metadata(path)
    digest = hashlib.blake2b(repr(image.data.shape).encode(), digest_size=16)
    digest.update(str(image.data.dtype).encode())
    region = tuple(
        slice(max(0, (n - _REGION) // 2), max(0, (n - _REGION) // 2) + _REGION)
        for n in image.plane_shape
    )
    indices = list(image.indices())
    for index in dict.fromkeys((indices[0], indices[len(indices) // 2], indices[-1])):
        digest.update(np.ascontiguousarray(image.read(index, region)).tobytes())
    return digest.hexdigest()


def _of_metadata(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in _METADATA:
        if (path / name).is_file():
            digest.update((path / name).read_bytes())
    return digest.hexdigest()

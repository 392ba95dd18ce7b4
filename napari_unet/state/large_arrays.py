"""Arrays of zeros that are in memory where they fit, and else on disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np
import platformdirs
import psutil

from unet_engine.compute.calibration import CACHE_VARIABLE
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_SHARE = 0.5
"""Largest part of the free memory for one array: the image, the network and napari
need the rest."""
_SPARE_BYTES = 2**30
"""Bytes left free on the disk, 1 GiB: one that fills up under an array ends napari."""


def describe_place(array: Any, name: str) -> str:
    """Return a sentence on where an array lies on disk; empty for one in memory."""
    if not lies_on_disk(array):
        return ""
    return (
        f"The {name} is larger than the memory: it lies on disk, in {cache_folder()}, "
        f"takes up to {_size(array.size * array.itemsize)} there as it is filled, and "
        "is gone when napari is closed."
    )


def zeros(shape: Sequence[int], dtype: npt.DTypeLike, name: str) -> npt.NDArray[Any]:
    """Return an array of zeros, on disk when it is too large for the memory.

    One on disk takes room there as it is written, and is gone with the array.

    Parameters
    ----------
    shape, dtype
        Of the array.
    name
        What it is for, in messages.

    Raises
    ------
    DataError
        When it can be neither in memory nor on disk.
    """
    if _fits_in_memory(shape, dtype):
        try:
            return np.zeros(shape, dtype)
        except MemoryError:
            pass
    plane = prod(shape[-2:]) * np.dtype(dtype).itemsize
    return _zeros_on_disk(shape, dtype, plane, name)


def check_room_for(
    shape: Sequence[int], dtype: npt.DTypeLike, planes: int, name: str
) -> None:
    """Check that there is room for planes of an array that is yet to be made.

    Raises
    ------
    DataError
        When it would lie on disk, and that has not.
    """
    if not _fits_in_memory(shape, dtype):
        _check_disk(planes * prod(shape[-2:]) * np.dtype(dtype).itemsize, name)


def lies_on_disk(array: Any) -> bool:
    """Whether an array is one of those on disk, or a part of it."""
    return isinstance(array, np.memmap)


def check_room(array: Any, planes: int, name: str) -> None:
    """Check that the disk has room for planes of an array that lies there.

    Raises
    ------
    DataError
        When it has not.
    """
    if lies_on_disk(array):
        _check_disk(planes * prod(array.shape[-2:]) * array.itemsize, name)


def _fits_in_memory(shape: Sequence[int], dtype: npt.DTypeLike) -> bool:
    needed = prod(shape) * np.dtype(dtype).itemsize
    return bool(needed <= _SHARE * psutil.virtual_memory().available)


def cache_folder() -> Path:
    """Return the folder for what is too large for the memory, made if need be."""
    folder = os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path(
        "napari-unet-finetune", False
    )
    path = Path(folder).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def _zeros_on_disk(
    shape: Sequence[int], dtype: npt.DTypeLike, plane: int, name: str
) -> npt.NDArray[Any]:
    try:
        _check_disk(plane, name)
        handle, path = tempfile.mkstemp(prefix="array-", dir=cache_folder())
        os.close(handle)
        array: npt.NDArray[Any] = np.memmap(path, dtype, "w+", shape=tuple(shape))
    except (OSError, MemoryError, OverflowError) as error:
        raise DataError(
            f"the {name} needs {_size(prod(shape) * np.dtype(dtype).itemsize)}, which "
            f"is more than the memory, and cannot lie on disk either: {error}; open a "
            f"part of the image, or let {CACHE_VARIABLE} name a folder on another disk"
        ) from error
    if os.name == "posix":
        # It has no name any more, and is gone with the process however that ends.
        os.unlink(path)
    else:
        finalize(array, _remove, path)
    return array


def _check_disk(needed: int, name: str) -> None:
    folder = cache_folder()
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise DataError(
            f"the {name} is larger than the memory and needs {_size(needed)} in "
            f"{folder}, where {_size(free)} are free; predict this slice only, free "
            f"some of the disk, or let {CACHE_VARIABLE} name a folder on another disk"
        )


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB"

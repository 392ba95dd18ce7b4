"""What lies at a place, a path of this computer or an address: there, written, deleted.

Storage at an address is tried again for a while where it throttles or fails.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.images.zarr.addresses import (
    Address,
    address_of,
    library_errors,
    options_of,
)
from unet_engine.images.zarr.retrying import patiently

if TYPE_CHECKING:
    import os

    from zarr.abc.store import Store

    from unet_engine.images.zarr.chunks import MissingChunks

Place = Path | Address
"""Where files are: a path of this computer, or an address."""


def place_of(path: str | os.PathLike[str] | Address) -> Place:
    """Return the address that a path is, or the path without links."""
    if isinstance(path, Address):
        return path
    return address_of(path) or Path(path).resolve()


def open_store(address: Address, missing: MissingChunks) -> Store:
    """Open what is at an address, read-only.

    Parameters
    ----------
    address
        Of a group or an array.
    missing
        ``"refuse"`` chunks that are not there, or have them ``"fill"``-ed.

    Raises
    ------
    DataError
        When a library for addresses of this kind is missing, or none is known.
    """
    # Loads zarr, and most images are something else.
    from unet_engine.images.zarr.stores import readable_store

    return readable_store(address, whole=missing == "refuse")


def store_at(place: Place) -> Any:
    """Return what zarr writes to at a place: the path, or a store of the address."""
    if isinstance(place, Path):
        return place
    from unet_engine.images.zarr.stores import writable_store

    return writable_store(place)


def is_there(place: Place) -> bool:
    """Whether there is a file or folder, an object or objects below."""
    if isinstance(place, Path):
        return place.exists()
    files, path = _files(place)
    return patiently(lambda: bool(files.exists(path)))


def read_bytes(place: Place) -> bytes | None:
    """Return what a file or object holds; None when there is none."""
    try:
        if isinstance(place, Path):
            return place.read_bytes()
        files, path = _files(place)
        return patiently(lambda: bytes(files.cat_file(path)))
    except FileNotFoundError:
        return None


def write_object(address: Address, content: bytes) -> None:
    """Write an object, whole or not at all."""
    files, path = _files(address)
    patiently(lambda: files.pipe_file(path, content))


def object_names(address: Address) -> list[str]:
    """Return the names directly below an address; none when nothing is there."""
    files, path = _files(address)

    def listed() -> list[str]:
        try:
            found = files.ls(path, detail=False)
        except FileNotFoundError:
            return []
        # An object of the very name is listed as well.
        names = (str(name).rstrip("/") for name in found)
        return [name.rpartition("/")[2] for name in names if name != path.rstrip("/")]

    return patiently(listed)


def remove(place: Place) -> None:
    """Delete a file or folder with all in it, if there is one.

    Raises
    ------
    OSError
        When an address cannot be deleted; of a folder what can be is deleted.
    """
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
        return
    files, path = _files(place)

    def delete() -> None:
        try:
            files.rm(path, recursive=True)
        except FileNotFoundError:
            return

    patiently(delete)


def _files(address: Address) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    with library_errors(address):
        from fsspec.core import url_to_fs

        # What another program or worker wrote since then must be seen.
        files, path = url_to_fs(
            address.url, use_listings_cache=False, **options_of(address)
        )
    return files, path

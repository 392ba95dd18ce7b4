"""Stores of zarr at an address: tried again while they throttle, and whole.

Loads zarr: imported where a store is opened.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.abc.store import Store
from zarr.storage import FsspecStore, WrapperStore

from unet_engine.images.zarr.addresses import (
    METADATA,
    Address,
    library_errors,
    options_of,
)
from unet_engine.images.zarr.retrying import passes, wait_after

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Result = TypeVar("_Result")

_TRIES_OF_METADATA = 2
"""Further tries to read metadata: within 2 seconds a wrong address is reported."""


class PatientStore(WrapperStore):  # type: ignore[misc]
    """A store that is tried again while storage throttles or fails."""

    # Those of the wrapped store would call its own methods.
    _set_many = Store._set_many
    _get_many = Store._get_many
    set_if_not_exists = Store.set_if_not_exists

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Return the object of a key, or None."""
        # Metadata are the first thing asked for of an address that may be wrong.
        first = self.read_only and key.endswith(METADATA)
        most = _TRIES_OF_METADATA if first else None
        return await _patiently(
            lambda: self._store.get(key, *arguments, **options), most
        )

    async def exists(self, key: str) -> bool:
        """Whether there is an object of a key."""
        found: bool = await _patiently(lambda: self._store.exists(key))
        return found

    async def set(self, key: str, value: Any, *arguments: Any) -> None:
        """Write an object."""
        await _patiently(lambda: self._store.set(key, value, *arguments))

    async def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        await _patiently(lambda: self._store.delete(key))

    async def delete_dir(self, prefix: str) -> None:
        """Delete all objects below a prefix."""
        await _patiently(lambda: self._store.delete_dir(prefix))


class WholeStore(WrapperStore):  # type: ignore[misc]
    """A store with an error in place of a chunk that is not there.

    zarr would take the fill value for it, and one that was lost looks the same.
    """

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Return the object of a key; None of metadata that are not there.

        Raises
        ------
        FileNotFoundError
            When a chunk is missing.
        """
        found = await self._store.get(key, *arguments, **options)
        if found is None and not key.endswith(METADATA):
            raise FileNotFoundError(
                f"the chunk {key} is missing: copy or export it again, or pass "
                "--missing-chunks fill if the file was written without its empty "
                "chunks"
            )
        return found


def readable_store(address: Address, *, whole: bool) -> Store:
    """Open what is at an address to be read.

    Raises
    ------
    DataError
        When a library for addresses of this kind is missing, or none is known.
    """
    with library_errors(address):
        options = options_of(address)
        store = FsspecStore.from_url(
            address.url, storage_options=options, read_only=True
        )
        store = PatientStore(store)
    return WholeStore(store) if whole else store


def writable_store(address: Address) -> Store:
    """Open what is at an address to be written to.

    Raises
    ------
    DataError
        As ``readable_store``.
    """
    with library_errors(address):
        return PatientStore(FsspecStore.from_url(address.url, read_only=False))


async def _patiently(
    call: Callable[[], Awaitable[_Result]], most: int | None = None
) -> _Result:
    """Await a call as ``retrying.patiently`` calls it."""
    for tries in count(1):
        try:
            return await call()
        except Exception as error:
            if not passes(error):
                raise
            wait = wait_after(error, tries, most)
        await asyncio.sleep(wait)
    raise AssertionError

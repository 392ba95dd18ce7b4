"""Zarrs at an address: ``https://``, ``s3://`` and what else fsspec opens.

Their chunks are fetched when they are read, and kept like those of a folder.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from unet_engine.images.zarr.chunks import MissingChunks

_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}(?!/)(.+)")
"""A scheme of two letters at least: one is a drive of Windows. A ``Path`` folds the two
slashes of an address into one."""

_EXTRA = 'pip install "napari-unet-finetune[remote]"'

_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a zarr is, in the network.

    Attributes
    ----------
    url
        Without a slash at the end.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]


def address_of(path: str | os.PathLike[str]) -> Address | None:
    """Return the address that a path is; None of a path of this computer."""
    found = _ADDRESS.fullmatch(os.fspath(path))
    # A folder of this computer may be named so.
    if found is None or os.path.lexists(path):
        return None
    scheme, rest = found.groups()
    return Address(f"{scheme.lower()}://{rest}".rstrip("/"))


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
    try:
        from zarr.storage import FsspecStore

        store = FsspecStore.from_url(address.url, read_only=True)
    except ImportError as error:
        raise DataError(
            f"{address} needs a library that is not installed ({error}); {_EXTRA}"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{address} is no address that can be opened ({error}); use https:// or "
            "s3://, or copy the files to this computer"
        ) from error
    return _whole(store) if missing == "refuse" else store


def _whole(store: Store) -> Store:
    """Return the store with an error in place of a chunk that is not there.

    zarr would take the fill value for it, and one that was lost looks the same.
    """
    from zarr.storage import WrapperStore

    class WholeStore(WrapperStore):  # type: ignore[misc]
        async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
            found = await super().get(key, *arguments, **options)
            if found is None and not key.endswith(_METADATA):
                raise FileNotFoundError(
                    f"the chunk {key} is missing: copy or export it again, or pass "
                    "--missing-chunks fill if the file was written without its empty "
                    "chunks"
                )
            return found

    return WholeStore(store)

"""Zarrs at an address: ``https://``, ``s3://`` and what else fsspec opens.

Their chunks are fetched when they are read, and kept like those of a folder.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):/{1,2}(?!/)(.+)")
"""A scheme of two letters at least: one is a drive of Windows. A ``Path`` folds the two
slashes of an address into one."""

_EXTRA = 'pip install "napari-unet-finetune[remote]"'

_SILENT_S = 20.0
"""Seconds in which a web server sends something."""

METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")
"""Ends of the keys that are no chunks."""


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

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def is_read_only(self) -> bool:
        """Whether it is of a web server, which takes nothing."""
        return self.url.startswith(("http://", "https://"))

    @property
    def parent(self) -> Address:
        """What it lies in; of a bucket or host the scheme alone."""
        return Address(self.url.rpartition("/")[0])


def address_of(path: str | os.PathLike[str]) -> Address | None:
    """Return the address that a path is; None of a path of this computer."""
    found = _ADDRESS.fullmatch(os.fspath(path))
    # A folder of this computer may be named so.
    if found is None or os.path.lexists(path):
        return None
    scheme, rest = found.groups()
    return Address(f"{scheme.lower()}://{rest}".rstrip("/"))


def options_of(address: Address) -> dict[str, Any]:
    """Return what fsspec opens an address with.

    A web server that sends nothing for a while counts as failed, however long a chunk
    takes that comes bit by bit. Clients of buckets have such limits of their own.

    Raises
    ------
    ImportError
        When a library for it is missing.
    """
    if not address.is_read_only:
        return {}
    from aiohttp import ClientTimeout
    from fsspec.config import conf

    limit = ClientTimeout(total=None, sock_connect=_SILENT_S, sock_read=_SILENT_S)
    # Settings of the user's own, such as a proxy, would else be replaced.
    own = conf.get(address.url.partition(":")[0], {}).get("client_kwargs", {})
    return {"client_kwargs": {"timeout": limit, **own}}


@contextmanager
def library_errors(address: Address) -> Iterator[None]:
    """Name the library that an address needs, or that there is none.

    Raises
    ------
    DataError
        In place of what fsspec raises.
    """
    try:
        yield
    except ImportError as error:
        raise DataError(
            f"{address} needs a library that is not installed ({error}); {_EXTRA}"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{address} is no address that can be opened ({error}); use https:// or "
            "s3://, or copy the files to this computer"
        ) from error

"""Where the record of a run lies: in a folder, or as objects at an address.

Either holds an identity, a listing of the files of the image, and lines that are only
ever added.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.files.locking import FolderLock, LocksUnsupportedError
from unet_engine.images.formats import UNFINISHED
from unet_engine.images.zarr.storage import (
    object_names,
    read_bytes,
    remove,
    write_object,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from unet_engine.images.source_files import Source
    from unet_engine.images.zarr.addresses import Address
    from unet_engine.images.zarr.storage import Place

_IDENTITY, _LISTING, _TILES = "run.json", "files", "tiles"
"""Names in the record."""

_MOST_OBJECTS = 100
"""Objects with lines before they become one: a run that resumes reads all."""

_OBJECT = re.compile(r"(\d{12})(\.all)?")
"""Name of an object with lines: its number, and whether it stands for all before."""


class TileRecord(Protocol):
    """Keeps an identity and lines, whatever ends the process."""

    commit_interval: float
    """Seconds between two additions."""

    @property
    def place(self) -> Place:
        """Where the identity is written."""

    @property
    def exists(self) -> bool:
        """True when there is an identity: a run was begun here and not finished."""

    @property
    def has_traces(self) -> bool:
        """True when anything is there."""

    @property
    def is_long(self) -> bool:
        """Whether the lines are to be replaced by fewer ones."""

    def identity(self) -> bytes | None:
        """Return the identity that was written, or None."""

    def write_identity(self, identity: bytes) -> None:
        """Write the identity, which makes the run one that was begun."""

    def write_listing(self, source: Source) -> None:
        """Write the files of the image as they are now."""

    def changed_chunks(self, source: Source) -> set[str] | None:
        """Return the chunks of the image that differ from the listing."""

    def open(self, *, anew: bool) -> list[bytes]:
        """Return the lines, none of them when the run begins ``anew``."""

    def append(self, lines: Sequence[str]) -> None:
        """Add lines; when it returns they survive the end of the process."""

    def replace(self, lines: Sequence[str]) -> None:
        """Put lines in the place of all others."""

    def close(self) -> None:
        """Let another run go on here."""

    def remove(self) -> None:
        """Delete all of it, the identity first."""


def record_in(home: Place) -> TileRecord:
    """Return the record of the run that writes to a place."""
    if isinstance(home, Path):
        return FolderRecord(home)
    return ObjectRecord(home)


class FolderRecord:
    """A record in a hidden folder: lines in one file, written through to the disk.

    Parameters
    ----------
    home
        The folder of the results.
    """

    commit_interval = 0.5
    """Seconds of work that a power cut can cost; to flush each tile would cost more."""

    def __init__(self, home: Path) -> None:
        self._folder = home / UNFINISHED
        self._file: FileIO | None = None
        self._lock: FolderLock | None = None

    @property
    def place(self) -> Place:
        return self._folder / _IDENTITY

    @property
    def exists(self) -> bool:
        return (self._folder / _IDENTITY).is_file()

    @property
    def has_traces(self) -> bool:
        return self._folder.exists()

    @property
    def is_long(self) -> bool:
        # A file has room for all of them.
        return False

    def identity(self) -> bytes | None:
        return read_bytes(self._folder / _IDENTITY)

    def write_identity(self, identity: bytes) -> None:
        with whole_file(self._folder / _IDENTITY) as temporary:
            temporary.write_bytes(identity)

    def write_listing(self, source: Source) -> None:
        source.write_listing(self._folder / _LISTING)

    def changed_chunks(self, source: Source) -> set[str] | None:
        return source.changed_chunks(self._folder / _LISTING)

    def open(self, *, anew: bool) -> list[bytes]:
        """Take the lock and return the lines; one that was cut short is dropped."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._file = file = (self._folder / _TILES).open("ab+", buffering=0)
        if anew:
            file.truncate(0)
        file.seek(0)
        # What follows the last end of line was cut short.
        *lines, rest = file.read().split(b"\n")
        if rest:
            file.truncate(file.tell() - len(rest))
        return lines

    def append(self, lines: Sequence[str]) -> None:
        if self._file is None:
            return
        content = "".join(f"{line}\n" for line in lines).encode()
        written = self._file.write(content)
        if written != len(content):
            # Half a number would run into the next one.
            self._file.truncate(self._file.seek(0, os.SEEK_END) - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())

    def replace(self, lines: Sequence[str]) -> None:
        """Leave the lines as they are."""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        self.close()
        # The identity first: without it there is no unfinished run.
        (self._folder / _IDENTITY).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take_lock(self) -> None:
        try:
            self._lock = FolderLock(self._folder)
        except BlockingIOError as error:
            raise DataError(
                f"another run is writing to {self._folder.parent} ({error.strerror}); "
                "wait for its end, or stop it first"
            ) from None
        except LocksUnsupportedError as error:
            raise DataError(
                f"{self._folder.parent} cannot be written tile by tile: "
                f"{error.strerror}; write to a local drive and copy the result"
            ) from error


class ObjectRecord:
    """A record at an address, where nothing can be added to an object.

    Each addition is an object of its own with a number in its name, the next one. When
    there are many, one with all lines takes their place, under a name that marks it: if
    the others are still there, they do not count.

    There are no locks either. Two runs of one identity write the same bytes; one that
    begins anew changes the identity, which the other one finds at its next addition.

    Parameters
    ----------
    home
        The address of the results.
    """

    commit_interval = 2.0
    """Seconds between two additions, each of which takes about a tenth of one."""

    def __init__(self, home: Address) -> None:
        self._home = home
        self._folder = home / UNFINISHED
        self._next = 0
        self._waiting = 0
        self._written: bytes | None = None

    @property
    def place(self) -> Place:
        return self._folder / _IDENTITY

    @property
    def exists(self) -> bool:
        return self.identity() is not None

    @property
    def has_traces(self) -> bool:
        return bool(object_names(self._folder))

    @property
    def is_long(self) -> bool:
        return self._waiting > _MOST_OBJECTS

    def identity(self) -> bytes | None:
        return read_bytes(self._folder / _IDENTITY)

    def write_identity(self, identity: bytes) -> None:
        write_object(self._folder / _IDENTITY, identity)
        self._written = identity

    def write_listing(self, source: Source) -> None:
        with _temporary_file() as path:
            source.write_listing(path)
            write_object(self._folder / _LISTING, path.read_bytes())

    def changed_chunks(self, source: Source) -> set[str] | None:
        listing = read_bytes(self._folder / _LISTING)
        if listing is None:
            return None
        with _temporary_file() as path:
            path.write_bytes(listing)
            return source.changed_chunks(path)

    def open(self, *, anew: bool) -> list[bytes]:
        if anew:
            remove(self._folder / _TILES)
        self._written = self.identity()
        names = self._names()
        whole = [name for name in names if name.endswith(".all")]
        counted = [name for name in names if name >= max(whole, default="")]
        self._next = int(names[-1][:12]) + 1 if names else 0
        self._waiting = len(names)
        lines: list[bytes] = []
        for name in counted:
            lines += (read_bytes(self._folder / _TILES / name) or b"").split()
        return lines

    def append(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        self._check_own()
        self._write(lines, "")

    def replace(self, lines: Sequence[str]) -> None:
        before = self._names()
        self._write(lines, ".all")
        for name in before:
            remove(self._folder / _TILES / name)
        self._waiting = 1

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def remove(self) -> None:
        remove(self._folder / _IDENTITY)
        remove(self._folder)

    def _write(self, lines: Sequence[str], kind: str) -> None:
        name = f"{self._next:012}{kind}"
        write_object(
            self._folder / _TILES / name, "".join(f"{n}\n" for n in lines).encode()
        )
        self._next += 1
        self._waiting += 1

    def _names(self) -> list[str]:
        """Return the names of the objects with lines, in the order of their numbers."""
        names = object_names(self._folder / _TILES)
        return sorted(name for name in names if _OBJECT.fullmatch(name))

    def _check_own(self) -> None:
        """Make sure that no other run began anew here.

        Raises
        ------
        DataError
            When one did.
        """
        if self._written is not None and self.identity() != self._written:
            raise DataError(
                f"another run began anew at {self._home}, or ended there; wait for "
                "its end, or write to another place"
            )


@contextmanager
def _temporary_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, _LISTING)

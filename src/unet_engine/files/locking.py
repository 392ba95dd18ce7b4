"""``FolderLock``: one program at a time writes to a folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import filelock

if TYPE_CHECKING:
    from pathlib import Path

_NAME = ".lock"
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
_HOLDER_AT = 1
"""Offset of the holder in the file: on Windows the first byte is locked, and a locked
byte cannot be read."""
_HOLDER_BYTES = 1024
"""Most that is read of the holder: more than any host name takes."""


class LocksUnsupportedError(OSError):
    """The drive of a folder does not support locks."""


class FolderLock:
    """A lock that goes with the process that holds it, however that ends.

    Parameters
    ----------
    folder
        Is there and writable.
    name
        Of the file that is locked, where the lock is of a file in the folder.

    Raises
    ------
    BlockingIOError
        When another program holds it; ``strerror`` names process, host and time.
    LocksUnsupportedError
        When its drive does not support locks.
    OSError
        When the folder cannot be written to.
    """

    def __init__(self, folder: Path, name: str = _NAME) -> None:
        # A lock file without a lock, which is what filelock makes on a drive without
        # locks, would stay after a crash.
        self._lock = filelock.FileLock(
            folder / name,
            blocking=False,
            thread_local=False,
            fallback_to_soft=False,
            on_acquired=_write_holder,
        )
        try:
            self._lock.acquire()
        except filelock.Timeout:
            holder = _read_holder(folder / name)
            raise BlockingIOError(errno.EAGAIN, holder, str(folder)) from None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            message = "the drive does not support file locks"
            raise LocksUnsupportedError(error.errno, message, str(folder)) from error

    def release(self) -> None:
        """Let others have it; does nothing the second time."""
        with suppress(OSError):
            self._lock.release()


def _write_holder(handle: int) -> None:
    """Write who holds the lock into its file, if the disk has room for that."""
    holder = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M"),
    }
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.lseek(handle, _HOLDER_AT, os.SEEK_SET)
        os.write(handle, json.dumps(holder).encode())


def _read_holder(path: Path) -> str:
    """Return who holds a lock, as far as that can be read."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(_HOLDER_AT)
            holder = json.loads(file.read(_HOLDER_BYTES) or b"")
        return "process {process} on {host} since {since}".format(**holder)
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"

"""``FolderLock``: one program at a time writes to a folder."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import finalize

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_NAME = ".lock"


class FolderLock:
    """A lock that goes with the process that holds it, however that ends.

    Parameters
    ----------
    folder
        Is there and writable.

    Raises
    ------
    BlockingIOError
        When somebody else holds it.
    OSError
        When the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        handle = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(handle)
        except OSError as error:
            os.close(handle)
            raise BlockingIOError(
                error.errno, "another program is writing to the folder", str(folder)
            ) from error
        self.release = finalize(self, _close, handle)
        """Let others have it; does nothing the second time."""


def _take(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]


def _close(handle: int) -> None:
    with suppress(OSError):
        os.close(handle)

"""``DiskSync``: flushes what was written to the disk itself, in a thread."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SYNC_S = 0.5
"""Most seconds between a stroke and the attempt to flush it to the disk."""


class DiskSync:
    """Waits for the disk, so that painting does not.

    What is written survives the end of the process; only a power cut can lose what is
    not on the disk yet.

    Parameters
    ----------
    on_failure
        Gets records that may not be on the disk, and why; called in the thread.
    """

    def __init__(self, on_failure: Callable[[list[bytes], OSError], None]) -> None:
        self._on_failure = on_failure
        self._mutex = threading.Lock()
        self._records: list[bytes] = []
        self._handle: int | None = None
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()

    def add(self, handle: int, records: list[bytes]) -> None:
        """Flush records to the disk soon.

        Parameters
        ----------
        handle
            Of the file that they were written to; it may be closed meanwhile.
        records
            As they were written.
        """
        with self._mutex:
            self._records += records
            if self._handle is None:
                self._handle = os.dup(handle)
            if self._thread is None:
                self._hurry.clear()
                self._thread = threading.Thread(
                    target=self._run, name="napari-unet-sync", daemon=True
                )
                self._thread.start()

    def drop(self) -> None:
        """Do not flush what is not on the disk yet: it is in another file now."""
        handle, _ = self._take()
        if handle is not None:
            os.close(handle)

    def finish(self) -> None:
        """Flush everything to the disk now."""
        self._sync()
        self._hurry.set()

    def _take(self) -> tuple[int | None, list[bytes]]:
        with self._mutex:
            handle, self._handle = self._handle, None
            records, self._records = self._records, []
        return handle, records

    def _run(self) -> None:
        while True:
            self._hurry.wait(SYNC_S)
            self._sync()
            with self._mutex:
                if self._handle is None:
                    self._thread = None
                    return

    def _sync(self) -> None:
        handle, records = self._take()
        if handle is None:
            return
        try:
            os.fsync(handle)
        except OSError as error:
            self._on_failure(records, error)
        finally:
            os.close(handle)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Flush the names in a folder to the disk, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)

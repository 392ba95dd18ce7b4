"""``StrokeLog``: what the user painted, on disk as soon as it is painted.

A folder with one file per generation. What the user does is appended to the newest one;
when that has grown, a new one begins, with the blocks as they are then (a write-ahead
log with checkpoints).
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unet_engine.annotations.block_file import BINARY
from unet_engine.annotations.painted_classes import PaintedClasses, pack_classes
from unet_engine.annotations.records import pack_act
from unet_engine.annotations.recovery import (
    SUFFIX,
    Found,
    clear_leftovers,
    counted,
    newest_file,
    recover,
    retire,
)
from unet_engine.annotations.snapshot import Header, write_all, write_generation
from unet_engine.annotations.syncing import DiskSync, sync_folder
from unet_engine.errors import DataError
from unet_engine.files.locking import FolderLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from unet_engine.annotations.blocks import Blocks
    from unet_engine.annotations.records import Act, Box

logger = logging.getLogger(__name__)

GROWN_BYTES = 2**18
"""Bytes of acts after which a new generation begins, if blocks are not much more."""

_BUSY = (
    "Another window works on this image ({holder}): what is painted here is not saved. "
    "Close one of the two, then open the image again."
)
_OVERTAKEN = (
    "Another window has painted on this image since it was opened here: what is "
    "painted here is not saved. Open the image again."
)


class StrokeLog:
    """A folder to which acts are appended. Open it before the first one.

    Parameters
    ----------
    folder
        Where it is, or will be with the first act.
    shape
        Of the label array, leading axes included.
    image_info
        What identifies the image, as JSON types.

    Attributes
    ----------
    save_error
        Why acts are not being saved, a sentence for the user; empty when they are.
    on_save_error
        Called when ``save_error`` changed, from any thread.
    strokes
        How many were made, those that were undone aside.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], image_info: Mapping[str, Any]
    ) -> None:
        self.folder = folder
        self.save_error = ""
        self.on_save_error: Callable[[], None] | None = None
        self.strokes = 0
        self._header = Header(shape=shape, image_info=image_info)
        self._number = 0
        self._generation = 0
        self._end, self._limit = 0, GROWN_BYTES
        self._handle: int | None = None
        self._lock: FolderLock | None = None
        self._mutex = threading.RLock()
        self._torn = self._damaged = self._outdated = False
        self._renamed = False
        self._refused = self._closed = self._missed = False
        self._unsaved: list[bytes] = []
        self._since: list[bytes] | None = None
        self._disk = DiskSync(self._on_sync_failure)
        self._compacting: threading.Thread | None = None

    @property
    def painted(self) -> PaintedClasses:
        """What the values of the strokes mean."""
        return self._header.painted

    def set_painted(self, painted: PaintedClasses) -> None:
        """Save what the values mean, together with the next act and before it."""
        with self._mutex:
            if painted != self._header.painted:
                self._header = replace(self._header, painted=painted)
                self._renamed = True

    @property
    def exists(self) -> bool:
        """Whether anything was saved."""
        return self._generation > 0

    def open(self) -> Found:
        """Read what is there; nothing when there is no such folder.

        Raises
        ------
        DataError
            When it is of labels of another size, written by a newer version of this
            program, or cannot be read.
        """
        if newest_file(self.folder) is None:
            return Found(header=self._header)
        try:
            self._take_lock()
            found = recover(self.folder, self._header.shape)
            shape = self._common_shape(found.header.shape)
        except DataError:
            self.close()
            raise
        self._outdated = (
            found.damaged or found.header.image_info != self._header.image_info
        )
        self._header = replace(self._header, shape=shape, painted=found.header.painted)
        self._number, self.strokes = found.number, found.recovery.strokes
        self._generation, self._end = found.generation, found.end
        self._damaged, self._torn = found.damaged, found.recovery.cut
        self._set_limit(found.base)
        if self._lock is not None and not found.damaged:
            clear_leftovers(self.folder, self._path(found.generation))
        if self._refused and found.recovery.cut:
            # The other window is just writing.
            return replace(found, recovery=replace(found.recovery, cut=False))
        return found

    def append(self, act: Act, boxes: Sequence[Box], time: float) -> None:
        """Save what the user did; when that fails it is tried again with the next act.

        Parameters
        ----------
        act, time
            Which, and when, in seconds since 1970.
        boxes
            The class ids of every changed part after it, at least one.
        """
        with self._mutex:
            self.strokes = counted(self.strokes, act)
            self._missed = self._missed or self._closed
            if self._refused or self._closed:
                return
            records = []
            if self._renamed:
                records.append(pack_classes(self._header.painted, self._number))
                self._renamed = False
            self._number += 1
            records.append(pack_act(act, self._number, boxes, time))
            self._unsaved += records
            if self._since is not None:
                self._since += records
            self._save()

    @property
    def grown(self) -> bool:
        """Whether it is time for ``compact``."""
        with self._mutex:
            if self._since is not None or self._handle is None:
                return False
            return self._outdated or self._end > self._limit

    def compact(self, blocks: Sequence[Blocks], time: float) -> None:
        """Begin a new generation, in a thread.

        Parameters
        ----------
        blocks
            Copies of all there are, as the last act left them.
        time
            Of that act.
        """
        with self._mutex:
            if self._refused or self._closed or self._since is not None:
                return
            self._since = []
            header = replace(
                self._header, number=self._number, strokes=self.strokes, time=time
            )
        self._compacting = threading.Thread(
            target=self._compact,
            args=(header, blocks),
            name="napari-unet-strokes",
            daemon=True,
        )
        self._compacting.start()

    def close(self) -> None:
        """Flush everything to the disk and let others write here."""
        if self._compacting is not None:
            self._compacting.join()
        with self._mutex:
            if self._closed:
                return
            if self._unsaved and not self._refused:
                self._save()
            self._closed = True
        self._disk.finish()
        self._release()

    def resume(self) -> None:
        """Save again after ``close``, unless another window has written meanwhile."""
        with self._mutex:
            self._closed = False
            # What was not appended meanwhile is in the blocks of the next generation.
            self._outdated = self._outdated or self._missed

    def __del__(self) -> None:
        with suppress(AttributeError):
            self._release()

    def _common_shape(self, before: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape with the slices of both; those that are gone may come back."""
        now = self._header.shape
        if len(before) != len(now) or before[-2:] != now[-2:]:
            raise DataError(
                f"the strokes in {self.folder} were painted on labels of shape "
                f"{before}, not {now}; open the image that they belong to"
            )
        leading = (max(pair) for pair in zip(before[:-2], now[:-2], strict=True))
        return (*leading, *now[-2:])

    def _path(self, generation: int) -> Path:
        return self.folder / f"{generation:08d}{SUFFIX}"

    def _open_file(self) -> int:
        return os.open(self._path(self._generation), os.O_RDWR | BINARY)

    def _set_limit(self, blocks_end: int) -> None:
        self._limit = blocks_end + blocks_end // 8 + GROWN_BYTES

    def _take_lock(self) -> None:
        """Take the lock of the folder, or refuse where another program has it."""
        try:
            self._lock = FolderLock(self.folder)
        except BlockingIOError as error:
            self._refuse(_BUSY.format(holder=error.strerror))
        except OSError as error:
            self._report(error)

    def _refuse(self, why: str) -> None:
        self._refused = True
        self._unsaved.clear()
        self._set_save_error(why)

    def _save(self) -> None:
        """Append what is not saved."""
        try:
            if self._handle is None and not self._begin():
                return
            assert self._handle is not None
            self._write(self._handle)
        except OSError as error:
            self._report(error)

    def _begin(self) -> bool:
        """Make the folder and its first file, or append to the one that was opened."""
        self.folder.mkdir(parents=True, exist_ok=True)
        late = self._lock is None
        if self._lock is None:
            self._lock = FolderLock(self.folder)
        if self._generation == 0 and newest_file(self.folder) is None:
            temporary = self.folder / f".1{SUFFIX}"
            write_generation(temporary, self._header, ())
            os.replace(temporary, self._path(1))
            sync_folder(self.folder)
            self._generation, self._end = 1, self._path(1).stat().st_size
            self._set_limit(self._end)
        elif late and not self._is_as_left():
            self._refuse(_OVERTAKEN)
            return False
        self._handle = self._open_file()
        return True

    def _is_as_left(self) -> bool:
        newest = newest_file(self.folder)
        if newest is None or newest != self._path(self._generation):
            return False
        return self._torn or newest.stat().st_size == self._end

    def _write(self, handle: int) -> None:
        """Append what is not saved; a part that was written is taken away again."""
        if os.fstat(handle).st_nlink == 0:
            self._outdated = True
            raise FileNotFoundError(errno.ENOENT, "the file was removed")
        if self._torn:
            os.ftruncate(handle, self._end)
        self._torn = True
        os.lseek(handle, self._end, os.SEEK_SET)
        data = b"".join(self._unsaved)
        write_all(handle, data)
        self._torn = False
        self._end += len(data)
        records, self._unsaved = self._unsaved, []
        self._set_save_error("")
        self._disk.add(handle, records)

    def _report(self, error: OSError) -> None:
        logger.warning("strokes cannot be saved in %s: %s", self.folder, error)
        if isinstance(error, BlockingIOError):
            self._refuse(_BUSY.format(holder=error.strerror))
            return
        self._set_save_error(
            f"Strokes are not being saved: {error.strerror or error} "
            f"({self.folder}). Painting goes on; saving is tried again with the next "
            "stroke."
        )

    def _set_save_error(self, save_error: str) -> None:
        if save_error != self.save_error:
            self.save_error = save_error
            if self.on_save_error is not None:
                self.on_save_error()

    def _on_sync_failure(self, records: list[bytes], error: OSError) -> None:
        with self._mutex:
            # Which of them are on the disk is unknown. They are written again: of two
            # with one number the last counts.
            self._unsaved[:0] = records
            self._report(error)

    def _compact(self, header: Header, blocks: Sequence[Blocks]) -> None:
        temporary = self.folder / f".{self._generation + 1}{SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            items = (item for part in blocks for item in part.items())
            write_generation(temporary, header, items)
            with self._mutex:
                self._take_over(temporary)
        except OSError as error:
            logger.warning("no new generation in %s: %s", self.folder, error)
            with suppress(OSError):
                temporary.unlink()
        finally:
            with self._mutex:
                self._since = None
                self._limit = max(self._limit, self._end + GROWN_BYTES)

    def _take_over(self, temporary: Path) -> None:
        """Switch to a new file, with the acts that came while it was written."""
        base = temporary.stat().st_size
        since = b"".join(self._since or ())
        if since:
            _append(temporary, since)
        if self._handle is not None:
            # Windows renames nothing that is open.
            os.close(self._handle)
            self._handle = None
        old = self._path(self._generation)
        os.replace(temporary, self._path(self._generation + 1))
        sync_folder(self.folder)
        self._generation += 1
        self._end = base + len(since)
        self._set_limit(base)
        self._unsaved.clear()
        self._disk.drop()
        retire(old, damaged=self._damaged)
        self._torn = self._damaged = self._outdated = False
        self._handle = self._open_file()
        self._set_save_error("")

    def _release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _append(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | BINARY)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)

"""The blocks in a file of a stroke log, each read at its first use."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np

from unet_engine.annotations.block import EDGE, Block
from unet_engine.annotations.paint_times import PaintTimes
from unet_engine.annotations.records import COMPRESSION
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.annotations.block import Counts, Key, StoredBlock
    from unet_engine.annotations.records import Record
    from unet_engine.places import Index

BINARY = getattr(os, "O_BINARY", 0)
"""Flag without which Windows changes bytes of a file."""

_PLACE = struct.Struct("<H")
"""Number of leading axes, before the position of a block."""

_SQUARE = EDGE * EDGE
"""Bytes of a byte for each pixel of a block."""

_KEPT = 128
"""Blocks that were read last and stay in memory: 16 MB, 8 more where times need it."""


_SMALL = 2**18
"""Bytes of a file that is read at once and closed: some hundred strokes. A training
from many images would else need more open files than macOS allows, 256 by default."""


class BlockFile:
    """The blocks of a file, a few of them in memory; for any thread.

    A small file is in memory as it was when it was opened. A larger one stays open: a
    copy of the annotations can outlive its name.
    """

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY | BINARY)
        self._whole: bytes | None = None
        self._handle = handle
        self._lock = threading.Lock()
        self._recent: OrderedDict[int, Block] = OrderedDict()
        closing = finalize(self, os.close, handle)
        if os.fstat(handle).st_size <= _SMALL:
            self._whole = _read(handle, 0, _SMALL)
            closing()

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; fewer where the file ends."""
        if self._whole is not None:
            return self._whole[offset : offset + length]
        with self._lock:
            return _read(self._handle, offset, length)

    def block(self, stored: BlockOnDisk) -> Block:
        """Return a block; it must not be changed."""
        with self._lock:
            if (known := self._recent.get(stored.offset)) is not None:
                self._recent.move_to_end(stored.offset)
                return known
        block = unpack_block(stored.packed())
        with self._lock:
            self._recent[stored.offset] = block
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return block

    def size(self) -> int:
        """Return the length in bytes."""
        if self._whole is not None:
            return len(self._whole)
        return os.fstat(self._handle).st_size


def _read(handle: int, offset: int, length: int) -> bytes:
    """Return bytes of an open file; fewer where it ends."""
    os.lseek(handle, offset, os.SEEK_SET)
    found = b""
    while len(found) < length:
        part = os.read(handle, length - len(found))
        if not part:
            break
        found += part
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockOnDisk:
    """A block of a file, read by ``load``.

    Attributes
    ----------
    file
        Where it lies.
    offset, length, checksum
        Of the payload of its record.
    counts, conflicts
        See ``StoredBlock``.
    """

    file: BlockFile
    offset: int
    length: int
    checksum: int
    counts: Counts
    conflicts: int

    def packed(self) -> bytes:
        """Return the payload of its record.

        Raises
        ------
        DataError
            When it is damaged.
        """
        payload = self.file.read(self.offset, self.length)
        if len(payload) != self.length or zlib.crc32(payload) != self.checksum:
            raise DataError("a block of the stroke log is damaged on disk")
        return payload

    def load(self) -> Block:
        """Read it.

        Raises
        ------
        DataError
            When it is damaged.
        """
        return self.file.block(self)


def pack_block(index: Index, key: Key, block: Block | StoredBlock) -> bytes:
    """Return the payload of the record of a block.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    if isinstance(block, BlockOnDisk):
        return block.packed()
    loaded = block if isinstance(block, Block) else block.load()
    place = np.array([*index, *key], "<i8").tobytes()
    content = zlib.compress(_pack_pixels(loaded), COMPRESSION)
    return _PLACE.pack(len(index)) + place + content


def _pack_pixels(block: Block) -> bytes:
    """Return class ids, repaints, times.

    Programs of earlier versions take squares of bytes, and do not look at those after
    the second: so there are repaints whenever there are times, and times fill squares.
    """
    content = block.ids.tobytes()
    if block.repaints is not None:
        content += block.repaints.tobytes()
    elif block.times is not None:
        content += bytes(_SQUARE)
    if block.times is not None:
        times = block.times.pack()
        content += times + bytes(-len(times) % _SQUARE)
    return content


def unpack_block(payload: bytes) -> Block:
    """Return the block of a record."""
    (leading,) = _PLACE.unpack_from(payload)
    content = zlib.decompress(payload[_PLACE.size + 8 * (leading + 2) :])
    parts = np.frombuffer(content, np.uint8).reshape(-1, EDGE, EDGE)
    times = None
    if len(parts) > 2:
        times, _ = PaintTimes.unpack(content, 2 * _SQUARE, (EDGE, EDGE))
    return Block(parts[0], parts[1] if len(parts) > 1 else None, times)


def found_block(file: BlockFile, record: Record) -> tuple[Index, Key, BlockOnDisk]:
    """Return the block of a record that no index lists: plane, place in it, block."""
    (leading,) = _PLACE.unpack_from(record.payload)
    *index, row, column = np.frombuffer(
        record.payload, "<i8", leading + 2, _PLACE.size
    ).tolist()
    block = unpack_block(record.payload)
    stored = BlockOnDisk(
        file=file,
        offset=record.offset,
        length=len(record.payload),
        checksum=zlib.crc32(record.payload),
        counts=block.counts,
        conflicts=block.conflicts,
    )
    return tuple(index), (row, column), stored

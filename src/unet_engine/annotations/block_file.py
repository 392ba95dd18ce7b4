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

from unet_engine.annotations.blocks import EDGE, Block
from unet_engine.annotations.records import COMPRESSION
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.annotations.blocks import Counts, Key, StoredBlock
    from unet_engine.annotations.records import Record
    from unet_engine.places import Index

BINARY = getattr(os, "O_BINARY", 0)
"""Flag without which Windows changes bytes of a file."""

_PLACE = struct.Struct("<H")
"""Number of leading axes, before the position of a block."""

_KEPT = 256
"""Blocks that were read last and stay in memory: 16 MB."""


class BlockFile:
    """The blocks of a file, a few of them in memory; for any thread.

    The file stays open: a copy of the annotations can outlive its name.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | BINARY)
        self._lock = threading.Lock()
        self._recent: OrderedDict[int, Block] = OrderedDict()
        finalize(self, os.close, self._handle)

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes; fewer where the file ends."""
        with self._lock:
            os.lseek(self._handle, offset, os.SEEK_SET)
            found = b""
            while len(found) < length:
                part = os.read(self._handle, length - len(found))
                if not part:
                    break
                found += part
            return found

    def block(self, stored: BlockOnDisk) -> Block:
        """Return a block; it must not be changed."""
        with self._lock:
            if (known := self._recent.get(stored.offset)) is not None:
                self._recent.move_to_end(stored.offset)
                return known
        block = unpack_ids(stored.packed())
        with self._lock:
            self._recent[stored.offset] = block
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
        return block

    def size(self) -> int:
        """Return the length in bytes."""
        return os.fstat(self._handle).st_size


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
    ids = loaded.ids.tobytes()
    if loaded.repaints is not None:
        ids += loaded.repaints.tobytes()
    place = np.array([*index, *key], "<i8").tobytes()
    return _PLACE.pack(len(index)) + place + zlib.compress(ids, COMPRESSION)


def unpack_ids(payload: bytes) -> Block:
    """Return the block of a record."""
    (leading,) = _PLACE.unpack_from(payload)
    packed = payload[_PLACE.size + 8 * (leading + 2) :]
    parts = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(-1, EDGE, EDGE)
    return Block(parts[0], parts[1] if len(parts) > 1 else None)


def found_block(file: BlockFile, record: Record) -> tuple[Index, Key, BlockOnDisk]:
    """Return the block of a record that no index lists: plane, place in it, block."""
    (leading,) = _PLACE.unpack_from(record.payload)
    *index, row, column = np.frombuffer(
        record.payload, "<i8", leading + 2, _PLACE.size
    ).tolist()
    block = unpack_ids(record.payload)
    stored = BlockOnDisk(
        file=file,
        offset=record.offset,
        length=len(record.payload),
        checksum=zlib.crc32(record.payload),
        counts=block.counts,
        conflicts=block.conflicts,
    )
    return tuple(index), (row, column), stored

"""A generation of a stroke log: its header, its blocks and where they lie.

::

    header | block | block | ... | index | act | act | ...

The index holds where each block lies and what it counts, so that a file is opened
without reading its blocks. Where header or index is damaged, all of it is searched.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.annotations.block import EDGE
from unet_engine.annotations.block_file import (
    BINARY,
    BlockFile,
    BlockOnDisk,
    found_block,
    pack_block,
)
from unet_engine.annotations.painted_classes import (
    PaintedClasses,
    pack_classes,
    unpack_classes,
)
from unet_engine.annotations.records import (
    COMPRESSION,
    HEAD_BYTES,
    Kind,
    Record,
    frame,
    is_act,
    read_record,
    scan,
)
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from unet_engine.annotations.block import Block, Key, StoredBlock
    from unet_engine.places import Index

FORMAT = "napari-unet strokes"
VERSION = 1
"""Of the format; a file with a higher one is refused."""

_OFFSETS = struct.Struct("<QQ")
_INDEX = struct.Struct("<HIH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a stroke log is of, and where it stands.

    Attributes
    ----------
    shape
        Of the label array that was painted on.
    number
        Of the last act that the blocks contain.
    strokes
        How many strokes they contain, those that were undone aside.
    time
        Of the last act, in seconds since 1970.
    image_info
        What identifies the image, as JSON types.
    painted
        What the values mean; nothing in files of earlier versions.
    """

    shape: tuple[int, ...]
    number: int = 0
    strokes: int = 0
    time: float = 0.0
    image_info: Mapping[str, Any] = field(default_factory=dict)
    painted: PaintedClasses = field(default_factory=PaintedClasses)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """What was read of a file, without its blocks.

    Attributes
    ----------
    header
        None when it is damaged.
    blocks
        Plane, place in it, and the block, which is read at its first use.
    acts
        Records of what the user did after that.
    number
        Of the last act that the blocks contain.
    base
        Where the acts begin.
    end
        Of the last whole record; whatever comes after it was cut short.
    damaged
        Whether something before ``end`` could not be read.
    cut
        Whether anything comes after ``end``.
    painted
        What the values mean, as of the last record of it; else the header's.
    """

    header: Header | None
    blocks: list[tuple[Index, Key, StoredBlock]]
    acts: list[Record]
    number: int
    base: int
    end: int
    damaged: bool
    cut: bool
    painted: PaintedClasses


def write_all(handle: int, data: bytes) -> None:
    """Write to a file until everything is written.

    Raises
    ------
    OSError
        When that is not possible; a part may be written then.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def write_generation(
    path: Path,
    header: Header,
    blocks: Iterable[tuple[Index, Key, Block | StoredBlock]],
) -> None:
    """Write a file without acts, and wait until it is on disk.

    A block that cannot be read any more is left out.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o644)
    try:
        at = len(_pack_header(header, 0, 0))
        os.lseek(handle, at, os.SEEK_SET)
        rows = []
        for index, key, block in blocks:
            with suppress(DataError):
                payload = pack_block(index, key, block)
                write_all(handle, frame(Kind.BLOCK, header.number, payload))
                rows.append((index, key, at + HEAD_BYTES, payload, block))
                at += HEAD_BYTES + len(payload)
        listing = frame(Kind.INDEX, header.number, _pack_index(header, rows))
        write_all(handle, listing)
        # A second time, for a file whose header is damaged later.
        write_all(handle, pack_classes(header.painted, header.number))
        os.lseek(handle, 0, os.SEEK_SET)
        write_all(handle, _pack_header(header, at, at + len(listing)))
        os.fsync(handle)
    finally:
        os.close(handle)


def read_header(path: Path) -> Header | None:
    """Return the header of a file, or None when it has no whole one.

    Raises
    ------
    DataError
        When a newer version of this program wrote it.
    OSError
        When it cannot be read.
    """
    found = _read_header(BlockFile(path))
    return None if found is None else found[0]


def read_generation(path: Path) -> Generation:
    """Read everything of a file but its blocks.

    Raises
    ------
    DataError
        When a newer version of this program wrote it.
    OSError
        When it cannot be read.
    """
    file = BlockFile(path)
    found = _read_header(file)
    header, start, tail = (None, 0, 0) if found is None else found
    listing = None
    if header is not None:
        data = file.read(start, tail - start)
        listing = read_record(data, 0, start)
    if listing is None or listing.kind is not Kind.INDEX:
        return _search(file, header)
    data = file.read(tail, file.size() - tail)
    acts = list(scan(data, tail))
    end = acts[-1].end if acts else tail
    gaps = end - tail - sum(HEAD_BYTES + len(act.payload) for act in acts)
    return Generation(
        header=header,
        blocks=_unpack_index(file, listing.payload),
        acts=acts,
        number=listing.number,
        base=tail,
        end=end,
        damaged=gaps > 0,
        cut=end < tail + len(data),
        painted=_painted(header, acts),
    )


def _search(file: BlockFile, header: Header | None) -> Generation:
    """Find every whole record of a file that has no index."""
    data = file.read(0, file.size())
    records = list(scan(data))
    known = [r for r in records if r.kind in (Kind.HEADER, Kind.INDEX, Kind.BLOCK)]
    end = records[-1].end if records else 0
    return Generation(
        header=header,
        blocks=[found_block(file, r) for r in known if r.kind is Kind.BLOCK],
        acts=[r for r in records if is_act(r)],
        number=max((r.number for r in known), default=0),
        base=known[-1].end if known else 0,
        end=end,
        damaged=True,
        cut=end < len(data),
        painted=_painted(header, records),
    )


def _painted(header: Header | None, records: Sequence[Record]) -> PaintedClasses:
    """Return the classes of the last whole record of them, else of the header."""
    for record in reversed(records):
        if record.kind is Kind.CLASSES:
            with suppress(ValueError):
                return unpack_classes(record)
    return PaintedClasses() if header is None else header.painted


def _pack_header(header: Header, listing: int, tail: int) -> bytes:
    values = {
        "format": FORMAT,
        "version": VERSION,
        "edge": EDGE,
        "shape": header.shape,
        "strokes": header.strokes,
        "time": header.time,
        "about": dict(header.image_info),
        "painted": header.painted.to_dict(),
    }
    payload = _OFFSETS.pack(listing, tail) + json.dumps(values).encode()
    return frame(Kind.HEADER, header.number, payload)


def _read_header(file: BlockFile) -> tuple[Header, int, int] | None:
    """Return the header, where the index begins and where it ends."""
    data = file.read(0, 2**16)
    record = read_record(data, 0)
    if record is None or record.kind is not Kind.HEADER:
        return None
    listing, tail = _OFFSETS.unpack_from(record.payload)
    values = json.loads(record.payload[_OFFSETS.size :])
    if values["version"] > VERSION or values["edge"] != EDGE:
        raise DataError(
            "the strokes of this image were saved by a newer version of this program; "
            "update it to work on them"
        )
    header = Header(
        shape=tuple(values["shape"]),
        number=record.number,
        strokes=values["strokes"],
        time=values["time"],
        image_info=values["about"],
        painted=PaintedClasses.from_dict(values.get("painted", {})),
    )
    return header, listing, tail


def _pack_index(
    header: Header, rows: list[tuple[Index, Key, int, bytes, Block | StoredBlock]]
) -> bytes:
    """Return a table: plane, place, where its record lies, what it counts."""
    leading = len(header.shape) - 2
    counts = [block.counts for *_, block in rows]
    classes = sorted({label for found in counts for label in found})
    table = [
        (
            *index, *key, offset, len(payload), zlib.crc32(payload), block.conflicts,
            *(found.get(label, 0) for label in classes),
        )
        for (index, key, offset, payload, block), found in zip(
            rows, counts, strict=True
        )
    ]  # fmt: skip
    head = _INDEX.pack(leading, len(rows), len(classes)) + bytes(classes)
    return head + zlib.compress(np.array(table, "<i8").tobytes(), COMPRESSION)


def _unpack_index(
    file: BlockFile, payload: bytes
) -> list[tuple[Index, Key, StoredBlock]]:
    leading, count, labels = _INDEX.unpack_from(payload)
    classes = payload[_INDEX.size : _INDEX.size + labels]
    packed = zlib.decompress(payload[_INDEX.size + labels :])
    table = np.frombuffer(packed, "<i8").reshape(count, leading + 6 + labels)
    blocks: list[tuple[Index, Key, StoredBlock]] = []
    for row in table.tolist():
        place, (offset, length, checksum, conflicts, *counts) = (
            row[: leading + 2],
            row[leading + 2 :],
        )
        stored = BlockOnDisk(
            file=file,
            offset=offset,
            length=length,
            checksum=checksum,
            counts={
                c: n for c, n in zip(classes, counts, strict=True) if n and c != IGNORE
            },
            conflicts=conflicts,
        )
        *index, key_row, key_column = place
        blocks.append((tuple(index), (key_row, key_column), stored))
    return blocks

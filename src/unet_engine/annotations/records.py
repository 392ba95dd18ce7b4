"""The records of a stroke log: numbered, checksummed, found again after damage.

A record is a head of 28 bytes and a payload. The head has a checksum of its own: where
bytes are damaged, the next record is found by its first bytes and a head that is whole.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

import numpy as np

from unet_engine.annotations.paint_times import PaintTimes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

Act = Literal["stroke", "undo", "redo"]
"""What the user did; undo and redo hold the class ids from before and after."""

_MAGIC = b"\xb5UNs"
_HEAD = struct.Struct("<4sBxxxIQI")
_CHECKSUM = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CHECKSUM.size
"""Bytes before the payload of a record."""

_ACT = struct.Struct("<dHI")
COMPRESSION = 1
"""Level of zlib for class ids: the fastest, as a stroke waits for it; ids of strokes
are so uniform that higher levels save little."""


class Kind(IntEnum):
    """What a record holds."""

    HEADER = 1
    BLOCK = 2
    INDEX = 3
    STROKE = 4
    UNDO = 5
    REDO = 6
    CLASSES = 7


_ACTS: dict[Kind, Act] = {
    Kind.STROKE: "stroke",
    Kind.UNDO: "undo",
    Kind.REDO: "redo",
}
_KINDS = {act: kind for kind, act in _ACTS.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A record that was read whole.

    Attributes
    ----------
    kind, number
        Acts are numbered from 1; blocks and indices have the number of the last act
        that they contain.
    payload
        Its bytes.
    offset
        Of the payload in the file.
    """

    kind: Kind
    number: int
    payload: bytes
    offset: int

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + len(self.payload)


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """The class ids of a box of one plane.

    Attributes
    ----------
    index
        Position of the plane along the leading axes.
    corner
        First row and first column.
    ids
        ``(h, w)`` uint8 class ids, ``IGNORE`` where nothing is painted.
    times
        When the pixels got them, if undo brought them back; else they have the time of
        the act. None in files of earlier versions, which do not hold them.
    """

    index: tuple[int, ...]
    corner: tuple[int, int]
    ids: npt.NDArray[np.uint8]
    times: PaintTimes | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActRecord:
    """One thing that the user did.

    Attributes
    ----------
    act, number
        Which.
    time
        When, in seconds since 1970.
    boxes
        The class ids of every changed part after it.
    """

    act: Act
    number: int
    time: float
    boxes: tuple[Box, ...]


def frame(kind: Kind, number: int, payload: bytes) -> bytes:
    """Return a record as bytes."""
    head = _HEAD.pack(_MAGIC, kind, len(payload), number, zlib.crc32(payload))
    return head + _CHECKSUM.pack(zlib.crc32(head)) + payload


def pack_act(act: Act, number: int, boxes: Sequence[Box], time: float) -> bytes:
    """Return the record of what the user did at a time, as bytes.

    Times of pixels come last, where programs of earlier versions do not look.
    """
    leading = len(boxes[0].index)
    places = [(*box.index, *box.corner, *box.ids.shape) for box in boxes]
    table = np.array(places, "<i8").tobytes()
    ids = b"".join(np.ascontiguousarray(box.ids).tobytes() for box in boxes)
    times = b"".join(box.times.pack() for box in boxes if box.times is not None)
    head = _ACT.pack(time, leading, len(boxes))
    content = zlib.compress(table + ids + times, COMPRESSION)
    return frame(_KINDS[act], number, head + content)


def unpack_act(record: Record) -> ActRecord:
    """Return what the user did.

    Raises
    ------
    ValueError
        When the payload is no act.
    """
    try:
        when, leading, count = _ACT.unpack_from(record.payload)
        content = zlib.decompress(record.payload[_ACT.size :])
        table = np.frombuffer(content, "<i8", count * (leading + 4))
    except (struct.error, zlib.error) as error:
        raise ValueError(str(error)) from error
    boxes, start = [], table.nbytes
    for *index, y, x, height, width in table.reshape(count, leading + 4).tolist():
        ids = np.frombuffer(content, np.uint8, height * width, start)
        boxes.append(Box(tuple(index), (y, x), ids.reshape(height, width)))
        start += height * width
    if start < len(content):
        for number, box in enumerate(boxes):
            times, start = PaintTimes.unpack(content, start, box.ids.shape)
            boxes[number] = replace(box, times=times)
    return ActRecord(
        act=_ACTS[record.kind], number=record.number, time=when, boxes=tuple(boxes)
    )


def is_act(record: Record) -> bool:
    """Whether a record is something the user did."""
    return record.kind in _ACTS


def read_record(data: bytes, start: int, offset: int = 0) -> Record | None:
    """Return the record that begins at ``start``; None where there is no whole one.

    Parameters
    ----------
    data
        A part of a file.
    start
        Position in ``data``.
    offset
        Of ``data`` in the file.
    """
    head = data[start : start + _HEAD.size]
    body = start + HEAD_BYTES
    if len(data) < body or not head.startswith(_MAGIC):
        return None
    (checksum,) = _CHECKSUM.unpack_from(data, start + _HEAD.size)
    if checksum != zlib.crc32(head):
        return None
    _, kind, length, number, content = _HEAD.unpack(head)
    payload = data[body : body + length]
    if kind not in set(Kind) or len(payload) < length or zlib.crc32(payload) != content:
        return None
    return Record(kind=Kind(kind), number=number, payload=payload, offset=offset + body)


def scan(data: bytes, offset: int = 0) -> Iterator[Record]:
    """Yield every whole record of a part of a file, whatever lies between them."""
    start = 0
    while (start := data.find(_MAGIC, start)) >= 0:
        record = read_record(data, start, offset)
        if record is None:
            start += 1
        else:
            yield record
            start = record.end - offset

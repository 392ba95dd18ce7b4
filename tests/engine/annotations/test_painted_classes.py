"""What the values of strokes mean is on disk with them, whatever ends the program."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from unet_engine.annotations import snapshot, stroke_log
from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.records import HEAD_BYTES, Kind, frame, read_record, scan
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (40, 50)


def paint(notes: Annotations, value: int, row: int = 0) -> None:
    with notes.stroke():
        notes.accept((), (slice(row, row + 2), slice(0, 5)), np.full((2, 5), value))


def stroke_file(folder: Path) -> Path:
    (found,) = folder.glob("*.strokes")
    return found


def test_names_and_model_are_back(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes(("background", "axon"), {"name": "axons", "added": []})
    paint(notes, 1)
    notes.close()
    back = Annotations.open(tmp_path / "s", SHAPE).painted
    assert back.names == ("background", "axon")
    assert back.model == {"name": "axons", "added": []}


def test_names_that_come_later_are_back_too(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    for names in (("background", "axon"), ("background", "axon", "glia")):
        notes.name_classes(names)
        paint(notes, len(names) - 1, row=len(names))
    # As after the program was killed: nothing is closed, the lock aside.
    notes._log._release()  # type: ignore[union-attr]
    assert Annotations.open(tmp_path / "s", SHAPE).painted.names == names


def test_names_outlive_a_new_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stroke_log, "GROWN_BYTES", 1)
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes(("background", "axon"))
    for row in range(6):
        paint(notes, 1, row)
    notes.close()
    assert stroke_file(tmp_path / "s").stem != "00000001"
    assert Annotations.open(tmp_path / "s", SHAPE).painted.names[1] == "axon"


def test_names_given_while_saving_was_off_come_with_the_next_stroke(
    tmp_path: Path,
) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes(("background", "axon"))
    paint(notes, 1)
    notes.close()
    notes.name_classes(("background", "axon", "glia"))
    paint(notes, 2, 4)
    notes.resume()
    paint(notes, 2, 8)
    notes.close()
    back = Annotations.open(tmp_path / "s", SHAPE)
    assert back.painted.names == ("background", "axon", "glia")
    assert back.classes() == {1: 10, 2: 20}


def test_a_value_never_gets_another_name(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes(("background", "axon", "glia"))
    with pytest.raises(DataError, match="cannot become background, glia, axon"):
        notes.name_classes(("background", "glia", "axon"))
    with pytest.raises(DataError):
        notes.name_classes(("background",))


@pytest.mark.parametrize("what", ["header", "record"])
def test_names_are_there_twice(tmp_path: Path, what: str) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes(("background", "axon"))
    paint(notes, 1)
    notes.close()
    path = stroke_file(tmp_path / "s")
    data = bytearray(path.read_bytes())
    kind = Kind.HEADER if what == "header" else Kind.CLASSES
    for record in list(scan(bytes(data))):
        if record.kind is kind:
            data[record.offset + 5] ^= 0xFF
    path.write_bytes(data)
    back = Annotations.open(tmp_path / "s", SHAPE)
    assert back.painted.names == ("background", "axon")
    assert back.classes() == {1: 10}


def without_names(path: Path) -> None:
    """Make a file one of an earlier version: no record of classes, none in its header.

    The places in the header are those of the rest of the file, which stays.
    """
    data = path.read_bytes()
    header, *others = scan(data)
    listing, _ = struct.unpack_from("<QQ", header.payload)
    header_data = json.loads(header.payload[16:])
    del header_data["painted"]
    length = len(header.payload) - 16
    text = json.dumps(header_data).encode().ljust(length)
    rest = data[listing : others[0].end]
    new = struct.pack("<QQ", listing, listing + len(rest)) + text
    parts = [frame(Kind.HEADER, header.number, new), rest]
    parts += [
        data[record.offset - HEAD_BYTES : record.end]
        for record in others[1:]
        if record.kind is not Kind.CLASSES
    ]
    path.write_bytes(b"".join(parts))


def test_strokes_of_an_earlier_version_open_without_names(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    paint(notes, 1)
    paint(notes, 0, 9)
    notes.close()
    path = stroke_file(tmp_path / "s")
    without_names(path)
    assert b"painted" not in path.read_bytes()
    back = Annotations.open(tmp_path / "s", SHAPE)
    assert back.painted.names == ()
    assert (back.classes(), back.strokes, back.recovery.lost) == ({0: 10, 1: 10}, 2, 0)
    back.name_classes(("background", "axon"))
    paint(back, 1, 12)
    back.close()
    again = Annotations.open(tmp_path / "s", SHAPE)
    assert again.painted.names == ("background", "axon")
    assert again.classes() == {0: 10, 1: 20}


@pytest.mark.parametrize(
    "odd", [b"{", b"[]", b'{"names": 3}', b'{"names": [1, 2], "model": "x"}', b"null"]
)
def test_what_is_no_list_of_names_names_nothing(tmp_path: Path, odd: bytes) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    paint(notes, 1)
    notes.close()
    path = stroke_file(tmp_path / "s")
    with path.open("ab") as file:
        file.write(frame(Kind.CLASSES, 1, odd))
    back = Annotations.open(tmp_path / "s", SHAPE)
    assert back.painted.names == ()
    assert back.classes() == {1: 10}


def test_a_copy_has_the_values_of_another_order() -> None:
    notes = Annotations(SHAPE)
    for value in range(4):
        paint(notes, value, 3 * value)
    other = notes.copy({0: 0, 1: 2, 2: 1})
    assert other.classes() == {0: 10, 1: 10, 2: 10}
    assert other.target(())[3, 0] == 2
    assert other.target(())[6, 0] == 1
    assert other.target(())[9, 0] == 255, "a class that the other order lacks"
    assert other.get(([3, 9], [0, 0])).tolist() == [2, 255]
    labels = np.zeros(SHAPE, np.uint8)
    other.apply_to((), labels)
    assert labels[3, 0] == 2
    assert other.copy().target(())[3, 0] == 2
    assert notes.target(())[3, 0] == 1


def test_the_record_stands_before_the_first_act_that_needs_it(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    paint(notes, 1)
    notes.name_classes(("background", "axon", "glia"))
    paint(notes, 2, 4)
    notes.close()
    data = stroke_file(tmp_path / "s").read_bytes()
    records = [record.kind for record in scan(data)]
    assert records[-2:] == [Kind.CLASSES, Kind.STROKE]


def test_the_header_alone_identifies_a_file(tmp_path: Path) -> None:
    notes = Annotations.open(tmp_path / "s", SHAPE)
    notes.name_classes([f"class number {k}" for k in range(254)])
    paint(notes, 253)
    notes.close()
    header: Any = snapshot.read_header(stroke_file(tmp_path / "s"))
    assert len(header.painted.names) == 254
    assert read_record(stroke_file(tmp_path / "s").read_bytes(), 0) is not None

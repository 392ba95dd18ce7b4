"""What is left of a stroke log when it is opened, whatever ended the program before."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unet_engine.annotations.records import is_act, unpack_act
from unet_engine.annotations.snapshot import Header, read_generation, read_header
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from unet_engine.annotations.block import Key, StoredBlock
    from unet_engine.annotations.records import Act, ActRecord, Record
    from unet_engine.annotations.snapshot import Generation
    from unet_engine.places import Index

SUFFIX = ".strokes"
"""Of the files of a log, which are numbered; the highest number is the newest."""

_DAMAGED = ".damaged"
_ATTEMPTS = 5
"""Times that a log is opened while another window begins new files in it."""

_COUNTS: dict[Act, int] = {"stroke": 1, "undo": -1, "redo": 1}
"""By how much an act changes the number of strokes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was found when strokes were opened.

    Attributes
    ----------
    strokes
        How many there are, those that were undone aside.
    time
        Of the last one, in seconds since 1970; 0 when there is none.
    lost
        Strokes that are damaged and could not be read.
    cut
        Whether one more was being written when the program ended.
    elsewhere
        Planes with strokes that the image does not have any more. They are kept.
    image_info
        What identified the image then; None when that is damaged.
    """

    strokes: int = 0
    time: float = 0.0
    lost: int = 0
    cut: bool = False
    elsewhere: int = 0
    image_info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A stroke log as it was read.

    Attributes
    ----------
    header
        Of its newest file; as new when that was damaged.
    blocks
        Plane, place in it, and the block, which is read at its first use.
    acts
        What the user did after that.
    number
        Of the last act.
    generation
        Of the newest file.
    base, end
        Where the acts begin and end in it; what comes after them was cut short.
    damaged
        Whether something between could not be read.
    recovery
        The same, for the user.
    """

    header: Header
    blocks: Sequence[tuple[Index, Key, StoredBlock]] = ()
    acts: Sequence[ActRecord] = ()
    number: int = 0
    generation: int = 0
    base: int = 0
    end: int = 0
    damaged: bool = False
    recovery: Recovery = field(default_factory=Recovery)


def counted(strokes: int, act: Act) -> int:
    """Return how many strokes there are after an act."""
    return max(0, strokes + _COUNTS[act])


def newest_file(folder: Path) -> Path | None:
    """Return the newest file of a log, or None where there is none."""
    try:
        found = [p for p in folder.iterdir() if p.suffix == SUFFIX and p.stem.isdigit()]
    except OSError:
        return None
    return max(found, key=lambda path: int(path.stem), default=None)


def read_newest_header(folder: Path) -> Header | None:
    """Return the header of a log, or None where there is none that is whole."""
    path = newest_file(folder)
    try:
        return None if path is None else read_header(path)
    except (DataError, OSError):
        return None


def read_summary(folder: Path) -> Header:
    """Return the header of a log, with the classes as they were painted last.

    Raises
    ------
    DataError
        When it is damaged or missing, or a newer version of this program wrote it.
    """
    path = newest_file(folder)
    try:
        read = None if path is None else read_generation(path)
    except OSError as error:
        raise _unreadable(folder, error) from error
    if read is None or read.header is None:
        raise damaged_beginning(folder)
    return replace(read.header, painted=read.painted)


def recover(folder: Path, shape: tuple[int, ...]) -> Found:
    """Read what is left of a log; nothing of its blocks.

    Parameters
    ----------
    folder
        Its folder; it may be missing.
    shape
        Of the labels, for a log whose header is damaged.

    Raises
    ------
    DataError
        When it cannot be read, or a newer version of this program wrote it.
    """
    for _ in range(_ATTEMPTS):
        path = newest_file(folder)
        if path is None:
            break
        try:
            return _summarise(int(path.stem), read_generation(path), shape)
        except FileNotFoundError:
            # Another window has just begun a newer one.
            continue
        except OSError as error:
            raise _unreadable(folder, error) from error
    return Found(header=Header(shape=shape))


def damaged_beginning(folder: Path) -> DataError:
    """Return the error of a log whose image is unknown."""
    return DataError(
        f"the strokes in {folder} are damaged at their beginning; open the image in "
        "napari, which reads what is left of them, and paint one more"
    )


def _unreadable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the strokes in {folder} cannot be read: {error.strerror or error}; make the "
        "folder readable"
    )


def retire(path: Path, *, damaged: bool) -> None:
    """Remove a file that a newer one replaces; one with damage is only put aside."""
    with suppress(OSError):
        if damaged:
            os.replace(path, path.with_suffix(_DAMAGED))
        else:
            os.unlink(path)


def clear_leftovers(folder: Path, newest: Path) -> None:
    """Remove what a program left that was ended while it began a new file."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix == SUFFIX and path != newest:
                path.unlink()


def _summarise(generation: int, read: Generation, shape: tuple[int, ...]) -> Found:
    header = read.header or Header(shape=shape, number=read.number)
    header = replace(header, painted=read.painted)
    acts = _unpack_acts(read.acts, header.number)
    number = acts[-1].number if acts else header.number
    strokes = header.strokes
    for act in acts:
        strokes = counted(strokes, act.act)
    return Found(
        header=header,
        blocks=read.blocks,
        acts=acts,
        number=number,
        generation=generation,
        base=read.base,
        end=read.end,
        damaged=read.damaged,
        recovery=Recovery(
            strokes=strokes,
            time=acts[-1].time if acts else header.time,
            lost=number - header.number - len(acts),
            cut=read.cut,
            image_info=None if read.header is None else read.header.image_info,
        ),
    )


def _unpack_acts(records: Sequence[Record], after: int) -> list[ActRecord]:
    """Return the acts of records in order; of two with one number the last."""
    acts: dict[int, ActRecord] = {}
    for record in records:
        if is_act(record) and record.number > after:
            with suppress(ValueError):
                acts[record.number] = unpack_act(record)
    return [acts[number] for number in sorted(acts)]

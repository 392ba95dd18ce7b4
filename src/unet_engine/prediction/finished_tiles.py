"""``FinishedTiles``: which tiles of a run are on disk, whatever ends it."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.files.locking import FolderLock, LocksUnsupportedError
from unet_engine.images.formats import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from io import FileIO
    from pathlib import Path

    from unet_engine.images.source_files import Source

logger = logging.getLogger(__name__)

_NAMES = {
    "image": "the image",
    "model": "the model",
    "brightness": "the brightness of the image",
    "tiles": "the tile size",
    "planes": "the planes to predict",
    "average_flips": "the mean over the flips",
    "halo": "the halo",
    "precision": "the precision",
    "effort": "the effort",
    "directions": "the directions of the planes",
    "scale": "the scale at which it is predicted",
    "blocks": "the blocks in which it computes",
    "probabilities": "whether probabilities are written",
    "device": "the device",
    "program": "the version of this program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFiles:
    """The files that the tiles of a run are made from.

    Attributes
    ----------
    source
        All of them.
    chunks_of
        Returns the names of the chunks that a tile is made from, by its number.
    """

    source: Source
    chunks_of: Callable[[int], AbstractSet[str]]


class FinishedTiles:
    """The numbers of the finished tiles, in a folder beside the results.

    A number is written after the chunks of its tile have reached the disk, one line
    each, and with a minus where the tile is no longer finished; a line that was cut
    short does not count.

    Parameters
    ----------
    home
        The folder of the results; the record lies in a hidden folder in it.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / UNFINISHED
        self._identity = self._folder / "run.json"
        self._listing = self._folder / "files"
        self._tiles = self._folder / "tiles"
        self._file: FileIO | None = None
        self._lock: FolderLock | None = None

    @property
    def exists(self) -> bool:
        """True when a run was begun here and not finished."""
        return self._identity.is_file()

    @property
    def has_traces(self) -> bool:
        """True when a run was begun here, even if its record was being removed."""
        return self._folder.exists()

    def begun_with(self, part: str) -> Any:
        """Return a part of the identity of the run that was begun here, or None."""
        begun = self._begun() if self.exists else None
        return None if begun is None else begun.get(part)

    def owns(self, path: Path) -> bool:
        """Whether a file is part of the record."""
        return self._folder in path.parents

    def open(
        self, identity: Mapping[str, Any], inputs: InputFiles | None = None
    ) -> set[int]:
        """Begin a run or resume it; return the numbers of its finished tiles.

        Where chunks of the image changed since it was begun, as a damaged one that was
        copied again, the tiles that were made from them are no longer finished.

        Parameters
        ----------
        identity
            Of the run.
        inputs
            The files of its image. Without them a changed image makes another run.

        Raises
        ------
        DataError
            When the run that was begun here is another one, or still goes on.
        OSError
            When the folder cannot be written to.
        """
        begun = self._begun() if self.exists else None
        changed = set[str]()
        if begun is not None and begun != identity:
            changed = self._changed_chunks(begun, identity, inputs)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._file = self._tiles.open("ab+", buffering=0)
        if begun is None:
            self._file.truncate(0)
        finished = self._read(self._file)
        if inputs is not None and changed:
            lost = {n for n in finished if not changed.isdisjoint(inputs.chunks_of(n))}
            finished -= lost
            self._append(f"-{n}" for n in sorted(lost))
            _report(lost)
        if begun != identity:
            # The identity last: with it the run is one that was begun.
            if inputs is not None:
                inputs.source.write_listing(self._listing)
            with whole_file(self._identity) as temporary:
                temporary.write_text(json.dumps(identity, indent=1))
        return finished

    def _begun(self) -> Mapping[str, Any]:
        """Return the identity of the run that was begun here."""
        try:
            begun = json.loads(self._identity.read_text())
        except ValueError:
            return {}
        return begun if isinstance(begun, dict) else {}

    def _changed_chunks(
        self,
        begun: Mapping[str, Any],
        identity: Mapping[str, Any],
        inputs: InputFiles | None,
    ) -> set[str]:
        """Return the chunks in which two runs differ.

        Raises
        ------
        DataError
            When anything else does.
        """
        changed = None
        if inputs is not None and _without_files(begun) == _without_files(identity):
            changed = inputs.source.changed_chunks(self._listing)
        if changed is None:
            raise DataError(
                f"{self._folder.parent} holds an unfinished run that is not this one: "
                f"{describe_changes(begun, identity)}; run that one to its end, write "
                "to another place, or pass --overwrite to start anew"
            )
        return changed

    def _read(self, file: FileIO) -> set[int]:
        """Return the numbers on record, and drop one that was cut short."""
        file.seek(0)
        # What follows the last end of line was cut short.
        *lines, rest = file.read().split(b"\n")
        if rest:
            file.truncate(file.tell() - len(rest))
        finished = set[int]()
        for line in lines:
            number = line.removeprefix(b"-")
            if number.isdigit():
                (finished.add if line == number else finished.discard)(int(number))
        return finished

    def append(self, numbers: Iterable[int]) -> None:
        """Record tiles whose chunks are on disk."""
        self._append(map(str, numbers))

    def _append(self, entries: Iterable[str]) -> None:
        if self._file is None:
            return
        lines = "".join(f"{entry}\n" for entry in entries).encode()
        written = self._file.write(lines)
        if written != len(lines):
            # Half a number would run into the next one.
            self._file.truncate(self._file.seek(0, os.SEEK_END) - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file, so that another run can resume here."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Delete the record: the results are finished."""
        self.close()
        # The identity first: without it there is no unfinished run.
        self._identity.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take_lock(self) -> None:
        try:
            self._lock = FolderLock(self._folder)
        except BlockingIOError as error:
            raise DataError(
                f"another run is writing to {self._folder.parent} ({error.strerror}); "
                "wait for its end, or stop it first"
            ) from None
        except LocksUnsupportedError as error:
            raise DataError(
                f"{self._folder.parent} cannot be written tile by tile: "
                f"{error.strerror}; write to a local drive and copy the result"
            ) from error


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe in which parts two identities differ; empty when they do not."""
    changes = []
    for part, name in _NAMES.items():
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        plain = all(not isinstance(v, dict) and len(str(v)) < 32 for v in (old, new))
        detail = f" ({old} then, {new} now)" if plain else ""
        changes.append(f"{name} changed{detail}")
    return ", ".join(changes)


def _without_files(identity: Mapping[str, Any]) -> dict[str, Any]:
    image = identity.get("image")
    rest = {**image, "files": None} if isinstance(image, dict) else image
    return {**identity, "image": rest}


def _report(lost: AbstractSet[int]) -> None:
    if lost:
        logger.warning(
            "%d finished %s predicted again: the image changed there",
            len(lost),
            "tile is" if len(lost) == 1 else "tiles are",
        )

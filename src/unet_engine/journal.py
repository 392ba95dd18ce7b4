"""``Journal``: which tiles of a run are on disk, whatever ends it."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.writing import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from io import FileIO
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows opens the file for one program only when asked to.
    fcntl = None  # type: ignore[assignment]

_FOLDER = ".napari-unet-run"
_NAMES = {
    "image": "the image",
    "model": "the model",
    "brightness": "the brightness of the image",
    "tiles": "the tile size",
    "planes": "the planes to predict",
    "average_flips": "the mean over the flips",
    "probabilities": "whether probabilities are written",
    "device": "the device",
    "program": "the version of this program",
}


class Journal:
    """The numbers of the finished tiles, in a folder beside the results.

    A number is written after the chunks of its tile have reached the disk, one line
    each; a line that was cut short does not count.

    Parameters
    ----------
    home
        The folder of the results; the journal lies in a hidden folder in it.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / _FOLDER
        self._identity = self._folder / "run.json"
        self._tiles = self._folder / "tiles"
        self._file: FileIO | None = None

    @property
    def exists(self) -> bool:
        """True when a run was begun here and not finished."""
        return self._identity.is_file()

    @property
    def has_traces(self) -> bool:
        """True when a run was begun here, even if its journal was being removed."""
        return self._folder.exists()

    def owns(self, path: Path) -> bool:
        """Tell whether a file is part of the journal."""
        return self._folder in path.parents

    def open(self, identity: Mapping[str, Any]) -> set[int]:
        """Begin a run or go on with it; return the numbers of its finished tiles.

        Raises
        ------
        DataError
            When the run that was begun here is another one, or still goes on.
        OSError
            When the folder cannot be written to.
        """
        if self.exists:
            self._check_same(identity)
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._identity) as temporary:
                temporary.write_text(json.dumps(identity, indent=1))
        self._file = self._tiles.open("ab+", buffering=0)
        self._lock(self._file)
        self._file.seek(0)
        # What follows the last end of line was cut short.
        *lines, rest = self._file.read().split(b"\n")
        if rest:
            self._file.truncate(self._file.tell() - len(rest))
        return {int(line) for line in lines if line.isdigit()}

    def append(self, numbers: Iterable[int]) -> None:
        """Note tiles whose chunks are on disk."""
        if self._file is None:
            return
        lines = b"".join(b"%d\n" % number for number in numbers)
        written = self._file.write(lines)
        if written != len(lines):
            # Half a number would run into the next one.
            self._file.truncate(self._file.seek(0, os.SEEK_END) - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let another run go on here."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Take the journal away: the results are finished."""
        self.close()
        # The identity first: without it there is no unfinished run.
        self._identity.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _lock(self, file: FileIO) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise DataError(
                f"another run is writing to {self._folder.parent}; wait for its end, "
                "or stop it first"
            ) from None

    def _check_same(self, identity: Mapping[str, Any]) -> None:
        try:
            begun = json.loads(self._identity.read_text())
        except ValueError:
            begun = {}
        if changes := describe_changes(begun, identity):
            raise DataError(
                f"{self._folder.parent} holds an unfinished run that is not this one: "
                f"{changes}; run that one to its end, write to another place, or pass "
                "--overwrite to start anew"
            )


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say in which parts two identities differ; empty when they do not."""
    changes = []
    for part, name in _NAMES.items():
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        plain = all(not isinstance(v, dict) and len(str(v)) < 32 for v in (old, new))
        detail = f" ({old} then, {new} now)" if plain else ""
        changes.append(f"{name} changed{detail}")
    return ", ".join(changes)

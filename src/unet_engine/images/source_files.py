"""``Source``: the files of an image, and whether they changed since then."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""

_OUTSIDE = "/"
"""Begins the names of files that are no chunks."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where the pixels of an image lie on disk. Make one with ``of_files``.

    Attributes
    ----------
    stamps
        Of the files that describe the rest: the TIFF itself, the metadata of a zarr.
    folder
        Of the chunks of a zarr; None when the files hold the pixels.
    """

    stamps: dict[Path, _Stamp]
    folder: Path | None = None

    @classmethod
    def of_files(cls, paths: Iterable[Path], folder: Path | None = None) -> Source:
        """Record size and time of the files as they are now.

        Raises
        ------
        OSError
            When one is missing.
        """
        return cls({path: _stamp(path) for path in paths}, folder)

    def absolute(self) -> Source:
        """Return it with paths that do not depend on the current folder."""
        stamps = {path.absolute(): stamp for path, stamp in self.stamps.items()}
        return Source(stamps, self.folder and self.folder.absolute())

    def check_unchanged(self) -> None:
        """Compare the files with how they were; the chunks of a zarr are left out.

        Raises
        ------
        DataError
            When one was changed or removed; names it.
        """
        for path, before in self.stamps.items():
            try:
                now = _stamp(path)
            except OSError as error:
                raise DataError(
                    f"{path} is gone ({error.strerror}); put it back and start again"
                ) from error
            if now != before:
                raise DataError(
                    f"{path} was changed by another program since it was opened; "
                    "wait until nothing writes to it and start again"
                )

    def fingerprint(self) -> str:
        """Return a digest of name, size and time of every file, chunks included.

        Nothing is read: it takes seconds for a million chunks, and a copy with new
        times counts as changed.
        """
        digest = hashlib.sha256()
        for line in self._lines():
            digest.update(line.encode())
        return digest.hexdigest()

    def write_listing(self, path: Path) -> None:
        """Write name, size and time of every file, for ``changed_chunks``."""
        with whole_file(path) as temporary, temporary.open("w") as file:
            file.writelines(self._lines())

    def changed_chunks(self, listing: Path) -> set[str] | None:
        """Compare the files with a listing.

        Returns
        -------
        set of str
            Names in ``folder`` of the chunks that were changed, added or removed; None
            when other files were, or when there is no listing.
        """
        if not listing.is_file():
            return None
        with listing.open() as file:
            before = set(file)
        changed = {json.loads(line)[0] for line in before ^ set(self._lines())}
        metadata = any(name.startswith(_OUTSIDE) for name in changed)
        return None if metadata else changed

    def _lines(self) -> Iterator[str]:
        """Describe every file in a line."""
        for path, stamp in sorted(self.stamps.items()):
            yield f"{json.dumps([_OUTSIDE + path.name, *stamp])}\n"
        if self.folder is not None:
            for name, stamp in _walk(self.folder):
                yield f"{json.dumps([name, *stamp])}\n"


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, _Stamp]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _walk(folder / entry.name, f"{name}/")
        else:
            status = entry.stat()
            yield name, (status.st_size, status.st_mtime_ns)

"""What was done of a batch, in a hidden folder beside its results.

A JSON file and a table for each image, written when its results are: so a batch that
was ended by whatever goes on where it was, and a result that a person changed since is
not replaced.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.files.locking import FolderLock, LocksUnsupportedError
from unet_engine.image_list.fingerprints import digest_of
from unet_engine.images.labels.own_results import is_unchanged_result
from unet_engine.wording import setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from unet_engine.batch.plan import BatchItem

FOLDER = ".napari-unet-batch"
"""Name of the folder of records in the home of a batch."""

_VERSION = 1
"""Of the records; those of another one are not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was done with an image.

    Attributes
    ----------
    image, digest
        Its path, and a digest of its file.
    settings
        Digest of model and settings.
    name, condition
        As in ``BatchItem``.
    results
        Digests of the files that were written, by what they are; empty ones are of
        files that were about to be written.
    objects
        How many there are; None when none were looked for.
    summary
        Rows for the summary.
    notes
        What the user should know.
    """

    image: str
    digest: str
    settings: str
    name: str
    condition: str
    results: Mapping[str, str] = field(default_factory=dict)
    objects: int | None = None
    summary: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


class Records:
    """The records of a batch; one program at a time has them.

    Parameters
    ----------
    home
        Folder of the batch; made if it is missing.

    Raises
    ------
    DataError
        When another batch is running there, or it cannot be written to.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / FOLDER
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_folder(home, error) from error
        self._lock: FolderLock | None = None
        try:
            self._lock = FolderLock(self.folder)
        except LocksUnsupportedError:
            # Network drives without locks; writing whole files is safe there, too.
            self._lock = None
        except BlockingIOError as error:
            raise DataError(
                f"another batch is writing to {home} ({error.strerror}); wait for it, "
                "or choose another folder"
            ) from error
        except OSError as error:
            raise _no_folder(home, error) from error

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.release()

    def get(self, stem: str) -> Record | None:
        """Return the record of an image, if there is one that can be read."""
        return _read(self._path(stem))

    def rows_of(self, stem: str) -> Path:
        """Return the path of the table of an image."""
        return self._path(stem).with_suffix(".csv")

    def place_of(self, item: BatchItem, what: str) -> Path:
        """Return where a result of an image is, its ``"table"`` too."""
        return self.rows_of(item.stem) if what == "table" else item.result(what)

    def put(self, stem: str, record: Record) -> None:
        """Write a record, whole or not at all.

        Raises
        ------
        DataError
            When it cannot be written.
        """
        path = self._path(stem)
        self.make_folder(path.parent)
        text = json.dumps({"version": _VERSION, **asdict(record)}, indent=1)
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def make_folder(self, folder: Path) -> None:
        """Make a folder for results.

        Raises
        ------
        DataError
            When it cannot be made.
        """
        # Of a disk that is gone, only the folder it was mounted at may be left.
        if not self.folder.is_dir():
            raise DataError(f"{self.home} is not there any more; {_BACK}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_folder(folder, error) from error

    def all(self) -> Iterator[tuple[str, Record]]:
        """Return every record that can be read, by the stem of its results, sorted."""
        for path in sorted(self.folder.rglob("*.json")):
            record = _read(path)
            if record is not None:
                stem = path.relative_to(self.folder).with_suffix("").as_posix()
                yield stem.removesuffix(_ENDING), record

    def tables(self) -> dict[str, str]:
        """Return the digests of the tables that were written, by their names."""
        try:
            digests = json.loads((self.folder / _TABLES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return digests if isinstance(digests, dict) else {}

    def note_table(self, path: Path) -> None:
        """Note a table as written here, and so as replaceable."""
        digests = self.tables() | {path.name: digest_of(path)}
        with whole_file(self.folder / _TABLES) as temporary:
            temporary.write_text(json.dumps(digests), encoding="utf-8")

    def _path(self, stem: str) -> Path:
        *parts, name = stem.split("/")
        return self.folder.joinpath(*parts, f"{name}{_ENDING}.json")


_ENDING = ".image"
"""Of records, so that none has the name of another file here."""

_TABLES = "tables"
"""Name of the file with the digests of the tables."""

_BACK = "connect the disk again and give the same command: what is done is kept"


def is_finished(
    records: Records, item: BatchItem, settings: str, wanted: tuple[str, ...]
) -> bool:
    """Whether all wanted results of an image are there, unchanged.

    Parameters
    ----------
    records
        What was done.
    item
        The image.
    settings
        Digest of what is to be done.
    wanted
        Results that are to be there.

    Raises
    ------
    DataError
        When the image cannot be read.
    """
    record = records.get(item.stem)
    if record is None or record.settings != settings or record.name != item.name:
        return False
    if not all(record.results.get(what) for what in wanted):
        return False
    return record.digest == digest_of(item.image) and all(
        _is_same(records.place_of(item, what), record.results[what]) for what in wanted
    )


def check_replaceable(
    item: BatchItem, record: Record | None, wanted: tuple[str, ...]
) -> None:
    """Refuse to replace what was not written here, or was changed since.

    Parameters
    ----------
    item
        The image.
    record
        What was done with it.
    wanted
        Results that are to be written.

    Raises
    ------
    DataError
        When one is there and may be the work of a person, or that of another image.
    """
    for what in wanted:
        if what == "table" or not os.path.lexists(item.result(what)):
            continue
        path = item.result(what)
        other = None if record is None else _other_image(record, item)
        if other is not None:
            raise DataError(
                f"{path} is the result of another image, {other}; choose another "
                f"folder, or {overwrite_advice()}"
            )
        digest = None if record is None else record.results.get(what)
        # An empty digest: it was about to be written when the program ended.
        if digest == "" or (digest and _is_same(path, digest)):
            continue
        if not is_unchanged_result(path):
            raise DataError(
                f"{path} is there already and was not written by a batch, or was "
                f"changed since; choose another folder, or {overwrite_advice()}"
            )


def overwrite_advice() -> str:
    """Return how a result is replaced all the same."""
    return setting(
        command="pass --overwrite to replace it", window="tick Replace all results"
    )


def _other_image(record: Record, item: BatchItem) -> str | None:
    """Return the image of a record if it is not that of the item, not even moved."""
    if record.image == str(item.image) or not os.path.exists(record.image):
        return None
    return None if record.digest == digest_of(item.image) else record.image


def _is_same(path: Path, digest: str) -> bool:
    try:
        return path.exists() and digest_of(path) == digest
    except DataError:
        return False


def _read(path: Path) -> Record | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("version") != _VERSION:
            return None
        values["summary"] = tuple(values["summary"])
        values["notes"] = tuple(values["notes"])
        return Record(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Missing, of a newer version or damaged: the image is done anew.
        return None


def _no_folder(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"the folder {folder} cannot be written to: {error.strerror or error}; choose "
        "another one, or make this one writable"
    )

"""``ImageList``: a list of images that is open, and what is done with it."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.locking import FolderLock, LocksUnsupportedError
from unet_engine.image_list.entry import Entry
from unet_engine.image_list.fingerprints import stamp_of
from unet_engine.image_list.list_file import (
    SUFFIX,
    Contents,
    read_contents,
    write_contents,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unet_engine.image_list.entry import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of images that were added.

    Attributes
    ----------
    new, known
        Entries that were made, and those that were there before.
    """

    new: tuple[Entry, ...]
    known: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Which images are in a list; two are equal if nothing was added, moved or removed.

    Attributes
    ----------
    images
        The list.
    version
        Counts what was.
    """

    images: ImageList
    version: int

    def find(self, path: Path) -> Path | None:
        """Return where an image is that was at a path; None when it is not in the list.

        One that is gone from there is the one of its name, if there is one. Whether it
        is the same image is for the caller to see.
        """
        entry = self.images.entry_of(path)
        if entry is None and not path.exists():
            named = self.images.named(path.name)
            entry = named[0] if len(named) == 1 else None
        return None if entry is None else self.images.place_of(entry)


class ImageList:
    """A list of images. Make one with ``create`` or ``open``.

    A list is changed by one program at a time: whoever opens it second can read it
    only, and ``read_only`` holds why. Changes are in the file after ``save``.

    Attributes
    ----------
    path
        Of its file, absolute.
    read_only
        Why nothing can be changed, and what to do; empty when it can.
    was_in
        Folder in which the list was, if that is another one now and some of its images
        may still be there; None else.
    """

    def __init__(
        self, path: Path, contents: Contents, lock: FolderLock | None, read_only: str
    ) -> None:
        self.path = path
        self.read_only = read_only
        here = str(path.parent)
        self.was_in = None if contents.folder in ("", here) else Path(contents.folder)
        self._lock = lock
        self._mutex = threading.Lock()
        self._entries = {entry.path: entry for entry in contents.entries}
        self._model = contents.model
        self._settings = dict(contents.settings)
        self._changes = self._saved = self._version = 0
        self._names: dict[str, list[str]] | None = None

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> ImageList:
        """Make a list without images, and its file.

        Raises
        ------
        DataError
            When the file is there already, or cannot be written.
        """
        place = _list_path(path)
        if place.exists():
            raise DataError(f"{place} exists already; open it, or choose another name")
        write_contents(place, Contents(folder=str(place.parent)))
        return cls.open(place)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, write: bool = True) -> ImageList:
        """Open a list.

        Parameters
        ----------
        path
            Of its file.
        write
            Keep others from changing it, and be able to; where that is not possible it
            is read-only, and ``read_only`` is why.

        Raises
        ------
        DataError
            When there is none, or it is damaged, or of a newer version.
        """
        place = _list_path(path)
        # First: what it holds may be changed until it is locked.
        lock, read_only = _lock(place) if write and place.exists() else (None, "")
        try:
            contents = read_contents(place)
        except DataError:
            if lock is not None:
                lock.release()
            raise
        if not write:
            read_only = "it was opened to be read only; open it to change it"
        return cls(place, contents, lock, read_only)

    @property
    def name(self) -> str:
        """Name without the suffix."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """Folder that the paths of the entries begin at."""
        return self.path.parent

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All images, in the order in which they were added."""
        with self._mutex:
            return tuple(self._entries.values())

    @property
    def model(self) -> str:
        """Name of the model that was chosen last; empty for none."""
        return self._model

    @property
    def settings(self) -> dict[str, Any]:
        """A copy of what else is remembered, as JSON types."""
        return dict(self._settings)

    def __len__(self) -> int:
        return len(self._entries)

    def counts(self) -> dict[State, int]:
        """Return how many images are in each state."""
        found: dict[State, int] = {"untouched": 0, "strokes": 0, "accepted": 0}
        for entry in self.entries:
            found[entry.state] += 1
        return found

    def place_of(self, entry: Entry) -> Path:
        """Return where the file of an entry is, or was."""
        return Path(os.path.normpath(self.folder / entry.path))

    def entry_of(self, image: str | os.PathLike[str]) -> Entry | None:
        """Return the entry of an image file, or None when it is not in the list.

        A path through a link leads to the same entry as the one without.
        """
        place = Path(os.path.normpath(Path(image).absolute()))
        through_links = _resolved(place.parent) / place.name
        for path in dict.fromkeys((through_links, place, _resolved(place))):
            if (entry := self._entries.get(self._relative(path))) is not None:
                return entry
        return None

    def get(self, path: str) -> Entry | None:
        """Return the entry of a path as it stands in the list."""
        return self._entries.get(path)

    def entries_for(
        self, images: Iterable[str | os.PathLike[str]]
    ) -> tuple[Entry, ...]:
        """Describe images as the list would hold them; the list is not changed.

        Only size and time of them are read. For any thread.
        """
        found = []
        folders: dict[Path, Path] = {}
        for image in images:
            place = Path(os.path.normpath(Path(image).absolute()))
            if place.parent not in folders:
                folders[place.parent] = _resolved(place.parent)
            # As that of the list: a path through a link could not move with it.
            place = folders[place.parent] / place.name
            path = self._relative(place)
            found.append(Entry(path=path, stamp=stamp_of(place) or ""))
        return tuple(found)

    def insert(self, entries: Iterable[Entry]) -> Added:
        """Add what `entries_for` returned; those that are in the list stay as they are.

        Raises
        ------
        DataError
            When the list is read-only.
        """
        self._check_writable()
        new: dict[str, Entry] = {}
        known: dict[str, Entry] = {}
        with self._mutex:
            for entry in entries:
                before = self._entries.get(entry.path)
                if before is not None:
                    known[entry.path] = before
                else:
                    new.setdefault(entry.path, entry)
            self._entries.update(new)
        self._note_members(bool(new))
        return Added(new=tuple(new.values()), known=tuple(known.values()))

    def add(self, images: Iterable[str | os.PathLike[str]]) -> Added:
        """Add images that are not in the list; only size and time of them are read.

        Raises
        ------
        DataError
            When the list is read-only.
        """
        self._check_writable()
        return self.insert(self.entries_for(images))

    def remove(self, entries: Iterable[Entry]) -> int:
        """Take entries out of the list; their images and strokes stay.

        Returns
        -------
        int
            How many were in it.

        Raises
        ------
        DataError
            When the list is read-only.
        """
        self._check_writable()
        with self._mutex:
            gone = [self._entries.pop(entry.path, None) for entry in entries]
        count = sum(entry is not None for entry in gone)
        self._note_members(bool(count))
        return count

    def update(self, entry: Entry, **changes: Any) -> Entry:
        """Change fields of an entry; return it as it is now.

        Raises
        ------
        DataError
            When the list is read-only, or has no such entry.
        """
        self._check_writable()
        with self._mutex:
            if (before := self._entries.get(entry.path)) is None:
                raise DataError(f"{entry.path} is not in {self.path}; add it first")
            after = replace(before, **changes)
            if after == before:
                return before
            if after.path == before.path:
                self._entries[after.path] = after
        if after.path != before.path:
            self.replace({before.path: after})
        self._changes += 1
        return after

    def replace(self, entries: Mapping[str, Entry]) -> None:
        """Put entries in the place of earlier ones, whose order stays.

        Parameters
        ----------
        entries
            By the path that they have in the list now; they may have another one.

        Raises
        ------
        DataError
            When the list is read-only, or has an image under a new path already.
        """
        self._check_writable()
        with self._mutex:
            after = [entries.get(path, one) for path, one in self._entries.items()]
            found = {entry.path: entry for entry in after}
            if len(found) < len(after):
                paths = [entry.path for entry in after]
                twice = next(path for path in paths if paths.count(path) > 1)
                raise DataError(
                    f"{twice} would be in {self.path} twice; remove one of the two"
                )
            self._entries = found
        self._note_members(bool(entries))

    def relocate(self, places: Mapping[str, Path]) -> None:
        """Note where images are now.

        Parameters
        ----------
        places
            By the path in the list.

        Raises
        ------
        DataError
            As of `replace`.
        """
        described = self.entries_for(places.values())
        found = {}
        for path, new in zip(places, described, strict=True):
            if (entry := self._entries.get(path)) is not None:
                found[path] = replace(entry, path=new.path, stamp=new.stamp)
        self.replace(found)

    def members(self) -> Members:
        """Return what is in the list now, to look images up."""
        return Members(images=self, version=self._version)

    def named(self, name: str) -> tuple[Entry, ...]:
        """Return the images whose file has a name."""
        with self._mutex:
            if self._names is None:
                self._names = {}
                for entry in self._entries.values():
                    self._names.setdefault(entry.name, []).append(entry.path)
            paths = self._names.get(name, [])
            return tuple(self._entries[path] for path in paths)

    def choose_model(self, name: str) -> None:
        """Remember the model that is worked with; does nothing on a read-only list."""
        if not self.read_only and name != self._model:
            self._model = name
            self._changes += 1

    def remember(self, settings: Mapping[str, Any]) -> None:
        """Remember settings, as JSON types; others stay as they are.

        Does nothing on a read-only list.
        """
        merged = {**self._settings, **settings}
        if not self.read_only and merged != self._settings:
            self._settings = merged
            self._changes += 1

    def neighbour(
        self,
        current: Entry | None,
        step: int,
        state: State | None = None,
        text: str = "",
    ) -> Entry | None:
        """Return the next or previous image that passes a filter; None at the end.

        Parameters
        ----------
        current
            Where to begin; None for before the first or behind the last.
        step
            1 for the next, -1 for the previous one.
        state, text
            As of ``Entry.matches``.
        """
        entries = self.entries
        paths = [entry.path for entry in entries]
        if current is None or current.path not in self._entries:
            rest: Sequence[Entry] = entries if step > 0 else entries[::-1]
        else:
            at = paths.index(current.path)
            rest = entries[at + 1 :] if step > 0 else entries[:at][::-1]
        return next((entry for entry in rest if entry.matches(state, text)), None)

    @property
    def changed(self) -> bool:
        """Whether anything is not in the file yet."""
        return self._changes != self._saved

    def save(self) -> None:
        """Write what was changed since the last call; for any thread.

        Raises
        ------
        DataError
            When the file cannot be written; nothing of the earlier one is lost then.
        """
        changes = self._changes
        if self.read_only or changes == self._saved:
            return
        contents = Contents(
            entries=self.entries,
            folder=str(self.was_in or self.folder),
            model=self._model,
            settings=self.settings,
        )
        write_contents(self.path, contents)
        self._saved = changes

    def close(self) -> None:
        """Save it, and let others change it.

        Raises
        ------
        DataError
            When the file cannot be written; others can change it all the same.
        """
        try:
            self.save()
        finally:
            if self._lock is not None:
                self._lock.release()
                self.read_only = "it was closed; open it again to change it"

    def _note_members(self, changed: bool) -> None:
        """Note whether other images are in the list, or under other paths."""
        if changed:
            self._changes += 1
            self._version += 1
            self._names = None

    def _relative(self, place: Path) -> str:
        return relative_path(place, self.folder)

    def _check_writable(self) -> None:
        if self.read_only:
            raise DataError(f"{self.path} cannot be changed: {self.read_only}")


def relative_path(place: PurePath, folder: PurePath) -> str:
    """Return a path relative to a folder, with ``/``; as it is where it cannot be."""
    with suppress(ValueError):
        place = PurePath(os.path.relpath(place, folder))
    return place.as_posix()


def _list_path(path: str | os.PathLike[str]) -> Path:
    place = Path(path).expanduser().absolute()
    if place.suffix != SUFFIX:
        raise DataError(f"{place} is no image list; give a file that ends in {SUFFIX}")
    # Without links within: the images are where the file itself is.
    return _resolved(place)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path


def _lock(path: Path) -> tuple[FolderLock | None, str]:
    """Lock a list; return the lock, or why it is read-only and what to do."""
    try:
        if not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return FolderLock(path.parent, name=f".{path.name}.lock"), ""
    except BlockingIOError as error:
        return None, (
            f"it is open in another window ({error.strerror}); close it there and open "
            "it again"
        )
    except LocksUnsupportedError as error:
        return None, f"{error.strerror}; copy the list to another drive and open that"
    except OSError as error:
        reason = error.strerror or error
        return None, (
            f"its folder cannot be written to ({reason}); make it writable, or copy "
            "the list and open that"
        )

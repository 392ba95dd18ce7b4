"""``ListedImages``: the list of images that is open, and where in it the user is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from unet_engine.errors import DataError
from unet_engine.image_list.saving import ListSaver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unet_engine.image_list.checking import Problem
    from unet_engine.image_list.entry import Entry, State
    from unet_engine.image_list.image_list import Added, ImageList, Members


class ListedImages:
    """A list of images, saved in a thread after each change.

    Attributes
    ----------
    images
        The list; None when none is open.
    current
        Path in the list of the image that is shown; empty for none.
    problems
        What became of images that are not as they were, for the user to decide.
    switching
        One image is about to take the place of another: what is chosen in between does
        not count.
    list_changed
        Another list is open, or other images are in it.
    entry_changed
        An image has another state, by its path in the list.
    current_changed
        Another image is shown.
    """

    list_changed = Signal()
    entry_changed = Signal(str)
    current_changed = Signal()

    def __init__(self) -> None:
        self.images: ImageList | None = None
        self.current = ""
        self.problems: tuple[Problem, ...] = ()
        self.switching = False
        self._saver: ListSaver | None = None

    @property
    def entry(self) -> Entry | None:
        """The entry of the image that is shown."""
        return None if self.images is None else self.images.get(self.current)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All images."""
        return () if self.images is None else self.images.entries

    @property
    def read_only(self) -> str:
        """Why the list cannot be changed; empty when it can, or there is none."""
        return "" if self.images is None else self.images.read_only

    @property
    def save_error(self) -> str:
        """Why the list could not be saved last."""
        return "" if self._saver is None else self._saver.error

    def take(self, images: ImageList) -> None:
        """Work with a list, in place of an earlier one."""
        self.close()
        self.images, self._saver = images, ListSaver(images)
        self.current, self.problems = "", ()
        self.list_changed.emit()

    def close(self) -> None:
        """Save the list, and let other windows change it."""
        if self.images is None or self._saver is None:
            return
        self._saver.finish()
        images, self.images, self._saver = self.images, None, None
        try:
            images.close()
        except DataError:
            # What it is was shown when it could not be saved before.
            return

    def save_soon(self) -> None:
        """Save the list in a thread if anything was changed."""
        if self.images is not None and self._saver is not None and self.images.changed:
            self._saver.save_soon()

    def add(self, entries: Iterable[Entry]) -> Added:
        """Add images, as ``ImageList.entries_for`` describes them.

        Raises
        ------
        DataError
            When no list is open, or it is read-only.
        """
        added = self._list().insert(entries)
        if added.new:
            self.save_soon()
            self.list_changed.emit()
        return added

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take images out of the list; files and strokes stay.

        Raises
        ------
        DataError
            When no list is open, or it is read-only.
        """
        self._list().remove(entries)
        gone = {entry.path for entry in entries}
        self.problems = tuple(p for p in self.problems if p.entry.path not in gone)
        self.save_soon()
        self.list_changed.emit()

    def update(self, path: str, **changes: Any) -> None:
        """Change fields of an entry; does nothing where that is not possible."""
        images = self.images
        entry = None if images is None else images.get(path)
        if images is None or entry is None or images.read_only:
            return
        if images.update(entry, **changes) != entry:
            self.save_soon()
            self.entry_changed.emit(path)

    def set_state(self, path: str, state: State) -> None:
        """Change the state of an image."""
        self.update(path, state=state)

    def show(self, path: str) -> None:
        """Note which image is shown."""
        if path != self.current:
            self.current = path
            self.current_changed.emit()

    def set_problems(self, problems: Sequence[Problem]) -> None:
        """Note what the user has to decide."""
        self.problems = tuple(problems)
        self.list_changed.emit()

    def members(self) -> Members | None:
        """Return what is in the list now; None when none is open."""
        return None if self.images is None else self.images.members()

    def _list(self) -> ImageList:
        if self.images is None:
            raise DataError("no list of images is open; open or make one first")
        return self.images

"""``ProblemRow``: the question on images that moved, changed or vanished."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.listing import locate_run
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from unet_engine.errors import DataError
from unet_engine.image_list.checking import begin_anew, keep

if TYPE_CHECKING:
    from napari_unet.state.listed_images import ListedImages
    from unet_engine.image_list.checking import Problem

_NAMED = 2
"""Images that the question names before it gives the number of the others."""


class ProblemRow(QWidget):
    """Asks once what is to become of images that are not as they were.

    Parameters
    ----------
    listed
        Has the list and the problems.

    Attributes
    ----------
    message
        What became of it.
    """

    message = Signal(str)

    def __init__(self, listed: ListedImages) -> None:
        super().__init__()
        self._listed = listed
        self._job: Job | None = None
        self.text = TextLine()
        self.find = button(
            "Find…", "Choose the folder in which the images are now.", self._on_find
        )
        self.remove = button(
            "Remove",
            "Take the missing images out of the list. Strokes on them stay saved.",
            self.remove_missing,
        )
        self.same = button(
            "Same image",
            "It is still the image that was worked on: go on with its strokes.",
            self.keep_changed,
        )
        self.anew = button(
            "Another image",
            "It is another image: it counts as untouched. Strokes on the earlier one "
            "stay saved.",
            self.begin_changed_anew,
        )
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(SideBySide((self.find, 1), (self.remove, 1)))
        layout.addWidget(SideBySide((self.same, 1), (self.anew, 1)))
        listed.list_changed.connect(self.show_state)
        self.show_state()

    @property
    def missing(self) -> tuple[Problem, ...]:
        """Images that are not there."""
        return tuple(p for p in self._listed.problems if p.trouble == "missing")

    @property
    def changed(self) -> tuple[Problem, ...]:
        """Images that are not the same."""
        return tuple(p for p in self._listed.problems if p.trouble == "changed")

    def show_state(self) -> None:
        """Show the first question, or nothing."""
        missing, changed = self.missing, self.changed
        for made in (self.find, self.remove):
            made.setVisible(bool(missing))
        for made in (self.same, self.anew):
            made.setVisible(bool(changed) and not missing)
        self.setVisible(bool(missing or changed))
        if missing:
            self.text.setText(f"{_names(missing)} not there any more.")
        elif changed:
            more = len(changed) - 1
            rest = f" ({more} more to decide)" if more else ""
            self.text.setText(
                f"{changed[0].entry.name} is not the same as when it was worked "
                f"on{rest}."
            )

    def search(self, folder: Path) -> None:
        """Look for the missing images in a folder."""
        if self._job is not None:
            return
        self.text.setText(f"Searching {folder}…")
        self._job = run(
            partial(locate_run, self.missing, folder),
            parent=self,
            on_result=self._on_located,
            on_error=lambda error: self.message.emit(describe_error(error)),
            on_finished=self._on_finished,
        )

    def remove_missing(self) -> None:
        """Take the missing images out of the list."""
        try:
            self._listed.remove([problem.entry for problem in self.missing])
        except DataError as error:
            self.message.emit(str(error))

    def keep_changed(self) -> None:
        """Go on with the changed image that the question is on."""
        self._decide(anew=False)

    def begin_changed_anew(self) -> None:
        """Take the changed image for another one."""
        self._decide(anew=True)

    def _decide(self, *, anew: bool) -> None:
        images, changed = self._listed.images, self.changed
        if images is None or not changed:
            return
        try:
            (begin_anew if anew else keep)(images, changed[0])
        except DataError as error:
            self.message.emit(str(error))
            return
        self._listed.save_soon()
        rest = [p for p in self._listed.problems if p is not changed[0]]
        self._listed.set_problems(rest)

    def _on_find(self) -> None:
        images = self._listed.images
        if images is None:
            return
        folder = QFileDialog.getExistingDirectory(
            self, "Where are the images now?", str(images.folder)
        )
        if folder:
            self.search(Path(folder))

    def _on_located(self, found: tuple[dict[str, Path], dict[str, Path]]) -> None:
        images = self._listed.images
        if images is None:
            return
        same, other = found
        try:
            images.relocate(same)
        except DataError as error:
            self.message.emit(str(error))
            return
        left = [p for p in self._listed.problems if p.entry.path not in same]
        self._listed.save_soon()
        self._listed.set_problems(left)
        notes = [f"{len(same)} found again."]
        if other:
            name = next(iter(other.values()))
            notes.append(f"{name} has the name of one and is another image.")
        self.message.emit(" ".join(notes))

    def _on_finished(self) -> None:
        self._job = None
        self.show_state()


def _names(problems: tuple[Problem, ...]) -> str:
    names = [problem.entry.name for problem in problems[:_NAMED]]
    more = len(problems) - _NAMED
    if more > 0:
        return f"{', '.join(names)} and {more} more are"
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"

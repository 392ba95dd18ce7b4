"""The part of the dock above the steps: the list of images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.listing import GatheredImages, gather_run
from napari_unet.steps.images.following import PREDICT, ListFollower
from napari_unet.steps.images.list_view import EntryList
from napari_unet.steps.images.opening import ImageOpener
from napari_unet.steps.images.problems import ProblemRow
from napari_unet.steps.images.reporting import ReportButton
from napari_unet.steps.images.suggesting import ImageSuggestion
from napari_unet.viewer.files import folder_of
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import Section, TextLine, column
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import DataError
from unet_engine.image_list.image_list import ImageList
from unet_engine.image_list.list_file import SUFFIX
from unet_engine.models.checkpoint import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from qtpy.QtCore import QUrl

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live
    from unet_engine.image_list.entry import Entry

_EMPTY = (
    "Work on many images: add files or a folder, or drop them here. A small list "
    "beside them keeps what is done."
)
_LISTS = f"Lists of images (*{SUFFIX})"
_END = "This is the {0} image of the list."
_ACCEPT = "The mask of this image is right: go on to the next."
_TAKE_BACK = "Take the acceptance back."
_NOT_LISTED = "The image on screen is not in the list: add it first."
_READ_ONLY = "Another window changes this list, and this one only reads it."
_TOOLTIP = "The images of this work, and how far each is. Drop files or folders on it."


class ImagesSection(QWidget):
    """The list, what is added to it, and the way through it.

    Parameters
    ----------
    viewer
        Where images are opened.
    workspace, masks
        What is worked on.
    live
        Has learned from the strokes, for what is suggested.

    Attributes
    ----------
    batch_wanted
        Model and settings are to be applied to many images.
    """

    batch_wanted = Signal()

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, masks: Masks, live: Live
    ) -> None:
        super().__init__()
        self._workspace = workspace
        self.listed = workspace.listed
        self._job: Job | None = None
        self.section = Section("Images", _TOOLTIP, expanded=False)
        self.opener = ImageOpener(viewer, workspace, masks, self)
        self.follower = ListFollower(workspace, self)
        self.suggestion = ImageSuggestion(viewer, workspace, masks, live, self.opener)
        self.reporting = ReportButton(workspace, self)
        self.text = TextLine()
        self.note = TextLine()
        self.problems = ProblemRow(self.listed)
        self.entries = EntryList(self.listed)
        self._make_buttons()
        self._lay_out()
        self._connect()
        self.setAcceptDrops(True)
        self.show_state()

    def _make_buttons(self) -> None:
        self.add = button("Add", "Put images into the list.", lambda: None)
        menu = QMenu(self)
        for text, act in (
            ("Files…", self._on_add_files),
            ("Folder…", self._on_add_folder),
            ("Images that are open", self.add_open),
        ):
            menu.addAction(text).triggered.connect(partial(_call, act))
        menu.addSeparator()
        for text, act in (
            ("Open a list…", self._on_open),
            ("New list…", self._on_new),
        ):
            menu.addAction(text).triggered.connect(partial(_call, act))
        self.add.setMenu(menu)
        self.suggest = button("", "", self.suggestion.toggle)
        self.apply = button(
            "Apply to all…",
            "Predict, separate and measure the objects of all images of the list, or "
            "of a folder.",
            self.batch_wanted.emit,
        )
        self.predicting = CheckBox(text="Predict images when they open")
        self.predicting.native.setToolTip(
            "Next and Previous predict the image with the chosen model at once."
        )
        self.previous = button("◀", "Previous image of the list.", self.go_previous)
        self.next = button("▶", "Next image of the list.", self.go_next)
        self.accepting = button("Accept", "", self.accept)

    def _lay_out(self) -> None:
        content = self.section.content
        content.addWidget(self.text)
        content.addWidget(self.entries)
        content.addWidget(self.predicting.native)
        content.addWidget(SideBySide((self.add, 1), (self.suggest, 1)))
        content.addWidget(SideBySide((self.apply, 2), (self.reporting.button, 1)))
        self.navigation = SideBySide(
            (self.previous, 1), (self.accepting, 3), (self.next, 1)
        )
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        below = QWidget()
        inner = column(below)
        inner.setContentsMargins(4, 0, 4, 0)
        for widget in (self.problems, self.note, self.navigation):
            inner.addWidget(widget)
        layout.addWidget(self.section)
        layout.addWidget(below)
        self._below = below

    def _connect(self) -> None:
        self.entries.chosen.connect(self.opener.open)
        self.entries.removal_wanted.connect(self.remove)
        self.entries.filtered.connect(self.show_state)
        for source in (
            self.opener,
            self.follower,
            self.problems,
            self.suggestion,
            self.reporting,
        ):
            source.message.connect(self.note.setText)
            source.message.connect(self.show_state)
        self.suggestion.changed.connect(self.show_state)
        self.opener.opened.connect(self._on_opened)
        self.predicting.changed.connect(self._on_predicting)
        self.listed.list_changed.connect(self._show_settings)
        for signal in (
            self.listed.list_changed,
            self.listed.entry_changed,
            self.listed.current_changed,
            self._workspace.activity_changed,
        ):
            signal.connect(self.show_state)

    @property
    def busy(self) -> bool:
        """Whether anything is read, added or looked for."""
        runs = (self.opener, self.suggestion, self.reporting)
        return (
            self._job is not None
            or self.follower.busy
            or any(one.running for one in runs)
        )

    def go_next(self) -> None:
        """Show the next image that passes the filter."""
        self._go(1)

    def go_previous(self) -> None:
        """Show the previous image that passes the filter."""
        self._go(-1)

    def accept(self) -> None:
        """Accept the image on screen and show the next one; take it back if it was."""
        entry = self.listed.entry
        if entry is None or self.listed.read_only:
            self.note.setText(self._why_not_accept())
            return
        if entry.state == "accepted":
            self.listed.set_state(
                entry.path, "strokes" if entry.classes else "untouched"
            )
            return
        self.listed.set_state(entry.path, "accepted")
        self.follower.fingerprint(entry.path)
        if self._neighbour(1) is not None:
            self.go_next()

    def _why_not_accept(self) -> str:
        if self.listed.images is None:
            return "There is no list of images yet: add some."
        return self._read_only() or "The image on screen is not in the list."

    def _go(self, step: int) -> None:
        entry = self._neighbour(step)
        if entry is not None:
            self.opener.open(entry)
        elif self.listed.images is not None:
            end = "last" if step > 0 else "first"
            self.note.setText(f"This is the {end} image of the list.")

    def _neighbour(self, step: int) -> Entry | None:
        return self.entries.model.neighbour(step)

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Add files and folders; a list among them is opened in place of this one."""
        lists = [path for path in paths if path.suffix == SUFFIX]
        if lists:
            self.open_list(lists[0])
            paths = [path for path in paths if path.suffix != SUFFIX]
        if not paths or self._job is not None:
            return
        self.note.setText("Adding…")
        self._job = run(
            partial(gather_run, tuple(paths), self.listed.images),
            parent=self,
            on_result=self._on_gathered,
            on_error=lambda error: self.note.setText(describe_error(error)),
            on_finished=self._on_finished,
        )

    def add_open(self) -> None:
        """Add the images that are open."""
        layers = self._workspace_layers()
        paths = [Path(layer.source.path) for layer in layers if layer.source.path]
        if not paths:
            self.note.setText("No image that is open came from a file.")
            return
        self.add_paths(list(dict.fromkeys(paths)))

    def open_list(self, path: Path) -> None:
        """Work with another list."""
        if self.listed.images is not None and self.listed.images.path == path:
            return
        self._take(ImageList.open, path)

    def new_list(self, path: Path) -> None:
        """Make a list, and work with it."""
        # A name such as "day 1.2" has no suffix.
        whole = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        self._take(ImageList.create, whole)

    def remove(self, entries: Sequence[Entry]) -> None:
        """Take images out of the list."""
        try:
            self.listed.remove(entries)
        except DataError as error:
            self.note.setText(str(error))

    def show_state(self, *_: Any) -> None:
        """Show what there is, and what can be done now."""
        entries = self.listed.entries
        several = len(entries) > 1
        self.reporting.show_state()
        self.section.set_title(self._title())
        self.text.setText(self._describe())
        self.navigation.setVisible(several)
        below = (self.problems, self.note, self.navigation)
        self._below.setVisible(any(not part.isHidden() for part in below))
        self.suggest.setVisible(several)
        self.predicting.native.setVisible(several)
        if not several:
            return
        entry = self.listed.entry
        for made, step in ((self.previous, -1), (self.next, 1)):
            end = "last" if step > 0 else "first"
            none = "" if self._neighbour(step) is not None else _END.format(end)
            enable(made, none)
        accepted = entry is not None and entry.state == "accepted"
        self.accepting.setText("Accepted ✓" if accepted else "Accept image")
        explain(self.accepting, _TAKE_BACK if accepted else _ACCEPT)
        elsewhere = _READ_ONLY if self.listed.read_only else ""
        enable(self.accepting, _NOT_LISTED if entry is None else elsewhere)
        searching = self.suggestion.running
        self.suggest.setText("Stop search" if searching else "Suggest image")
        explain(
            self.suggest,
            "Look at images without strokes and open the one of which the model is "
            "least sure.",
        )

    def dragEnterEvent(self, event: Any) -> None:
        """Take files and folders."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Add what is dropped."""
        urls: list[QUrl] = event.mimeData().urls()
        self.add_paths([Path(u.toLocalFile()) for u in urls if u.isLocalFile()])
        event.acceptProposedAction()

    def _title(self) -> str:
        entries = self.listed.entries
        if len(entries) < 2:
            return "Images"
        number = self.entries.model.number_of(self.listed.current)
        return (
            f"Images   {number} of {len(entries):,}"
            if number
            else (f"Images   {len(entries):,}")
        )

    def _describe(self) -> str:
        images = self.listed.images
        if images is None:
            return _EMPTY
        counts = images.counts()
        parts = [images.path.name]
        if counts["strokes"]:
            parts.append(f"{counts['strokes']:,} with strokes")
        if counts["accepted"]:
            parts.append(f"{counts['accepted']:,} accepted")
        if len(images) and len(parts) == 1:
            parts.append("nothing done yet")
        faults = [self._read_only(), self.listed.save_error]
        return " ".join([", ".join(parts) + ".", *filter(None, faults)])

    def _read_only(self) -> str:
        why = self.listed.read_only
        return f"Read-only: {why}." if why else ""

    def _take(self, open_list: Any, path: Path) -> None:
        try:
            images = open_list(path)
        except DataError as error:
            self.note.setText(str(error))
            return
        self.note.setText("")
        self.listed.take(images)

    def _on_gathered(self, found: GatheredImages) -> None:
        notes = list(found.notes)
        try:
            if found.images is not None and found.images is not self.listed.images:
                self.listed.take(found.images)
            if found.entries:
                count = len(self.listed.add(found.entries).new)
                notes.insert(0, f"{count:,} image{'s' * (count != 1)} added.")
                self.section.expand()
        except DataError as error:
            notes.insert(0, str(error))
        self.note.setText(" ".join(notes))

    def _show_settings(self) -> None:
        images = self.listed.images
        self.predicting.value = bool(images and images.settings.get(PREDICT))

    def _on_predicting(self, wanted: bool) -> None:
        if self.listed.images is not None:
            self.listed.images.remember({PREDICT: wanted})
            self.listed.save_soon()

    def _on_opened(self, layer: Any) -> None:
        """Predict an image that has no prediction yet, if that is wanted."""
        model = self._workspace.model
        working_image = self._workspace.working_image_of(layer)
        there = working_image is not None and bool(working_image.predicted)
        if (
            self.predicting.value
            and not there
            and layer is self._workspace.layer
            and isinstance(model, ModelInfo)
            and model.trained
            and model.spec.classes
        ):
            self._workspace.prediction_wanted.emit(model)

    def _workspace_layers(self) -> list[Any]:
        from napari.layers import Image as ImageLayer

        return [x for x in self.opener.viewer.layers if isinstance(x, ImageLayer)]

    def _on_finished(self) -> None:
        self._job = None
        self.show_state()

    def _folder(self) -> str:
        """Return the folder in which dialogs open."""
        if self.listed.images is not None:
            return str(self.listed.images.folder)
        return folder_of(self._workspace.layer)

    def _on_add_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add images", self._folder())
        self.add_paths([Path(name) for name in names])

    def _on_add_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(
            self, "Add all images of a folder", self._folder()
        )
        if name:
            self.add_paths([Path(name)])

    def _on_open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Open a list of images", self._folder(), _LISTS
        )
        if name:
            self.open_list(Path(name))

    def _on_new(self) -> None:
        name, _ = QFileDialog.getSaveFileName(
            self, "New list of images", self._folder(), _LISTS
        )
        if name:
            self.new_list(Path(name))


def _call(act: Any, *_: Any) -> None:
    """Call without what Qt passes along."""
    act()

"""Which images a batch has, what is made of them, and where that goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QWidget

from napari_unet.widgets.buttons import SideBySide
from napari_unet.widgets.forms import TextLine, add_row, column, rows
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from napari_unet.state.workspace import Workspace

LISTED, ACCEPTED, FOLDER = "all of the list", "accepted of the list", "a folder…"
BESIDE, ELSEWHERE = "beside the images", "a folder…"


class BatchForm(QWidget):
    """The choices of a batch.

    Parameters
    ----------
    workspace
        Has the list of images.

    Attributes
    ----------
    images, results
        Boxes: which images, and where results go.
    masks, objects, table, overwrite
        Switches.
    folder, out
        Folders that were chosen, or None.
    changed
        Another choice was made.
    """

    changed = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.folder: Path | None = None
        self.out: Path | None = None
        self.images, self.results = QComboBox(), QComboBox()
        self.results.addItems([BESIDE, ELSEWHERE])
        self.masks = _switch("Masks", "NAME_mask.tif: the class of every pixel.")
        self.objects = _switch(
            "Objects", "NAME_objects.tif: the number of the object of every pixel."
        )
        self.table = _switch(
            "Table", "objects.csv: a row for each object of all images."
        )
        self.overwrite = _switch(
            "Replace all results",
            "Make all results anew, also those that were changed since. Otherwise "
            "images are passed over that are finished with this model and settings.",
        )
        self.overwrite.setChecked(False)
        self._where_from, self._where_to = TextLine(), TextLine()
        self._lay_out()
        self.images.activated.connect(self._on_images)
        self.results.activated.connect(self._on_results)
        for switch in (self.masks, self.objects, self.table, self.overwrite):
            switch.toggled.connect(lambda *_: self.changed.emit())
        self.follow_list()

    def _lay_out(self) -> None:
        form = rows()
        add_row(form, "Images", self.images, "The images that are worked on.")
        form.addRow(self._where_from)
        wanted = SideBySide((self.masks, 1), (self.objects, 1), (self.table, 1))
        add_row(form, "Write", wanted, "What is written of each image.")
        add_row(form, "Results", self.results, "Where the results go.")
        form.addRow(self._where_to)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.overwrite)

    def follow_list(self) -> None:
        """Offer the list of images as it is now."""
        listed = self._workspace.listed
        chosen = self.images.currentData()
        self.images.clear()
        entries = listed.entries
        accepted = [entry for entry in entries if entry.state == "accepted"]
        if entries:
            self.images.addItem(f"{LISTED} ({len(entries):,})", LISTED)
        if accepted:
            self.images.addItem(f"{ACCEPTED} ({len(accepted):,})", ACCEPTED)
        self.images.addItem(FOLDER, FOLDER)
        at = self.images.findData(chosen)
        self.images.setCurrentIndex(max(at, 0))
        self._show_places()

    def sources(self) -> tuple[Path, ...]:
        """Return the files and folders that were chosen.

        Raises
        ------
        DataError
            When a folder was to be chosen and was not.
        """
        images, chosen = self._workspace.listed.images, self.images.currentData()
        if chosen == FOLDER or images is None:
            if self.folder is None:
                raise DataError("no folder of images is chosen; choose one at Images")
            return (self.folder,)
        return tuple(
            images.place_of(entry)
            for entry in images.entries
            if chosen == LISTED or entry.state == "accepted"
        )

    def target(self) -> Path | None:
        """Return the folder for the results; None: beside the images.

        Raises
        ------
        DataError
            When a folder was to be chosen and was not.
        """
        if self.results.currentText() == BESIDE:
            return None
        if self.out is None:
            raise DataError("no folder is chosen for the results; choose one")
        return self.out

    def choose_folder(self, folder: Path | None) -> None:
        """Take the images of a folder."""
        self.folder = folder or self.folder
        if self.folder is not None:
            self.images.setCurrentIndex(self.images.findData(FOLDER))
        self._show_places()

    def choose_out(self, folder: Path | None) -> None:
        """Write results to a folder; None leaves the earlier one, if there is one."""
        self.out = folder or self.out
        self.results.setCurrentIndex(0 if self.out is None else 1)
        self._show_places()

    def _on_images(self, *_: Any) -> None:
        if self.images.currentData() == FOLDER:
            self.choose_folder(self._ask("Images of a folder", self.folder))
        else:
            self._show_places()

    def _on_results(self, *_: Any) -> None:
        if self.results.currentText() == ELSEWHERE:
            self.choose_out(self._ask("Folder for the results", self.out))
        else:
            self._show_places()

    def _ask(self, title: str, known: Path | None) -> Path | None:
        images = self._workspace.listed.images
        start = known or (images.folder if images is not None else None)
        name = QFileDialog.getExistingDirectory(self, title, str(start or ""))
        return Path(name) if name else None

    def _show_places(self) -> None:
        from_folder = self.images.currentData() == FOLDER
        source = "" if self.folder is None else _breakable(self.folder)
        self._where_from.setText(source if from_folder else "")
        elsewhere = self.results.currentText() == ELSEWHERE
        target = "" if self.out is None else _breakable(self.out)
        self._where_to.setText(target if elsewhere else "")
        self.changed.emit()


def _breakable(path: Path) -> str:
    """Return a path that may be broken into lines at its folders."""
    return str(path).replace("/", "/\u200b").replace("\\", "\\\u200b")


def _switch(text: str, tooltip: str) -> QCheckBox:
    made = QCheckBox(text)
    made.setToolTip(tooltip)
    made.setChecked(True)
    return made

"""``EntryList``: the rows of a list of images, with a filter above them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QWidget,
)

from napari_unet.steps.images.rows import STATE_NAMES, EntryModel, state_icon
from napari_unet.widgets.forms import column

if TYPE_CHECKING:
    from qtpy.QtCore import QModelIndex, QPoint

    from napari_unet.state.listed_images import ListedImages
    from unet_engine.image_list.entry import Entry

_ROWS = 6
"""Rows that are shown at most without scrolling; a shorter list takes less room."""
_FILTER_MS = 200
"""Milliseconds after the last letter until the rows are filtered."""


class EntryList(QWidget):
    """The images of a list: a click opens one, Delete takes it out.

    Parameters
    ----------
    listed
        Has the list.

    Attributes
    ----------
    chosen
        An image is to be opened.
    removal_wanted
        Images are to be taken out of the list.
    filtered
        Other images pass the filter now.
    """

    chosen = Signal(object)
    filtered = Signal()
    removal_wanted = Signal(object)

    def __init__(self, listed: ListedImages) -> None:
        super().__init__()
        self._listed = listed
        self.model = EntryModel(listed, self)
        self.view = _View(self.model)
        self.view.activated.connect(self._on_chosen)
        self.view.clicked.connect(self._on_chosen)
        self.view.removal_wanted.connect(self._on_removal_wanted)
        self._make_filter()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.filter)
        layout.addWidget(self.view)
        listed.list_changed.connect(self.refill)
        listed.entry_changed.connect(self._on_entry_changed)
        listed.current_changed.connect(self.mark_current)
        self.refill()

    def _make_filter(self) -> None:
        self.filter = QWidget()
        self.text = QLineEdit()
        self.text.setPlaceholderText("Filter")
        self.text.setToolTip("Show images with this in their path, class or model.")
        self.text.setClearButtonEnabled(True)
        self.state = QComboBox()
        self.state.setToolTip("Show images in this state. Next and Previous follow it.")
        self.state.addItem("All", None)
        for state, name in STATE_NAMES.items():
            self.state.addItem(state_icon(state), name, state)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.timeout.connect(self._filter)
        self.text.textChanged.connect(lambda: self._typing.start(_FILTER_MS))
        self.state.currentIndexChanged.connect(self._filter)
        line = QHBoxLayout(self.filter)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.text, 1)
        line.addWidget(self.state)

    def refill(self) -> None:
        """Show the list as it is now."""
        self.model.refill()
        several = len(self._listed.entries) > 1
        self.filter.setVisible(several)
        self.view.setVisible(several)
        self.view.fit()
        self.mark_current()

    def mark_current(self) -> None:
        """Select the image that is shown."""
        row = self.model.row_of(self._listed.current)
        self.view.clearSelection()
        if row is not None:
            index = self.model.index(row)
            self.view.setCurrentIndex(index)
            self.view.scrollTo(index)

    def _filter(self, *_: Any) -> None:
        self.model.filter(self.state.currentData(), self.text.text())
        self.mark_current()
        self.filtered.emit()

    def _on_entry_changed(self, path: str) -> None:
        self.model.refresh(path)

    def _on_chosen(self, index: QModelIndex) -> None:
        entry = self.model.entry_at(index.row())
        if entry is not None and entry.path != self._listed.current:
            self.chosen.emit(entry)

    def _on_removal_wanted(self) -> None:
        rows = {index.row() for index in self.view.selectedIndexes()}
        entries = [self.model.entry_at(row) for row in sorted(rows)]
        found: list[Entry] = [entry for entry in entries if entry is not None]
        if found:
            self.removal_wanted.emit(found)


class _View(QListView):
    """The rows; as high as they are few."""

    removal_wanted = Signal()

    def __init__(self, model: EntryModel) -> None:
        super().__init__()
        self.setModel(model)
        # Every row is as high as the first: 10,000 are laid out at once.
        self.setUniformItemSizes(True)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(14, 14))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)

    def fit(self) -> None:
        """Take as much height as the rows need, up to a few."""
        rows = min(_ROWS, max(2, self.model().rowCount()))
        height = max(18, self.sizeHintForRow(0))
        self.setFixedHeight(rows * height + 2 * self.frameWidth() + 2)

    def keyPressEvent(self, event: Any) -> None:
        """Take the selected images out of the list by Delete."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removal_wanted.emit()
            return
        super().keyPressEvent(event)

    def _show_menu(self, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Remove from the list").triggered.connect(
            lambda: self.removal_wanted.emit()
        )
        menu.exec_(self.viewport().mapToGlobal(at))

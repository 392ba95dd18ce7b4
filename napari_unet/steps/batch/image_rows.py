"""How far each image of a batch is: a row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from unet_engine.batch import ImageDone, ImageFailed, ImageProgress, ImageStarted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.batch import BatchEvent, BatchItem

_Roles = Qt.ItemDataRole
_HEADERS = ("Image", "Result")
_HEIGHT = 95
"""Pixels of the list at least: a header and three rows."""


class ImageRowsModel(QAbstractTableModel):
    """The images of a batch and what became of them.

    Attributes
    ----------
    items
        The images.
    failed
        Why images failed, by their rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.items: Sequence[BatchItem] = ()
        self._states: list[str] = []
        self._rows: dict[str, int] = {}
        self.failed: dict[int, str] = {}
        self._ended: set[int] = set()

    def replace(self, items: Sequence[BatchItem]) -> None:
        """List other images, all of them waiting."""
        self.beginResetModel()
        self.items, self._states = items, [""] * len(items)
        self._rows = {item.stem: row for row, item in enumerate(items)}
        self.failed, self._ended = {}, set()
        self.endResetModel()

    def show(self, events: Sequence[BatchEvent]) -> int | None:
        """Show what happened; return the last row that changed."""
        row = None
        for event in events:
            row = self._rows.get(event.item.stem)
            if row is None:
                continue
            self._states[row] = _describe(event)
            if isinstance(event, (ImageDone, ImageFailed)):
                self._ended.add(row)
            if isinstance(event, ImageFailed):
                self.failed[row] = event.reason
        if row is not None:
            self._repaint()
        return row

    def leave(self) -> None:
        """State of the images that the batch did not come to that they are not done."""
        for row in range(len(self.items)):
            if row not in self._ended:
                self._states[row] = "not done"
        self._repaint()

    def _repaint(self) -> None:
        # One signal for all of them: each repaints the rows that are on screen.
        last = self.index(len(self.items) - 1, 1)
        self.dataChanged.emit(self.index(0, 1), last, [])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of images."""
        return len(self.items)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return 2: the image, and its result."""
        return len(_HEADERS)

    def data(self, index: QModelIndex, role: int = _Roles.DisplayRole) -> Any:
        """Return the text of a cell, and all of it as its tooltip."""
        row = index.row()
        if role == _Roles.ToolTipRole:
            return self.failed.get(row) or str(self.items[row].image)
        if role != _Roles.DisplayRole:
            return None
        return self.items[row].name if index.column() == 0 else self._states[row]

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Roles.DisplayRole
    ) -> Any:
        """Return the name of a column; rows have none."""
        if role != _Roles.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return _HEADERS[section]


class ImageRows(QTableView):
    """The view of these rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = ImageRowsModel()
        self.setModel(self.rows)
        self.setMinimumHeight(_HEIGHT)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        header = self.horizontalHeader()
        header.setStretchLastSection(False)
        for column in range(len(_HEADERS)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def show_only_failed(self, only: bool) -> None:
        """Hide the rows of images that did not fail, or show all."""
        for row in range(self.rows.rowCount()):
            self.setRowHidden(row, only and row not in self.rows.failed)


def _describe(event: BatchEvent) -> str:
    if isinstance(event, ImageStarted):
        return "begun"
    if isinstance(event, ImageProgress):
        share = round(100 * event.done / event.total) if event.total else 0
        return f"{event.what} {share} %"
    if isinstance(event, ImageDone):
        found = "done" if event.objects is None else _count(event.objects)
        return f"{found}, as before" if event.before else found
    place = str(event.item.image)
    return f"failed: {event.reason.removeprefix(place).lstrip(' :')}"


def _count(objects: int) -> str:
    return f"{objects:,} object{'s' * (objects != 1)}"

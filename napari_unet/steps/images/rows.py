"""``EntryModel``: the images of a list as rows of a Qt view, filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QPointF, QStringListModel, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap

if TYPE_CHECKING:
    from napari_unet.state.listed_images import ListedImages
    from unet_engine.image_list.entry import Entry, State

_EDGE = 14
"""Pixels of an edge of an icon."""
_GREY, _AMBER, _GREEN = "#8a8a8a", "#e0a030", "#3fb56b"
"""Legible on napari's dark and light background."""
STATE_NAMES: dict[State, str] = {
    "untouched": "Untouched",
    "strokes": "Strokes",
    "accepted": "Accepted",
}


def state_icon(state: State) -> QIcon:
    """Return a ring for untouched, half a disc for strokes, a tick for accepted."""
    pixmap = QPixmap(_EDGE, _EDGE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    box = (2, 2, _EDGE - 4, _EDGE - 4)
    if state == "untouched":
        painter.setPen(QPen(QColor(_GREY), 1.5))
        painter.drawEllipse(*box)
    elif state == "strokes":
        painter.setPen(QPen(QColor(_AMBER), 1.5))
        painter.drawEllipse(*box)
        painter.setBrush(QColor(_AMBER))
        # Degrees in sixteenths, from the bottom to the top on the left.
        painter.drawPie(*box, 90 * 16, 180 * 16)
    else:
        painter.setPen(QPen(QColor(_GREEN), 2.5))
        painter.drawPolyline([QPointF(2, 8), QPointF(6, 12), QPointF(12, 3)])
    painter.end()
    return QIcon(pixmap)


class EntryModel(QStringListModel):
    """The images that pass the filter; a row costs nothing until it is shown.

    Qt asks for the number of rows once for each row; that this class has the paths of
    its own keeps Python out of it.

    Parameters
    ----------
    listed
        Has the list.

    Attributes
    ----------
    state, text
        The filter, as of ``Entry.matches``.
    """

    def __init__(self, listed: ListedImages, parent: Any = None) -> None:
        super().__init__(parent)
        self._listed = listed
        self.state: State | None = None
        self.text = ""
        self._rows: list[str] = []
        self._row_of: dict[str, int] = {}
        self._number_of: dict[str, int] = {}
        self._icons: dict[State, QIcon] = {}

    def filter(self, state: State | None, text: str) -> None:
        """Show other images."""
        self.state, self.text = state, text.strip()
        self.refill()

    def refill(self) -> None:
        """Show the list as it is now."""
        entries = self._listed.entries
        self._number_of = {entry.path: n for n, entry in enumerate(entries, start=1)}
        self._rows = [e.path for e in entries if e.matches(self.state, self.text)]
        self._row_of = {path: row for row, path in enumerate(self._rows)}
        self.setStringList(self._rows)

    def refresh(self, path: str) -> None:
        """Show an image as it is now."""
        row = self._row_of.get(path)
        if row is not None:
            index = self.index(row)
            self.dataChanged.emit(index, index)

    def row_of(self, path: str) -> int | None:
        """Return the row of an image; None when it is filtered out."""
        return self._row_of.get(path)

    def number_of(self, path: str) -> int:
        """Return the number of an image in the whole list, from 1; 0 for none."""
        return self._number_of.get(path, 0)

    def entry_at(self, row: int) -> Entry | None:
        """Return the image of a row."""
        images = self._listed.images
        inside = images is not None and 0 <= row < len(self._rows)
        return images.get(self._rows[row]) if inside and images else None

    def neighbour(self, step: int) -> Entry | None:
        """Return the next or previous image that passes the filter; None at the end."""
        images = self._listed.images
        if images is None:
            return None
        row = self._row_of.get(self._listed.current)
        if row is None:
            return images.neighbour(self._listed.entry, step, self.state, self.text)
        # What was changed since the rows were filtered may not pass any more.
        while (entry := self.entry_at(row := row + step)) is not None:
            if entry.matches(self.state, self.text):
                return entry
        return None

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return the text, icon or tooltip of a row."""
        entry = self.entry_at(index.row())
        if entry is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.path
        if role == Qt.ItemDataRole.DecorationRole:
            if entry.state not in self._icons:
                self._icons[entry.state] = state_icon(entry.state)
            return self._icons[entry.state]
        if role == Qt.ItemDataRole.ToolTipRole:
            return describe(entry)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.path}, {STATE_NAMES[entry.state]}"
        return None


def describe(entry: Entry) -> str:
    """Return path, state, classes and model of an image, a line for each."""
    lines = [entry.path, STATE_NAMES[entry.state]]
    if entry.classes:
        lines.append(f"Painted: {', '.join(entry.classes)}")
    if entry.model:
        lines.append(f"Model: {entry.model}")
    return "\n".join(lines)

"""The table of the objects, a dock of its own: a row goes to its object, and back."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, Qt
from qtpy.QtGui import QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_unet.results.object_place import go_to_object, shown_first
from napari_unet.results.objects import features_of
from napari_unet.widgets.forms import TextLine, column

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari
    import numpy.typing as npt

    from napari_unet.jobs.objects import Table
    from napari_unet.results.objects import ObjectsView

NAME = "U-Net table of objects"
"""Of the dock."""

_HEIGHT = 200
"""Pixels of the dock's height: a title, the header and half a dozen rows."""
_MEASURED_ROWS = 50
"""Rows whose texts decide how wide a column is: a million would take seconds."""
_NOTHING = "There are no objects of the chosen image: separate them in step 4."
_GONE = "Object {0} has no pixels any more where it was measured; measure again."

_Roles = Qt.ItemDataRole


class ObjectsModel(QAbstractTableModel):
    """Measurements as a model of Qt, in any order.

    Attributes
    ----------
    order
        ``(rows,)`` row of the table that each row on screen is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._columns: list[npt.NDArray[Any]] = []
        self.order = np.zeros(0, np.intp)

    def replace(self, table: Table) -> None:
        """Show another table, in its own order."""
        self.beginResetModel()
        self._names, self._columns = list(table), list(table.values())
        self.order = np.arange(max(map(len, self._columns), default=0))
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of objects."""
        return len(self.order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of measurements."""
        return len(self._columns)

    def data(self, index: QModelIndex, role: int = _Roles.DisplayRole) -> Any:
        """Return the text of a cell, to the right where it is a number."""
        column = self._columns[index.column()]
        if role == _Roles.TextAlignmentRole and column.dtype.kind in "iuf":
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != _Roles.DisplayRole:
            return None
        value = column[self.order[index.row()]].item()
        if not isinstance(value, float):
            return str(value)
        return "" if np.isnan(value) else f"{value:.5g}"

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _Roles.DisplayRole
    ) -> Any:
        """Return the name of a measurement; rows have none."""
        if role != _Roles.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return self._names[section]

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        """Sort by a measurement; what is not defined comes last either way."""
        if not 0 <= column < len(self._columns):
            return
        self.layoutAboutToBeChanged.emit()
        before, kept = self.order, self.persistentIndexList()
        self.order = _sorted(
            self._columns[column], descending=order == Qt.SortOrder.DescendingOrder
        )
        rows = np.argsort(self.order)
        self.changePersistentIndexList(
            kept, [self.index(int(rows[before[k.row()]]), k.column()) for k in kept]
        )
        self.layoutChanged.emit()

    def names(self) -> list[str]:
        """Return the names of the measurements."""
        return list(self._names)

    def text_of(self, rows: list[int]) -> str:
        """Return rows on screen as text for a spreadsheet, with the header."""
        lines = ["\t".join(self._names)]
        for row in rows:
            values = (column[self.order[row]] for column in self._columns)
            lines.append("\t".join(map(str, values)))
        return "\n".join(lines)


def _sorted(column: npt.NDArray[Any], *, descending: bool) -> npt.NDArray[np.intp]:
    if not descending:
        # numpy puts NaN last.
        return np.argsort(column, kind="stable")
    # Equal ones keep their order, so that the first object is the first of them.
    found = len(column) - 1 - np.argsort(column[::-1], kind="stable")[::-1]
    if column.dtype.kind != "f":
        return found
    undefined = np.isnan(column[found])
    return np.concatenate([found[~undefined], found[undefined]])


class _TableView(QTableView):
    """Rows that can be chosen and copied."""

    def __init__(self, model: ObjectsModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.horizontalHeader().setResizeContentsPrecision(_MEASURED_ROWS)
        self.setSortingEnabled(True)

    def keyPressEvent(self, event: Any) -> None:
        """Copy the chosen rows; all else as Qt does."""
        if event.matches(QKeySequence.StandardKey.Copy):
            model: Any = self.model()
            chosen = sorted(i.row() for i in self.selectionModel().selectedRows())
            QGuiApplication.clipboard().setText(model.text_of(chosen))
            return
        super().keyPressEvent(event)


class ObjectsTable(QWidget):
    """A row for each object of the chosen image.

    The row that is gone to, by mouse or keyboard, is the object that napari selects,
    and the view is centred on it; the object that was picked on the canvas is the row.

    Parameters
    ----------
    viewer
        Whose view is centred.

    Attributes
    ----------
    model, rows
        What is listed, and its view.
    text
        Whose objects they are, and what the user should notice about them.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._shown: ObjectsView | None = None
        self._table: Table = {}
        self._selecting = False
        self.text = TextLine()
        self.model = ObjectsModel()
        self.rows = _TableView(self.model)
        layout = column(self)
        layout.addWidget(self.text)
        layout.addWidget(self.rows)
        self.rows.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.rows.selectionModel().currentRowChanged.connect(self._on_row)
        # Also back to a row that is the current one: the view may have moved since.
        self.rows.clicked.connect(self._on_row)
        self.rows.selectionModel().selectionChanged.connect(self._on_chosen)
        self.destroyed.connect(self._listen)

    def follow(self, view: ObjectsView | None) -> None:
        """List the objects of an image as they are measured now; None for none."""
        table = {} if view is None else view.table
        if view is not self._shown:
            self._listen(view)
        if table is not self._table:
            self._table = table
            self._fill(table)
            self._on_label()
        self._describe()

    def _listen(self, view: Any = None) -> None:
        """Follow what is picked in the layer of these objects and in no other."""
        if self._shown is not None:
            with suppress(ValueError):
                self._shown.layer.events.selected_label.disconnect(self._on_label)
        self._shown = view if hasattr(view, "layer") else None
        if self._shown is not None:
            self._shown.layer.events.selected_label.connect(self._on_label)

    def _fill(self, table: Table) -> None:
        header = self.rows.horizontalHeader()
        before = self.model.names()
        at, order = header.sortIndicatorSection(), header.sortIndicatorOrder()
        name = before[at] if 0 <= at < len(before) else "label"
        listed = features_of(table) if table else {}
        named = {"label" if n == "index" else n: c for n, c in listed.items()}
        with self._selected_here():
            self.model.replace(named)
            at = list(named).index(name) if name in named else 0
            self.rows.sortByColumn(at, order)
            self.rows.resizeColumnsToContents()

    def _describe(self, note: str = "") -> None:
        view = self._shown
        if view is None:
            self.text.setText(_NOTHING)
            return
        count = self.model.rowCount()
        objects = f"{count:,} object{'s' * (count != 1)}"
        notes = (f"{view.layer.name}: {objects}.", note, view.outdated)
        self.text.setText(" ".join(filter(None, notes)))

    def _on_chosen(self, *_: Any) -> None:
        """Go to the one row that is chosen, also where Qt moves no cursor to it."""
        chosen = self.rows.selectionModel().selectedRows()
        if len(chosen) == 1:
            self._on_row(chosen[0])

    def _on_row(self, current: QModelIndex, *_: Any) -> None:
        view = self._shown
        if view is None or self._selecting or not current.isValid():
            return
        row = int(self.model.order[current.row()])
        label = int(view.table["label"][row])
        with self._selected_here():
            self._viewer.layers.selection.active = view.layer
            view.layer.selected_label = label
        found = go_to_object(self._viewer, view, row)
        self._describe("" if found else _GONE.format(label))

    def _on_label(self, *_: Any) -> None:
        """Follow what is picked on the canvas, or chosen in the controls of napari."""
        view = self._shown
        if view is None or self._selecting:
            return
        rows = np.flatnonzero(self._table["label"] == view.layer.selected_label)
        with self._selected_here():
            if not rows.size:
                self.rows.clearSelection()
                return
            row = shown_first(self._viewer, view, rows)
            at = self.model.index(int(np.flatnonzero(self.model.order == row)[0]), 0)
            flags = QItemSelectionModel.SelectionFlag
            self.rows.selectionModel().setCurrentIndex(
                at, flags.ClearAndSelect | flags.Rows
            )
            self.rows.scrollTo(at)

    @contextmanager
    def _selected_here(self) -> Iterator[None]:
        """Let what happens meanwhile not be taken for a choice of the user's."""
        self._selecting, before = True, self._selecting
        try:
            yield
        finally:
            self._selecting = before


def table_in(window: Any) -> ObjectsTable | None:
    """Return the table that is docked in a window, if one is."""
    widget = None if window is None else window.dock_widgets.get(NAME)
    return widget if isinstance(widget, ObjectsTable) else None


def dock_table(viewer: napari.Viewer) -> ObjectsTable:
    """Return the table of a window, docked below the canvas if there is none yet."""
    window = viewer.window
    table = table_in(window)
    if table is None:
        table = ObjectsTable(viewer)
        dock = window.add_dock_widget(
            table, name=NAME, area="bottom", add_vertical_stretch=False
        )
        main, areas = dock.parentWidget(), Qt.DockWidgetArea
        # Below the docks at the sides, the window would be higher than small screens.
        main.setCorner(Qt.Corner.BottomLeftCorner, areas.LeftDockWidgetArea)
        main.setCorner(Qt.Corner.BottomRightCorner, areas.RightDockWidgetArea)
        main.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
    else:
        dock = table.parentWidget()
        dock.show()
        dock.raise_()
    return table

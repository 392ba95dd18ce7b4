"""The list of models: bundled, own, received; a name is edited in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from unet_engine.models.collection.description import date_of, origin_of
from unet_engine.models.collection.scores import recorded_score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import ModelInfo

_TITLES = {
    "own": "Made here",
    "received": "Received as files",
    "bundled": "Came with the package",
}
"""Of the parts of the list, in their order."""

_ROLE = Qt.ItemDataRole.UserRole
_NO_FLAGS = Qt.ItemFlag.NoItemFlags


class ModelList(QListWidget):
    """The models by where they came from; F2 edits a name, Delete deletes.

    Attributes
    ----------
    chosen
        Another model is selected.
    renamed
        A model got another name in the list: the model, and the name.
    used
        A model was double-clicked, or Enter was pressed on it.
    deletion_wanted
        Delete was pressed.
    """

    chosen = Signal()
    renamed = Signal(object, str)
    used = Signal()
    deletion_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Models")
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.currentItemChanged.connect(lambda *_: self.chosen.emit())
        self.itemChanged.connect(self._on_item_changed)
        self.itemDoubleClicked.connect(lambda *_: self.used.emit())

    @property
    def model(self) -> ModelInfo | None:
        """The model that is selected."""
        item = self.currentItem()
        return None if item is None else item.data(_ROLE)

    def show_models(
        self, models: Sequence[ModelInfo], *, selected: str, in_use: str
    ) -> None:
        """Show models.

        Parameters
        ----------
        models
            Those there are.
        selected
            Name of the one to select.
        in_use
            Name of the one that is chosen in the dock.
        """
        blocked = self.blockSignals(True)
        self.clear()
        for origin, title in _TITLES.items():
            those = [model for model in models if origin_of(model) == origin]
            if origin != "bundled":
                those.sort(key=date_of, reverse=True)
            if those:
                self._add_title(title)
            for model in those:
                self._add(model, in_use=model.name == in_use)
        self.blockSignals(blocked)
        self.select(selected)

    def select(self, name: str) -> None:
        """Select a model by its name, or the first one."""
        rows = [
            row
            for row in range(self.count())
            if (model := self.item(row).data(_ROLE)) is not None
            and name in (model.name, "")
        ]
        if rows:
            self.setCurrentRow(rows[0])
        elif name:
            self.select("")
        self.chosen.emit()

    def edit_name(self) -> None:
        """Let the user type another name in the list."""
        self.setFocus()
        self.editItem(self.currentItem())

    def keyPressEvent(self, event: Any) -> None:
        """Use a model with Enter, delete it with Delete."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.used.emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.deletion_wanted.emit()
        else:
            super().keyPressEvent(event)

    def _add_title(self, title: str) -> None:
        item = QListWidgetItem(title)
        item.setFlags(_NO_FLAGS)
        font = item.font()
        font.setItalic(True)
        item.setFont(font)
        self.addItem(item)

    def _add(self, model: ModelInfo, *, in_use: bool) -> None:
        item = QListWidgetItem(model.name)
        item.setData(_ROLE, model)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not model.bundled:
            flags |= Qt.ItemFlag.ItemIsEditable
        item.setFlags(flags)
        score = recorded_score(model).mean
        known = [date_of(model), "" if score is None else f"IoU {score.value:.2f}"]
        line = ", ".join(part for part in known if part)
        use = "chosen in the dock" if in_use else "Enter or a double click chooses it"
        item.setToolTip(f"{model.name}: {line}; {use}" if line else use)
        font = item.font()
        font.setBold(in_use)
        item.setFont(font)
        self.addItem(item)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        model = item.data(_ROLE)
        if model is not None and item.text() != model.name:
            self.renamed.emit(model, item.text())

"""What is known about a model: rows of text, and the notes that can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from napari_unet.widgets.forms import TextLine, column, rows
from unet_engine.models.beside.paths import picture_path
from unet_engine.models.collection.card import about, licence_of
from unet_engine.models.collection.description import describe_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QResizeEvent

    from unet_engine.models.checkpoint import ModelInfo

_WRITING_MS = 800
"""Milliseconds after the last key until notes are saved: a pause between words."""

_LINES = 4
"""Of notes that are seen at once; more scroll."""

_IN_FIELDS = ("origin", "licence")
"""Rows that stand elsewhere: as the title of a part of the list, and in a field."""


class ModelDetails(QWidget):
    """Rows about a model, its licence and notes, and whether it fits the image.

    Attributes
    ----------
    fit
        Why the model cannot be used on the image in the dock, or that it can.
    picture
        What a bundled model finds in images that it has not learned from.
    licence, notes
        Fields; read-only for a bundled model.
    written
        Licence and notes of a model are to be saved: the model, its notes, licence.
    """

    written = Signal(object, str, str)

    def __init__(self) -> None:
        super().__init__()
        self._model: ModelInfo | None = None
        self.fit = TextLine()
        self.licence = QLineEdit()
        self.notes = QPlainTextEdit()
        self.picture = ExamplePicture()
        self._table = QWidget()
        self._lay_out()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_WRITING_MS)
        self._soon.timeout.connect(self.save)
        self.licence.textEdited.connect(lambda _: self._soon.start())
        self.notes.textChanged.connect(self._soon.start)

    def _lay_out(self) -> None:
        self.licence.setAccessibleName("Licence")
        self.notes.setAccessibleName("Notes")
        self.notes.setTabChangesFocus(True)
        # The themes of napari have no rule for it; this grey is seen in all of them.
        self.notes.setStyleSheet(
            "QPlainTextEdit { background: rgba(127, 127, 127, 60); border-radius: 2px }"
        )
        line = self.notes.fontMetrics().lineSpacing()
        self.notes.setFixedHeight(_LINES * line + 12)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fit)
        layout.addWidget(self.picture)
        layout.addWidget(self._table)
        self._layout = layout
        writing = rows()
        writing.addRow("Licence", self.licence)
        writing.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
        layout.addLayout(writing)
        layout.addWidget(QLabel("Notes"))
        layout.addWidget(self.notes)

    def show_model(
        self, model: ModelInfo | None, models: Sequence[ModelInfo], fit: str
    ) -> None:
        """Show a model; what was written about the one before is saved.

        Parameters
        ----------
        model
            None: nothing is shown.
        models
            Those there are.
        fit
            As the attribute.
        """
        self.save()
        same = model is not None and self._model == model
        self._model = model
        self.fit.setText(fit)
        self.picture.show_of(model)
        table = QWidget()
        if model is not None:
            _fill_table(table, describe_model(model, models).rows)
        self._layout.replaceWidget(self._table, table)
        self._table.hide()
        self._table.deleteLater()
        self._table = table
        if model is None:
            return
        if not (same and (self.notes.hasFocus() or self.licence.hasFocus())):
            self._fill(model)

    def save(self) -> None:
        """Have what was written saved."""
        self._soon.stop()
        model = self._model
        if model is None or model.bundled:
            return
        notes, licence = self.notes.toPlainText(), self.licence.text()
        if (notes, licence) != (model.notes.notes, model.notes.licence):
            self.written.emit(model, notes, licence)

    def set_saved(self, model: ModelInfo) -> None:
        """Take the model with its notes as they were saved."""
        if self._model is not None and self._model.path == model.path:
            self._model = model

    def _fill(self, model: ModelInfo) -> None:
        fixed = "It came with the package: duplicate it to write notes on the copy."
        for field in (self.licence, self.notes):
            field.setReadOnly(model.bundled)
        self.licence.setToolTip(
            fixed if model.bundled else "Of the weights, such as CC BY 4.0."
        )
        self.notes.setToolTip(fixed if model.bundled else "Saved as you write.")
        self.licence.setText(licence_of(model))
        self.licence.setCursorPosition(0)
        self.licence.setPlaceholderText("" if model.bundled else "not stated")
        blocked = self.notes.blockSignals(True)
        self.notes.setPlainText(about(model))
        self.notes.blockSignals(blocked)
        self.notes.setPlaceholderText("" if model.bundled else "What is it for?")


class ExamplePicture(QLabel):
    """A picture of images and of what a model finds in them, as wide as there is room.

    Hidden for a model that has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self._whole = QPixmap()
        self.setToolTip(
            "Parts of images that it has not learned from, and outlines of what it "
            "finds there"
        )
        self.setAccessibleName("Example picture")
        # However wide the picture is, the window decides.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hide()

    def show_of(self, model: ModelInfo | None) -> None:
        """Show the picture beside a bundled model."""
        self._whole = QPixmap()
        if model is not None and model.bundled:
            self._whole.load(str(picture_path(model.path)))
        self.setHidden(self._whole.isNull())
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fit the picture to the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self._whole.isNull():
            return
        width = min(self.width(), self._whole.width())
        if self.pixmap() is None or self.pixmap().width() != width:
            smooth = Qt.TransformationMode.SmoothTransformation
            self.setPixmap(self._whole.scaledToWidth(width, smooth))


def _fill_table(table: QWidget, described: Sequence[tuple[str, str]]) -> None:
    """Put titles and texts below each other."""
    layout = QGridLayout(table)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(2)
    layout.setColumnStretch(1, 1)
    for number, (title, text) in enumerate(described):
        if title in _IN_FIELDS:
            continue
        label, value = QLabel(f"{title[:1].upper()}{title[1:]}"), QLabel(text)
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        value.setAlignment(Qt.AlignmentFlag.AlignTop)
        value.setWordWrap(True)
        value.setTextFormat(Qt.TextFormat.PlainText)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        # A path has no space to wrap at, and must not decide how wide the window is.
        value.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        if title == "file":
            value.setText(text.replace("/", "/\u200b").replace("\\", "\\\u200b"))
            value.setToolTip(text)
        layout.addWidget(label, number, 0)
        layout.addWidget(value, number, 1)

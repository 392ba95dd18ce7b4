"""Two models beside each other: what is known, and their masks of the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QSizePolicy, QWidget

from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import Section, TextLine, add_row, rows
from unet_engine.models.collection.comparison import compare_models
from unet_engine.models.collection.description import origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.jobs.model_views import ViewMask
    from napari_unet.steps.models.view_masks import ViewMasks
    from unet_engine.models.checkpoint import ModelInfo

_TOOLTIP = "Compare the selected model with another one."
_NOT_COMPARED = ("origin", "licence", "size on disk", "tuned to")
"""Rows that state nothing of how good a model is."""

_UNKNOWN = "not recorded"
_INDENT = 8
"""Pixels by which texts stand to the right of their title."""


class ComparisonSection(Section):
    """What differs between two models, and how far their masks agree on the view.

    Parameters
    ----------
    views
        Predicts and shows masks.

    Attributes
    ----------
    other
        The model that the selected one is compared with.
    predict
        Predicts the view with both.
    shown
        Which mask is on screen: of each model, or where they differ.
    text
        How far the masks agree.
    """

    def __init__(self, views: ViewMasks) -> None:
        super().__init__("Compare", _TOOLTIP, expanded=False)
        self._views = views
        self._models: tuple[ModelInfo, ...] = ()
        self._model: ModelInfo | None = None
        self._masks: list[ViewMask] = []
        self._picked = False
        self.other, self.shown = QComboBox(), QComboBox()
        self.text = TextLine()
        self._table = QWidget()
        self.predict = button(
            "Predict the view with both",
            "Predict what is on screen with both models, and compare the masks.",
            self._on_predict,
        )
        self.predict.setAutoDefault(False)
        self._form = rows()
        add_row(self._form, "With", self.other, "The other model.")
        self.content.addLayout(self._form)
        self.content.addWidget(self._table)
        self.content.addWidget(self.predict)
        self.content.addWidget(self.text)
        showing = rows()
        add_row(showing, "Show", self.shown, "Which mask is on screen.")
        self._showing = QWidget()
        self._showing.setLayout(showing)
        self.content.addWidget(self._showing)
        self._showing.hide()
        self.other.activated.connect(self._on_picked)
        self.other.currentIndexChanged.connect(self._on_other_changed)
        self.shown.currentIndexChanged.connect(self._on_shown_changed)
        views.ready.connect(self._on_ready)
        views.failed.connect(self._on_failed)

    def show_model(self, model: ModelInfo | None, models: Sequence[ModelInfo]) -> None:
        """Compare a model with one of the others."""
        others = tuple(m for m in models if m != model)
        if model == self._model and others == self._models:
            return
        before = self.other.currentText() if self._picked else ""
        self._model, self._models = model, others
        blocked = self.other.blockSignals(True)
        self.other.clear()
        # One's own models first: the parent is among them.
        for each in sorted(others, key=lambda m: origin_of(m) == "bundled"):
            self.other.addItem(each.name, each)
        self.other.setCurrentIndex(max(0, self.other.findText(before)))
        self.other.blockSignals(blocked)
        self._on_other_changed()

    @property
    def _pair(self) -> tuple[ModelInfo, ModelInfo] | None:
        other = self.other.currentData()
        return None if self._model is None or other is None else (self._model, other)

    def _on_picked(self, _: int) -> None:
        self._picked = True

    def _on_other_changed(self, *_: object) -> None:
        self.end()
        pair = self._pair
        self.predict.setEnabled(pair is not None)
        table = QWidget()
        if pair is not None:
            _fill_table(table, *pair, self._models)
        self.content.replaceWidget(self._table, table)
        self._table.hide()
        self._table.deleteLater()
        self._table = table

    def end(self) -> None:
        """Show no mask any more."""
        if self._masks:
            self._views.clear()
        self._masks = []
        self.text.setText("")
        self._showing.hide()

    def _on_predict(self) -> None:
        if (pair := self._pair) is not None:
            self.text.setText("Predicting…")
            self._views.want(*pair)

    def _on_ready(self, masks: list[ViewMask]) -> None:
        if len(masks) != 2:
            return
        self._masks = masks
        agreement = self._views.compare(*masks)
        line = agreement.describe()
        self.text.setText(f"On the view: {line}.")
        blocked = self.shown.blockSignals(True)
        self.shown.clear()
        self.shown.addItems([*(m.model.name for m in masks), "where they differ"])
        self.shown.setCurrentIndex(2)
        self.shown.blockSignals(blocked)
        self._showing.show()
        self._on_shown_changed()

    def _on_shown_changed(self, *_: object) -> None:
        at = self.shown.currentIndex()
        if len(self._masks) != 2 or at < 0:
            return
        if at == 2:
            differs = self._views.compare(*self._masks).differs
            self._views.show(differs.astype("uint8"), "where two masks differ", 2)
            return
        mask = self._masks[at]
        name = f"mask of {mask.model.name}"
        self._views.show(mask.labels, name, len(mask.model.spec.classes))

    def _on_failed(self, line: str) -> None:
        if self.text.text() == "Predicting…":
            self.text.setText(line)


def _fill_table(
    table: QWidget, one: ModelInfo, other: ModelInfo, models: Sequence[ModelInfo]
) -> None:
    """Put what differs beside each other; what is alike takes no room."""
    layout = QGridLayout(table)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(2)
    compared = compare_models(one, other, (one, *models))
    found = [r for r in compared if r.differs and r.title not in _NOT_COMPARED]
    _add_line(layout, (one.name, other.name), bold=True)
    for row in found:
        title = QLabel(_capital(row.title))
        layout.addWidget(title, layout.rowCount(), 0, 1, 2)
        _add_line(layout, (row.one or _UNKNOWN, row.other or _UNKNOWN))
    for place in (0, 1):
        layout.setColumnStretch(place, 1)


def _add_line(
    layout: QGridLayout, texts: tuple[str, str], *, bold: bool = False
) -> None:
    """Add a text of each model."""
    number = layout.rowCount()
    for place, text in enumerate(texts):
        label = QLabel(text)
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        font = label.font()
        font.setBold(bold)
        label.setFont(font)
        label.setContentsMargins(0 if bold else _INDENT, 0, 0, 0)
        layout.addWidget(label, number, place)


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"

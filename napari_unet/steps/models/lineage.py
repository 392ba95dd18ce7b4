"""The lineage of a model: the way back to its parent, and a slider through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QSlider

from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import Section, TextLine
from napari_unet.widgets.learning_curve import LearningCurve
from unet_engine.models.collection.learning_curve import rows_of
from unet_engine.models.collection.scores import recorded_score
from unet_engine.models.lineage import line_through, parent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.jobs.model_views import ViewMask
    from napari_unet.steps.models.view_masks import ViewMasks
    from unet_engine.models.checkpoint import ModelInfo

_TOOLTIP = (
    "Which models it was tuned from and to, and their masks of what is on screen."
)
_FIRST = "It was tuned from no other model."
_GONE = "{0} is not there any more; look among the deleted models."
_ALONE = "There is no other model of its lineage."


class LineageSection(Section):
    """A line of models; the slider shows the mask of each on the present view.

    Parameters
    ----------
    views
        Predicts and shows masks.
    theme
        Name of napari's theme.

    Attributes
    ----------
    back
        Chooses the parent.
    curve
        The scores of its rounds.
    slider
        A position for each model of the lineage that is there, the oldest first.
    text
        Which one it is at, and what is going on.
    returned
        The parent is to be chosen: its name.
    looked_at
        The slider was moved to a model: its name.
    """

    returned = Signal(str)
    looked_at = Signal(str)

    def __init__(self, views: ViewMasks, theme: str) -> None:
        super().__init__("Lineage", _TOOLTIP, expanded=False)
        self._views = views
        self._line: tuple[ModelInfo, ...] = ()
        self._parent = ""
        self._active = False
        self.back = button("", "", lambda: self.returned.emit(self._parent))
        self.back.setAutoDefault(False)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Model of the lineage")
        self.slider.setPageStep(1)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setTickInterval(1)
        self.text = TextLine()
        self.curve = LearningCurve(theme)
        self.hide_mask = button("Hide it", "Show the mask of the dock again.", self.end)
        self.hide_mask.setAutoDefault(False)
        self.content.addWidget(self.back)
        self.content.addWidget(self.curve)
        self.content.addWidget(self.slider)
        self.content.addWidget(SideBySide((self.text, 1), (self.hide_mask, 0)))
        self.slider.valueChanged.connect(self._on_moved)
        views.ready.connect(self._on_ready)
        views.failed.connect(self._on_failed)
        self.hide_mask.hide()

    def show_model(self, model: ModelInfo | None, models: Sequence[ModelInfo]) -> None:
        """Show the lineage of a model."""
        self._show_parent(model, models)
        if self._active and model in self._line:
            line = self._line
        else:
            self.end()
            line = () if model is None else line_through(model, models)
        self._line = line
        self.curve.show_rounds(rows_of(line), "" if model is None else model.name)
        blocked = self.slider.blockSignals(True)
        self.slider.setRange(0, max(0, len(line) - 1))
        if model is not None:
            self.slider.setValue(line.index(model))
        self.slider.blockSignals(blocked)
        self.slider.setEnabled(len(line) > 1)
        self.slider.setToolTip(
            "Show the mask of each model on what is on screen." if len(line) > 1
            else _ALONE
        )  # fmt: skip
        if not self._active:
            self.text.setText(self._position() if len(line) > 1 else _ALONE)

    def end(self) -> None:
        """Show no mask any more."""
        if self._active:
            self._views.clear()
        self._active = False
        self.hide_mask.hide()
        self.text.setText(self._position())

    def _show_parent(
        self, model: ModelInfo | None, models: Sequence[ModelInfo]
    ) -> None:
        parent = None if model is None else parent_of(model, models)
        there = parent is not None and parent.model is not None
        self._parent = parent.name if parent is not None else ""
        self.back.setText(f"Return to {self._parent}" if parent else "Return")
        self.back.setEnabled(there)
        if there:
            self.back.setToolTip(f"Choose {self._parent} in the dock.")
        else:
            self.back.setToolTip(_GONE.format(self._parent) if parent else _FIRST)

    def _position(self) -> str:
        if not self._line:
            return ""
        model = self._line[self.slider.value()]
        score = recorded_score(model).mean
        known = "" if score is None else f", IoU {score.value:.2f}"
        at, count = self.slider.value() + 1, len(self._line)
        return f"{at} of {count}: {model.name}{known}"

    def _on_moved(self, _: int) -> None:
        self._active = True
        self.text.setText(f"{self._position()}. Predicting…")
        model = self._line[self.slider.value()]
        self.looked_at.emit(model.name)
        self._views.want(model)

    def _on_ready(self, masks: list[ViewMask]) -> None:
        if not self._active or len(masks) != 1:
            return
        (mask,) = masks
        classes = len(mask.model.spec.classes)
        self._views.show(mask.labels, f"mask of {mask.model.name}", classes)
        self.text.setText(f"{self._position()}. Its mask is on screen.")
        self.hide_mask.show()

    def _on_failed(self, line: Any) -> None:
        if self._active:
            self.text.setText(f"{self._position()}. {line}")

"""Two masks on one view: in turn, beside each other, or their differences."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QSlider, QWidget

from napari_unet.results.comparison_layer import (
    DIFFERENCE_COLOURS,
    ComparisonLayer,
    difference_texts,
)
from napari_unet.widgets.buttons import NarrowButton, SideBySide
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.keys import key_text, with_key
from napari_unet.widgets.tooltips import enable, explain, show_key

if TYPE_CHECKING:
    from typing import Any

    from napari.components import ViewerModel

    from napari_unet.results.compared_masks import ValueKind
    from napari_unet.results.comparison_layer import CompareMode
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.compare.pair import PairChoice

_TOOLTIPS = {
    "flicker": (
        "Show one of both masks at a time, in the same place. The key shows the other "
        "one: what jumps has changed."
    ),
    "swipe": "Show the first mask left of a line and the other one right of it.",
    "differences": "Show only what differs, in a colour for each way to differ.",
}
_STEPS = 1000
"""Positions of the line across the screen: finer than its pixels need."""


class ShownPair(QWidget):
    """Three buttons, of which one at most is pressed, a slider, and a legend.

    Parameters
    ----------
    viewer
        Gets the layer.
    workspace
        What is worked on.
    choice
        Has the masks.

    Attributes
    ----------
    comparison
        What is shown now, or None.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, choice: PairChoice
    ) -> None:
        super().__init__()
        self._viewer, self._workspace, self._choice = viewer, workspace, choice
        self.comparison: ComparisonLayer | None = None
        self.flicker = self._mode_button("Flicker", "flicker")
        self.swipe = self._mode_button("Swipe", "swipe")
        self.differences = self._mode_button("Differences", "differences")
        self._buttons = (self.flicker, self.swipe, self.differences)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setValue(_STEPS // 2)
        self.slider.setToolTip("Where on the screen the line between both masks is.")
        self.slider.valueChanged.connect(self._on_slid)
        self.legend = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide(*((each, 1) for each in self._buttons)))
        layout.addWidget(self.slider)
        layout.addWidget(self.legend)
        choice.changed.connect(self._on_choice_changed)
        self.show_state()

    def _mode_button(self, text: str, mode: str) -> QPushButton:
        made = NarrowButton(text)
        made.setCheckable(True)
        made.clicked.connect(lambda on: self._on_clicked(mode, on))
        return made

    def toggle(self) -> None:
        """Show the other one of two masks that are compared."""
        if self._choice.pair is None:
            return
        showed_first = self.comparison is None or self.comparison.mode == "first"
        self._show("second" if showed_first else "first")

    def end(self) -> None:
        """Show no comparison any more."""
        comparison, self.comparison = self.comparison, None
        if comparison is not None:
            comparison.remove()
        self.show_state()

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer."""
        if self.comparison is not None and layer is self.comparison.layer:
            self.end()

    def _on_clicked(self, mode: str, on: bool) -> None:
        if not on:
            self.end()
            return
        modes: dict[str, CompareMode] = {
            "flicker": "first",
            "swipe": "swipe",
            "differences": "differences",
        }
        self._show(modes[mode])

    def _show(self, mode: CompareMode) -> None:
        pair = self._choice.pair
        if pair is not None and self.comparison is None:
            self.comparison = ComparisonLayer(
                self._viewer,
                *pair,
                self._kinds(),
                self,
                painting=self._workspace.painting,
            )
            self.comparison.ended.connect(self.end)
        if self.comparison is not None:
            self.comparison.show(mode, self.slider.value() / _STEPS)
        self.show_state()

    def _kinds(self) -> tuple[ValueKind, ValueKind]:
        return self._choice.kinds()

    def _on_slid(self, value: int) -> None:
        if self.comparison is not None and self.comparison.mode == "swipe":
            self.comparison.show("swipe", value / _STEPS)

    def _on_choice_changed(self) -> None:
        comparison = self.comparison
        if comparison is not None:
            mode, pair = comparison.mode, self._choice.pair
            same = pair is not None and all(
                (one.layer, one.earlier) == (other.layer, other.earlier)
                for one, other in zip(pair, comparison.masks, strict=True)
            )
            if same and self._kinds() == comparison.kinds:
                return
            self.end()
            if pair is not None:
                self._show(mode)
        self.show_state()

    def show_state(self) -> None:
        """Show what is pressed, and what can be."""
        mode = None if self.comparison is None else self.comparison.mode
        pressed = {
            self.flicker: mode in ("first", "second"),
            self.swipe: mode == "swipe",
            self.differences: mode == "differences",
        }
        for each, name in zip(self._buttons, _TOOLTIPS, strict=True):
            each.setChecked(pressed[each])
            explain(each, _TOOLTIPS[name])
            enable(each, self._choice.why_not)
        self.flicker.setText(with_key("Flicker", "flicker"))
        show_key(self.flicker, key_text("flicker"))
        self.slider.setVisible(mode == "swipe")
        self.legend.setText(self._describe(mode))

    def _describe(self, mode: CompareMode | None) -> str:
        pair = self._choice.pair
        if mode is None or pair is None:
            return ""
        if mode == "differences":
            texts = difference_texts(*pair)
            return "<br>".join(
                f'<span style="color:{colour}">■</span> {escape(texts[value])}'
                for value, colour in DIFFERENCE_COLOURS.items()
            )
        first, second = (escape(mask.name) for mask in pair)
        if mode == "swipe":
            return f"Left: <b>{first}</b>. Right: <b>{second}</b>."
        shown = first if mode == "first" else second
        key = key_text("flicker")
        then = f" Press {key} for the other." if key else ""
        return f"On screen: <b>{shown}</b>.{then}"

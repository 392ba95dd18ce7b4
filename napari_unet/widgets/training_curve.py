"""The live curve of a training: loss above, the score of the held-out set below."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.widgets.plots import (
    SCORE_COLOUR,
    add_plot,
    colour_plots,
    line_pen,
    pg,
    show_iou_axis,
)
from unet_engine.training.events import Step, Validation

if TYPE_CHECKING:
    from collections.abc import Sequence

Score = Literal["mask_iou", "loss"]
"""The score of a model on the held-out set."""

_LOSS_COLOUR = "#56b4e9"
_TOOLTIPS: dict[Score, str] = {
    "mask_iou": "Below: expected IoU of the mask, or the IoU on labels that were held "
    "out; 1 is perfect. With too few strokes for a score there is none.",
    "loss": "Below: loss on pixels that were held out; the lower, the better.",
}
_HEIGHT = 185
"""Pixels of the widget: two plots that leave room for the sections below."""
_MOST_POINTS = 2000
"""Steps drawn at most: several for each pixel of the width."""
_DECAY = 0.9
"""Of the exponential moving average of the loss: a memory of about ten steps."""


class Curve(QWidget):
    """Loss of the steps, and a score on the held-out set.

    Parameters
    ----------
    theme
        Name of napari's theme.
    score
        What is shown of each evaluation on the held-out set.
    """

    def __init__(self, theme: str, score: Score = "mask_iou") -> None:
        super().__init__()
        self._score = score
        self.setFixedHeight(_HEIGHT)
        self.setToolTip(
            f"Above: loss of each step and its trend. {_TOOLTIPS[score]} The dot is "
            "the best model so far."
        )
        self._graphics = pg.GraphicsLayoutWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._graphics)
        self._loss_plot = add_plot(self._graphics, 0, "loss", self)
        self._score_plot = self._make_score_plot()
        self._loss_plot.getAxis("bottom").setStyle(showValues=False)
        self._graphics.ci.layout.setSpacing(2)
        self._raw = self._loss_plot.plot()
        self._trend = self._loss_plot.plot(pen=line_pen(_LOSS_COLOUR))
        self._scores = self._score_plot.plot(
            pen=line_pen(SCORE_COLOUR),
            symbol="o", symbolSize=4, symbolBrush=SCORE_COLOUR, symbolPen=None,
        )  # fmt: skip
        self._best = self._score_plot.plot(
            pen=None, symbol="o", symbolSize=10, symbolBrush=SCORE_COLOUR
        )
        self.set_theme(theme)
        self.clear()

    def _make_score_plot(self) -> Any:
        if self._score == "loss":
            plot = add_plot(self._graphics, 1, "held out", self)
        else:
            plot = add_plot(self._graphics, 1, "IoU", self)
            show_iou_axis(plot)
        plot.setLabel("bottom", "step")
        plot.setXLink(self._loss_plot)
        return plot

    def set_theme(self, theme: str) -> None:
        """Take the colours of one of napari's themes."""
        plots = (self._loss_plot, self._score_plot)
        text = colour_plots(self._graphics, plots, theme)
        faint = pg.mkColor(_LOSS_COLOUR)
        faint.setAlpha(90)
        self._raw.setPen(pg.mkPen(faint))
        self._best.setSymbolPen(pg.mkPen(text, width=2))

    def clear(self) -> None:
        """Show no training."""
        self.steps: list[Step] = []
        self.validations: list[Validation] = []
        self._smooth: list[float] = []
        self._draw()

    def add(self, events: Sequence[Step | Validation]) -> None:
        """Draw steps and evaluations."""
        for event in events:
            if isinstance(event, Step):
                last = self._smooth[-1] if self._smooth else event.loss
                self._smooth.append(_DECAY * last + (1 - _DECAY) * event.loss)
                self.steps.append(event)
            else:
                self.validations.append(event)
        self._draw()

    def _draw(self) -> None:
        every = max(1, len(self.steps) // _MOST_POINTS)
        steps = [s.step for s in self.steps[::every]]
        self._raw.setData(steps, [s.loss for s in self.steps[::every]])
        self._trend.setData(steps, self._smooth[::every])
        # What is held out may be too little for a score, which is NaN then.
        scored = [x for x in self.validations if isfinite(getattr(x, self._score))]
        steps = [each.step for each in scored]
        scores = [getattr(each, self._score) for each in scored]
        self._scores.setData(steps, scores)
        best = [each for each in scored if each.best][-1:]
        self._best.setData(
            [each.step for each in best], [getattr(each, self._score) for each in best]
        )

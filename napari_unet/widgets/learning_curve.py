"""The scores of the rounds of training against what was painted for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget

from napari_unet.widgets.plots import (
    SCORE_COLOUR,
    add_plot,
    colour_plots,
    line_pen,
    pg,
    show_iou_axis,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.collection.learning_curve import RoundRow

Axis = Literal["strokes", "minutes"]

_AXES: dict[Axis, str] = {
    "strokes": "strokes",
    "minutes": "minutes of painting",
}
_HEIGHT = 170
"""Pixels of the plot: a tenth of the IoU is some ten of them."""
_FEWEST = 2
"""Rounds with a score that make a curve."""
_TOOLTIP = (
    "Mean IoU over the classes after each round of training. A line up and down is the "
    "interval of an expected IoU; one without is the IoU on held-out labels. Rounds "
    "without a score to rely on are left out. The large dot is the model above."
)


class LearningCurve(QWidget):
    """IoU against strokes or minutes, a point for each round that has a score.

    Parameters
    ----------
    theme
        Name of napari's theme.

    Attributes
    ----------
    axis
        Chooses what the scores are drawn against.
    points
        What is drawn: x, and the IoU.
    """

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._rows: tuple[RoundRow, ...] = ()
        self._current = ""
        self.points: list[tuple[float, float]] = []
        self.axis = QComboBox()
        self.axis.setAccessibleName("What the IoU is drawn against")
        self.axis.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for key, name in _AXES.items():
            self.axis.addItem(f"IoU against {name}", key)
        self.axis.currentIndexChanged.connect(self._draw)
        self._graphics = pg.GraphicsLayoutWidget()
        self._graphics.setFixedHeight(_HEIGHT)
        self._graphics.setToolTip(_TOOLTIP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.axis)
        layout.addWidget(self._graphics)
        self._plot = add_plot(self._graphics, 0, "IoU", self)
        show_iou_axis(self._plot)
        self._bars = pg.ErrorBarItem(pen=line_pen(SCORE_COLOUR))
        self._plot.addItem(self._bars)
        self._line = self._plot.plot(
            pen=line_pen(SCORE_COLOUR), symbol="o", symbolSize=6,
            symbolBrush=SCORE_COLOUR, symbolPen=None,
        )  # fmt: skip
        self._dot = self._plot.plot(
            pen=None, symbol="o", symbolSize=11, symbolBrush=SCORE_COLOUR
        )
        self.set_theme(theme)
        self._draw()

    def set_theme(self, theme: str) -> None:
        """Take the colours of one of napari's themes."""
        text = colour_plots(self._graphics, [self._plot], theme)
        self._dot.setSymbolPen(line_pen(text))

    def show_rounds(self, rows: Sequence[RoundRow], current: str) -> None:
        """Show rounds; with fewer than two scores against strokes it is hidden.

        Parameters
        ----------
        rows
            The first round first.
        current
            Name of the model whose round is marked.
        """
        self._rows, self._current = tuple(rows), current
        self.setVisible(len(self._places("strokes")) >= _FEWEST)
        timed = len(self._places("minutes")) >= _FEWEST
        if not timed:
            self.axis.setCurrentIndex(0)
        self.axis.setVisible(timed)
        self._draw()

    def _places(self, axis: Axis) -> list[tuple[float, RoundRow]]:
        """Return the rounds with a score, and where they lie along an axis."""
        places = []
        for row in self._rows:
            x = row.stroke_count if axis == "strokes" else row.painting_minutes
            if x is not None and row.score is not None:
                places.append((float(x), row))
        return places

    def _draw(self) -> None:
        axis: Axis = self.axis.currentData()
        places = [(x, r, r.score) for x, r in self._places(axis) if r.score is not None]
        xs = [x for x, _, _ in places]
        ious = [score.value for _, _, score in places]
        self.points = list(zip(xs, ious, strict=True))
        self._line.setData(xs, ious)
        known = [(x, s) for x, _, s in places if not math.isnan(s.low)]
        self._bars.setData(
            x=np.array([x for x, _ in known], float),
            y=np.array([s.value for _, s in known], float),
            bottom=np.array([s.value - s.low for _, s in known], float),
            top=np.array([s.high - s.value for _, s in known], float),
        )
        here = [(x, s.value) for x, r, s in places if r.model == self._current]
        self._dot.setData([x for x, _ in here], [y for _, y in here])
        self._plot.setLabel("bottom", _AXES[axis])
        self._plot.setXRange(0, max(xs, default=1.0) or 1.0, padding=0.06)

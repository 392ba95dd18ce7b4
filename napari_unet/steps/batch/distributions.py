"""How the objects of a batch are distributed: a point for each, by condition or image.

A click on a point chooses its object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget

from napari_unet.widgets.buttons import SideBySide
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.plots import colour_plots, fix_plot, line_pen, pg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_unet.jobs.batch_table import MeasuredObjects

BY = {"by condition": "condition", "by image": "file", "by class": "class"}
"""How points are put into columns, and the column of the table that has it."""

_FIRST = ("area (µm²)", "area (px)", "volume (µm³)", "volume (voxels)")
"""Measurements of which the first one that there is is shown at first."""

_COLOURS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00")
"""Of the columns in turn; differ with any colour vision (Okabe and Ito)."""

_MOST_POINTS = 20_000
"""Points that are drawn at most: more than can be seen as single ones."""

_HEIGHT = 175
"""Pixels of the plot."""

_LONGEST = 12
"""Characters of the name of a column that are shown."""

_MOST_NAMES = 4
"""Columns that have their names below them; those of more would not fit a dock."""

_SHORT = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
_SHORTEST, _NARROWEST = 6, 90
"""Characters and pixels of a box at least: two fit side by side."""

_SPREAD = 0.3
"""Half the width of a column of points, of 1 from column to column."""


class Distributions(QWidget):
    """Points in columns, with the median of each.

    Parameters
    ----------
    theme
        Name of napari's theme.

    Attributes
    ----------
    measurement, grouping
        Boxes: what is plotted, and how it is put into columns.
    plot
        The plot.
    points
        All points in it.
    chosen
        An object was clicked on, by its row in the table.
    measurement_chosen
        Another measurement is to be read, by its name.
    """

    chosen = Signal(int)
    measurement_chosen = Signal(str)

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._objects: MeasuredObjects | None = None
        self._rows: npt.NDArray[np.intp] = np.zeros(0, np.intp)
        self.measurement, self.grouping = QComboBox(), QComboBox()
        self.measurement.setToolTip("What is plotted of each object.")
        self.grouping.setToolTip("What the columns of points are.")
        self.grouping.addItems(list(BY))
        for box in (self.measurement, self.grouping):
            box.setMinimumWidth(_NARROWEST)
            # The longest name must not decide how wide the dialog is.
            box.setSizeAdjustPolicy(_SHORT)
            box.setMinimumContentsLength(_SHORTEST)
        self._graphics = pg.PlotWidget()
        self._graphics.setFixedHeight(_HEIGHT)
        self.plot = self._graphics.getPlotItem()
        self.plot.setMenuEnabled(False)
        fix_plot(self.plot, self)
        self.points = pg.ScatterPlotItem(size=6, pen=None, hoverable=True, tip=None)
        self.points.sigClicked.connect(self._on_clicked)
        self.points.sigHovered.connect(self._on_hovered)
        self.medians = pg.ErrorBarItem(beam=0.0)
        for item in (self.points, self.medians):
            self.plot.addItem(item)
        self.text = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide((self.measurement, 1), (self.grouping, 1)))
        layout.addWidget(self._graphics)
        layout.addWidget(self.text)
        self.measurement.activated.connect(self._on_measurement)
        self.grouping.activated.connect(self._draw)
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Take the colours of one of napari's themes."""
        text = colour_plots(self._graphics, [self.plot], theme)
        self.medians.setOpts(pen=line_pen(text))

    def show_objects(self, objects: MeasuredObjects) -> None:
        """Plot objects.

        Parameters
        ----------
        objects
            With one measurement.
        """
        self._objects = objects
        if self.measurement.count() != len(objects.measurements):
            self.measurement.clear()
            self.measurement.addItems(list(objects.measurements))
        self.measurement.setCurrentText(objects.measurement)
        self._draw()

    def _on_measurement(self, *_: Any) -> None:
        self.measurement_chosen.emit(self.measurement.currentText())

    def _draw(self, *_: Any) -> None:
        objects = self._objects
        if objects is None:
            return
        groups = objects.groups(BY[self.grouping.currentText()])
        names, inverse = np.unique(groups, return_inverse=True)
        usable = np.flatnonzero(np.isfinite(objects.values))
        every = max(1, -(-len(usable) // _MOST_POINTS))
        rows = self._rows = usable[::every]
        at = inverse[rows]
        # The same in every run: no point may move when the plot is drawn again.
        shift = np.random.default_rng(0).uniform(-_SPREAD, _SPREAD, len(rows))
        brushes = [pg.mkBrush(f"{colour}b0") for colour in _COLOURS]
        self.points.setData(
            at + shift,
            objects.values[rows],
            brush=[brushes[n % len(brushes)] for n in at],
        )
        there = np.unique(inverse[usable])
        medians = [
            np.median(objects.values[usable[inverse[usable] == n]]) for n in there
        ]
        self.medians.setData(
            x=there.astype(float), y=np.array(medians), left=_SPREAD, right=_SPREAD
        )
        shown = [_short(name) for name in names] if len(names) <= _MOST_NAMES else []
        self.plot.getAxis("bottom").setTicks([list(enumerate(shown))])
        self.plot.setXRange(-0.5, max(len(names) - 0.5, 0.5), padding=0)
        self.plot.enableAutoRange(axis="y")
        self.plot.setLabel("left", objects.measurement)
        self.text.setText(_describe(len(rows), len(usable), named=bool(shown)))

    def _on_clicked(self, _: Any, points: Sequence[Any], *__: Any) -> None:
        if len(points):
            self.chosen.emit(int(self._rows[points[0].index()]))

    def _on_hovered(self, _: Any, points: Sequence[Any], *__: Any) -> None:
        objects = self._objects
        if objects is None or not len(points):
            self._graphics.setToolTip("")
            return
        row = int(self._rows[points[0].index()])
        self._graphics.setToolTip(objects.describe(row))


def first_measurement(names: Sequence[str]) -> str:
    """Return what is plotted at first of the measurements of a table."""
    known = [name for name in _FIRST if name in names]
    return (known or list(names))[0]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[-_LONGEST + 1 :]}"


def _describe(drawn: int, total: int, *, named: bool) -> str:
    name = "" if named else " Point at one for its name."
    some = "" if drawn == total else f" {drawn:,} of {total:,} are drawn."
    return f"Lines are medians. Click on a point to see its object.{name}{some}"

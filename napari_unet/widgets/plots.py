"""Plots in the colours of napari's themes, which the mouse does not move."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import qtpy
from napari.utils.theme import get_theme

# pyqtgraph must take the binding that napari runs on, also where several are installed.
os.environ.setdefault("PYQTGRAPH_QT_LIB", qtpy.API_NAME)
import pyqtgraph as pg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtWidgets import QWidget

__all__ = [
    "SCORE_COLOUR",
    "add_plot",
    "colour_plots",
    "fix_plot",
    "line_pen",
    "pg",
    "show_iou_axis",
]

SCORE_COLOUR = "#e69f00"
_AXIS_WIDTH = 54
"""Pixels of the numbers and the name of the left axis: plots lie below each other."""


def add_plot(graphics: Any, row: int, title: str, owner: QWidget) -> Any:
    """Add a plot to a layout.

    Parameters
    ----------
    graphics
        A ``GraphicsLayoutWidget``.
    row
        Of the layout.
    title
        Name of the left axis.
    owner
        Widget with which it ends.
    """
    plot = graphics.addPlot(row=row, col=0, enableMenu=False)
    fix_plot(plot, owner)
    plot.setLabel("left", title)
    plot.getAxis("left").setWidth(_AXIS_WIDTH)
    return plot


def fix_plot(plot: Any, owner: QWidget) -> None:
    """Leave a plot no menu and buttons, and nothing that the mouse moves.

    Parameters
    ----------
    plot
        A ``PlotItem`` whose menu is not enabled.
    owner
        Widget with which it ends.
    """
    # Made even when it is not enabled; without a parent it would outlive the dock.
    plot.ctrlMenu.setParent(owner, plot.ctrlMenu.windowFlags())
    plot.setMouseEnabled(x=False, y=False)
    plot.hideButtons()
    for side in ("left", "bottom"):
        plot.getAxis(side).enableAutoSIPrefix(False)
    plot.showGrid(y=True, alpha=0.2)


def show_iou_axis(plot: Any) -> None:
    """Have a plot range from 0 to 1."""
    plot.setYRange(0, 1, padding=0.16)
    plot.getAxis("left").setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])
    plot.getAxis("left").setStyle(hideOverlappingLabels=False)


def colour_plots(graphics: Any, plots: Iterable[Any], theme: str) -> str:
    """Give plots the colours of one of napari's themes; return that of its text."""
    colours = get_theme(theme)
    graphics.setBackground(colours.background.as_hex())
    text: str = colours.text.as_hex()
    for plot in plots:
        for side in ("left", "bottom"):
            plot.getAxis(side).setPen(text)
            plot.getAxis(side).setTextPen(text)
    return text


def line_pen(colour: str) -> Any:
    """Return the pen of a curve."""
    return pg.mkPen(colour, width=2)

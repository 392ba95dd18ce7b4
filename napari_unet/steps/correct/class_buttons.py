"""A button for each class that can be painted, in two columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QSize, Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QWidget

from napari_unet.widgets.buttons import NamedButton
from napari_unet.widgets.forms import colour_icon
from unet_engine.class_colours import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = 2
"""Buttons side by side: names of ten letters fit a narrow dock."""
_ICON_SIZE = (18, 12)
"""Width and height in pixels of the colour on a button."""
_SPACING = 4
"""Pixels between two buttons."""
_LABEL = "label"
"""Property of a class button: the value of the mask that it paints."""


class ClassButtons(QObject):
    """The buttons, and one behind them that adds a class.

    Parameters
    ----------
    last
        The button behind those of the classes.
    parent
        The section that shows them.

    Attributes
    ----------
    grid
        Their layout.
    buttons
        Those of the classes, in the order of the labels.
    chosen
        Emitted with the name of a class whose button is clicked.
    """

    chosen = Signal(str)

    def __init__(self, last: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._last = last
        self._group = QButtonGroup(self)
        self.grid = QGridLayout()
        self.grid.setSpacing(_SPACING)
        self.buttons: list[NamedButton] = []

    def fill(self, classes: Sequence[tuple[int, str]]) -> None:
        """Show buttons for other classes: labels, and names."""
        for old in (*self.buttons, self._last):
            self.grid.removeWidget(old)
        for old in self.buttons:
            self._group.removeButton(old)
            old.hide()
            old.deleteLater()
        self.buttons = [self._make(label, name) for label, name in classes]
        for place, made in enumerate((*self.buttons, self._last)):
            self.grid.addWidget(made, place // _COLUMNS, place % _COLUMNS)

    def check(self, label: int) -> None:
        """Show which label is painted; none is shown anew if no class has it."""
        for made in self.buttons:
            if made.property(_LABEL) == label:
                made.setChecked(True)

    def _make(self, label: int, name: str) -> NamedButton:
        made = NamedButton(name)
        made.setToolTip(
            f"Paint {name!r}: label {label} of the mask layer."
            + (" The eraser does the same." if label == 0 else "")
        )
        made.clicked.connect(partial(self._on_clicked, name))
        made.setProperty(_LABEL, label)
        made.setIcon(colour_icon(colour_of(label)))
        made.setIconSize(QSize(*_ICON_SIZE))
        made.setCheckable(True)
        self._group.addButton(made)
        return made

    def _on_clicked(self, name: str, *_: bool) -> None:
        self.chosen.emit(name)

"""A button for each class that can be painted, and one to unmark, in two columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QSize, Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QWidget

from napari_unet.widgets.buttons import NamedButton
from napari_unet.widgets.forms import colour_icon
from napari_unet.widgets.keys import key_of_class
from napari_unet.widgets.tooltips import explain, show_key
from unet_engine.class_colours import colour_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLUMNS = 2
"""Buttons side by side: names of ten letters fit a narrow dock."""
_ICON_SIZE = (18, 12)
"""Width and height in pixels of the colour on a button."""
_SPACING = 4
"""Pixels between two buttons."""
_UNMARK = (
    "Give touched pixels back to the prediction with the brush: they are not learned "
    "from then. Undo brings them back."
)
_LABEL = "label"
"""Property of a class button: the value of the mask that it paints."""


class ClassButtons(QObject):
    """The buttons, one that unmarks, and one behind them that adds a class.

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
    unmark
        That of the brush that gives pixels back to the prediction.
    chosen
        Emitted with the name of a class whose button is clicked.
    unmarking
        The button that unmarks is clicked.
    """

    chosen = Signal(str)
    unmarking = Signal()

    def __init__(self, last: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._last = last
        self._group = QButtonGroup(self)
        self.unmark = NamedButton("Unmark")
        explain(self.unmark, _UNMARK)
        self.unmark.clicked.connect(lambda _: self.unmarking.emit())
        self.unmark.setCheckable(True)
        self._group.addButton(self.unmark)
        self.grid = QGridLayout()
        self.grid.setSpacing(_SPACING)
        self.buttons: list[NamedButton] = []

    def fill(self, classes: Sequence[tuple[int, str]]) -> None:
        """Show buttons for other classes: labels, and names."""
        for old in (*self.buttons, self.unmark, self._last):
            self.grid.removeWidget(old)
        for old in self.buttons:
            self._group.removeButton(old)
            old.hide()
            old.deleteLater()
        self.buttons = [self._make(label, name) for label, name in classes]
        for place, made in enumerate((*self.buttons, self.unmark, self._last)):
            self.grid.addWidget(made, place // _COLUMNS, place % _COLUMNS)

    def check(self, label: int) -> None:
        """Show which label is painted; none is shown anew if no class has it."""
        if (made := self.of(label)) is not None:
            made.setChecked(True)

    def show_keys(self) -> None:
        """Show the keys as they are now."""
        for made in self.buttons:
            show_key(made, key_of_class(made.property(_LABEL)))

    def of(self, label: int) -> NamedButton | None:
        """Return the button of a class by its value in the mask."""
        found = (made for made in self.buttons if made.property(_LABEL) == label)
        return next(found, None)

    def _make(self, label: int, name: str) -> NamedButton:
        made = NamedButton(name)
        explain(
            made,
            f"Paint {name!r}: label {label} of the mask layer."
            + (" The eraser does the same." if label == 0 else ""),
        )
        show_key(made, key_of_class(label))
        made.clicked.connect(partial(self._on_clicked, name))
        made.setProperty(_LABEL, label)
        made.setIcon(colour_icon(colour_of(label)))
        made.setIconSize(QSize(*_ICON_SIZE))
        made.setCheckable(True)
        self._group.addButton(made)
        return made

    def _on_clicked(self, name: str, *_: bool) -> None:
        self.chosen.emit(name)

"""Buttons for a dock that may be narrower than their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import (
    QBoxLayout,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

from napari_unet.widgets.tooltips import explain

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QPaintEvent, QResizeEvent

_NARROWEST = 50
"""Pixels below which a button is not made narrower: two letters and an ellipsis."""
_FRAME = 16
"""Pixels that a button in the styles of napari needs beside its text and icon."""
_PRIMARY = """
QPushButton:enabled { background-color: #1268b3; color: white; }
QPushButton:enabled:hover { background-color: #0f5894; }
QPushButton:enabled:pressed { background-color: #0c4778; }
"""
"""Stands out in napari's dark and light theme; white on it has a contrast of at least
5.5. A disabled button looks like any other that is disabled."""


class NarrowButton(QPushButton):
    """A push button that shows an ellipsis where its text does not fit."""

    def sizeHint(self) -> QSize:
        """Return a size at which the whole text fits, whatever the style leaves."""
        hint = super().sizeHint()
        # One more than the advance, which is rounded and may be less than the text.
        text = self.fontMetrics().horizontalAdvance(self.text()) + 1
        return QSize(max(hint.width(), text + self._beside_text()), hint.height())

    def minimumSizeHint(self) -> QSize:
        """Return a width that any dock has."""
        hint = super().minimumSizeHint()
        return QSize(min(hint.width(), _NARROWEST), hint.height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the button with as much of its text as fits."""
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = self.fitting(option.text)
        painter = QStylePainter(self)
        painter.drawControl(QStyle.ControlElement.CE_PushButton, option)
        painter.end()

    def fitting(self, text: str) -> str:
        """Return as much of a text as fits beside the icon, with an ellipsis."""
        room = self.width() - self._beside_text()
        return str(
            self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room)
        )

    def _beside_text(self) -> int:
        """Return the pixels that icon, arrow and frame take from the width."""
        icon = 0 if self.icon().isNull() else self.iconSize().width()
        arrow = 0 if self.menu() is None else _FRAME
        return icon + arrow + _FRAME


class NamedButton(NarrowButton):
    """A push button whose text is a name of any length, shortened before its icon is.

    Parameters
    ----------
    name
        The caller gives the button a tooltip with all of it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show as much of the name as fits."""
        super().resizeEvent(event)
        # An ampersand would underline the letter behind it.
        self.setText(self.fitting(self.name).replace("&", "&&"))


class SideBySide(QWidget):
    """Widgets beside each other, or below each other where there is no room for that.

    Parameters
    ----------
    parts
        Widgets, each with the share of the width that it gets beyond its own.
    """

    def __init__(self, *parts: tuple[QWidget, int]) -> None:
        super().__init__()
        self._parts = [widget for widget, _ in parts]
        self._line = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._line.setContentsMargins(0, 0, 0, 0)
        for widget, share in parts:
            self._line.addWidget(widget, share)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the widest part: the others may go below it."""
        widths = [p.minimumWidth() or p.minimumSizeHint().width() for p in self._parts]
        return QSize(max(widths), super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Put the parts beside or below each other."""
        super().resizeEvent(event)
        shown = [part for part in self._parts if not part.isHidden()]
        gaps = max(0, len(shown) - 1) * self._line.spacing()
        wide = sum(part.sizeHint().width() for part in shown) + gaps
        directions = QBoxLayout.Direction
        fits = wide <= self.width()
        self._line.setDirection(
            directions.LeftToRight if fits else directions.TopToBottom
        )


def button(text: str, tooltip: str, on_click: Callable[[], Any]) -> QPushButton:
    """Return a push button."""
    made = NarrowButton(text)
    explain(made, tooltip)
    made.clicked.connect(lambda: on_click())
    return made


def make_primary(made: QPushButton) -> QPushButton:
    """Give a button the colour of what its step or window is for; return it.

    Each step has at most one.
    """
    made.setStyleSheet(_PRIMARY)
    return made

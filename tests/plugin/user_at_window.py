"""A user at a window on screen: mouse and keys, and how many clicks it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QLineEdit, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Docked

    from napari_unet.dock import UNetWidget

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier


class User:
    """Somebody at a window.

    Attributes
    ----------
    docked
        The window.
    clicks
        Pressed buttons of the mouse so far: one for a stroke, one for a drop.
    """

    def __init__(self, docked: Docked, mouse: Any) -> None:
        self.docked, self._mouse = docked, mouse
        self.clicks = 0

    @property
    def dock(self) -> UNetWidget:
        """The dock of the window."""
        return self.docked.widget

    def click(self, part: QWidget) -> None:
        """Click what is there and enabled; the dock is scrolled to it."""
        if self.dock.isAncestorOf(part):
            self.dock._area.ensureWidgetVisible(part)
        self.docked.bot.wait(50)
        assert part.isVisible() and part.isEnabled(), part
        # The box of a check box is at its left end.
        box = isinstance(part, QCheckBox)
        at = QPoint(8, part.height() // 2) if box else part.rect().center()
        QTest.mouseClick(part, LEFT, pos=at)
        self.clicks += 1

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        """Press a key over the image."""
        QTest.keyClick(self._mouse.canvas, key, modifier)
        self.wait()

    def write(self, field: QAbstractSpinBox, text: str) -> None:
        """Click into a field of a number and replace what it has."""
        line = field.findChild(QLineEdit)
        self.click(line)
        line.selectAll()
        QTest.keyClicks(line, text)
        QTest.keyClick(line, Qt.Key.Key_Return)

    def stroke(self, points: Sequence[tuple[float, float]]) -> None:
        """Draw on the image, through ``(row, column)`` in pixels."""
        self._mouse.press(*points[0])
        for point in points[1:]:
            self._mouse.move(*point)
        self._mouse.release(*points[-1])
        self.clicks += 1
        self.wait()

    def drop(self, path: Path, target: QWidget | None = None) -> None:
        """Drop a file on the window, or on a part of the dock."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, LEFT, NONE)
        viewer: Any = self.docked.viewer
        (target or viewer.window._qt_viewer).dropEvent(event)
        self.clicks += 1
        self.wait()
        viewer.reset_view()
        self.docked.bot.wait(50)

    def wait(self, seconds: float = 200) -> None:
        """Wait until nothing is read, listed, predicted or learned any more."""
        dock, bot = self.dock, self.docked.bot

        def idle() -> bool:
            return not (dock.images.busy or dock.workspace.busy or dock.reopening.busy)

        # A training is followed by a prediction.
        for _ in range(2):
            bot.waitUntil(idle, timeout=int(1000 * seconds))
            bot.wait(50)

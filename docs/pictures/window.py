"""A napari window that is driven by mouse and keyboard, and pictures of it.

Everything is found by the text on it, as a reader of the documents finds it: a picture
whose button is gone cannot be made.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import napari
from PIL import Image
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Place = tuple[float, float]

IMAGES = Path(__file__).parents[1] / "images"
SIZE = (1440, 1000)
"""Width and height of the window in pixels."""
_PLUGIN = "napari-unet-finetune"
_SETTLE_MS = 700
"""Milliseconds until napari has drawn the last change."""
_MOVE_MS = 25
"""Milliseconds between two mouse events, so that they are not merged."""
_Part = TypeVar("_Part", bound=QWidget)


class Window:
    """A napari window with a sample image, or none, and the dock of the plugin.

    Parameters
    ----------
    sample
        Key of a sample of the plugin; None for a window without an image.
    """

    def __init__(self, sample: str | None) -> None:
        self.viewer = napari.Viewer(title="napari")
        if sample is not None:
            self.viewer.open_sample(_PLUGIN, sample)
        self.dock: Any = self.viewer.window.add_plugin_dock_widget(_PLUGIN, "U-Net")[1]
        self.frame: QWidget = self.dock.window()
        self.frame.resize(*SIZE)
        self.settle()
        self.viewer.reset_view()
        self.settle()

    def settle(self, milliseconds: int = _SETTLE_MS) -> None:
        """Let napari draw."""
        QTest.qWait(milliseconds)

    def find(
        self, kind: type[_Part], matches: Callable[[_Part], bool], root: QWidget
    ) -> _Part:
        """Return the first visible part of a kind for which ``matches`` holds.

        Raises
        ------
        LookupError
            When there is none.
        """
        for part in root.findChildren(kind):
            if part.isVisible() and matches(part):
                return part
        raise LookupError(f"no visible {kind.__name__} fits")

    def press(self, text: str, root: QWidget | None = None) -> None:
        """Click the last button with this text: sections are in the order of work."""
        buttons = [
            part
            for part in (root or self.dock).findChildren(QAbstractButton)
            if part.isVisible() and part.text() == text
        ]
        if not buttons:
            raise LookupError(f"no visible button is called {text}")
        # The box of a check box is at its left end.
        check = isinstance(buttons[-1], QCheckBox)
        place = QPoint(8, buttons[-1].height() // 2) if check else None
        _click(buttons[-1], place)
        self.settle()

    def set_number(self, name: str, value: float) -> None:
        """Put a number into the field beside its name."""
        label = self.find(QLabel, lambda part: part.text() == name, self.dock)
        beside = label.mapToGlobal(label.rect().center()).y()
        field = self.find(
            QAbstractSpinBox,
            lambda part: abs(part.mapToGlobal(part.rect().center()).y() - beside) < 6,
            self.dock,
        )
        line = field.findChild(QLineEdit)
        line.selectAll()
        # All digits at once: the field corrects what is too small so far.
        line.insert(f"{value:g}")
        QTest.keyClick(line, Qt.Key.Key_Return)
        line.deselect()
        self.settle()

    def choose(self, item: str, root: QWidget | None = None) -> None:
        """Choose an item of the drop-down list that has it, with the keyboard."""
        box = self.find(
            QComboBox, lambda part: part.findText(item) >= 0, root or self.dock
        )
        box.setFocus()
        steps = box.findText(item) - box.currentIndex()
        key = Qt.Key.Key_Down if steps > 0 else Qt.Key.Key_Up
        for _ in range(abs(steps)):
            QTest.keyClick(box, key)
        self.settle()

    def write(self, text: str, after: str, root: QWidget) -> None:
        """Write into the line that holds the text ``after``."""
        line = self.find(QLineEdit, lambda part: part.text() == after, root)
        line.selectAll()
        QTest.keyClicks(line, text)
        self.settle()

    def choose_in_menu(self, text: str) -> None:
        """Choose an entry of the menu beside the model."""
        for action in self.dock.findChildren(QWidget):
            for entry in action.actions():
                if entry.text() == text:
                    entry.trigger()
                    self.settle()
                    return
        raise LookupError(f"no menu has the entry {text}")

    def dialog(self) -> QDialog:
        """Return the dialog that is open."""
        return self.find(QDialog, lambda part: bool(part.windowTitle()), self.dock)

    def go_to_slice(self, number: int) -> None:
        """Show a slice of a stack."""
        self.viewer.dims.set_current_step(0, number)
        self.settle()

    def paint(self, points: Sequence[Place], *, brush: int = 8) -> None:
        """Draw one stroke with napari's brush, on the layer that is selected.

        Parameters
        ----------
        points
            ``(row, column)`` in pixels of the image.
        brush
            Diameter of the brush in pixels of the image.
        """
        layer: Any = self.viewer.layers.selection.active
        layer.brush_size = brush
        canvas = self._canvas()
        places = [self._on_canvas(canvas, place) for place in points]
        _move(canvas, places[0], pressed=False)
        self.settle(_MOVE_MS * 4)
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=places[0])
        for start, end in pairwise(places):
            for part in range(1, 6):
                _move(canvas, start + (end - start) * (part / 5), pressed=True)
        self.settle(_MOVE_MS * 4)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=places[-1])
        # Away from the image, so that its circle is in no picture.
        _move(canvas, QPoint(-40, -40), pressed=False)
        self.settle(100)

    def _canvas(self) -> QWidget:
        def is_canvas(part: QWidget) -> bool:
            return type(part).__name__ == "CanvasBackendDesktop"

        return self.find(QWidget, is_canvas, self.frame)

    def _on_canvas(self, canvas: QWidget, place: Place) -> QPoint:
        # napari 0.9 gave the camera another place.
        camera: Any = getattr(self.viewer, "scene", self.viewer).camera
        middle = canvas.height() / 2, canvas.width() / 2
        row, column = (
            (at - centre) * camera.zoom + half
            for at, centre, half in zip(place, camera.center[-2:], middle, strict=True)
        )
        return QPoint(round(column), round(row))

    def wait(self, *, seconds: float = 240.0) -> None:
        """Wait until the dock is idle.

        Raises
        ------
        TimeoutError
            When it is still busy after that time.
        RuntimeError
            When it shows that it failed.
        """
        # A training is followed by a prediction.
        for _ in range(2):
            self.until(self._is_idle, seconds=seconds)
            self.settle()
        if self._shows("Failed"):
            raise RuntimeError("the dock shows that what it did has failed")

    def _is_idle(self) -> bool:
        buttons = self.dock.findChildren(QAbstractButton)
        ending = [part for part in buttons if part.text() in ("Cancel", "Stop")]
        return not any(part.isVisible() and part.isEnabled() for part in ending)

    def wait_for_text(self, text: str, *, seconds: float = 240.0) -> None:
        """Wait until the dock shows a text."""
        self.until(lambda: self._shows(text), seconds=seconds)
        self.settle()

    def _shows(self, text: str) -> bool:
        labels = self.dock.findChildren(QLabel)
        return any(part.isVisible() and text in part.text() for part in labels)

    def until(self, done: Callable[[], bool], *, seconds: float = 240.0) -> None:
        """Wait until ``done``; ``TimeoutError`` after that time."""
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"not done after {seconds:.0f} s")
            QTest.qWait(50)

    def save(self, name: str, part: QWidget | None = None) -> None:
        """Save a picture of the window, or of a part of it, in both themes.

        ``docs/images/NAME.png`` is the dark one, ``NAME-light.png`` the light one.
        """
        for theme, suffix in (("dark", ""), ("light", "-light")):
            self.viewer.theme = theme
            self.settle()
            self._close_notes()
            _grab(part or self.frame, IMAGES / f"{name}{suffix}.png")

    def _close_notes(self) -> None:
        # Without a window manager napari's notes never fade.
        for note in self.frame.findChildren(QDialog):
            if not note.windowTitle():
                note.close()
        self.settle()

    def close(self) -> None:
        """Close the window."""
        self.viewer.close()
        self.settle()


def _grab(part: QWidget, path: Path) -> None:
    part.grab().save(str(path))
    # Without the channel of opacity, and as small as a PNG gets without a loss.
    with Image.open(path) as grabbed:
        opaque = grabbed.convert("RGB")
    opaque.save(path, optimize=True)


def _click(part: QWidget, place: QPoint | None = None) -> None:
    QTest.mouseClick(part, Qt.MouseButton.LeftButton, pos=place or part.rect().center())


def _move(canvas: QWidget, place: QPoint, *, pressed: bool) -> None:
    button = Qt.MouseButton.LeftButton if pressed else Qt.MouseButton.NoButton
    event = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(place),
        QPointF(canvas.mapToGlobal(place)),
        Qt.MouseButton.NoButton,
        button,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(canvas, event)
    QTest.qWait(_MOVE_MS)

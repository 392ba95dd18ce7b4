"""A stroke while it is drawn, on a Labels layer: whether there is one, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication

from napari_unet.viewer.private import (
    end_stroke,
    is_encircling,
    window_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

WAIT_MS = 30
"""Milliseconds after which a refresh that a stroke delays is tried again."""


class ReleaseWatch(QObject):
    """Ends strokes whose release the canvas does not get.

    Parameters
    ----------
    viewer
        One with a window, or without: then nothing is watched.
    drawn_on
        Returns the layer on which a stroke is drawn with a button pressed, or None.
    parent
        Ends it.
    """

    def __init__(
        self, viewer: ViewerModel, drawn_on: Callable[[], Any], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._drawn_on = drawn_on
        self._pressed = False
        window = window_of(viewer)
        if window is not None:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """End the stroke when a dialog takes the mouse from the window."""
        if event.type() == QEvent.Type.WindowBlocked:
            self._end()
        return bool(super().eventFilter(watched, event))

    def check(self) -> bool:
        """End a stroke that is left over; return whether one is being drawn."""
        if self._drawn_on() is None:
            self._pressed = False
            return False
        pressed = QApplication.mouseButtons() != Qt.MouseButton.NoButton
        # Events that are made by a program press no button, so none is released.
        released = self._pressed and not pressed
        self._pressed = pressed
        if released:
            self._end()
        return self._drawn_on() is not None

    def _end(self) -> None:
        self._pressed = False
        layer = self._drawn_on()
        if layer is not None and not is_encircling(layer):
            end_stroke(layer)

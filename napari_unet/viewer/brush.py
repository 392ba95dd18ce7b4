"""A stroke while it is drawn, on a Labels layer: whether there is one, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

WAIT_MS = 30
"""Milliseconds after which a refresh that a stroke delays is tried again."""


def leave_out_brush_box(viewer: ViewerModel) -> None:
    """Draw the circle of the brush without the box that is behind other overlays.

    napari 0.9 shows that box, 8 pixels wide, when a layer is removed while the brush is
    on the canvas. Drawing it crashes Mesa's software driver.
    """
    overlays = getattr(getattr(viewer, "canvas", None), "overlays", None)
    circle = getattr(overlays, "_brush_circle", None)
    if circle is not None and hasattr(circle, "box"):
        circle.box = False


def draw_without_brush(viewer: ViewerModel, layer: Layer) -> None:
    """Draw the canvas once more before a layer is removed that has the brush.

    napari has hidden the circle of the brush by then, but no frame has shown that yet.
    When layer and circle go in the same frame and napari shows a notification, Mesa's
    software driver crashes.
    """
    window = getattr(viewer, "window", None)
    if window is not None and getattr(layer, "mode", "pan_zoom") != "pan_zoom":
        window._qt_viewer.canvas.native.repaint()


def is_drawn_on(layer: Labels) -> bool:
    """Whether a stroke of brush, eraser, fill or encircling has begun and not ended."""
    return bool(getattr(layer, "_block_history", False))


def end_stroke(layer: Labels) -> None:
    """Keep a stroke as far as it is drawn: napari missed the release of the button.

    napari ends a stroke when its canvas gets the release. It gets none when a dialog
    opens meanwhile: a mouse without a button pressed would then paint the layer.
    """
    if not is_drawn_on(layer):
        return
    for tool, drag in list(layer._mouse_drag_gen.items()):
        if getattr(tool, "__name__", "") == "draw":
            del layer._mouse_drag_gen[tool]
            layer._persisted_mouse_event.pop(drag, None)
            drag.close()
    # Its end is that of `Labels.block_history`; closing the drag left out the commit.
    layer._block_history = False
    layer._commit_staged_history()


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
        window = getattr(getattr(viewer, "window", None), "_qt_window", None)
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
        if layer is not None and not _encircles(layer):
            end_stroke(layer)


def _encircles(layer: Labels) -> bool:
    """Whether the stroke is one of napari's that go on without a button pressed."""
    return bool(getattr(layer._overlays.get("brush_stroke"), "active", False))

"""One dock for each window: taken off by its x, it is the same when opened again.

napari takes a dock that is closed by its x out of the window and drops it. Ours
becomes a hidden child of the window then, so that it lives as long as that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.utils.notifications import show_info
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_unet.state.activities import RUNS, TRAINING
from napari_unet.state.per_viewer import of_viewer
from napari_unet.viewer.private import unwrapped, window_of

if TYPE_CHECKING:
    from collections.abc import Callable


class KnownDock:
    """The dock of a viewer.

    Attributes
    ----------
    dock
        Returns it, or None if there is none any more.
    """

    def __init__(self) -> None:
        self.dock: Callable[[], Any] = lambda: None


def known_dock(viewer: Any) -> Any:
    """Return the dock of a viewer that is in its place, or None."""
    dock = of_viewer(unwrapped(viewer), KnownDock).dock()
    if dock is None or not isalive(dock) or isinstance(dock.parent(), QMainWindow):
        return None
    return dock


def dock_of(viewer: Any) -> Any:
    """Return the dock that was made for a viewer with a window, or None."""
    viewer = unwrapped(viewer)
    if window_of(viewer) is None:
        return None
    dock = of_viewer(viewer, KnownDock).dock()
    return dock if dock is not None and isalive(dock) else None


class Docking:
    """Follows where a dock is.

    Parameters
    ----------
    dock
        The widget; it has a ``viewer`` and a ``workspace``.
    on_taken_off, on_put_back
        Called when it leaves the window, and when it is in it again.
    """

    def __init__(
        self,
        dock: Any,
        on_taken_off: Callable[[], None],
        on_put_back: Callable[[], None],
    ) -> None:
        # Both are children of the dock in all but name: a reference to it would keep
        # them alive after the dock.
        self._on_taken_off = on_taken_off
        self._on_put_back = on_put_back
        self._frame: QDockWidget | None = None
        of_viewer(dock.viewer, KnownDock).dock = ref(dock)

    def on_parent_changed(self, dock: Any) -> None:
        """Follow the dock to another parent."""
        parent = dock.parent()
        if parent is None:
            self._on_taken_off()
            # Later: napari is in the midst of taking it off. The timer holds the dock
            # until then, as nothing else does.
            QTimer.singleShot(0, partial(_keep, dock))
            return
        if isinstance(parent, QMainWindow):
            return
        before, self._frame = self._frame, None
        if isinstance(parent, QDockWidget):
            self._frame = parent
            if before is not None and before is not parent:
                QTimer.singleShot(0, partial(_remove_empty, dock.viewer, before))
        self._on_put_back()


def _keep(dock: Any) -> None:
    """Keep a dock that was taken off, until the window is closed."""
    if not isalive(dock) or dock.parent() is not None:
        return
    window = window_of(dock.viewer)
    if window is None:
        return
    dock.setParent(window)
    workspace = dock.workspace
    if run := RUNS.get(TRAINING if workspace.training else workspace.activity):
        show_info(
            f"The {run} goes on. Open the U-Net dock again in the menu Plugins to see "
            "or stop it."
        )


def _remove_empty(viewer: Any, frame: QDockWidget) -> None:
    """Remove the frame that a dock left for another one."""
    if not isalive(frame) or frame.widget() is not None or window_of(viewer) is None:
        return
    docks = viewer.window.dock_widgets
    name = frame.name
    if name in docks and docks[name] is None:
        viewer.window.remove_dock_widget(frame)
    else:
        frame.hide()
        frame.deleteLater()

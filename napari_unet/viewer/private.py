"""All that is used of napari without being promised by it, and since when it is there.

napari may rename any of it in any release. Nothing else in this package touches a
private name of napari; a test goes through `NAMES` and names one that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Labels
    from qtpy.QtWidgets import QMainWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateName:
    """A private name of napari.

    Attributes
    ----------
    owner
        What has it: ``window`` (`napari.Viewer.window`), ``main window``, ``canvas``,
        ``viewer``, ``labels``.
    since, until
        The first napari that has it, of those that are supported, and the last one;
        empty when all have it since, or still.
    why
        What it is used for.
    """

    owner: str
    name: str
    why: str
    since: str = ""
    until: str = ""


NAMES = (
    PrivateName(owner="window", name="_qt_window", why="the Qt window of a viewer"),
    PrivateName(owner="window", name="_qt_viewer", why="the canvas on the screen"),
    PrivateName(owner="main window", name="_quit_app", why="quit, or close a window"),
    PrivateName(
        owner="main window",
        name="_is_close_dialog",
        why="one question before closing instead of two",
    ),
    PrivateName(
        owner="canvas",
        name="_viewbox_corners_in_world",
        why="what a box of the grid shows",
    ),
    PrivateName(
        owner="viewer",
        name="_canvas_size",
        until="0.8",
        why="the size of the canvas, public since 0.9",
    ),
    PrivateName(
        owner="viewer",
        name="_add_layer_from_data",
        why="layers of a file that was read in a thread",
    ),
    PrivateName(owner="labels", name="_block_history", why="a stroke is being drawn"),
    PrivateName(
        owner="labels", name="_commit_staged_history", why="the end of a stroke"
    ),
    PrivateName(owner="labels", name="_mouse_drag_gen", why="the drag of a stroke"),
    PrivateName(owner="labels", name="_persisted_mouse_event", why="the same drag"),
    PrivateName(owner="labels", name="_overlays", why="an encircling stroke goes on"),
    PrivateName(owner="labels", name="_history_limit", why="strokes to be undone"),
    PrivateName(owner="labels", name="_reset_history", why="nothing left to undo"),
    PrivateName(owner="labels", name="_save_history", why="marks that can be undone"),
    PrivateName(owner="labels", name="_undo_history", why="what can be undone"),
    PrivateName(owner="labels", name="_redo_history", why="what can be redone"),
    PrivateName(owner="labels", name="_get_dims_to_paint", why="what a brush covers"),
)


# The window


def unwrapped(viewer: Any) -> Any:
    """Return the viewer behind the proxy that napari hands to plugins."""
    return getattr(viewer, "__wrapped__", viewer)


def window_of(viewer: Any) -> QMainWindow | None:
    """Return the window of a viewer; None when it has none, or none any more."""
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    return window if window is not None and isalive(window) else None


def quits_application(window: QMainWindow) -> bool:
    """Return whether a window that is being closed quits the application."""
    return bool(getattr(window, "_quit_app", False))


def keep_open(window: QMainWindow) -> None:
    """Take back that a window is closed to quit the application."""
    window._quit_app = False


def close_window(window: QMainWindow, *, quits: bool) -> None:
    """Close a window, and quit the application with it if ``quits``."""
    if hasattr(window, "_quit_app"):
        window.close(quit_app=quits)
    else:
        window.close()


def settle_question(window: QMainWindow, *, on_quit: bool, on_close: bool) -> None:
    """Set whether napari shows its question before it quits, and closes a window."""
    state = getattr(window, "_is_close_dialog", None)
    if isinstance(state, dict):
        state[True], state[False] = on_quit, on_close


# Files


def read_with_plugin(path: str) -> tuple[list[Any], str | None]:
    """Return what the preferred reader of a file makes of it, and the reader's name.

    Without Qt, for any thread.
    """
    from napari.plugins.io import read_data_with_plugins
    from napari.plugins.utils import get_preferred_reader

    data, reader = read_data_with_plugins([path], get_preferred_reader(path))
    return list(data or ()), reader


def add_read_layers(
    viewer: ViewerModel, path: str, data: Sequence[Any], reader: str | None
) -> list[Any]:
    """Add layers of a file as napari does, with the file as their source."""
    from napari.layers._source import layer_source

    added = []
    for number, (pixels, *rest) in enumerate(map(_as_tuple, data)):
        meta = dict(rest[0]) if rest else {}
        stem = Path(path).stem
        meta.setdefault("name", stem if number == 0 else f"{stem} {number}")
        with layer_source(path=path, reader_plugin=reader):
            added += viewer._add_layer_from_data(pixels, meta, *rest[1:2])
    return added


def _as_tuple(item: Any) -> tuple[Any, ...]:
    """Return what a reader gives for a layer, which may be a layer itself."""
    return item.as_layer_data_tuple() if hasattr(item, "as_layer_data_tuple") else item


# The canvas


def is_canvas_visible(window: QMainWindow) -> bool:
    """Return whether the canvas shows: a script's close hides it before the window."""
    return bool(getattr(window, "_qt_viewer", window).isVisible())


def focus_canvas(viewer: ViewerModel) -> None:
    """Give the keyboard to the canvas of a window."""
    window = window_of(viewer)
    if window is not None:
        window._qt_viewer.canvas.native.setFocus()


def camera_of(viewer: ViewerModel) -> Any:
    """Return the camera; napari 0.9 gave it another place."""
    return getattr(viewer, "scene", viewer).camera


def canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    """Return height and width of the canvas in pixels."""
    # A viewer with a window has a proxy of that name too, in napari before 0.9.
    if "canvas" in type(viewer).model_fields:
        return tuple(viewer.canvas.size)
    return tuple(viewer._canvas_size)


def is_in_grid(viewer: ViewerModel) -> bool:
    """Return whether the layers are shown side by side."""
    # napari 0.9 gave the grid another place.
    place = viewer.canvas if "canvas" in type(viewer).model_fields else viewer
    return bool(place.grid.enabled)


def grid_box_corners(viewer: ViewerModel) -> npt.NDArray[np.float64] | None:
    """Return the corners of what a box of the grid shows, ``(corners, 2)`` in world.

    None where there is no window.
    """
    window = getattr(viewer, "window", None)
    if window is None:
        return None
    canvas = window._qt_viewer.canvas
    corners = getattr(canvas, "_viewbox_corners_in_world", None)
    return None if corners is None else np.array(corners, float)[:, -2:]


def make_current(viewer: ViewerModel) -> None:
    """Make the OpenGL context of the canvas current, before a layer is removed.

    napari deletes textures and buffers of the layer at once, in whatever context is
    current then: perhaps in that of the window, which has other ones of these numbers.
    Mesa's software driver crashes at the next frame.
    """
    if window_of(viewer) is not None:
        viewer.window._qt_viewer.canvas.native.makeCurrent()


# Labels layers: strokes and their history


def is_drawn_on(layer: Labels) -> bool:
    """Whether a stroke of brush, eraser, fill or encircling has begun and not ended."""
    return bool(getattr(layer, "_block_history", False))


def is_encircling(layer: Labels) -> bool:
    """Whether the stroke is one of napari's that go on without a button pressed."""
    return bool(getattr(layer._overlays.get("brush_stroke"), "active", False))


def end_stroke(layer: Labels) -> None:
    """Keep a stroke as far as it is drawn: napari missed the release of the button.

    napari ends a stroke when its canvas gets the release. It gets none when a dialog
    opens meanwhile: a mouse without a button pressed would then paint the layer.
    """
    drags = [
        (tool, drag)
        for tool, drag in layer._mouse_drag_gen.items()
        if getattr(tool, "__name__", "") == "draw"
    ]
    # One that runs has got the release, and what follows the stroke is called from it.
    if not is_drawn_on(layer) or any(drag.gi_running for _, drag in drags):
        return
    for tool, drag in drags:
        del layer._mouse_drag_gen[tool]
        layer._persisted_mouse_event.pop(drag, None)
        drag.close()
    # Its end is that of `Labels.block_history`; closing the drag left out the commit.
    layer._block_history = False
    layer._commit_staged_history()


def history_limit(layer: Labels) -> int:
    """Return how many strokes napari can undo."""
    return int(getattr(layer, "_history_limit", 100))


def reset_history(layer: Labels) -> None:
    """Leave nothing to undo."""
    layer._reset_history()


def save_in_history(layer: Labels, atom: Any) -> None:
    """Enter an atom, ``(indices, old values, new values)``, in what can be undone."""
    layer._save_history(atom)


def undo_history(layer: Labels) -> Sequence[Any]:
    """Return the items that can be undone, the last one last; each a list of atoms."""
    history: Sequence[Any] = getattr(layer, "_undo_history", ())
    return history


def redo_history(layer: Labels) -> Sequence[Any]:
    """Return the items that can be redone, the next one last; each a list of atoms."""
    history: Sequence[Any] = getattr(layer, "_redo_history", ())
    return history


def painted_axes(layer: Labels) -> list[int]:
    """Return the axes that napari paints along: the displayed ones as a rule."""
    painted: Callable[[], Any] | None = getattr(layer, "_get_dims_to_paint", None)
    if painted is not None:
        return sorted(int(axis) for axis in painted())
    return list(range(layer.ndim - layer.n_edit_dimensions, layer.ndim))

"""Masks that appear by themselves: their image has strokes from an earlier session."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.places import Index

_SLICE_S = 0.01
"""Seconds for which planes are filled before the window handles its events."""


class MaskReopener(QObject):
    """Shows what was painted earlier: the plane on screen first, then the others.

    Parameters
    ----------
    workspace
        Emits which images have strokes.
    masks
        Where their mask is shown.
    """

    def __init__(self, workspace: Workspace, masks: Masks) -> None:
        super().__init__(masks)
        self._workspace = workspace
        self._masks = masks
        self._waiting: list[tuple[Any, WorkingImage]] = []
        self._view: MaskView | None = None
        self._planes: list[Index] = []
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_on)
        workspace.strokes_reopened.connect(self._on_strokes_reopened)

    @property
    def busy(self) -> bool:
        """Whether there is something that is not shown yet."""
        return bool(self._timer.isActive())

    def _on_strokes_reopened(self, layer: Any, working_image: WorkingImage) -> None:
        # Later: napari is just adding the image, and its list cannot take two at once.
        self._waiting.append((layer, working_image))
        self._timer.start(0)

    def _go_on(self) -> None:
        if self._workspace.painting():
            return
        if not self._planes:
            self._next()
        end = time.monotonic() + _SLICE_S
        while self._planes and time.monotonic() < end:
            self._fill(self._planes.pop())
        if self._planes:
            return
        if self._view is not None:
            self._view.tiles.show_all()
            self._view = None
        if not self._waiting:
            self._timer.stop()

    def _next(self) -> None:
        """Show the mask of the next image that waits, and its plane on screen."""
        self._view = None
        while self._waiting and self._view is None:
            layer, working_image = self._waiting.pop(0)
            if self._workspace.working_image_of(layer) is not working_image:
                continue
            if layer in self._masks.viewer.layers:
                self._view = self._masks.show(layer, working_image)
        if self._view is None:
            return
        self._view.set_classes(self._workspace.classes)
        # From the end; the one on screen comes first.
        self._planes = list(reversed(self._view.working_image.annotations.planes()))
        if (shown := self._view.index) in self._planes:
            self._planes.remove(shown)
            self._fill(shown)
            self._view.tiles.show_all()
        self._workspace.touched_changed.emit()

    def _fill(self, index: Index) -> None:
        if self._view is not None:
            self._view.working_image.show_touched(index)

"""The mask before, put on screen in the same layer: what is on screen first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_unet.viewer.brush import WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.results.mask import MaskView
    from napari_unet.state.mask_versions import MaskSource

_SLICE_S = 0.01
"""Seconds for which blocks are exchanged before the window handles its events."""
_FIRST_S = 0.15
"""Seconds for the first of them: what is on screen changes at once, as a rule."""


class MaskExchange(QObject):
    """Exchanges the mask of a view with the one before.

    Parameters
    ----------
    view
        Shows the mask.
    painting
        Returns whether a stroke is being drawn: nothing changes under it.
    """

    def __init__(self, view: MaskView, painting: Callable[[], bool]) -> None:
        super().__init__(view)
        self._view = view
        self._painting = painting
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_on)

    def begin(self, source: MaskSource) -> None:
        """Show the mask of a source that is about to predict, if it has made one."""
        if self._view.working_image.versions.begin(source):
            self._show()

    def toggle(self) -> None:
        """Show the other one of both masks, if there are two."""
        versions = self._view.working_image.versions
        if versions.hidden is not None and not self._painting():
            versions.exchange()
            self._show()

    def finish(self) -> None:
        """Exchange all that is pending, at once."""
        self._view.working_image.versions.exchange_next()
        self._timer.stop()

    def _show(self) -> None:
        if not self._painting():
            self._exchange(_FIRST_S)
        self._timer.start(0)

    def _go_on(self) -> None:
        if self._painting():
            self._timer.start(WAIT_MS)
            return
        self._timer.setInterval(0)
        self._exchange(_SLICE_S)
        if not self._view.working_image.versions.pending:
            self._timer.stop()
            self._view.tiles.show_all()

    def _exchange(self, seconds: float) -> None:
        """Exchange some blocks, those on screen first: the camera may have moved."""
        versions = self._view.working_image.versions
        on_screen = versions.pending_in(*self._view.on_screen)
        versions.exchange_next(on_screen, seconds)
        if on_screen:
            self._view.layer.refresh(extent=False, thumbnail=False)

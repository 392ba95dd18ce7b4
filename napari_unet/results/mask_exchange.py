"""The mask before, put on screen in the same layer: what is on screen first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_unet.viewer.brush import WAIT_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.results.tile_display import TileDisplay
    from napari_unet.state.mask_versions import MaskSource
    from napari_unet.state.working_image import WorkingImage
    from unet_engine.places import Index, Region

_SLICE_S = 0.01
"""Seconds for which blocks are exchanged before the window handles its events."""
_FIRST_S = 0.15
"""Seconds for the first of them: what is on screen changes at once, as a rule."""


class MaskExchange(QObject):
    """Exchanges the mask of an image with the one before.

    Parameters
    ----------
    working_image
        Has both masks.
    tiles
        Draws the layer that shows the mask.
    on_screen
        Returns the plane on screen, and rows and columns of it.
    painting
        Returns whether a stroke is being drawn: nothing changes under it.
    parent
        Ends it.
    """

    def __init__(
        self,
        working_image: WorkingImage,
        tiles: TileDisplay,
        on_screen: Callable[[], tuple[Index, Region]],
        painting: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._versions = working_image.versions
        self._tiles = tiles
        self._on_screen = on_screen
        self._painting = painting
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_on)

    def begin(self, source: MaskSource) -> None:
        """Show the mask of a source that is about to predict, if it has made one."""
        if self._versions.begin(source):
            self._show()

    def toggle(self) -> None:
        """Show the other one of both masks, if there are two."""
        versions = self._versions
        if versions.hidden is not None and not self._painting():
            versions.exchange()
            self._show()

    def finish(self) -> None:
        """Exchange all that is pending, at once."""
        self._versions.exchange_next()
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
        if not self._versions.pending:
            self._timer.stop()
            self._tiles.show_all()

    def _exchange(self, seconds: float) -> None:
        """Exchange some blocks, those on screen first: the camera may have moved."""
        versions = self._versions
        on_screen = versions.pending_in(*self._on_screen())
        versions.exchange_next(on_screen, seconds)
        if on_screen:
            self._tiles.draw()

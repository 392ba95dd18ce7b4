"""The row that shows the mask before, and back: a button, a key, a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.mask_versions import MaskVersions
    from napari_unet.state.workspace import Workspace

KEY = "G"
"""Neither napari nor its layers use it without a modifier."""
_BACK, _FORTH = f"Before: {{0}} ({KEY})", f"Newer: {{0}} ({KEY})"
_TOOLTIP = (
    "Show the {0} mask in the same layer: {1}. Press this, or {2} on the keyboard, "
    "again to come back. What you painted stays in both."
)
_BUSY = "objects"
"""A run that reads the mask part by part: it must find one mask."""


class EarlierMaskRow(QWidget):
    """Names what made the mask on screen, and shows the one before.

    Parameters
    ----------
    viewer
        Its key `KEY` does what the button does.
    workspace, masks
        What is worked on, and its masks.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace, masks: Masks) -> None:
        super().__init__()
        self._workspace = workspace
        self._masks = masks
        self._versions: MaskVersions | None = None
        self.toggle = button("", "", self.exchange)
        self.text = TextLine()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(SideBySide((self.toggle, 1)))
        for signal in (workspace.layer_changed, workspace.mask_changed):
            signal.connect(self._follow)
        workspace.activity_changed.connect(self._show_state)
        self._follow()

    def exchange(self) -> None:
        """Show the mask before, and back."""
        view = self._masks.current
        if view is not None and self._workspace.activity != _BUSY:
            view.exchange.toggle()

    def _follow(self) -> None:
        """Follow the mask of the image that is chosen now."""
        view: MaskView | None = self._masks.current
        versions = None if view is None else view.working_image.versions
        if versions is not self._versions:
            if self._versions is not None:
                self._versions.changed.disconnect(self._show_state)
            if versions is not None:
                versions.changed.connect(self._show_state)
            self._versions = versions
        self._show_state()

    def _show_state(self) -> None:
        versions = self._versions
        there = versions is not None and versions.hidden is not None
        self.setVisible(there)
        if versions is None or not there:
            return
        self.text.setText(f"Mask: {versions.shown}")
        text = _FORTH if versions.shows_earlier else _BACK
        self.toggle.setText(text.format(versions.hidden))
        self.toggle.setToolTip(describe(versions))
        self.toggle.setEnabled(self._workspace.activity != _BUSY)


def describe(versions: MaskVersions) -> str:
    """Return what the button does."""
    which = "newer" if versions.shows_earlier else "earlier"
    return _TOOLTIP.format(which, versions.hidden, KEY)

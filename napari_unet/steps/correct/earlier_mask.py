"""The row that shows the mask before, and back: a button, a key, a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.keys import with_key
from napari_unet.widgets.tooltips import enable, explain

if TYPE_CHECKING:
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.mask_versions import MaskVersions
    from napari_unet.state.workspace import Workspace

_BACK, _FORTH = "Before: {0}", "Newer: {0}"
_TOOLTIP = (
    "Show the {0} mask in the same layer: {1}. Press this again to come back. What you "
    "painted stays in both."
)
_BUSY = "objects"
"""A run that reads the mask part by part: it must find one mask."""
_WAIT = "objects are being separated; wait for their end, or press Cancel in step 4."


class EarlierMaskRow(QWidget):
    """Names what made the mask on screen, and shows the one before.

    Parameters
    ----------
    workspace, masks
        What is worked on, and its masks.
    """

    def __init__(self, workspace: Workspace, masks: Masks) -> None:
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
        workspace.activity_changed.connect(self.show_state)
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
                self._versions.changed.disconnect(self.show_state)
            if versions is not None:
                versions.changed.connect(self.show_state)
            self._versions = versions
        self.show_state()

    def show_state(self) -> None:
        """Show what the button does now, if there is a mask to go to."""
        versions = self._versions
        there = versions is not None and versions.hidden is not None
        self.setVisible(there)
        if versions is None or not there:
            return
        self.text.setText(f"Mask: {versions.shown}")
        text = _FORTH if versions.shows_earlier else _BACK
        self.toggle.setText(with_key(text.format(versions.hidden), "earlier_mask"))
        explain(self.toggle, describe(versions))
        busy = self._workspace.activity == _BUSY
        enable(self.toggle, _WAIT if busy else "")


def describe(versions: MaskVersions) -> str:
    """Return what the button does."""
    which = "newer" if versions.shows_earlier else "earlier"
    return _TOOLTIP.format(which, versions.hidden)

"""The row of "Live" and "Next" in step 2 of the dock, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_unet._forms import TextLine, column
from napari_unet._live import Live

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet._masks import Masks
    from napari_unet._workspace import Workspace

_LIVE = (
    "After each stroke learn from all strokes at once and predict what is on screen. "
    "It needs strokes of two classes. What it draws is a guess like any prediction: "
    "Fine-tune makes the better one."
)


class LiveRow(QWidget):
    """A switch, a button, and a line that tells what came of them.

    Parameters
    ----------
    viewer, workspace, masks
        As of `Live`.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace, masks: Masks) -> None:
        super().__init__()
        self._workspace = workspace
        self.live = Live(viewer, workspace, masks, self)
        self.switch = CheckBox(text="Live")
        self.switch.native.setToolTip(_LIVE)
        self.switch.changed.connect(self.live.switch)
        self.text = TextLine()
        self.live.told.connect(self.text.setText)
        self._lay_out()
        workspace.layer_changed.connect(self._show_state)
        self._show_state()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        line = QHBoxLayout()
        line.addWidget(self.switch.native, 1)
        layout.addLayout(line)
        layout.addWidget(self.text)

    def _show_state(self) -> None:
        self.switch.enabled = self._workspace.layer is not None

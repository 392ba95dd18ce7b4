"""The row of "Live" and "Next" in step 2 of the dock, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QWidget

from napari_unet.steps.correct.live import Live
from napari_unet.steps.correct.next_place import NextPlace
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace

_LIVE = (
    "After each stroke learn from all strokes at once and predict what is on screen. "
    "It needs strokes of two classes. What it draws is a guess like any prediction: "
    "Fine-tune makes the better one."
)
_NEXT = (
    "Go to where the guess is least certain, as a stroke helps most there; once more "
    "for the next such place. Strokes of two classes or a trained model tell."
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
        self.next_place = NextPlace(viewer, workspace, masks, self.live)
        self.next = button("Next", _NEXT, self.next_place.start)
        for source in (self.live, self.next_place):
            source.told.connect(self.text.setText)
        self._lay_out()
        self._masks = masks
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.activity_changed,
        ):
            signal.connect(self._show_state)
        self._show_state()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(SideBySide((self.switch.native, 1), (self.next, 0)))
        layout.addWidget(self.text)

    def _show_state(self) -> None:
        self.switch.enabled = self._workspace.layer is not None
        idle = not self._workspace.activity
        self.next.setEnabled(idle and self._masks.current is not None)

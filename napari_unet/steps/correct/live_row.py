"""The row of "Live" and "Next" in step 2 of the dock, with a line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QWidget

from napari_unet.steps.correct.live import Live
from napari_unet.steps.correct.next_place import NextPlace
from napari_unet.steps.correct.reasons import NO_IMAGE, NO_MASK
from napari_unet.steps.correct.save_live import SaveLive
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.tooltips import enable, explain

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace

_LIVE = (
    "After each stroke learn from all strokes at once and predict what is on screen. "
    "It needs strokes of two classes."
)
_NEXT = (
    "Go to where the prediction is least certain, as a stroke helps most there; press "
    "again for the next such place. It needs strokes of two classes or a trained model."
)


_SAVE = (
    "Save what Live has learned as a model, which predicts what Live shows: of this "
    "image in whole, of others, and of folders by the command line."
)


_NOT_LEARNED = "Live has learned nothing yet: switch it on and paint two classes."


class LiveRow(QWidget):
    """A switch, two buttons, and a line with their results.

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
        explain(self.switch.native, _LIVE)
        self.switch.changed.connect(self.live.switch)
        self.text = TextLine()
        self.next_place = NextPlace(viewer, workspace, masks, self.live)
        self.next = button("Next", _NEXT, self.next_place.start)
        self.save_live = SaveLive(workspace, masks, self.live)
        self.save = button("Save as model…", _SAVE, self.save_live.start)
        for source in (self.live, self.next_place, self.save_live):
            source.message.connect(self.text.setText)
        self._lay_out()
        self._masks = masks
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.activity_changed,
        ):
            signal.connect(self._show_state)
        # Live sends a line whenever it has learned.
        self.live.message.connect(self._show_state)
        self.switch.changed.connect(self._show_state)
        self._show_state()

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(
            SideBySide((self.switch.native, 1), (self.save, 0), (self.next, 0))
        )
        layout.addWidget(self.text)

    def _show_state(self, *_: Any) -> None:
        enable(
            self.switch.native, "" if self._workspace.layer is not None else NO_IMAGE
        )
        session = self.live.session
        learned = session is not None and session.learner is not None
        enable(self.save, "" if learned else _NOT_LEARNED)
        masked = self._masks.current is not None
        enable(self.next, self._workspace.why_busy if masked else NO_MASK)

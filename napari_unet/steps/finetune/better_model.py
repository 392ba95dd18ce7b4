"""A model that is better than what it started from is offered, and shown on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox
from qtpy.QtWidgets import QWidget

from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.tooltips import enable

if TYPE_CHECKING:
    from napari_unet.state.model_so_far import ModelSoFar
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.workspace import Workspace

_AT_THE_END = (
    "When the training ends with a better model, show its mask at once: what is on "
    "screen first, and never under the brush. The mask before is one key away."
)
_SHOW = (
    "Predict the mask of the image on screen with it: what is on screen first, and "
    "never under the brush. The mask before is one key away."
)


class BetterModel(QWidget):
    """The choice whether a better mask is shown by itself, and a button to show it.

    Parameters
    ----------
    workspace
        Gets the wish for a prediction.
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._model: Model | ModelSoFar | None = None
        self.by_itself = CheckBox(value=True, text="Show the better mask at the end")
        self.by_itself.native.setToolTip(_AT_THE_END)
        self.text = TextLine()
        self.show_it = button("Show it", _SHOW, self._on_clicked)
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.by_itself.native)
        layout.addWidget(SideBySide((self.text, 1), (self.show_it, 0)))
        workspace.activity_changed.connect(self._show_state)
        self.withdraw()

    def offer(self, model: Model | ModelSoFar, text: str) -> None:
        """Offer the mask of a model.

        Parameters
        ----------
        model
            The one that would predict it.
        text
            In what it is better.
        """
        self._model = model
        self.text.setText(text)
        self._show_state()

    def withdraw(self) -> None:
        """Offer nothing any more."""
        self._model = None
        self.text.setText("")
        self._show_state()

    def _on_clicked(self) -> None:
        model = self._model
        self.withdraw()
        if model is not None:
            self._workspace.prediction_wanted.emit(model)

    def _show_state(self) -> None:
        self.show_it.setVisible(self._model is not None)
        enable(self.show_it, self._workspace.why_busy)

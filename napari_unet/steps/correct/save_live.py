"""The button "Save as model": what Live shows becomes a model like any other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QInputDialog

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.live import save_run
from napari_unet.state.untrained_model import file_name
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.correct.live import Live
    from unet_engine.models.checkpoint import ModelInfo


class SaveLive(QObject):
    """Saves what Live has learned, and chooses the new model; the mask stays.

    Parameters
    ----------
    workspace, masks
        What is worked on; the model is listed there.
    live
        Has learned from the strokes.

    Attributes
    ----------
    message
        What became of it, for the line below the buttons.
    """

    message = Signal(str)

    def __init__(self, workspace: Workspace, masks: Masks, live: Live) -> None:
        super().__init__(live)
        self._workspace = workspace
        self._masks = masks
        self._live = live
        self._job: Job | None = None

    @property
    def running(self) -> bool:
        """Whether a model is being saved."""
        return self._job is not None

    def start(self) -> None:
        """Offer a name, and save the model under the name that the user gives."""
        view, session = self._masks.current, self._live.session
        if view is None or session is None or session.learner is None or self.running:
            self.message.emit("Live has learned nothing yet: paint two classes.")
            return
        store = self._workspace.store
        offered = store.free_name(f"{file_name(view.source.name)}-live")
        name, accepted = QInputDialog.getText(
            self._live.parent(), "Save as model", "Name of the model:", text=offered
        )
        if not accepted:
            return
        try:
            store.check_name(name.strip())
        except EngineError as error:
            self.message.emit(f"{error}.")
            return
        # Layers may have gone while the question was open.
        if self._masks.current is not view or self._live.session is not session:
            return
        order = self._live.make_order(view)
        self._job = run(
            partial(save_run, name.strip(), order, session, store),
            parent=self,
            on_result=self._on_saved,
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _on_saved(self, model: ModelInfo) -> None:
        self.message.emit(f"Saved as {model.name}. It predicts other images too.")
        self._workspace.refresh_models(choose=model.name)

    def _on_error(self, error: Exception) -> None:
        self.message.emit(f"Not saved: {describe_error(error)}")

    def _on_finished(self) -> None:
        self._job = None

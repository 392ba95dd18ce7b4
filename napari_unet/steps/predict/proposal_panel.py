"""What models find in a new image, to be clicked; or the way to strokes."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Labels
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.jobs.job import Job, run
from napari_unet.jobs.proposals import ProposalOrder, propose_run
from napari_unet.steps.predict.proposal_button import ProposalButton
from napari_unet.viewer.conversion import full_data
from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import TextLine, column
from unet_engine.errors import EngineError
from unet_engine.models.checkpoint import ModelInfo

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.jobs.proposals import TriedModel
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.prediction.proposals.proposal import Proposals

log = logging.getLogger(__name__)

_WAIT_MS = 400
"""Milliseconds after an image was chosen until models are tried: it is drawn first, and
what a program does with it next comes before."""
_TRYING = "Trying the models on a part of the image…"
_FITS = "Click what fits, and the image is predicted:"
_UNSURE = "No model is sure of this image. Paint what you look for, or click one:"
_NONE = "No bundled model reads this image. Paint what you look for."
_PAINT = (
    "None fits: paint two classes",
    "Start with an empty mask and the brush: a few strokes of two classes, and Live "
    "predicts the rest.",
)


class ProposalPanel(QWidget):
    """Tries the bundled models on a new image, and shows what each finds.

    It is there while the image has neither mask nor strokes and no model was chosen,
    and blocks nothing: whatever is begun ends it.

    Parameters
    ----------
    viewer
        Its Labels layers may be masks of the image.
    workspace
        What is worked on.
    form
        Has the chosen image.

    Attributes
    ----------
    chosen
        A model was clicked.
    painting_wanted
        No model fits; strokes are wanted.
    buttons
        A button for each model that was tried, the best first.
    """

    chosen = Signal(object)
    painting_wanted = Signal()

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, form: PredictionForm
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._workspace = workspace
        self._form = form
        self._job: Job | None = None
        self._layer: Any = None
        self._failed: WeakSet[Any] = WeakSet()
        self.buttons: list[ProposalButton] = []
        self.text = TextLine()
        self.paint = button(*_PAINT, self.painting_wanted.emit)
        self._models = QVBoxLayout()
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(self._models)
        layout.addWidget(self.paint)
        self.setVisible(False)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_WAIT_MS)
        self._soon.timeout.connect(self._start)
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.classes_changed,
            workspace.activity_changed,
        ):
            signal.connect(self.follow)
        workspace.layer_lost.connect(self._on_layer_lost)

    @property
    def running(self) -> bool:
        """Whether models are being tried."""
        return self._job is not None

    def follow(self, *_: Any) -> None:
        """Try the models if the chosen image is new; go when it is not any more."""
        wanted = self._wanted
        if self._layer is not None and (
            not wanted or self._layer is not self._workspace.layer
        ):
            self._end()
        if wanted and self._layer is None:
            self._soon.start()
        elif not wanted:
            self._soon.stop()

    @property
    def _wanted(self) -> bool:
        """Whether the chosen image is new and nothing was chosen for it."""
        workspace, layer = self._workspace, self._workspace.layer
        return not (
            layer is None
            or layer in self._failed
            or workspace.working_image is not None
            or workspace.model_chosen
            or workspace.busy
            or workspace.closing
            or not self._window_is_shown
            or self._has_labels(layer)
        )

    @property
    def _window_is_shown(self) -> bool:
        parent = self.parentWidget()
        return parent is not None and parent.isVisible()

    def _has_labels(self, layer: Any) -> bool:
        """Whether a layer of labels may be a mask of an image."""
        shape = tuple(full_data(layer).shape)
        plane = shape[-3:-1] if getattr(layer, "rgb", False) else shape[-2:]
        return any(
            isinstance(other, Labels) and tuple(full_data(other).shape[-2:]) == plane
            for other in self._viewer.layers
        )

    def _start(self) -> None:
        models = tuple(
            model
            for model in self._workspace.models
            if isinstance(model, ModelInfo) and model.bundled
        )
        if self._job is not None or not models or not self._wanted:
            return
        try:
            image, _ = self._form.chosen_image()
            order = ProposalOrder(image=image, models=models, config=self._form.config)
        except EngineError:
            # The line on the plan has it.
            return
        self._layer = self._workspace.layer
        self._show(_TRYING)
        self._job = run(
            partial(propose_run, order),
            parent=self,
            hold=lambda: self._workspace.painting(),
            on_events=self._on_tried,
            on_result=self._on_result,
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _show(self, text: str) -> None:
        self.text.setText(text)
        self.setVisible(True)

    def _on_tried(self, tried: list[TriedModel]) -> None:
        for one in tried:
            made = ProposalButton(one)
            made.clicked.connect(partial(self._on_clicked, one.proposal.model))
            self.buttons.append(made)
            self._models.addWidget(made)

    def _on_result(self, found: Proposals | None) -> None:
        if found is None:
            return
        order = {each.model.name: at for at, each in enumerate(found.ranked)}
        self.buttons.sort(key=lambda made: order[made.proposal.model.name])
        for made in self.buttons:
            # A widget that is added again moves to the end.
            self._models.addWidget(made)
        if not found.ranked:
            self._show(_NONE)
        else:
            self._show(_FITS if found.best is not None else _UNSURE)

    def _on_error(self, error: Exception) -> None:
        # A prediction meets it again, and its message is shown then.
        log.info("models could not be tried", exc_info=error)
        self._failed.add(self._layer)
        self._end()

    def _on_finished(self) -> None:
        self._job = None
        self.follow()

    def _on_clicked(self, model: ModelInfo, *_: Any) -> None:
        self.chosen.emit(model)

    def _on_layer_lost(self, layer: Any, _: str) -> None:
        if layer is self._layer:
            self._end()

    def _end(self) -> None:
        """Take everything away."""
        self._layer = None
        if self._job is not None:
            self._job.discard()
        while self.buttons:
            made = self.buttons.pop()
            self._models.removeWidget(made)
            made.hide()
            made.deleteLater()
        self.setVisible(False)

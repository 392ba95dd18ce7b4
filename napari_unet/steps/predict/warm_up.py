"""``WarmUp``: what a prediction by workers elsewhere needs, before it is asked for."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_unet.jobs.job import run
from napari_unet.jobs.warm_up import WarmUpOrder, measure_run, warm_up_run
from napari_unet.state.image_measures import ImageMeasures
from unet_engine.errors import EngineError
from unet_engine.models.checkpoint import ModelInfo
from unet_engine.prediction.scale import is_estimated
from unet_engine.remote.connection import is_connected

if TYPE_CHECKING:
    from napari_unet.jobs.job import Job
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm

log = logging.getLogger(__name__)

_WAIT_MS = 200
"""Milliseconds after a choice until work begins: what a program chooses next, or a
click on Predict, comes before."""


class WarmUp(QObject):
    """Sends the chosen model to workers that are connected, and measures the image.

    Nothing is shown, and what fails is left to the prediction. Pixels are sent by
    predictions alone.

    Parameters
    ----------
    workspace
        What is worked on.
    form
        Has the image, the model and the device.
    """

    def __init__(self, workspace: Workspace, form: PredictionForm) -> None:
        super().__init__(form)
        self._workspace = workspace
        self._form = form
        self._jobs: dict[str, Job] = {}
        self._done: dict[str, Any] = {}
        self._measures: tuple[Any, str, ImageMeasures] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_WAIT_MS)
        self._soon.timeout.connect(self._start)
        form.changed.connect(self.follow)
        form.device.connected.connect(self._on_connected)
        workspace.activity_changed.connect(self.follow)
        workspace.layer_lost.connect(self._on_layer_lost)

    @property
    def running(self) -> bool:
        """Whether anything is being done."""
        return bool(self._jobs) or self._soon.isActive()

    def follow(self, *_: Any) -> None:
        """Begin with what is chosen now; end what a prediction does itself."""
        workspace = self._workspace
        if workspace.busy and "workers" in self._jobs:
            # A transfer goes on where it ended.
            self._jobs["workers"].discard()
            self._done.pop("workers", None)
        if self._wanted:
            self._soon.start()
        else:
            self._soon.stop()

    def hand_over(self, layer: Any, working_image: WorkingImage) -> None:
        """Give a working image what was measured of its layer before it was made."""
        if self._measures is None:
            return
        of_layer, axes, measures = self._measures
        if of_layer is layer and axes == working_image.layout.axes:
            working_image.measures = measures
        self._measures = None

    @property
    def _wanted(self) -> bool:
        """Whether workers are there that a prediction may be ordered of."""
        workspace = self._workspace
        return (
            is_connected(workspace.device)
            and isinstance(workspace.model, ModelInfo)
            and not workspace.busy
            and not workspace.closing
        )

    def _start(self) -> None:
        if not self._wanted:
            return
        model, config = self._workspace.model, self._form.config
        assert isinstance(model, ModelInfo)
        key = (config.device, model, config.precision)
        order = WarmUpOrder(model=model, config=config, measures=None)
        self._begin("workers", key, partial(warm_up_run, order, self._workspace))
        chosen = self._workspace.model_chosen or self._workspace.working_image
        if not chosen or not is_estimated(model.spec, config):
            # While models are proposed for an image that is not the time for it.
            return
        try:
            measures = self._measures_of_image()
        except EngineError:
            # The line on the plan has it.
            return
        order = WarmUpOrder(model=model, config=config, measures=measures)
        run_measures = partial(measure_run, order, self._workspace)
        self._begin("image", (model, measures), run_measures)

    def _measures_of_image(self) -> ImageMeasures:
        """Return where measures of the chosen image are kept."""
        image, layout = self._form.chosen_image()
        working_image, layer = self._workspace.working_image, self._workspace.layer
        if working_image is not None and working_image.layout.axes == layout.axes:
            return working_image.measures
        known = self._measures
        if known is None or known[0] is not layer or known[1] != layout.axes:
            known = self._measures = layer, layout.axes, ImageMeasures(image)
        return known[2]

    def _begin(self, name: str, key: Any, target: Any) -> None:
        """Do something once for what is chosen."""
        if self._done.get(name) == key:
            return
        if name in self._jobs:
            self._jobs[name].discard()
        self._done[name] = key
        job = run(
            target,
            parent=self,
            on_error=partial(self._on_error, name),
            on_finished=lambda: self._on_finished(name, job),
        )
        self._jobs[name] = job

    def _on_error(self, name: str, error: Exception) -> None:
        # A prediction meets it again, and its message is shown then.
        log.info("%s could not be made ready", name, exc_info=error)

    def _on_finished(self, name: str, job: Job) -> None:
        if self._jobs.get(name) is job:
            del self._jobs[name]

    def _on_connected(self) -> None:
        # They may have been started anew.
        self._done.pop("workers", None)
        self.follow()

    def _on_layer_lost(self, layer: Any, _: str) -> None:
        if self._measures is not None and self._measures[0] is layer:
            self._measures = None
            self._done.pop("image", None)
            if "image" in self._jobs:
                self._jobs["image"].discard()

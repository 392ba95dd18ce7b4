"""Step 1 of the dock: a model draws a mask."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtWidgets import QHBoxLayout, QProgressBar

from napari_unet._forms import Section, TextLine, button, minutes_seconds
from napari_unet._jobs import Job, describe_error, run
from napari_unet._prediction_form import PredictionForm
from napari_unet._probability import ProbabilityLayers
from napari_unet._runs import PredictionOrder, predict_run
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet._masks import Masks
    from napari_unet._workspace import Workspace
    from unet_engine.events import Prediction, TileDone
    from unet_engine.plan import Place


class PredictSection(Section):
    """The form, Predict and Cancel, progress.

    Parameters
    ----------
    viewer
        Whose image layers are offered.
    workspace
        What is chosen here is kept there.
    masks
        Where the result is shown.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace, masks: Masks) -> None:
        super().__init__("1  Predict", "A model draws a mask on an image.")
        self._workspace = workspace
        self._masks = masks
        self._job: Job | None = None
        self._order: PredictionOrder | None = None
        self._started = 0.0
        self._place: Place | None = None
        self.form = PredictionForm(viewer, workspace)
        self._probability = ProbabilityLayers(viewer, self.form.hidden_layers)
        self.content.addWidget(self.form)
        self._make_buttons()
        workspace.activity_changed.connect(self._on_activity_changed)
        workspace.prediction_wanted.connect(self.start)
        workspace.layer_lost.connect(self._on_layer_lost)
        self.form.changed.connect(self._show_plan)
        self._show_plan()
        self._on_activity_changed()

    def _make_buttons(self) -> None:
        self.predict = button(
            "Predict",
            "Draw the mask. Pixels that you touched stay as they are.",
            self.start,
        )
        self.cancel = button(
            "Cancel", "Stop predicting. Finished tiles stay.", self.stop
        )
        line = QHBoxLayout()
        line.addWidget(self.predict, 2)
        line.addWidget(self.cancel, 1)
        self.progress = QProgressBar()
        self.progress.setToolTip("Finished tiles")
        self.progress.setVisible(False)
        self.text = TextLine()
        self.content.addLayout(line)
        self.content.addWidget(self.progress)
        self.content.addWidget(self.text)

    def start(self) -> None:
        """Predict what the form says, unless something is running."""
        if self._workspace.activity:
            return
        if self._workspace.layer is not None and self._workspace.model is None:
            show_warning("There is no model. Open a model file in the … menu.")
            return
        try:
            order = self._make_order()
        except EngineError as error:
            show_error(str(error))
            return
        self._order = order
        self._started = time.monotonic()
        self._workspace.begin("predict")
        self._show_progress(0, 0)
        self.text.setText("Preparing…")
        self._job = run(
            partial(predict_run, order, self._workspace),
            title=f"U-Net predicts {order.layer.name}",
            parent=self,
            on_events=partial(self._on_tiles, order),
            on_result=partial(self._on_result, order),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def stop(self) -> None:
        """Stop predicting; what is finished stays."""
        if self._job is not None:
            self._job.stop()
            self.cancel.setEnabled(False)
            self.text.setText("Stopping…")

    def _make_order(self) -> PredictionOrder:
        subject = self.form.subject()
        assert self._workspace.model is not None
        view = self._masks.show(self._workspace.layer, subject)
        view.set_classes(self._workspace.classes)
        self._place = view.place
        return PredictionOrder(
            layer=self._workspace.layer,
            subject=subject,
            model=self._workspace.model,
            config=self.form.config,
            indices=(view.index,) if self.form.this_slice_only else None,
            near=lambda: self._place,
        )

    def _on_tiles(self, order: PredictionOrder, tiles: list[TileDone]) -> None:
        view = self._masks.of(order.layer)
        if view is None:
            return
        self._place = view.place
        planes = set()
        for tile in tiles:
            planes |= set(order.subject.write_tile(tile))
        view.show_tiles(planes)
        if order.config.probabilities:
            self._probability.write(order, tiles)
        self._show_progress(tiles[-1].done, tiles[-1].total)

    def _on_result(self, order: PredictionOrder, result: Prediction) -> None:
        if (view := self._masks.of(order.layer)) is not None:
            view.show_tiles({view.index}, finished=True)
        self._probability.finish(order)
        done, total = self.progress.value(), self.progress.maximum()
        noun = "tile" if total == 1 else "tiles"
        count = f"{total}" if result.complete else f"Stopped. {done} of {total}"
        line = f"{count} {noun} in {result.seconds:.1f} s on {result.device}."
        self.text.setText(" ".join([line, *result.notes]))

    def _on_error(self, error: Exception) -> None:
        self.text.setText(f"Failed: {error}")
        show_error(describe_error(error))

    def _on_finished(self) -> None:
        self._job = self._order = None
        self.progress.setVisible(False)
        if self.text.text() in ("Preparing…", "Stopping…"):
            self.text.setText("Stopped.")
        self._workspace.end()

    def _on_layer_lost(self, layer: Any) -> None:
        if self._job is not None and self._order and layer is self._order.layer:
            self._job.discard()

    def _on_activity_changed(self) -> None:
        activity = self._workspace.activity
        self.predict.setEnabled(not activity)
        self.form.setEnabled(not activity)
        self.cancel.setEnabled(activity == "predict")

    def _show_plan(self) -> None:
        if not self._workspace.activity:
            self.text.setText(self.form.describe_plan())

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.setVisible(True)
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        if self._job is None or not total:
            return
        self._job.show_progress(done, total)
        if not self._job.stopping:
            left = (time.monotonic() - self._started) * (total - done) / done
            self.text.setText(f"Tile {done} of {total} · {minutes_seconds(left)} left")

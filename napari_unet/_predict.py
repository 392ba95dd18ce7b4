"""Step 1 of the dock: a model draws a mask."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_unet._forms import button, minutes_seconds
from napari_unet._prediction_form import PredictionForm
from napari_unet._probability import ProbabilityLayers
from napari_unet._runs import PredictionOrder, predict_run
from napari_unet._sections import JobSection
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet._masks import Masks
    from napari_unet._workspace import Workspace
    from unet_engine.events import Prediction, TileDone
    from unet_engine.plan import Place


class PredictSection(JobSection):
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
        super().__init__(
            "1  Predict",
            "A model draws a mask on an image.",
            workspace,
            activity="predict",
        )
        self._masks = masks
        self._started = 0.0
        self._place: Place | None = None
        self.form = PredictionForm(viewer, workspace)
        self._probability = ProbabilityLayers(viewer, self.form.hidden_layers)
        self.content.addWidget(self.form)
        self._make_buttons()
        workspace.prediction_wanted.connect(self.start)
        self.form.changed.connect(self._show_plan)
        self._show_plan()
        self._on_activity_changed()

    def _make_buttons(self) -> None:
        self.predict = button(
            "Predict",
            "Draw the mask. Pixels that you touched stay as they are.",
            self.start,
        )
        cancel = button("Cancel", "Stop predicting. Finished tiles stay.", self.stop)
        self._add_controls(self.predict, cancel)
        self.progress.setToolTip("Finished tiles")

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
        self._started = time.monotonic()
        self._launch(
            partial(predict_run, order, self._workspace),
            title=f"U-Net predicts {order.layer.name}",
            layer=order.layer,
            on_events=partial(self._on_tiles, order),
            on_result=partial(self._on_result, order),
        )

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
        self._show_tile(tiles[-1].done, tiles[-1].total)

    def _on_result(self, order: PredictionOrder, result: Prediction) -> None:
        if (view := self._masks.of(order.layer)) is not None:
            view.show_tiles({view.index}, finished=True)
        self._probability.finish(order)
        done, total = self.progress.value(), self.progress.maximum()
        noun = "tile" if total == 1 else "tiles"
        count = f"{total}" if result.complete else f"Stopped. {done} of {total}"
        line = f"{count} {noun} in {result.seconds:.1f} s on {result.device}."
        self.text.setText(" ".join([line, *result.notes]))

    def _enable_inputs(self, enabled: bool) -> None:
        self.form.setEnabled(enabled)

    def _show_plan(self) -> None:
        if not self._workspace.activity:
            self.text.setText(self.form.describe_plan())

    def _show_tile(self, done: int, total: int) -> None:
        left = (time.monotonic() - self._started) * (total - done) / done
        text = f"Tile {done} of {total} · {minutes_seconds(left)} left"
        self._show_progress(done, total, text)

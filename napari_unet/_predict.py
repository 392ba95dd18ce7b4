"""Step 1 of the dock: a model draws a mask, or takes the noise away."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_warning

from napari_unet._denoised import DenoisedLayers
from napari_unet._drafts import Draft
from napari_unet._forms import button, minutes_seconds
from napari_unet._layers import shown_place
from napari_unet._prediction_form import PredictionForm
from napari_unet._probability import ProbabilityLayers
from napari_unet._runs import (
    DenoisingOrder,
    PredictionOrder,
    denoise_run,
    predict_run,
)
from napari_unet._sections import JobSection
from unet_engine.errors import EngineError
from unet_engine.images import match_channels

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet._masks import Masks
    from napari_unet._workspace import Workspace
    from unet_engine.events import Denoised, Prediction, TileDenoised, TileDone
    from unet_engine.plan import Place


_PREDICT = ("Predict", "Draw the mask. Pixels that you touched stay as they are.")
_NO_MODEL = "There is no model. Make a new one or open a file in the … menu."
_NOISE = "The model is untrained: its mask is noise until you fine-tune it."
_DENOISE = ("Denoise", "Add an image layer without the noise of this image.")


class PredictSection(JobSection):
    """The form, Predict and Cancel, progress.

    Parameters
    ----------
    viewer
        Whose image layers are offered.
    workspace
        What is chosen here is kept there.
    masks
        Where a predicted mask is shown.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace, masks: Masks) -> None:
        super().__init__(
            "1  Predict",
            "A model draws a mask on an image.",
            workspace,
            activity="predict",
        )
        self._viewer = viewer
        self._masks = masks
        self._denoised = DenoisedLayers(viewer, self)
        self._started = 0.0
        self._place: Place | None = None
        self.form = PredictionForm(viewer, workspace)
        self._probability = ProbabilityLayers(viewer, self.form.hidden_layers)
        self.content.addWidget(self.form)
        self._make_buttons()
        workspace.prediction_wanted.connect(self.start)
        self.form.changed.connect(self._on_form_changed)
        self._on_form_changed()
        self._on_activity_changed()

    def _make_buttons(self) -> None:
        self.predict = button(*_PREDICT, self.start)
        cancel = button("Cancel", "Stop here. Finished tiles stay.", self.stop)
        self._add_controls(self.predict, cancel)
        self.progress.setToolTip("Finished tiles")

    def start(self) -> None:
        """Predict what the form says, unless something is running."""
        if self._workspace.activity:
            return
        if refusal := self._refusal():
            self.text.setText(refusal)
            show_warning(refusal)
            return
        try:
            self._started = time.monotonic()
            if self._restores:
                self._start_denoising()
            else:
                self._start_prediction()
        except EngineError as error:
            show_error(str(error))

    @property
    def _restores(self) -> bool:
        """Whether the chosen model has no classes, and gives an image."""
        model = self._workspace.model
        return model is not None and not model.spec.classes

    def _refusal(self) -> str:
        """Return why the chosen model cannot predict, or nothing."""
        model = self._workspace.model
        if model is None:
            return "" if self._workspace.layer is None else _NO_MODEL
        if isinstance(model, Draft) and not model.trained:
            return _untrained(model)
        return ""

    def _start_prediction(self) -> None:
        order = self._make_order()
        self._launch(
            partial(predict_run, order, self._workspace),
            title=f"U-Net predicts {order.layer.name}",
            layer=order.layer,
            on_events=partial(self._on_tiles, order),
            on_result=partial(self._on_result, order),
        )

    def _start_denoising(self) -> None:
        order = self._make_denoising_order()
        self._denoised.show(order)
        self._launch(
            partial(denoise_run, order, self._workspace),
            title=f"U-Net denoises {order.layer.name}",
            layer=order.layer,
            on_events=partial(self._on_denoised_tiles, order),
            on_result=partial(self._on_denoised, order),
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

    def _make_denoising_order(self) -> DenoisingOrder:
        layer, model = self._workspace.layer, self._workspace.model
        image, layout = self.form.chosen_image()
        assert model is not None
        match_channels(image, model.spec.in_channels)
        self._place = shown_place(self._viewer, layer, layout)
        return DenoisingOrder(
            layer=layer,
            image=image,
            layout=layout,
            model=model,
            config=self.form.config,
            indices=(self._place[0],) if self.form.this_slice_only else None,
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
        self._tell_result(result)

    def _on_denoised_tiles(
        self, order: DenoisingOrder, tiles: list[TileDenoised]
    ) -> None:
        self._place = shown_place(self._viewer, order.layer, order.layout)
        self._show_tile(tiles[-1].done, tiles[-1].total)
        if not self._denoised.write(order, tiles):
            self.stop()

    def _on_denoised(self, order: DenoisingOrder, result: Denoised) -> None:
        self._denoised.finish(order)
        self._tell_result(result)

    def _tell_result(self, result: Prediction | Denoised) -> None:
        done, total = self.progress.value(), self.progress.maximum()
        noun = "tile" if total == 1 else "tiles"
        count = f"{total}" if result.complete else f"Stopped. {done} of {total}"
        line = f"{count} {noun} in {result.seconds:.1f} s on {result.device}."
        model = self._workspace.model
        noise = [] if model is None or self._restores or model.trained else [_NOISE]
        self.text.setText(" ".join([line, *noise, *result.notes]))

    def _enable_inputs(self, enabled: bool) -> None:
        self.form.setEnabled(enabled)

    def _on_form_changed(self) -> None:
        text, tooltip = _DENOISE if self._restores else _PREDICT
        self.predict.setText(text)
        self.predict.setToolTip(tooltip)
        if not self._workspace.activity:
            model = self._workspace.model
            refused = model is not None and self._refusal()
            self.text.setText(refused or self.form.describe_plan())

    def _show_tile(self, done: int, total: int) -> None:
        left = (time.monotonic() - self._started) * (total - done) / done
        text = f"Tile {done} of {total} · {minutes_seconds(left)} left"
        self._show_progress(done, total, text)


def _untrained(draft: Draft) -> str:
    return (
        f"{draft.name} is untrained and would draw noise. Paint a few strokes of each "
        "class in step 2, then press Fine-tune."
    )

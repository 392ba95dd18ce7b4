"""Step 1 of the dock: a model predicts a mask, or takes the noise away."""

from __future__ import annotations

import time
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error, show_warning

from napari_unet.jobs.orders import DenoisingOrder, PredictionOrder
from napari_unet.jobs.prediction import ObjectSizeFound, denoise_run, predict_run
from napari_unet.jobs.preview import PreviewTile, wanted_preview
from napari_unet.results.denoised import DenoisedLayers
from napari_unet.results.preview import PreviewLayer
from napari_unet.results.probabilities import ProbabilityLayers
from napari_unet.state.large_arrays import check_room, check_room_for
from napari_unet.state.mask_versions import MaskSource
from napari_unet.state.per_viewer import of_viewer
from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.steps.predict.form import PredictionForm
from napari_unet.steps.predict.time_left import MeasuredSpeeds, SpeedMeter
from napari_unet.steps.predict.warm_up import WarmUp
from napari_unet.steps.run_texts import texts_of_prediction
from napari_unet.viewer.viewport import ViewportTracker
from napari_unet.widgets.buttons import button, make_primary
from napari_unet.widgets.copy_button import CopyButton
from napari_unet.widgets.forms import minutes_seconds
from napari_unet.widgets.job_section import JobSection
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import EngineError
from unet_engine.images import match_channels
from unet_engine.prediction.events import TileDenoised, TileDone
from unet_engine.prediction.scale import scale_of
from unet_engine.remote.preparation import Connecting, Sending
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer

    from napari_unet.jobs.prediction import PredictionEvent
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.model_so_far import ModelSoFar
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.workspace import Workspace
    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import View
    from unet_engine.prediction.events import Denoised, Prediction
    from unet_engine.scripting import RunTexts


_PREDICT = ("Predict", "Predict the mask. Pixels that you touched stay as they are.")
_NO_IMAGE = (
    "Open an image to begin: drop its file on the window. The menu File > Open Sample "
    "has some, too."
)
_NO_MODEL = "There is no model. Make a new one or open a file in the … menu."
_NOISE = "The model is untrained: its mask is noise until you fine-tune it."
_TEXT_PAUSE_S = 0.4
"""Least seconds between two counts of tiles: a new text repaints the whole window."""
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
            "A model predicts the mask of an image.",
            workspace,
            activity="predict",
        )
        self._viewer = viewer
        self._masks = masks
        self._denoised = DenoisedLayers(viewer, self)
        self._viewport: ViewportTracker | None = None
        self._preview: PreviewLayer | None = None
        self._speed = SpeedMeter()
        self._text_shown_at = 0.0
        self.form = PredictionForm(viewer, workspace)
        self.warm_up = WarmUp(workspace, self.form)
        self._probability = ProbabilityLayers(viewer, self.form.hidden_layers)
        self.content.addWidget(self.form)
        self._make_buttons()
        workspace.prediction_wanted.connect(self._predict_again)
        self.form.changed.connect(self._on_form_changed)
        self._on_form_changed()
        self._on_activity_changed()

    def _make_buttons(self) -> None:
        self.predict = make_primary(button(*_PREDICT, self.start))
        cancel = button("Cancel", "Stop here. Finished tiles stay.", self.stop)
        self._add_controls(self.predict, cancel)
        self.progress.setToolTip("Finished tiles")
        self.copy = CopyButton(self._texts)
        self.copy.message.connect(self.text.setText)
        self.form.advanced.content.addWidget(self.copy)

    def _texts(self) -> RunTexts:
        form = self.form
        return texts_of_prediction(self._workspace, form.config, form.axes.value)

    def start(self) -> None:
        """Predict by the settings of the form, unless something is running."""
        if self._workspace.activity or not self._workspace.model_is_there():
            return
        if refusal := self._refusal():
            self.text.setText(refusal)
            show_warning(refusal)
            return
        try:
            if self._denoises:
                self._start_denoising()
            elif self._workspace.model is not None:
                self._start_prediction(self._workspace.model)
        except EngineError as error:
            show_error(str(error))

    def _predict_again(self, model: Model | ModelSoFar) -> None:
        """Predict with a new model; the user may have chosen another image by now."""
        if self._workspace.activity:
            return
        self._by_user = False
        try:
            self._start_prediction(model)
        except EngineError as error:
            show_error(str(error))
        finally:
            self._by_user = True

    @property
    def _denoises(self) -> bool:
        """Whether the chosen model has no classes, and gives an image."""
        model = self._workspace.model
        return model is not None and not model.spec.classes

    def _refusal(self) -> str:
        """Return why the chosen model cannot predict, or nothing."""
        model = self._workspace.model
        if model is None:
            return "" if self._workspace.layer is None else _NO_MODEL
        if isinstance(model, UntrainedModel) and not model.trained:
            return _untrained(model)
        return ""

    def _start_prediction(self, model: Model | ModelSoFar) -> None:
        order = self._make_order(model)
        self._launch(
            partial(predict_run, order, self._workspace),
            layer=order.layer,
            on_events=partial(self._on_events, partial(self._on_tiles, order)),
            on_result=partial(self._on_result, order),
        )
        # The thread is at work while napari makes the layer.
        view = self._masks.show(order.layer, order.working_image)
        view.set_classes(self._workspace.classes)
        view.exchange.begin(MaskSource(name=order.model.name))

    def _start_denoising(self) -> None:
        order = self._make_denoising_order()
        self._denoised.show(order)
        self._launch(
            partial(denoise_run, order, self._workspace),
            layer=order.layer,
            on_events=partial(self._on_events, partial(self._on_denoised_tiles, order)),
            on_result=partial(self._on_denoised, order),
        )

    def _make_order(self, model: Model | ModelSoFar) -> PredictionOrder:
        working_image = self.form.working_image()
        layer = self._workspace.layer
        self.warm_up.hand_over(layer, working_image)
        only = self.form.this_slice_only
        planes = 1 if only else prod(working_image.mask.shape[:-2])
        check_room(working_image.mask, planes, f"mask of {layer.name}")
        config = self.form.config
        if config.probabilities:
            # Of all classes but the background.
            shape = (len(model.spec.classes) - 1, *working_image.mask.shape)
            name = f"probabilities of {layer.name}"
            check_room_for(shape, np.float32, planes * shape[0], name)
        viewport = self._track_viewport(layer, working_image.layout)
        preview = None
        # A mask that is there already is better than a coarse preview.
        if model.spec.ndim == 2 and viewport.view[0] not in working_image.predicted:
            preview = wanted_preview(layer, working_image.layout, viewport.view)
        return PredictionOrder(
            layer=layer,
            working_image=working_image,
            model=model,
            config=config,
            indices=(viewport.view[0],) if only else None,
            near=lambda: viewport.view,
            preview=preview,
        )

    def _make_denoising_order(self) -> DenoisingOrder:
        layer, model = self._workspace.layer, self._workspace.model
        image, layout = self.form.chosen_image()
        assert model is not None
        match_channels(image, model.spec.in_channels)
        only, channels = self.form.this_slice_only, model.spec.in_channels
        planes = 1 if only else prod(image.leading_shape)
        shape = (channels, *image.leading_shape, *image.plane_shape)
        name = f"denoised {layer.name}"
        check_room_for(shape, np.float32, planes * channels, name)
        viewport = self._track_viewport(layer, layout)
        return DenoisingOrder(
            layer=layer,
            image=image,
            layout=layout,
            model=model,
            config=self.form.config,
            indices=(viewport.view[0],) if only else None,
            near=lambda: viewport.view,
        )

    def _track_viewport(self, layer: ImageLayer, layout: Layout) -> ViewportTracker:
        """Follow the camera and the sliders until the run ends."""
        self._viewport = ViewportTracker(self._viewer, layer, layout, self._on_move)
        self._speed, self._text_shown_at = SpeedMeter(), 0.0
        return self._viewport

    def _on_move(self, view: View) -> None:
        mask = None if self._denoises else self._masks.of(self._workspace.layer)
        if mask is not None:
            mask.tiles.follow_view(view)

    def _on_tiles(
        self,
        order: PredictionOrder,
        events: list[PredictionEvent],
    ) -> None:
        if any(isinstance(each, ObjectSizeFound) for each in events):
            self.form.show_object_size()
        view = self._masks.of(order.layer)
        if view is None:
            return
        previews = [each for each in events if isinstance(each, PreviewTile)]
        tiles = [each for each in events if isinstance(each, TileDone)]
        if previews:
            self._show_preview(order, view, previews)
        if not tiles:
            return
        classes, source = order.model.spec.classes, MaskSource(name=order.model.name)
        written = [
            place
            for tile in tiles
            for place in order.working_image.write_tile(tile, classes, source)
        ]
        view.show_classes()
        if self._viewport is not None:
            view.tiles.show(written, self._viewport.view)
        if self._preview is not None:
            self._preview.uncover(written)
        if order.config.probabilities:
            self._probability.write(order, tiles)
        self._show_tiles(tiles)

    def _show_preview(
        self, order: PredictionOrder, view: MaskView, previews: list[PreviewTile]
    ) -> None:
        if self._preview is None:
            self._preview = PreviewLayer(
                self._viewer,
                order.layer,
                order.working_image,
                previews[0].order,
                self,
                painting=self._workspace.painting,
            )
            self._preview.set_classes(len(self._workspace.classes))
            view.touched.connect(self._preview.uncover)
        for preview in previews:
            self._preview.write(preview)
        self._show_progress(0, 1, previews[0].order.text)

    def _on_result(self, order: PredictionOrder, result: Prediction | None) -> None:
        if (view := self._masks.of(order.layer)) is not None:
            view.tiles.show_all()
        self._probability.finish(order)
        if result is not None:
            self._show_result(order, result)

    def _on_denoised_tiles(
        self,
        order: DenoisingOrder,
        events: list[Connecting | Sending | Reconnecting | TileDenoised],
    ) -> None:
        tiles = [each for each in events if isinstance(each, TileDenoised)]
        if tiles:
            self._show_tiles(tiles)
        if tiles and not self._denoised.write(order, tiles):
            self.stop()

    def _on_denoised(self, order: DenoisingOrder, result: Denoised | None) -> None:
        self._denoised.finish(order)
        if result is not None:
            self._show_result(order, result)

    def _on_events(
        self, on_tiles: Callable[[list[Any]], None], events: list[Any]
    ) -> None:
        """Show tiles, and what is done about workers elsewhere if that came last."""
        on_tiles(events)
        last = events[-1]
        if isinstance(last, Connecting | Sending | Reconnecting):
            self._show_progress(last.done, last.total, last.describe())

    def _show_result(
        self, order: PredictionOrder | DenoisingOrder, result: Prediction | Denoised
    ) -> None:
        speeds = of_viewer(self._viewer, MeasuredSpeeds)
        if _at_own_scale(order):
            self._speed.remember(speeds, order.model.spec, order.config)
        done, total = self._speed.done, self._speed.total
        noun = "tile" if total == 1 else "tiles"
        count = f"{total}" if result.complete else f"Stopped. {done} of {total}"
        line = f"{count} {noun} in {result.seconds:.1f} s on {result.device}."
        noisy = bool(order.model.spec.classes) and not order.model.trained
        noise = [_NOISE] if noisy else []
        shown = self.form.object_size.found.text()
        notes = [n for n in map(_sentence, result.notes) if n not in shown]
        self.text.setText(" ".join([line, *noise, *notes]))

    def _enable_inputs(self, enabled: bool) -> None:
        enable(self.form, "" if enabled else self._workspace.why_busy)

    def _on_form_changed(self) -> None:
        text, tooltip = _DENOISE if self._denoises else _PREDICT
        self.predict.setText(text)
        explain(self.predict, tooltip)
        if not self._workspace.activity:
            model = self._workspace.model
            refused = model is not None and self._refusal()
            nothing = "" if self._workspace.layer is not None else _NO_IMAGE
            self.text.setText(refused or self.form.describe_plan() or nothing)

    def _show_tiles(self, tiles: Sequence[TileDone | TileDenoised]) -> None:
        self._speed.record(tiles)
        done, total = tiles[-1].done, tiles[-1].total
        now = time.monotonic()
        if not done or (now - self._text_shown_at < _TEXT_PAUSE_S and done < total):
            return
        self._text_shown_at = now
        text = f"Tile {done} of {total}"
        if (left := self._speed.seconds_left()) is not None:
            text += f" · {minutes_seconds(left)} left"
        if tiles[-1].notes:
            text += "."
        text = " ".join([text, *map(_sentence, tiles[-1].notes)])
        self._show_progress(done, total, text)

    def _on_finished(self) -> None:
        if self._viewport is not None:
            self._viewport.close()
        if self._preview is not None:
            self._preview.remove()
        self._viewport = self._preview = None
        super()._on_finished()


def _at_own_scale(order: PredictionOrder | DenoisingOrder) -> bool:
    """Whether the time for a pixel of the image is that for one of the network."""
    if isinstance(order, DenoisingOrder):
        return True
    image, spec = order.working_image.image, order.model.spec
    config = order.working_image.object_sizes.known(image, spec, order.config)
    return set(scale_of(image, spec, config)) == {1.0}


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."


def _untrained(untrained: UntrainedModel) -> str:
    return (
        f"{untrained.name} is untrained and would predict noise. "
        "Paint a few strokes of each "
        "class in step 2, then press Fine-tune."
    )

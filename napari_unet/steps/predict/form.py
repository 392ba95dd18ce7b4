"""The form of step 1: image, model, planes, device and settings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Image as ImageLayer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_unet.state.per_viewer import of_viewer
from napari_unet.steps.predict.device_row import TOOLTIP as DEVICE
from napari_unet.steps.predict.device_row import DeviceRow
from napari_unet.steps.predict.model_picker import ModelPicker
from napari_unet.steps.predict.object_size import TOOLTIP as OBJECT_SIZE
from napari_unet.steps.predict.object_size import ObjectSizeRow
from napari_unet.steps.predict.time_left import (
    MeasuredSpeeds,
    describe_time,
    expected_seconds,
)
from napari_unet.viewer.conversion import Layout, image_of, layouts_of
from napari_unet.viewer.screen_layer import is_screen_layer
from napari_unet.viewer.viewport import shown_view
from napari_unet.widgets.forms import (
    Section,
    add_row,
    column,
    config_form,
    rows,
    set_row_visible,
)
from unet_engine.errors import DataError, EngineError
from unet_engine.images import match_channels
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.plan import plan_prediction
from unet_engine.prediction.scale import describe_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from magicgui.widgets.bases import ValueWidget
    from napari.components import ViewerModel

    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec

_ELSEWHERE = ("device", "probabilities", "object_maps", "object_size", "pixel_size")
"""Settings that are no rows of the form of those that few need."""

WHOLE_STACK = "whole stack"
THIS_SLICE = "this slice"


class PredictionForm(QWidget):
    """Image, model, axes, extent, device, probabilities, advanced settings.

    Parameters
    ----------
    viewer
        Whose image layers are offered.
    workspace
        What is chosen here is kept there.

    Attributes
    ----------
    picker
        Chooses the model.
    hidden_layers
        Image layers that are not offered: the dock's own results.
    settings
        The form of what few need to change.
    changed
        Another image, model or meaning of the axes was chosen, or other settings.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, workspace: Workspace) -> None:
        super().__init__()
        self._viewer = viewer
        self._workspace = workspace
        self.hidden_layers: list[ImageLayer] = []
        self._chosen: Any = None
        self._make_choices()
        self._lay_out()
        self._picks = True
        self.image.changed.connect(self._on_image_changed)
        self.image.changed.connect(self._on_image_picked)
        self.picker.changed.connect(self._on_model_changed)
        self.axes.changed.connect(self._show_scope)
        self.device.changed.connect(self.changed)
        self.object_size.changed.connect(self._on_object_size_changed)
        for setting in (self.settings, self.scope):
            setting.changed.connect(lambda *_: self.changed.emit())
        self.reset_choices()
        self._on_model_changed()

    def _make_choices(self) -> None:
        self.image = ComboBox(choices=self._image_choices)
        self.picker = ModelPicker(self._workspace)
        self.axes = ComboBox(choices=self._layout_choices)
        self.scope = ComboBox(choices=[WHOLE_STACK, THIS_SLICE])
        self.object_size = ObjectSizeRow(self._viewer, self._workspace)
        self.device = DeviceRow(self._workspace)
        self.probability = CheckBox(text="Show probabilities too")
        self.settings = config_form(
            PredictConfig,
            leave_out=_ELSEWHERE,
        )
        self.image.native.setPlaceholderText("no image is open")

    def _lay_out(self) -> None:
        self._rows = form = rows()
        add_row(form, "Image", self.image.native, "The image layer to segment.")
        add_row(form, "Model", self.picker, "The network that predicts the mask.")
        form.addRow(self.picker.text)
        form.addRow(self.picker.restart)
        add_row(
            form,
            "First axes",
            self.axes.native,
            "What the axes before rows and columns are. Slices are segmented one by "
            "one; all channels are input of the model at once.",
        )
        add_row(
            form,
            "Extent",
            self.scope.native,
            "All slices, the one on screen first; or only the one on screen.",
        )
        add_row(form, "Object size", self.object_size, OBJECT_SIZE)
        form.addRow(self.object_size.found)
        self.probability.native.setToolTip(
            "Add an image layer for each class, with its probability from 0 to 1."
        )
        layout = column(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        self.advanced = Section(
            "Advanced settings", "How the prediction runs.", expanded=False
        )
        where = rows()
        add_row(where, "Device", self.device, DEVICE)
        where.addRow(self.device.found)
        self.advanced.content.addLayout(where)
        self.advanced.content.addWidget(self.probability.native)
        self.advanced.content.addWidget(self.settings.native)
        layout.addWidget(self.advanced)

    @property
    def fields(self) -> dict[str, ValueWidget]:
        """The controls whose values are kept with a list of images, by name."""
        shown = {w.name: w for w in self.settings if w.name not in _ELSEWHERE}
        return {**shown, "probabilities": self.probability, "extent": self.scope}

    @property
    def config(self) -> PredictConfig:
        """The settings of the form."""
        with self.settings.changed.blocked():
            self.settings["device"].value = self._workspace.device
            self.settings["probabilities"].value = self.probability.value
        config: PredictConfig = self.settings()
        return replace(config, object_size=self._workspace.object_size)

    def describe_plan(self) -> str:
        """Return what a prediction would do, or why it cannot; reads no pixel."""
        layer, model, layout = (
            self._workspace.layer,
            self._workspace.model,
            self.axes.value,
        )
        if layer is None or model is None or layout is None:
            return ""
        try:
            image = match_channels(image_of(layer, layout), model.spec.in_channels)
            view = shown_view(self._viewer, layer, layout)
            config = self.config
            if (working_image := self._workspace.working_image) is not None:
                config = working_image.object_sizes.known(image, model.spec, config)
            plan = plan_prediction(
                image,
                model.spec,
                config,
                (view[0],) if self.this_slice_only else None,
                watched=True,
                place=view,
            )
        except EngineError as error:
            return f"{error}."
        seconds = expected_seconds(
            of_viewer(self._viewer, MeasuredSpeeds), plan, model.spec, self.config
        )
        time = "" if seconds is None else f", {describe_time(seconds)}"
        return f"{plan.describe()}{time}."

    @property
    def this_slice_only(self) -> bool:
        """Whether only the slice on screen is to be predicted."""
        return self.scope.native.isVisibleTo(self) and self.scope.value == THIS_SLICE

    def chosen_image(self) -> tuple[Image, Layout]:
        """Return the chosen image with what its axes mean.

        Raises
        ------
        DataError
            When no image is chosen, or it is none that a model can take.
        """
        layer, layout = self._workspace.layer, self.axes.value
        if layer is None or layout is None:
            raise DataError("there is no image; open one, then choose it under Image")
        return image_of(layer, layout), layout

    def working_image(self) -> WorkingImage:
        """Return the chosen image as a working image; a new one when its axes changed.

        Raises
        ------
        DataError
            When no image is chosen, or it cannot be segmented.
        """
        image, layout = self.chosen_image()
        working_image = self._workspace.working_image
        if working_image is None or working_image.layout.axes != layout.axes:
            layer = self._workspace.layer
            working_image = self._workspace.make_working_image(layer, image, layout)
        return working_image

    def reset_choices(self, *_: Any) -> None:
        """Offer the image layers that there are now."""
        with self._no_pick():
            self.image.reset_choices()
        self._on_image_changed()

    def follow(self, layer: ImageLayer) -> None:
        """Choose the image that was chosen in the layer list already."""
        with self._no_pick():
            self.image.value = layer

    @contextmanager
    def _no_pick(self) -> Iterator[None]:
        """Take no change of the image for one that the user made in the dock."""
        picks, self._picks = self._picks, False
        try:
            yield
        finally:
            self._picks = picks

    def _image_choices(self, _: Any) -> list[ImageLayer]:
        return self.layers()

    def layers(self) -> list[ImageLayer]:
        """Return the image layers that are offered."""
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, ImageLayer)
            and layer not in self.hidden_layers
            and not is_screen_layer(layer)
        ]

    def _layout_choices(self, _: Any) -> list[tuple[str, Layout]]:
        layer, model = self._workspace.layer, self._workspace.model
        if layer is None:
            return []
        layouts = layouts_of(layer, model.spec.in_channels if model else 1)
        return [(layout.title, layout) for layout in layouts]

    def _on_image_changed(self, *_: Any) -> None:
        self._workspace.choose_layer(self.image.value)
        self._reset_axes()

    def _on_image_picked(self, layer: ImageLayer | None) -> None:
        if self._picks and layer is not None:
            self._workspace.image_picked.emit(layer)

    def _on_model_changed(self) -> None:
        model = self._workspace.model
        self.probability.native.setVisible(model is None or bool(model.spec.classes))
        offered = self.object_size.offer(None if model is None else model.spec)
        set_row_visible(self._rows, self.object_size, offered)
        self._reset_axes()

    def _on_object_size_changed(self) -> None:
        self.show_object_size()
        self.changed.emit()

    def show_object_size(self) -> None:
        """Show at which scale the image is predicted, as far as it is known."""
        layer, model, layout = (
            self._workspace.layer,
            self._workspace.model,
            self.axes.value,
        )
        text = ""
        if layer is not None and model is not None and layout is not None:
            text = self._describe_scale(image_of(layer, layout), model.spec)
        self.object_size.found.setText(text)

    def _describe_scale(self, image: Image, spec: ModelSpec) -> str:
        working_image, config = self._workspace.working_image, self.config
        try:
            if working_image is None:
                text = describe_scale(image, spec, config)
            else:
                sizes = working_image.object_sizes
                text = sizes.describe(image, spec, config)
                found = sizes.found(spec, config)
                if found is not None and found.diameter_px is not None:
                    self.object_size.suggest(found.diameter_px)
        except EngineError:
            # The line on the plan has it.
            return ""
        return f"{text[:1].upper()}{text[1:]}." if text else ""

    def _reset_axes(self) -> None:
        working_image = self._workspace.working_image
        self.axes.reset_choices()
        choices = [c for c in self.axes.choices if c is not None]
        known = [
            c for c in choices if working_image and c.axes == working_image.layout.axes
        ]
        if choices:
            self.axes.value = (known or choices)[0]
        set_row_visible(self._rows, self.axes.native, len(choices) > 1)
        self._show_scope()

    def _show_scope(self, *_: Any) -> None:
        layout = self.axes.value
        stack = layout is not None and bool(layout.leading)
        set_row_visible(self._rows, self.scope.native, stack)
        chosen = (self._workspace.layer, self._workspace.model, layout)
        if chosen != self._chosen:
            self._chosen = chosen
            self.show_object_size()
            self.changed.emit()

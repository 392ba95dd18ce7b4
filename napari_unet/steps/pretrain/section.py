"""Between steps 1 and 2, on demand: a model learns from images without labels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from napari.utils.notifications import show_info, show_warning

from napari_unet.jobs.training import PretrainingOrder, pretrain_run
from napari_unet.state.untrained_model import file_name
from napari_unet.viewer.conversion import image_of, layouts_of
from napari_unet.widgets.buttons import button, make_primary
from napari_unet.widgets.forms import Section, TextLine, add_row, config_form, rows
from napari_unet.widgets.job_section import TrainingSection
from napari_unet.widgets.tooltips import enable
from unet_engine.errors import EngineError
from unet_engine.training.config import PretrainConfig
from unet_engine.training.pretraining_start import (
    Purpose,
    start_spec,
    usual_settings,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.training.saving import Trained

_PURPOSES: dict[str, Purpose] = {
    "Remove noise": "restore",
    "Start a U-Net": "start",
}
_HELP: dict[Purpose, str] = {
    "restore": (
        "Without labels, a U-Net learns to take the noise out of your images. It is "
        "kept if it is better than a Gaussian filter and non-local means."
    ),
    "start": (
        "Without labels, a network learns what your images look like, and a U-Net of "
        "classes starts from it. Recommended instead: New model… from general. With as "
        "many strokes it gave the better mask wherever both were measured."
    ),
}
_ENDINGS: dict[Purpose, str] = {"restore": "denoiser", "start": "pretrained"}
"""Of the names of new models."""
_NEXT: dict[Purpose, str] = {
    "restore": "Press Denoise in step 1.",
    "start": "Start a new U-Net from it in step 1.",
}


class PretrainSection(TrainingSection):
    """Time, settings, Pretrain and Stop, the curve; hidden until it is opened.

    Parameters
    ----------
    viewer
        Whose image layers are learned from.
    workspace
        Has the chosen image, and gets the new model.
    form
        Has the meaning of the axes of the chosen image, and which layers are results.
    """

    def __init__(
        self, viewer: ViewerModel, workspace: Workspace, form: PredictionForm
    ) -> None:
        super().__init__(
            "Pretrain without labels",
            "A model learns from images without labels.",
            workspace,
            activity="pretrain",
            theme=viewer.theme,
            score="loss",
        )
        self._viewer = viewer
        self._form = form
        self._made: ModelInfo | None = None
        self._make_settings()
        self._make_buttons()
        # Not with the layer alone: the form chooses the axes that fit it afterwards.
        form.changed.connect(self._show_others)
        self._on_activity_changed()
        self.setVisible(False)

    def _make_settings(self) -> None:
        self.help_text = TextLine()
        self.purpose = ComboBox(choices=list(_PURPOSES), value=next(iter(_PURPOSES)))
        self.minutes = FloatSpinBox(value=5.0, min=0.1, max=1440.0, step=0.5)
        fields = rows()
        add_row(fields, "Purpose", self.purpose.native, "What the model is for.")
        add_row(
            fields,
            "Minutes",
            self.minutes.native,
            "Longest time to learn. Stop ends it earlier and keeps the best model.",
        )
        self.content.addLayout(fields)
        self.content.addWidget(self.help_text)
        self.others = CheckBox(value=True, text="Other open images like it too")
        self.others.native.setToolTip(
            "Learn from all open images that have as many channels."
        )
        self.content.addWidget(self.others.native)
        self.settings = config_form(PretrainConfig, leave_out=("minutes", "device"))
        advanced = Section("Advanced settings", "How it learns.", expanded=False)
        advanced.content.addWidget(self.settings.native)
        self.content.addWidget(advanced)
        self.purpose.changed.connect(self._on_purpose_changed)
        self._set_usual_settings()

    def _on_purpose_changed(self) -> None:
        self._set_usual_settings()
        self._show_others()

    def _set_usual_settings(self) -> None:
        """Set what suits the purpose; minutes and device stay as they were chosen."""
        usual = usual_settings(self.chosen_purpose)
        for name in "crop", "batch", "learning_rate":
            self.settings[name].value = usual[name]

    @property
    def chosen_purpose(self) -> Purpose:
        """What the next model is for."""
        return _PURPOSES[self.purpose.value]

    def _make_buttons(self) -> None:
        self.pretrain = make_primary(
            button("Pretrain", "Learn from the pixels of the image alone.", self.start)
        )
        cancel = button("Stop", "End now and keep the best model.", self.stop)
        self._add_controls(self.pretrain, cancel)
        self.content.addWidget(self.save_again)
        self.content.addWidget(self.curve)
        self.close_button = button(
            "Close", "Put this part away again.", lambda: self.setVisible(False)
        )
        self.content.addWidget(self.close_button)

    def open(self) -> None:
        """Show the section."""
        self.setVisible(True)
        self._show_others()

    def start(self) -> None:
        """Learn from the chosen image, unless something is running."""
        if self._workspace.busy or not self.try_saving():
            return
        try:
            order = self._make_order()
        except EngineError as error:
            show_warning(str(error))
            return
        self._train(
            partial(pretrain_run, order, self._workspace),
            description=f"A model is being pretrained on {order.images[0].name}",
            on_result=self._on_result,
        )

    @property
    def config(self) -> PretrainConfig:
        """The settings of the form."""
        self.settings["minutes"].value = self.minutes.value
        self.settings["device"].value = self._workspace.device
        config: PretrainConfig = self.settings()
        return config

    def _make_order(self) -> PretrainingOrder:
        image, _ = self._form.chosen_image()
        others = self._others(image) if self.others.value else ()
        images = (image, *others)
        return PretrainingOrder(
            name=f"{file_name(image.name)}-{_ENDINGS[self.chosen_purpose]}",
            spec=start_spec(self.chosen_purpose, images),
            images=images,
            config=self.config,
        )

    def _others(self, image: Image) -> tuple[Image, ...]:
        """Return the other open images that have as many channels."""
        found = []
        for layer in self._form.layers():
            if layer is not self._workspace.layer:
                working_image = self._workspace.working_image_of(layer)
                layout = (
                    working_image.layout
                    if working_image
                    else layouts_of(layer, image.channels)[0]
                )
                found.append(image_of(layer, layout))
        return tuple(
            other
            for other in found
            if (other.channels, other.rgb) == (image.channels, image.rgb)
        )

    def _on_result(self, trained: Trained) -> None:
        result, self._made = trained.result, trained.model
        if trained.unsaved is not None:
            self._keep(trained.unsaved)
            return
        if trained.model is None:
            notes = " ".join(result.notes)
            # What was learned may be worse than a filter.
            what = "Not kept" if result.after.step else "Nothing learned"
            text = f"{what} after {result.steps} steps. {notes}"
            self.text.setText(text)
            show_warning(text)
            return
        text = self._describe_result(result, trained.model.name)
        purpose: Purpose = "restore" if trained.model.spec.restores else "start"
        then = _NEXT[purpose]
        self.text.setText(f"{text} {then}")
        show_info(f"The new model {trained.model.name} is chosen in step 1. {then}")

    def _on_finished(self) -> None:
        super()._on_finished()
        made, self._made = self._made, None
        if made is not None:
            self._workspace.refresh_models(choose=made.name)

    def _on_activity_changed(self) -> None:
        super()._on_activity_changed()
        enable(self.pretrain, self._workspace.why_busy or self._workspace.why_training)

    def _enable_inputs(self, enabled: bool) -> None:
        why = "" if enabled else self._workspace.why_busy
        for part in (self.minutes, self.others, self.purpose, self.settings):
            enable(part.native, why)
        enable(self.close_button, why)

    def _show_others(self) -> None:
        """Show what is learned from."""
        try:
            image, _ = self._form.chosen_image()
            others = self._others(image)
        except EngineError:
            self.help_text.setText(_HELP[self.chosen_purpose])
            self.others.native.setVisible(False)
            return
        text = _HELP[self.chosen_purpose]
        if self.chosen_purpose == "restore":
            text += _describe_slices(start_spec("restore", [image]).slices)
        self.help_text.setText(f"{text} Learns from {image.name}.")
        self.others.native.setVisible(bool(others))


def _describe_slices(slices: int) -> str:
    if slices == 1:
        return ""
    return f" Each slice is restored from {slices} neighbouring ones."

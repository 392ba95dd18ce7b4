"""Step 3 of the dock: the model learns from what was touched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from napari.utils.notifications import show_info, show_warning

from napari_unet.jobs.training import TrainingOrder, name_for, train_run
from napari_unet.jobs.training_data import AddedLabels, LabelsRead
from napari_unet.state.activities import TRAINING
from napari_unet.state.model_so_far import ModelSoFar
from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.steps.finetune.better_model import BetterModel
from napari_unet.steps.finetune.labelled_layers import PairsSection
from napari_unet.steps.finetune.new_strokes import (
    NewStrokes,
    painted_image,
    related_painted,
)
from napari_unet.steps.finetune.settings import TrainingSettings
from napari_unet.steps.run_texts import texts_of_training
from napari_unet.viewer.conversion import full_data, image_of
from napari_unet.widgets.buttons import button, make_primary
from napari_unet.widgets.copy_button import CopyButton
from napari_unet.widgets.forms import TextLine
from napari_unet.widgets.job_section import TrainingSection
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import DataError, EngineError
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import DataChanged, Validation
from unet_engine.training.score_line import describe_scores

if TYPE_CHECKING:
    from magicgui.widgets.bases import ValueWidget
    from napari.components import ViewerModel

    from napari_unet.jobs.job import Job
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.workspace import Workspace
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.scripting import RunTexts
    from unet_engine.training.events import FineTuned
    from unet_engine.training.saving import Trained


_FINE_TUNE = (
    "Train a copy of the model on what you touched, until it no longer gains. Paint on "
    "meanwhile, with Live too. The old model stays."
)
_TRAIN = "Train the new model on what you touched, until it no longer gains."
_OTHERS = (
    "Learn from all images with strokes of these classes, opened or not, each with "
    "the same weight: those in the folders of the open ones, and those that this model "
    "or one that it was tuned from learned from."
)
_STOPPING = "It is stopping."
_STOP = ("Stop", "End the training now and keep the best model.")


_NOT_SHOWN = ("device", "processes")
"""Settings without a row: the device is that of the dock, and processes are for
machines with several GPUs, by the command line."""


class FineTuneSection(TrainingSection):
    """More data, settings, a button that starts and stops, the curve.

    Parameters
    ----------
    viewer
        Whose layers are offered as more training data.
    workspace
        Has the model and what was touched, and gets the new model.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace) -> None:
        super().__init__(
            "3  Fine-tune",
            "The model learns from what you touched.",
            workspace,
            activity=TRAINING,
            theme=viewer.theme,
            score="mask_iou",
        )
        self._viewer = viewer
        self._name = ""
        self._wanted: ModelInfo | None = None
        self._unsaved_of: Model | None = None
        self._make_settings()
        self._make_buttons()
        workspace.classes_changed.connect(self._follow_model)
        workspace.layer_changed.connect(self._show_others)
        workspace.touched_changed.connect(self._show_others)
        workspace.classes_changed.connect(self._show_others)
        workspace.related.changed.connect(self._show_others)
        self._on_activity_changed()
        self._show_others()
        self._follow_model()

    def _make_settings(self) -> None:
        self.others = CheckBox(value=True, text="")
        self.others.native.setToolTip(_OTHERS)
        self.content.addWidget(self.others.native)
        self.left_out = TextLine()
        self.content.addWidget(self.left_out)
        self.pairs = PairsSection(self._viewer, self._workspace)
        self.content.addWidget(self.pairs)
        self.advanced = TrainingSettings(FineTuneConfig, leave_out=_NOT_SHOWN)
        self.settings = self.advanced.form
        self.copy = CopyButton(self._texts)
        self.copy.message.connect(lambda text: self.text.setText(text))
        self.advanced.content.addWidget(self.copy)
        self.content.addWidget(self.advanced)

    def _make_buttons(self) -> None:
        self.train = make_primary(button("Fine-tune", _FINE_TUNE, self.start_or_stop))
        self.better = BetterModel(self._workspace)
        self.content.addWidget(self.better)
        self._add_controls(self.train, self.train)
        self.strokes = NewStrokes(self._workspace, self)
        self.content.addWidget(self.strokes.text)
        self.content.addWidget(self.save_again)
        self.content.addWidget(self.curve)

    @property
    def fields(self) -> dict[str, ValueWidget]:
        """The controls whose values are kept with a list of images, by name."""
        shown = {w.name: w for w in self.settings if w.name not in _NOT_SHOWN}
        return {**shown, "shows_better": self.better.by_itself}

    def _texts(self) -> RunTexts:
        return texts_of_training(
            self._workspace, self.config, others=bool(self.others.value)
        )

    def start_or_stop(self) -> None:
        """Train; or end the training, and keep the best model."""
        if self.running:
            self.stop()
        else:
            self.start()

    def start(self) -> None:
        """Train, unless a model is trained or there is nothing to learn from."""
        if self.running or self._why_not_start or not self.try_saving():
            return
        if not self._workspace.model_is_there():
            return
        try:
            order = self._make_order()
        except EngineError as error:
            show_warning(str(error))
            return
        self._name = name_for(order.model)
        self.better.withdraw()
        self.strokes.follow(order, others=self.others.value)
        self._train(
            partial(train_run, order, self._workspace),
            description=f"{order.model.name} is being fine-tuned",
            on_result=partial(self._on_result, order),
        )

    @property
    def config(self) -> FineTuneConfig:
        """The settings of the form."""
        self.settings["device"].value = self._workspace.device
        config: FineTuneConfig = self.settings()
        return config

    def _make_order(self) -> TrainingOrder:
        workspace = self._workspace
        if workspace.model is None:
            raise DataError(
                "there is no model to tune; make a new one or open a file in the … "
                "menu of step 1"
            )
        if not workspace.model.spec.classes:
            raise DataError(
                f"{workspace.model.name} takes noise away and has no classes to learn; "
                "start a new U-Net from it with the button in step 1"
            )
        touched = workspace.touched_working_images(others=self.others.value)
        labelled = tuple(
            AddedLabels(
                image=image_of(pair.image, pair.layout),
                labels=full_data(pair.labels),
                label_values=pair.label_values,
                unlabelled=pair.unlabelled,
            )
            for pair in workspace.pairs
        )
        workspace.check_painted()
        painted = [painted_image(one, workspace.classes) for one in touched]
        related = related_painted(workspace) if self.others.value else []
        if not labelled and not related:
            _check_classes(touched, workspace.classes)
        return TrainingOrder(
            model=workspace.model,
            classes=workspace.classes,
            touched=Latest([*painted, *related]),
            labelled=labelled,
            config=self.config,
        )

    def _on_events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, LabelsRead):
                self.pairs.meaning.setText(event.line)
            elif isinstance(event, DataChanged):
                self.strokes.confirm(event)
        super()._on_events(events)
        better = [e for e in events if isinstance(e, Validation) and e.checkpoint]
        if better:
            self._offer(better[-1])

    def _offer(self, validation: Validation) -> None:
        """Offer the best model so far, which the user may show while it learns on."""
        if validation.checkpoint is not None:
            self.better.offer(
                ModelSoFar(name=self._name, checkpoint=validation.checkpoint),
                f"Better after {validation.step} steps: "
                f"{self._change(self._evaluations[0], validation)}.",
            )

    def _on_result(self, order: TrainingOrder, trained: Trained) -> None:
        self.better.withdraw()
        result = trained.result
        notes = " ".join(result.notes)
        if trained.unsaved is not None:
            self._unsaved_of = order.model
            self._keep(trained.unsaved)
            return
        if trained.model is None:
            text = (
                f"Nothing learned after {result.steps} steps of the classes "
                f"{', '.join(order.classes)}: the mask stays as it is. {notes}"
            )
            self.text.setText(text)
            show_warning(text)
            return
        self._workspace.drop_untrained(order.model)
        self._take(order.model.name, result, trained.model)

    def _on_saved(self, model: ModelInfo) -> None:
        if self._unsaved_of is not None:
            self._workspace.drop_untrained(self._unsaved_of)
        super()._on_saved(model)

    def _take(self, old: str, result: FineTuned, model: ModelInfo) -> None:
        """Choose the new model and predict with it, unless it forgot too much."""
        new = model.name
        text = self._describe_result(result, new)
        if result.forgetting is not None and result.forgetting.forgot:
            text = f"{text} {old} stays chosen; {new} is in the list of step 1."
            show_warning(text)
            self._workspace.refresh_models()
        else:
            # The image may have been deleted since; another one is not predicted.
            there = self._layer is not None and self._layer is self._workspace.layer
            there = there and not self._workspace.closing
            chosen = self._workspace.model
            if chosen is not None and chosen.name != old:
                show_info(f"The new model {new} is in the list of step 1.")
                self._workspace.refresh_models()
            else:
                shows = there and self.better.by_itself.value
                shows = shows and not self._workspace.activity
                predicts = "predicts now" if shows else "is chosen"
                show_info(f"The new model {new} {predicts}.")
                self._workspace.refresh_models(choose=new)
                if shows:
                    self._wanted = model
                elif there:
                    self.better.offer(model, f"{new} is better. The mask stays.")
        self.text.setText(text)

    def _describe_result(self, result: FineTuned, name: str) -> str:
        scores = describe_scores(
            result.score_before, result.score_after, result.checkpoint.spec.classes
        )
        if not scores:
            return super()._describe_result(result, name)
        # Of step 0 is a model whose network was no better in any step.
        steps = f" after {result.after.step} steps" if result.after.step else ""
        return " ".join([f"Saved as {name}{steps}.", scores, *result.notes])

    def _on_finished(self) -> None:
        super()._on_finished()
        self.strokes.follow(None)
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            self._workspace.prediction_wanted.emit(wanted)

    def _end_without_layer(self, job: Job) -> None:
        # As long as there are other images it goes on with those.
        if self.strokes.images:
            self._lost = ""
        else:
            super()._end_without_layer(job)

    def _enable_inputs(self, enabled: bool) -> None:
        why = "" if enabled else self._workspace.why_training
        for part in (self.others.native, self.settings.native, self.pairs):
            enable(part, why)

    def _follow_model(self) -> None:
        """Take the settings of the paper of a network, and name the button by it."""
        model = self._workspace.model
        if model is not None and model.spec.classes:
            transfer = (
                model.transfers if isinstance(model, UntrainedModel) else model.trained
            )
            self.advanced.follow(model.spec.architecture, transfer=transfer)
        self._show_button()

    @property
    def _why_not_start(self) -> str:
        """Why the model cannot learn, or must wait for what another run learns."""
        model = self._workspace.model
        if model is not None and model.spec.imported is not None:
            return (
                f"{model.name} is a network of another program: it predicts, and "
                "cannot be fine-tuned. Choose another model in step 1."
            )
        waits = self._workspace.activity == "pretrain"
        return self._workspace.why_busy if waits else ""

    def _on_activity_changed(self) -> None:
        self._enable_inputs(not self._workspace.training)
        self._show_button()

    def _show_button(self) -> None:
        """Show what the button does now."""
        text, tooltip = "Fine-tune", _FINE_TUNE
        if isinstance(self._workspace.model, UntrainedModel):
            tooltip = _TRAIN
        training = self._workspace.training
        if training:
            text, tooltip = _STOP
        self.train.setText(text)
        explain(self.train, tooltip)
        stopping = _STOPPING if self.stopping else ""
        enable(self.train, stopping if training else self._why_not_start)

    def _show_others(self) -> None:
        here = self._workspace.touched_working_images(others=False)
        everywhere = self._workspace.touched_working_images(others=True)
        closed = len(self._workspace.related.images)
        self.others.native.setVisible(len(everywhere) > len(here) or closed > 0)
        self.others.text = describe_images(len(everywhere), closed)
        reasons = (*self._workspace.left_out(), *self._workspace.related.left_out)
        self.left_out.setText(" ".join(f"Not learned from: {why}." for why in reasons))


def describe_images(opened: int, closed: int) -> str:
    """Return how many images are learned from, for the switch."""
    if opened + closed == 1:
        return f"1 image with strokes{', not open' if closed else ''}"
    beside = f", {closed} of them not open" if closed else " with strokes"
    return f"All {opened + closed} images{beside}"


def _check_classes(touched: Any, classes: tuple[str, ...]) -> None:
    """Check that there are strokes of two classes."""
    counts = {name for working_image in touched for name in working_image.painted}
    if not counts:
        raise DataError(
            "nothing is touched yet; paint a stroke of at least two classes on the "
            f"mask, such as {classes[0]} and {classes[1]}"
        )
    if len(counts) < 2 and not any(one.corrected_objects.count() for one in touched):
        (name,) = counts
        raise DataError(
            f"only {name!r} is touched so far; paint at least one stroke of another "
            "class too, so that the model can learn the difference"
        )

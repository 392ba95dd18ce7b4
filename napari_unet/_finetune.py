"""Step 3 of the dock: the model learns from what was touched."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, FloatSpinBox
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtWidgets import QHBoxLayout, QProgressBar

from napari_unet._curve import Curve
from napari_unet._forms import (
    Section,
    TextLine,
    add_row,
    button,
    config_form,
    minutes_seconds,
    rows,
)
from napari_unet._jobs import Job, describe_error, run
from napari_unet._layers import full_data, image_of
from napari_unet._pairs import PairsSection
from napari_unet._runs import Trained, TrainingOrder, train_run
from napari_unet._training_data import LabelledImage
from unet_engine.config import FineTuneConfig
from unet_engine.errors import DataError, EngineError
from unet_engine.events import Step, Validation

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_unet._workspace import Workspace


class FineTuneSection(Section):
    """Time, more data, settings, Fine-tune and Stop, the curve.

    Parameters
    ----------
    viewer
        Whose layers are offered as more training data.
    workspace
        Knows the model and what was touched, and gets the new model.
    """

    def __init__(self, viewer: ViewerModel, workspace: Workspace) -> None:
        super().__init__("3  Fine-tune", "The model learns from what you touched.")
        self._viewer = viewer
        self._workspace = workspace
        self._job: Job | None = None
        self._layer: Any = None
        self._looks: list[Validation] = []
        self._refresh_wanted = False
        self._make_settings()
        self._make_buttons()
        workspace.activity_changed.connect(self._on_activity_changed)
        workspace.layer_lost.connect(self._on_layer_lost)
        workspace.layer_changed.connect(self._show_others)
        workspace.touched_changed.connect(self._show_others)
        self._on_activity_changed()
        self._show_others()

    def _make_settings(self) -> None:
        self.minutes = FloatSpinBox(value=2.0, min=0.1, max=1440.0, step=0.5)
        form = rows()
        add_row(
            form,
            "Minutes",
            self.minutes.native,
            "Longest time to train. Stop ends it earlier and keeps the best model.",
        )
        self.content.addLayout(form)
        self.others = CheckBox(value=True, text="Other corrected images too")
        self.others.native.setToolTip(
            "Train on what you touched in the other images as well, so that the model "
            "does not forget them."
        )
        self.content.addWidget(self.others.native)
        self.pairs = PairsSection(self._viewer, self._workspace)
        self.content.addWidget(self.pairs)
        self.settings = config_form(FineTuneConfig, leave_out=("minutes", "device"))
        self.advanced = Section(
            "Advanced settings", "How the training runs.", expanded=False
        )
        self.advanced.content.addWidget(self.settings.native)
        self.content.addWidget(self.advanced)

    def _make_buttons(self) -> None:
        self.train = button(
            "Fine-tune",
            "Train a copy of the model on what you touched, and predict again with it. "
            "The old model stays.",
            self.start,
        )
        self.cancel = button("Stop", "End now and keep the best model.", self.stop)
        line = QHBoxLayout()
        line.addWidget(self.train, 2)
        line.addWidget(self.cancel, 1)
        self.progress = QProgressBar()
        self.progress.setToolTip("Time used")
        self.progress.setVisible(False)
        self.curve = Curve(self._viewer.theme)
        self.curve.setVisible(False)
        self.text = TextLine()
        self.content.addLayout(line)
        self.content.addWidget(self.progress)
        self.content.addWidget(self.text)
        self.content.addWidget(self.curve)

    def start(self) -> None:
        """Train, unless something is running or there is nothing to learn from."""
        if self._workspace.activity:
            return
        try:
            order = self._make_order()
        except EngineError as error:
            show_warning(str(error))
            return
        self._layer, self._looks = self._workspace.layer, []
        self.curve.clear()
        self.curve.setVisible(True)
        self.progress.setRange(0, 0)
        self.progress.setVisible(True)
        self.text.setText("Preparing…")
        self._workspace.begin("train")
        self._job = run(
            partial(train_run, order, self._workspace),
            title=f"U-Net fine-tunes {order.model.name}",
            parent=self,
            on_events=self._on_events,
            on_result=self._on_result,
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def stop(self) -> None:
        """End the training; the best model is kept."""
        if self._job is not None:
            self._job.stop()
            self.cancel.setEnabled(False)
            self.text.setText("Stopping…")

    @property
    def config(self) -> FineTuneConfig:
        """What the form says."""
        self.settings["minutes"].value = self.minutes.value
        self.settings["device"].value = self._workspace.device
        config: FineTuneConfig = self.settings()
        return config

    def _make_order(self) -> TrainingOrder:
        workspace = self._workspace
        if workspace.model is None:
            raise DataError(
                "there is no model to tune; open a model file in step 1, Predict"
            )
        touched = workspace.touched_subjects(others=self.others.value)
        labelled = tuple(
            LabelledImage(
                image=image_of(pair.image, pair.layout),
                labels=full_data(pair.labels),
                instances=pair.instances,
            )
            for pair in workspace.pairs
        )
        if not labelled:
            _check_classes(touched, workspace.classes)
        return TrainingOrder(
            model=workspace.model,
            classes=workspace.classes,
            touched=tuple((s, s.annotations.copy()) for s in touched),
            labelled=labelled,
            config=self.config,
        )

    def _on_events(self, events: list[Step | Validation]) -> None:
        self.curve.add(events)
        self._looks += [event for event in events if isinstance(event, Validation)]
        steps = [event for event in events if isinstance(event, Step)]
        if steps and self._job is not None and not self._job.stopping:
            self._show_progress(steps[-1])

    def _show_progress(self, step: Step) -> None:
        left = step.seconds_left
        parts = [f"Step {step.step}"]
        if left is not None:
            total = step.seconds + left
            self.progress.setRange(0, max(1, round(total)))
            self.progress.setValue(round(step.seconds))
            assert self._job is not None
            self._job.show_progress(round(step.seconds), max(1, round(total)))
            parts.append(f"{minutes_seconds(left)} left")
        if self._looks:
            best = max(look.iou for look in self._looks if look.best)
            parts.append(f"IoU {self._looks[0].iou:.2f} → {best:.2f}")
        self.text.setText(" · ".join(parts))

    def _on_result(self, trained: Trained) -> None:
        result = trained.result
        notes = " ".join(result.notes)
        if trained.model is None:
            text = f"Nothing learned after {result.steps} steps. {notes}"
            self.text.setText(text)
            show_warning(text)
            return
        self.text.setText(
            f"Saved as {trained.model.name}: IoU {result.before.iou:.2f} → "
            f"{result.after.iou:.2f} after {result.after.step} steps. {notes}"
        )
        show_info(f"The new model {trained.model.name} predicts now.")
        self._workspace.refresh_models(choose=trained.model.name)
        self._refresh_wanted = True

    def _on_error(self, error: Exception) -> None:
        self.text.setText(f"Failed: {error}")
        show_error(describe_error(error))

    def _on_finished(self) -> None:
        self._job = self._layer = None
        self.progress.setVisible(False)
        if self.text.text() in ("Preparing…", "Stopping…"):
            self.text.setText("Stopped.")
        self._workspace.end()
        if self._refresh_wanted:
            self._refresh_wanted = False
            self._workspace.prediction_wanted.emit()

    def _on_layer_lost(self, layer: Any) -> None:
        # What was read of it is still true, so the best model so far is worth keeping.
        if layer is self._layer:
            self.stop()

    def _on_activity_changed(self) -> None:
        activity = self._workspace.activity
        self.train.setEnabled(not activity)
        self.minutes.enabled = self.others.enabled = not activity
        self.settings.enabled = not activity
        self.pairs.setEnabled(not activity)
        self.cancel.setEnabled(activity == "train")

    def _show_others(self) -> None:
        here = self._workspace.touched_subjects(others=False)
        everywhere = self._workspace.touched_subjects(others=True)
        self.others.native.setVisible(len(everywhere) > len(here))

    def follow_theme(self, *_: Any) -> None:
        """Give the curve the colours of napari's theme."""
        self.curve.set_theme(self._viewer.theme)


def _check_classes(touched: Any, classes: tuple[str, ...]) -> None:
    """Check that there is something to tell apart."""
    counts: dict[int, int] = {}
    for subject in touched:
        counts |= subject.counts
    if not counts:
        raise DataError(
            "nothing is touched yet; paint a stroke of at least two classes on the "
            f"mask, such as {classes[0]} and {classes[1]}"
        )
    if len(counts) < 2:
        (only,) = counts
        name = classes[only] if only < len(classes) else only
        raise DataError(
            f"only {name!r} is touched so far; paint at least one stroke of another "
            "class too, so that the model can tell them apart"
        )

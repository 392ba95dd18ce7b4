"""Sections of the dock that run a job: how it is started, followed and ended."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import Signal

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import ProgressLine, Section, TextLine, minutes_seconds
from napari_unet.widgets.tooltips import enable
from napari_unet.widgets.training_curve import Curve
from unet_engine.errors import EngineError
from unet_engine.training.events import (
    DataChanged,
    Preparing,
    Saving,
    Step,
    Validation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from qtpy.QtWidgets import QPushButton

    from napari_unet.state.workspace import Workspace
    from napari_unet.widgets.training_curve import Score
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop
    from unet_engine.training.events import FineTuned, TrainingEvent
    from unet_engine.training.saving import Unsaved

_SAVING = "Saving the best model…"
_STOPPING = "It is stopping."
_NOTHING_RUNS = "Nothing that it could end is running."
_OPEN = "until it no longer gains"
_PASSING = ("Preparing…", "Stopping…", _SAVING)


class JobSection(Section):
    """A section with a button that starts a run, one that ends it, and progress.

    Parameters
    ----------
    title, tooltip
        Of the bar that folds the section.
    workspace
        Its ``activity`` is set while the run lasts; only one runs at a time.
    activity
        Name of the run there.
    expanded
        Whether the section starts open.
    """

    def __init__(
        self,
        title: str,
        tooltip: str,
        workspace: Workspace,
        *,
        activity: str,
        expanded: bool = True,
    ) -> None:
        super().__init__(title, tooltip, expanded=expanded)
        self._workspace = workspace
        self._activity = activity
        self._by_user = True
        self._job: Job | None = None
        self._layer: Any = None
        self._lost = ""
        self.progress = ProgressLine()
        self.progress.setVisible(False)
        self.text = TextLine()

    def _add_controls(self, start: QPushButton, cancel: QPushButton) -> None:
        """Lay out both buttons, or one that is both, progress and the line of text."""
        self._start_button, self.cancel = start, cancel
        if cancel is start:
            self.content.addWidget(start)
        else:
            self.content.addWidget(SideBySide((start, 2), (cancel, 1)))
        self.content.addWidget(self.progress)
        self.content.addWidget(self.text)
        self._workspace.activity_changed.connect(self._on_activity_changed)
        self._workspace.layer_lost.connect(self._on_layer_lost)

    def _launch(
        self,
        target: Callable[[Stop], Generator[Any, None, Any]],
        *,
        layer: Any,
        on_events: Callable[[list[Any]], None],
        on_result: Callable[[Any], None],
    ) -> None:
        """Run ``target``; without the image layer ``layer`` it is pointless."""
        self._layer, self._lost = layer, ""
        self._workspace.begin(self._activity)
        self._workspace.work_begun.emit(layer, self._activity, self._by_user)
        # Empty, not busy: see `ProgressLine`.
        self.progress.show_share(0, 1)
        self.progress.setVisible(True)
        self.text.setText("Preparing…")
        self._job = run(
            target,
            parent=self,
            hold=self._must_wait,
            on_events=on_events,
            on_result=on_result,
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _must_wait(self) -> bool:
        """Whether events wait: no tile is shown during a stroke."""
        return self._workspace.painting()

    def stop(self) -> None:
        """End the run; what it has so far is kept."""
        if self._job is not None:
            self._job.stop()
            enable(self.cancel, _STOPPING)
            self.text.setText("Stopping…")

    def _show_progress(self, done: int, total: int, text: str) -> None:
        """Show how far the run is."""
        if self._job is None or not total:
            return
        self.progress.show_share(done, total)
        if not self._job.stopping:
            self.text.setText(text)

    def _on_error(self, error: Exception) -> None:
        self.text.setText(f"Failed: {describe_error(error)}")
        show_error(describe_error(error))

    def _on_finished(self) -> None:
        self._job = self._layer = None
        self.progress.setVisible(False)
        self._show_end()
        self._workspace.end(self._activity)

    def _show_end(self) -> None:
        """Show that the run was stopped, and why if it was not by a button."""
        text = self.text.text()
        passing = text in _PASSING
        if self._lost:
            stopped = f"Stopped: {self._lost}."
            self.text.setText(stopped if passing else f"{stopped} {text}")
        elif passing:
            self.text.setText("Stopped.")

    def _on_activity_changed(self) -> None:
        activity = self._workspace.activity
        enable(self._start_button, self._workspace.why_busy)
        enable(self.cancel, "" if activity == self._activity else _NOTHING_RUNS)
        self._enable_inputs(not activity)

    def _on_layer_lost(self, layer: Any, why: str) -> None:
        if self._job is not None and layer is self._layer:
            self._lost = why
            self._end_without_layer(self._job)
            if self._job.stopping:
                self.text.setText("Stopping…")

    def _enable_inputs(self, enabled: bool) -> None:
        """Let what the run reads be changed, or not."""

    def _end_without_layer(self, job: Job) -> None:
        """End a run whose image layer is gone."""
        job.discard()


class TrainingSection(JobSection):
    """A section that trains: the curve, and the time that is left.

    Parameters
    ----------
    title, tooltip, workspace, activity
        As of a `JobSection`.
    theme
        Name of napari's theme.
    score
        By which the best model is found.

    Attributes
    ----------
    begun
        A training began, and the section has grown by its curve.
    """

    begun = Signal()

    def __init__(
        self,
        title: str,
        tooltip: str,
        workspace: Workspace,
        *,
        activity: str,
        theme: str,
        score: Score,
    ) -> None:
        super().__init__(title, tooltip, workspace, activity=activity)
        self._score: Score = score
        self._evaluations: list[Validation] = []
        self._description = ""
        self._closing_now = False
        self.progress.setToolTip("Time used")
        self.curve = Curve(theme, score)
        self.curve.setVisible(False)
        self._unsaved: Unsaved | None = None
        self.save_again = button(
            "Save again",
            "Save the trained model among your models, now that this is possible.",
            self.try_saving,
        )
        self.save_again.setVisible(False)
        workspace.saving_wanted.connect(self._try_again)

    def _train(
        self,
        target: Callable[[Stop], Generator[Any, None, Any]],
        *,
        description: str,
        on_result: Callable[[Any], None],
    ) -> None:
        """Run a training on the chosen layer, with a curve of its own.

        ``description`` is what the question shows when napari is closed meanwhile.
        """
        self._description, self._closing_now = description, False
        self._evaluations = []
        self.curve.clear()
        self.curve.setVisible(True)
        self._launch(
            target,
            layer=self._workspace.layer,
            on_events=self._on_events,
            on_result=on_result,
        )
        self.begun.emit()

    @property
    def running(self) -> bool:
        """Whether a model is being trained."""
        return self._job is not None

    @property
    def stopping(self) -> bool:
        """Whether a model is being trained no longer, and is about to be saved."""
        return self._job is not None and self._job.stopping

    @property
    def unsaved(self) -> bool:
        """Whether there is a model that could not be saved."""
        return self._unsaved is not None

    @property
    def is_better(self) -> bool:
        """Whether the training has found a better model than its start so far."""
        return any(each.best and each.step for each in self._evaluations)

    @property
    def would_be_lost(self) -> bool:
        """Whether a model is lost, or cut short, when napari is closed."""
        if self._closing_now:
            return False
        return self.running or (
            self._unsaved is not None and self._unsaved.place is None
        )

    @property
    def what_is_lost(self) -> str:
        """What would be lost, in a sentence."""
        if self._unsaved is not None and not self.running:
            return f"The model {self._unsaved.name} could not be saved."
        return f"{self._description}."

    def keep_best(self) -> None:
        """End the training and save the best model; or one that could not be saved."""
        self._workspace.closing = True
        if self.running:
            self.stop()
        else:
            self.try_saving()

    def close_at_once(self) -> None:
        """Close napari without waiting; the thread still saves the best model."""
        self._closing_now = True

    def abandon(self) -> None:
        """End the training without saving anything."""
        self._closing_now = True
        self._unsaved = None
        if self._job is not None:
            self._job.abandon()

    def _keep(self, unsaved: Unsaved) -> None:
        """Keep a model that could not be saved, and show where it is."""
        self._unsaved = unsaved
        place = unsaved.place
        where = (
            f"The trained model is kept in {place} meanwhile"
            if place
            else "The trained model is kept in memory, until napari is closed"
        )
        text = (
            f"{unsaved.reason.rstrip('.')}. {where}: press Save again when that is "
            "mended."
        )
        self.text.setText(text)
        self.save_again.setVisible(True)
        show_warning(text)

    def try_saving(self) -> bool:
        """Save the model that could not be saved; return whether there is none left."""
        unsaved = self._unsaved
        if unsaved is None:
            return True
        try:
            info = unsaved.save(self._workspace.store)
        except (EngineError, OSError) as error:
            self._keep(replace(unsaved, reason=str(error)))
            return False
        self._unsaved = None
        self.save_again.setVisible(False)
        self.text.setText(f"Saved as {info.name}.")
        self._on_saved(info)
        return True

    def _try_again(self) -> None:
        if not self._workspace.activity:
            self.try_saving()

    def _on_saved(self, model: ModelInfo) -> None:
        """Choose a model that was saved at last."""
        self._workspace.refresh_models(choose=model.name)

    def _on_events(self, events: list[TrainingEvent | Saving]) -> None:
        learning: list[Step | Validation] = []
        for event in events:
            if isinstance(event, Step | Validation):
                learning.append(event)
            elif isinstance(event, DataChanged):
                self._show_learning(learning)
                learning = []
                # What was measured on what was held out before cannot be compared.
                self._evaluations = [
                    event.before,
                    *([event.best] if event.best else []),
                ]
            elif isinstance(event, Preparing):
                text = f"{event.what[:1].upper()}{event.what[1:]}…"
                self._show_progress(event.done, event.total, text)
            elif isinstance(event, Saving):
                self.text.setText(_SAVING)
        self._show_learning(learning)

    def _show_learning(self, events: list[Step | Validation]) -> None:
        if not events:
            return
        # Kept to the end of the session: without the weights.
        events = [
            replace(event, checkpoint=None) if isinstance(event, Validation) else event
            for event in events
        ]
        self.curve.add(events)
        self._evaluations += [
            event for event in events if isinstance(event, Validation)
        ]
        steps = [event for event in events if isinstance(event, Step)]
        if steps:
            self._show_step(steps[-1])

    def _show_step(self, step: Step) -> None:
        left = step.seconds_left
        parts = [f"Step {step.step}"]
        parts.append(_OPEN if left is None else f"{minutes_seconds(left)} left")
        if self._evaluations:
            best = [each for each in self._evaluations if each.best][-1:]
            parts += [self._change(self._evaluations[0], each) for each in best]
        done, total = 0, 1
        if left is not None:
            done, total = round(step.seconds), max(1, round(step.seconds + left))
        self._show_progress(done, total, " · ".join(parts))

    def _change(self, before: Validation, after: Validation) -> str:
        name = "IoU" if after.expected_iou is None else "expected IoU"
        old, new = before.mask_iou, after.mask_iou
        if self._score == "loss" or isnan(old) or isnan(new):
            name, old, new = "loss", before.loss, after.loss
        return f"{name} {old:.2f} → {new:.2f}"

    def _describe_result(self, result: FineTuned, name: str) -> str:
        change = self._change(result.before, result.after)
        line = f"Saved as {name}: {change} after {result.after.step} steps."
        return " ".join([line, *result.notes])

    def _end_without_layer(self, job: Job) -> None:
        # What was read of it is still true, so the best model so far is worth keeping.
        self._layer = None
        self.stop()

    def follow_theme(self, theme: str) -> None:
        """Give the curve the colours of one of napari's themes."""
        self.curve.set_theme(theme)

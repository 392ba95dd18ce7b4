"""The window of a batch: what is to be done, how far it is, what came out."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QCheckBox, QDialog, QWidget

from napari_unet.jobs.batch import BatchOrder, batch_run
from napari_unet.jobs.batch_table import table_run
from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.steps.batch.distributions import Distributions, first_measurement
from napari_unet.steps.batch.form import BatchForm
from napari_unet.steps.batch.image_rows import ImageRows
from napari_unet.steps.batch.object_on_screen import ObjectOnScreen
from napari_unet.steps.run_texts import texts_of_batch
from napari_unet.widgets.buttons import SideBySide, button, make_primary
from napari_unet.widgets.copy_button import CopyButton
from napari_unet.widgets.forms import ProgressLine, TextLine, column
from unet_engine.batch import (
    BatchConfig,
    BatchPlan,
    ImageDone,
    ImageFailed,
    ImageProgress,
)
from unet_engine.errors import DataError, EngineError
from unet_engine.models.checkpoint import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_unet.jobs.batch_table import MeasuredObjects
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.images.opening import ImageOpener
    from napari_unet.steps.objects.form import ObjectsForm
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.batch import BatchResult

ACTIVITY = "batch"
"""Name of the run in the workspace."""

_SIZE = (330, 520)
"""Width and height in pixels where the dock is smaller: that of a dock."""

_NO_MODEL = "Choose a saved model with classes in step 1: a batch predicts with it."


class BatchDialog(QDialog):
    """Model and settings of the dock, applied to many images.

    It lies over the dock and leaves the rest of the window usable.

    Parameters
    ----------
    workspace
        Has the model and the list of images.
    prediction, objects
        The forms of steps 1 and 4, whose settings hold.
    opener
        Shows images.
    parent
        The dock.
    theme
        Name of napari's theme.

    Attributes
    ----------
    form, rows
        What is to be done, and how far each image is.
    start_button, pause_button, stop_button
        What begins, holds and ends a batch.
    text
        What is going on, or what came out.
    plot, objects_shown
        How the objects are distributed, and goes to one.
    """

    def __init__(
        self,
        workspace: Workspace,
        prediction: PredictionForm,
        objects: ObjectsForm,
        opener: ImageOpener,
        parent: QWidget,
        *,
        theme: str,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Apply to many images")
        self._workspace = workspace
        self._prediction, self._objects, self._opener = prediction, objects, opener
        self._job: Job | None = None
        self._paused = threading.Event()
        self._finished_images = 0
        self.form = BatchForm(workspace)
        self.with_what = TextLine()
        self.rows = ImageRows()
        self.plot = Distributions(theme)
        self.objects_shown = ObjectOnScreen(opener, self)
        self._table: Path | None = None
        self._measured: MeasuredObjects | None = None
        self.progress, self.text = ProgressLine(), TextLine()
        self.only_failed = QCheckBox("Only failed images")
        self.only_failed.toggled.connect(self.rows.show_only_failed)
        self._make_buttons()
        self._lay_out()
        self._connect()
        self._place(parent)
        self._show_state()

    def _make_buttons(self) -> None:
        self.start_button = make_primary(
            button("Start", "Begin, or go on where an earlier batch ended.", self.start)
        )
        self.pause_button = button(
            "Pause", "Hold the batch; the computer is free meanwhile.", self.pause
        )
        self.stop_button = button(
            "Stop", "End the batch. Finished images stay; Start goes on.", self.stop
        )

        self.copy = CopyButton(lambda: texts_of_batch(self.order()))
        self.copy.message.connect(self.text.setText)

    def _lay_out(self) -> None:
        layout = column(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.form)
        layout.addWidget(self.with_what)
        layout.addWidget(
            SideBySide(
                (self.start_button, 2), (self.pause_button, 1), (self.stop_button, 1)
            )
        )
        layout.addWidget(self.progress)
        layout.addWidget(self.text)
        layout.addWidget(SideBySide((self.only_failed, 2), (self.copy, 1)))
        layout.addWidget(self.rows, 1)
        layout.addWidget(self.plot)
        layout.addStretch(0)

    def _connect(self) -> None:
        workspace = self._workspace
        signals = (
            (workspace.listed.list_changed, self.form.follow_list),
            (workspace.listed.entry_changed, self._on_entry_changed),
            (workspace.activity_changed, self._show_state),
            (workspace.models_changed, self._show_state),
            (workspace.classes_changed, self._show_state),
        )
        for signal, call in signals:
            signal.connect(call)
        self.destroyed.connect(partial(_disconnect, signals))
        self.form.changed.connect(self._show_state)
        self.rows.doubleClicked.connect(self._on_opened)
        self.plot.chosen.connect(self._on_point)
        self.plot.measurement_chosen.connect(self._read_table)
        self.objects_shown.message.connect(self._on_message)
        self.objects_shown.shown.connect(
            lambda label: self.text.setText(f"Object {label} is in the middle.")
        )

    def _place(self, dock: QWidget) -> None:
        """Lie over the dock, so that the image is seen."""
        width, height = max(dock.width(), _SIZE[0]), max(dock.height(), _SIZE[1])
        self.resize(width, height)
        self.move(dock.mapToGlobal(QPoint(dock.width() - width, 0)))

    @property
    def running(self) -> bool:
        """Whether a batch is running, or held."""
        return self._job is not None

    def order(self) -> BatchOrder:
        """Return what is to be done.

        Raises
        ------
        EngineError
            When something is not chosen yet, or cannot be done.
        """
        model = self._workspace.model
        if not isinstance(model, ModelInfo) or not model.spec.classes:
            raise DataError(_NO_MODEL)
        return BatchOrder(
            sources=self.form.sources(),
            out=self.form.target(),
            model=model,
            config=self._config(model),
            overwrite=self.form.overwrite.isChecked(),
        )

    def _config(self, model: ModelInfo) -> BatchConfig:
        """Return the settings of the dock, as far as they hold for any image."""
        finding = self._objects.config
        if self._objects.keeps:
            # There are no objects to keep in masks that are predicted anew.
            finding = replace(finding, method="watershed")
        return BatchConfig(
            masks=self.form.masks.isChecked(),
            objects=self.form.objects.isChecked(),
            table=self.form.table.isChecked(),
            prediction=replace(self._prediction.config, probabilities=False),
            finding=finding,
            planes=self._objects.planes,
            boundary=self._objects.boundary_of(model.spec.classes),
            scale=self._objects.stated_scale,
        )

    def start(self) -> None:
        """Begin, or go on where an earlier batch ended."""
        if self._workspace.activity:
            return
        try:
            order = self.order()
        except EngineError as error:
            self.text.setText(str(error))
            return
        self._paused.clear()
        self._finished_images = 0
        self._table = self._measured = None
        self.only_failed.setChecked(False)
        self.rows.rows.replace(())
        self._workspace.begin(ACTIVITY)
        self.text.setText("Looking for the images…")
        self._job = run(
            partial(batch_run, order, self._workspace, self._paused.is_set),
            parent=self,
            on_events=self._on_events,
            on_result=self._on_result,
            on_error=lambda error: self.text.setText(describe_error(error)),
            on_finished=self._on_finished,
        )
        self._show_state()

    def pause(self) -> None:
        """Hold the batch, or let it go on."""
        if self._job is None:
            return
        if self._paused.is_set():
            self._paused.clear()
        else:
            self._paused.set()
        self._show_state()

    def stop(self) -> None:
        """End the batch; what is finished stays."""
        if self._job is not None:
            self._job.stop()
            self.text.setText("Stopping…")

    def _on_events(self, events: list[Any]) -> None:
        plans = [event for event in events if isinstance(event, BatchPlan)]
        for plan in plans:
            self.rows.rows.replace(plan.items)
            self.progress.show_share(0, len(plan.items))
        rest = [event for event in events if not isinstance(event, BatchPlan)]
        row = self.rows.rows.show(rest)
        if row is None:
            return
        self.rows.scrollTo(self.rows.rows.index(row, 0))
        ended = (ImageDone, ImageFailed)
        self._finished_images += sum(isinstance(event, ended) for event in rest)
        total = self.rows.rows.rowCount()
        self.progress.show_share(self._finished_images, total)
        last = rest[-1]
        if self._job is not None and not self._job.stopping:
            what = f": {last.what}" if isinstance(last, ImageProgress) else ""
            number = min(self._finished_images + 1, total)
            self.text.setText(f"Image {number:,} of {total:,}{what}")

    def _on_result(self, result: BatchResult) -> None:
        self.text.setText(describe_result(result))
        self._table = result.table
        if result.table is not None and result.objects:
            self._read_table()

    def _read_table(self, measurement: str = "") -> None:
        """Read what is plotted, by default how large objects are."""
        if self._table is None:
            return

        def choose(names: Sequence[str]) -> str:
            return measurement if measurement in names else first_measurement(names)

        run(
            partial(table_run, self._table, choose),
            parent=self,
            on_result=self._on_table,
            on_error=lambda error: self.text.setText(describe_error(error)),
        )

    def _on_table(self, measured: MeasuredObjects | None) -> None:
        self._measured = measured
        if measured is not None:
            self.plot.show_objects(measured)
        self._show_state()

    def _on_point(self, row: int) -> None:
        """Show the object of a point."""
        measured = self._measured
        if measured is None:
            return
        name = measured.keys["file"][row]
        items = {item.name: item for item in self.rows.rows.items}
        if name not in items:
            self.text.setText(f"{name} is of an earlier run; open it from its folder.")
            return
        self.objects_shown.go_to(items[name], measured.path, row)

    def _on_message(self, text: str) -> None:
        if text and self.isVisible():
            self.text.setText(text)

    def _on_finished(self) -> None:
        self._job = None
        self._paused.clear()
        self.rows.rows.leave()
        self._workspace.end(ACTIVITY)
        self._show_state()

    def _on_entry_changed(self, _: str) -> None:
        if not self.running:
            self.form.follow_list()

    def _on_opened(self, index: Any) -> None:
        item = self.rows.rows.items[index.row()]
        reason = self.rows.rows.failed.get(index.row())
        if reason is not None:
            self.text.setText(reason)
        else:
            self._opener.open_file(item.image)

    def _show_state(self, *_: Any) -> None:
        running = self.running
        self.form.setEnabled(not running)
        self.progress.setVisible(running)
        self.pause_button.setEnabled(running)
        self.stop_button.setEnabled(running)
        self.pause_button.setText("Go on" if self._paused.is_set() else "Pause")
        self.only_failed.setVisible(bool(self.rows.rows.failed) and not running)
        self.plot.setVisible(self._measured is not None and not running)
        self.rows.setVisible(running or self.rows.rows.rowCount() > 0)
        model = self._workspace.model
        usable = isinstance(model, ModelInfo) and bool(model.spec.classes)
        self.start_button.setEnabled(not self._workspace.activity and usable)
        size = self._workspace.object_size
        described = f"{size:g} px" if isinstance(size, float) else str(size)
        self.with_what.setText(
            f"With the model {model.name}, object size {described}, and the settings "
            "of steps 1 and 4."
            if isinstance(model, ModelInfo) and usable
            else _NO_MODEL
        )


def describe_result(result: BatchResult) -> str:
    """Return how a batch ended, in a sentence or two."""
    parts = [f"{result.done:,} of {result.total:,} images done"]
    if result.before:
        parts.append(f"{result.before:,} finished before")
    if result.failed:
        parts.append(f"{len(result.failed):,} failed")
    text = ", ".join(parts) + "."
    if not result.complete:
        text = f"Stopped. {text} Start goes on there."
    if result.table is not None:
        text += f" {result.objects:,} objects in {result.table.name}"
        text += (
            f", with {result.earlier:,} images of earlier runs."
            if (result.earlier)
            else "."
        )
    place = result.summary
    return text if place is None else f"{text} Tables are in {place.parent.name}."


def _disconnect(signals: tuple[tuple[Any, Any], ...], *_: Any) -> None:
    for signal, call in signals:
        signal.disconnect(call)

"""The window in which a new model is described."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QProgressBar, QWidget

from napari_unet.jobs.job import Job, describe_error, run
from napari_unet.jobs.prediction import fetch_run
from napari_unet.steps.new_model.form import ModelForm
from napari_unet.widgets.buttons import make_primary
from napari_unet.widgets.forms import TextLine, column
from unet_engine.errors import EngineError
from unet_engine.models.fcn_trunks import FCN_FORMS

if TYPE_CHECKING:
    from napari_unet.state.untrained_model import UntrainedModel
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.new_model.defaults import ModelDefaults

_WIDTH = 440
"""Pixels of the window: the longest reference fits in two lines."""
_NEXT = "Then paint a few strokes of each class in step 2, and train it in step 3."
_FETCHING = "Create fetches {0} MB, unless they are on this computer already."


class NewModelDialog(QDialog):
    """A form, and a button that is off while the form describes nothing possible.

    Parameters
    ----------
    workspace
        Gets the untrained model.
    defaults
        What the fields start with.
    parent
        The dock.

    Attributes
    ----------
    form
        The fields.
    text
        What is wrong, or what comes next.
    create, cancel
        The buttons.
    """

    def __init__(
        self, workspace: Workspace, defaults: ModelDefaults, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("New model")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._workspace = workspace
        self._job: Job | None = None
        self.form = ModelForm(workspace.store, workspace.models, defaults)
        self._lay_out()
        self._fitting = QTimer(self)
        self._fitting.setSingleShot(True)
        self._fitting.timeout.connect(self.adjustSize)
        self.form.changed.connect(self._check)
        self._check()

    def _lay_out(self) -> None:
        self.text = TextLine()
        self.progress = QProgressBar()
        self.progress.setVisible(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.create = buttons.addButton(
            "Create", QDialogButtonBox.ButtonRole.AcceptRole
        )
        make_primary(self.create)
        self.cancel = buttons.button(QDialogButtonBox.StandardButton.Cancel)
        self.cancel.setIcon(QIcon())
        buttons.accepted.connect(self._on_accepted)
        buttons.rejected.connect(self.reject)
        layout = column(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(10)
        for part in (self.form, self.text, self.progress, buttons):
            layout.addWidget(part)
        self.setMinimumWidth(_WIDTH)

    def _check(self) -> None:
        try:
            self.form.untrained()
        except EngineError as error:
            self.text.setText(f"{error}.")
            self.create.setEnabled(False)
        else:
            size = self.form.megabytes
            self.text.setText(f"{_FETCHING.format(size)} {_NEXT}" if size else _NEXT)
            self.create.setEnabled(True)
        # Rows come and go; the window is to be no larger than they need, which Qt knows
        # once it has laid them out.
        self._fitting.start(0)

    def _on_accepted(self) -> None:
        untrained = self.form.untrained()
        if untrained.imagenet:
            self._fetch(untrained)
        else:
            self._finish(untrained)

    def _finish(self, untrained: UntrainedModel, *_: object) -> None:
        self._workspace.add_untrained(untrained)
        self.accept()

    def _fetch(self, untrained: UntrainedModel) -> None:
        """Get the weights now, so that a training is not the one to find them missing.

        Cancel and the end of the window end it too.
        """
        trunk = FCN_FORMS[untrained.spec.architecture].trunk
        self._set_busy(True)
        self.text.setText("Fetching the weights…")
        self._job = run(
            partial(fetch_run, trunk),
            parent=self,
            on_events=self._on_bytes,
            on_result=partial(self._finish, untrained),
            on_error=self._on_error,
            on_finished=self._on_finished,
        )

    def _on_bytes(self, counts: list[tuple[int, int]]) -> None:
        done, total = (count >> 10 for count in counts[-1])
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def _on_error(self, error: Exception) -> None:
        self.text.setText(f"{describe_error(error)}.")

    def _on_finished(self) -> None:
        self._job = None
        self._set_busy(False)

    def _set_busy(self, busy: bool) -> None:
        self.form.setEnabled(not busy)
        self.create.setEnabled(not busy)
        self.progress.setRange(0, 0)
        self.progress.setVisible(busy)

    def reject(self) -> None:
        """Close the window; what is being fetched is not kept."""
        if self._job is not None:
            self._job.discard()
        super().reject()

"""The row of step 1 that chooses a model, and what can be done about models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QToolButton, QWidget

from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.steps.predict.bug_report import BugReport
from napari_unet.widgets.buttons import button
from napari_unet.widgets.forms import TextLine
from napari_unet.widgets.package_import import SUFFIX as PACKAGE
from napari_unet.widgets.package_import import PackageImport
from unet_engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.state.untrained_model import Model
    from napari_unet.state.workspace import Workspace
    from unet_engine.models.checkpoint import ModelInfo


class ModelPicker(QWidget):
    """The list of models, and a menu to make, pretrain, open and refresh them.

    Parameters
    ----------
    workspace
        What is chosen here is kept there.

    Attributes
    ----------
    text
        A line about the chosen model.
    report
        Makes the report for a bug.
    packages
        Adds packages of bioimage.io.
    restart
        Button for a new network from the chosen model; shown for one without classes.
    changed
        A model was chosen, or the list is another.
    new_wanted
        A new model is wanted, started from a model or from None.
    pretraining_wanted
        Learning without labels is wanted.
    managing_wanted
        The window of the models is wanted.
    """

    changed = Signal()
    new_wanted = Signal(object)
    pretraining_wanted = Signal()
    managing_wanted = Signal()

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.model = ComboBox(choices=self._choices)
        self.model.native.setPlaceholderText("no model")
        self.text = TextLine()
        self.report = BugReport(self, lambda: workspace.device)
        self.packages = PackageImport(workspace.store, self)
        self.packages.reading.connect(
            lambda name: show_info(f"{name} is read and tried, some seconds.")
        )
        self.packages.added.connect(self._on_added)
        self.packages.failed.connect(
            lambda path, why: show_error(f"{path.name} was not added. {why}")
        )
        self.restart = button(
            "New U-Net from it…",
            "Make a U-Net whose contracting path is that of this model. Trained on "
            "a few strokes it learns more than from random weights.",
            lambda: self.new_wanted.emit(self._workspace.model),
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.model.native, 1)
        layout.addWidget(self._make_menu())
        self.model.changed.connect(self._on_chosen)
        workspace.models_changed.connect(self.show_models)
        self.show_models()

    def _make_menu(self) -> QToolButton:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.actions_by_name = {
            name: _add(menu, title, tooltip, call)
            for name, title, tooltip, call in (
                ("new", "New model…",
                 "Choose a network and its classes, and train it on your strokes.",
                 lambda: self.new_wanted.emit(None)),
                ("pretrain", "Pretrain on this image…",
                 "Let a model learn from your images without any labels: to take their "
                 "noise away, or as the start of a U-Net.",
                 self.pretraining_wanted.emit),
                ("manage", "Manage models…",
                 "What is known about each model; rename, duplicate, delete, hand on "
                 "and compare them.",
                 self.managing_wanted.emit),
                ("open", "Open model file…",
                 "Add a model file (.safetensors), or a package of bioimage.io (.zip), "
                 "to your models.",
                 self._on_open_triggered),
                ("refresh", "Refresh list", "Read the list of models again.",
                 self.refresh),
                ("report", "Copy report for a bug",
                 "Test prediction, Live and training on a generated image, and copy "
                 "what was found of this computer to the clipboard, with what to do "
                 "about each fault. It takes some ten seconds.",
                 self.report.start),
            )
        }  # fmt: skip
        for name in "manage", "report":
            menu.insertSeparator(self.actions_by_name[name])
        report = self.actions_by_name["report"]
        self.report.busy.connect(lambda busy: report.setEnabled(not busy))
        self.menu = QToolButton()
        self.menu.setObjectName("unet_menu")
        self.menu.setText("…")
        # The indicator of the menu would cover the dots.
        self.menu.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu.setFixedWidth(28)
        self.menu.setToolTip(
            "Make a new model, pretrain one without labels, manage the models, open a "
            "model file, or copy a report for a bug."
        )
        self.menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu.setMenu(menu)
        return self.menu

    def open_model(self, path: str) -> None:
        """Add a model file, or a package, to the models and choose it."""
        if Path(path).suffix.lower() == PACKAGE:
            self.packages.start([Path(path)])
            return
        try:
            self._workspace.open_model(path)
        except (EngineError, OSError) as error:
            show_error(str(error))

    def _on_added(self, info: ModelInfo, sentence: str) -> None:
        self._workspace.refresh_models(choose=info.name)
        show_info(f"{sentence}.")

    def refresh(self, *_: Any) -> None:
        """Read the list of models again, and show which files are damaged.

        A trained model that could not be saved is tried first: it may be one of them.
        """
        self._workspace.saving_wanted.emit()
        self._workspace.refresh_models()
        for path, reason in self._workspace.store.broken():
            show_warning(f"{path.name} is left out. {reason}")

    def show_models(self) -> None:
        """Offer the models that there are now, and the chosen one as chosen."""
        chosen = self._workspace.model
        with self.model.changed.blocked():
            self.model.reset_choices()
            self.model.value = chosen
        self._on_chosen(chosen)

    def _choices(self, _: Any) -> list[tuple[str, Model]]:
        return [
            (
                f"{model.name} (new)"
                if isinstance(model, UntrainedModel)
                else model.name,
                model,
            )
            for model in self._workspace.models
        ]

    def _on_chosen(self, model: Model | None) -> None:
        self._workspace.choose_model(model)
        self.text.setText(describe_model(model))
        # One that restores images is no start of another.
        starts = model is not None and not (model.spec.classes or model.spec.restores)
        self.restart.setVisible(starts)
        self.changed.emit()

    def _on_open_triggered(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Open model file", "", "Models and packages (*.safetensors *.zip)"
        )
        if path:
            self.open_model(path)


def describe_model(model: Model | None) -> str:
    """Return a line about a model for the user."""
    if model is None:
        return "No model yet: make a new one, or open a file, in the … menu."
    spec = model.spec
    channels = "1 channel" if spec.in_channels == 1 else f"{spec.in_channels} channels"
    if not spec.classes:
        together = f", {spec.slices} slices together" if spec.slices > 1 else ""
        return f"Learned without labels: takes noise away from {channels}{together}."
    line = f"{channels} → {', '.join(spec.classes)}"
    if spec.imported is not None:
        return f"Of another program, for Predict only: {line}"
    if isinstance(model, UntrainedModel):
        title = spec.row.title
        return f"Untrained {title}: {line}; starts from {model.origin}."
    if not model.trained:
        return f"Untrained: {line}"
    parent = model.history[-1].get("parent")
    return f"{line}; tuned from {parent}" if parent else line


def _add(menu: QMenu, title: str, tooltip: str, call: Callable[..., Any]) -> Any:
    action = menu.addAction(title)
    action.setToolTip(tooltip)
    action.triggered.connect(lambda: call())
    return action

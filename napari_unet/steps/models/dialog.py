"""The window of the models."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QMenu,
    QScrollArea,
    QSplitter,
    QWidget,
)

from napari_unet.steps.models.actions import ModelActions
from napari_unet.steps.models.comparison import ComparisonSection
from napari_unet.steps.models.details import ModelDetails
from napari_unet.steps.models.lineage import LineageSection
from napari_unet.steps.models.model_list import ModelList
from napari_unet.steps.models.view_masks import ViewMasks
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import TextLine, column
from napari_unet.widgets.package_import import SUFFIX as PACKAGE
from napari_unet.widgets.package_import import PackageImport
from unet_engine.errors import EngineError
from unet_engine.models.beside.paths import crops_path
from unet_engine.models.checkpoint import SUFFIX, ModelInfo
from unet_engine.models.collection.deletion import (
    delete_model,
    deleted_models,
    restore_model,
)
from unet_engine.models.collection.exchange import (
    describe_import,
    export_model,
    import_model,
)
from unet_engine.models.collection.renaming import (
    duplicate_model,
    rename_model,
    write_notes,
)
from unet_engine.models.lineage import parent_of
from unet_engine.prediction.fitting import why_not_used

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_unet.results.masks import Masks
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.models.collection.deletion import DeletedModel

_SIZE = (330, 480)
"""Width and height in pixels where the dock is smaller: that of a dock."""

_HEIGHTS = (190, 400)
"""Pixels of the list, ten lines, and of what is known about a model, at first."""

_FILES = f"Models (*{SUFFIX})"
_ADDED_FILES = f"Models and packages (*{SUFFIX} *{PACKAGE})"
_PICTURES = (
    " {0} holds parts of labelled images: pass it on only if the images may be passed "
    "on."
)
_EXPORTS = (
    ("With parts of its labelled images…", True),
    ("Without images…", False),
)
"""What is exported of a model that remembers parts of what it was trained on."""


class ModelsDialog(QDialog):
    """The models, what is known about them, and what is done with them.

    It lies over the dock and leaves the rest of the window usable.

    Parameters
    ----------
    viewer
        Shows masks of models that are looked at.
    workspace
        Has the models, and the chosen one.
    form
        Has the chosen image.
    masks
        Of which one is hidden meanwhile.
    parent
        The dock.

    Attributes
    ----------
    list, details, lineage, comparison, actions_row
        The parts.
    views
        Predicts what is on screen.
    text, undo
        What was done, and a button that takes a deletion back.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        workspace: Workspace,
        form: PredictionForm,
        masks: Masks,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Models")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._workspace = workspace
        self._form = form
        self._take_back: Callable[[], None] = lambda: None
        self.list = ModelList()
        self.details = ModelDetails()
        self.views = ViewMasks(viewer, workspace, form, masks, self)
        self.lineage = LineageSection(self.views, viewer.theme)
        self.comparison = ComparisonSection(self.views)
        self.text = TextLine()
        self._packages = PackageImport(workspace.store, self)
        self._packages.reading.connect(
            lambda name: self._report(f"{name} is read and tried, some seconds.")
        )
        self._packages.added.connect(self._on_package_added)
        self._packages.failed.connect(
            lambda path, why: self._report(f"{path.name} was not added: {why}.")
        )
        self.undo = button("Undo", "Bring the model back.", self._on_undo)
        self.actions_row = ModelActions(workspace.store, self._calls())
        self._lay_out()
        self._connect()
        self._place(parent)
        self._report("")
        self._show_models()

    def follow_theme(self, theme: str) -> None:
        """Give the learning curve the colours of one of napari's themes."""
        self.lineage.curve.set_theme(theme)

    def _calls(self) -> dict[str, Callable[[], None]]:
        return {
            "use": self._on_use,
            "rename": self.list.edit_name,
            "duplicate": self._on_duplicate,
            "delete": self._on_delete,
            "export": self._on_export,
            "import": self._on_import,
            "restore": self._on_restore,
        }

    def _lay_out(self) -> None:
        below = QWidget()
        inside = column(below)
        inside.setContentsMargins(0, 0, 0, 0)
        for part in (self.details, self.lineage, self.comparison):
            inside.addWidget(part)
        inside.addStretch(1)
        self._area = area = QScrollArea()
        area.setWidget(below)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        parts = QSplitter(Qt.Orientation.Vertical)
        for part in (self.list, area):
            parts.addWidget(part)
        parts.setStretchFactor(1, 1)
        parts.setSizes(list(_HEIGHTS))
        parts.setChildrenCollapsible(False)
        layout = column(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(parts, 1)
        layout.addWidget(SideBySide((self.text, 1), (self.undo, 0)))
        layout.addWidget(self.actions_row)

    def _connect(self) -> None:
        self.list.chosen.connect(self._show_model)
        # The list must not be filled anew while it closes the editor of the name.
        self.list.renamed.connect(self._on_renamed, Qt.ConnectionType.QueuedConnection)
        self.list.used.connect(self._on_use)
        self.list.deletion_wanted.connect(self._on_delete)
        self.details.written.connect(self._on_written)
        self.lineage.returned.connect(self._choose)
        self.lineage.looked_at.connect(self.list.select)
        for section in (self.lineage, self.comparison):
            section.unfolded.connect(self._show_section)
        workspace = self._workspace
        signals = (
            (workspace.models_changed, self._show_models),
            (workspace.classes_changed, self._show_models),
            (workspace.layer_changed, self._on_layer_changed),
            (workspace.activity_changed, self._on_activity_changed),
        )
        for signal, call in signals:
            signal.connect(call)
        self.destroyed.connect(partial(_disconnect, signals))

    def _place(self, dock: QWidget) -> None:
        """Lie over the dock, so that the image is seen."""
        width, height = max(dock.width(), _SIZE[0]), max(dock.height(), _SIZE[1])
        self.resize(width, height)
        corner = dock.mapToGlobal(QPoint(dock.width() - width, 0))
        self.move(corner)

    @property
    def _models(self) -> tuple[ModelInfo, ...]:
        return tuple(m for m in self._workspace.models if isinstance(m, ModelInfo))

    def _show_models(self, *_: Any) -> None:
        model, chosen = self.list.model, self._workspace.model
        in_use = chosen.name if chosen is not None else ""
        selected = model.name if model is not None else in_use
        self.list.show_models(self._models, selected=selected, in_use=in_use)

    def _show_model(self, *_: Any) -> None:
        model, chosen = self.list.model, self._workspace.model
        self.details.show_model(model, self._models, self._fit(model))
        self.lineage.show_model(model, self._models)
        self.comparison.show_model(model, self._models)
        self.actions_row.show_state(
            model,
            in_use=model is not None and chosen == model,
            busy=bool(self._workspace.busy),
            deleted=bool(deleted_models(self._workspace.store)),
        )

    def _on_layer_changed(self) -> None:
        self._end_views()
        self._show_model()

    def _on_activity_changed(self) -> None:
        if self._workspace.activity:
            # The mask that is made now is the one to see.
            self._end_views()
        self._show_model()

    def _end_views(self) -> None:
        for section in (self.lineage, self.comparison):
            section.end()

    def _show_section(self, section: QWidget) -> None:
        """Scroll to a section once the layout has given it a place."""
        QTimer.singleShot(0, partial(self._area.ensureWidgetVisible, section))

    def _fit(self, model: ModelInfo | None) -> str:
        """Return whether a model can be used on the chosen image, or why not."""
        if model is None or self._workspace.layer is None:
            return ""
        try:
            image, _ = self._form.chosen_image()
        except EngineError:
            return ""
        working_image = self._workspace.working_image
        painted = working_image.painted if working_image is not None else ()
        chosen = model == self._workspace.model
        added = self._workspace.added_classes if chosen else ()
        reasons = why_not_used(model, image, painted, added=added)
        name = self._workspace.layer.name
        if not reasons:
            return f"It can be used on {name}."
        return f"Not for {name} as it is: {'; '.join(reasons)}."

    def _on_use(self) -> None:
        model = self.list.model
        if model is not None and self.actions_row.buttons["use"].isEnabled():
            self._choose(model.name)

    def _choose(self, name: str) -> None:
        """Choose a model in the dock, and select it."""
        self._read_again(name, choose=name)
        self._report(f"{name} is the chosen model.")

    def _on_renamed(self, model: ModelInfo, name: str) -> None:
        if not self._do(lambda: rename_model(self._workspace.store, model.name, name)):
            return
        self._read_again(name)
        self._report(f"{model.name} is called {name} now.")

    def _on_duplicate(self) -> None:
        if (model := self.list.model) is None:
            return
        made = self._do(lambda: duplicate_model(self._workspace.store, model.name))
        if made:
            self._read_again(made.name)
            self._report(f"{made.name} is a copy of {model.name}. F2 renames it.")

    def _on_delete(self) -> None:
        model = self.list.model
        if model is None or not self.actions_row.buttons["delete"].isEnabled():
            return
        workspace = self._workspace
        parent = parent_of(model, self._models)
        was_chosen = workspace.model == model
        self.details.save()
        deleted = self._do(lambda: delete_model(workspace.store, model.name))
        if not deleted:
            return
        instead = parent.name if parent is not None and parent.model else ""
        first = next(m.name for m in workspace.store.list() if m.name != model.name)
        instead = instead or first
        self._read_again(instead, choose=instead if was_chosen else "")
        chosen = workspace.model
        now = f" {chosen.name} is chosen now." if was_chosen and chosen else ""
        self._report(
            f"{model.name} is deleted.{now}",
            lambda: self._restore(deleted, choose=was_chosen),
        )

    def _on_export(self) -> None:
        model = self.list.model
        if model is None or not crops_path(model.path).is_file():
            self._choose_file(crops=False)
            return
        menu = QMenu(self)
        for text, crops in _EXPORTS:
            action = menu.addAction(text)
            action.triggered.connect(lambda *_, c=crops: self._choose_file(crops=c))
        self._pop_up(menu, "export")

    def _choose_file(self, *, crops: bool) -> None:
        if (model := self.list.model) is None:
            return
        start = Path.home() / f"{model.name}{SUFFIX}"
        path, _ = QFileDialog.getSaveFileName(self, "Export model", str(start), _FILES)
        if path:
            self.export_to(Path(path), crops=crops)

    def export_to(self, path: Path, *, crops: bool) -> None:
        """Export the selected model; what is there was confirmed to be replaced.

        Parameters
        ----------
        path
            Of the model file.
        crops
            Also the parts of labelled images beside it.
        """
        if (model := self.list.model) is None:
            return
        self.details.save()
        path = path if path.suffix == SUFFIX else path.with_name(f"{path.name}{SUFFIX}")
        store, replace = self._workspace.store, path.exists()
        written = self._do(
            lambda: export_model(
                store, model.name, path, overwrite=replace, crops=crops
            )
        )
        if written:
            pictures = [each.name for each in written if each == crops_path(path)]
            note = _PICTURES.format(pictures[0]) if pictures else ""
            self._report(f"{path} is written, with a card.{note}")

    def _on_import(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Import models", "", _ADDED_FILES)
        self.import_from([Path(path) for path in paths])

    def import_from(self, paths: list[Path]) -> None:
        """Add model files, and select the last one; packages follow in a thread."""
        lines, name = [], ""
        packages = [path for path in paths if path.suffix.lower() == PACKAGE]
        for path in paths:
            if path in packages:
                continue
            names = {model.name for model in self._models}
            try:
                info = import_model(self._workspace.store, path)
            except EngineError as error:
                lines.append(f"{path.name} was not added: {error}.")
                continue
            name = info.name
            there = name in names
            lines.append(f"{describe_import(path, info, there=there)}.")
        if lines:
            self._read_again(name)
            self._report(" ".join(lines))
        self._packages.start(packages)

    def _on_package_added(self, info: ModelInfo, sentence: str) -> None:
        self._read_again(info.name)
        self._report(f"{sentence}.")

    def _on_restore(self) -> None:
        menu = QMenu(self)
        for each in deleted_models(self._workspace.store):
            when = f"{each.deleted.astimezone():%Y-%m-%d %H:%M}"
            action = menu.addAction(f"{each.name}, deleted {when}")
            action.triggered.connect(partial(self._restore, each))
        self._pop_up(menu, "restore")

    def _pop_up(self, menu: QMenu, key: str) -> None:
        """Show a menu below a button."""
        made = self.actions_row.buttons[key]
        menu.popup(made.mapToGlobal(made.rect().bottomLeft()))

    def _restore(self, deleted: DeletedModel, *_: Any, choose: bool = False) -> None:
        store = self._workspace.store
        taken = any(model.name == deleted.name for model in self._models)
        name = store.free_name(deleted.name) if taken else ""
        if info := self._do(lambda: restore_model(store, deleted, name)):
            self._read_again(info.name, choose=info.name if choose else "")
            other = f" as {info.name}: its name was taken" if taken else ""
            self._report(f"{deleted.name} is back{other}.")

    def _on_written(self, model: ModelInfo, notes: str, licence: str) -> None:
        store = self._workspace.store
        saved = self._do(
            lambda: write_notes(store, model.name, notes=notes, licence=licence)
        )
        if saved:
            self.details.set_saved(saved)
            self._workspace.refresh_models()

    def _do(self, act: Callable[[], Any]) -> Any:
        """Do something with a model; return None when it cannot be done."""
        try:
            return act()
        except EngineError as error:
            # What is in the list may be of another name, or not there any more.
            self._workspace.refresh_models()
            self._report(f"{str(error)[:1].upper()}{str(error)[1:]}.")
            return None

    def _read_again(self, selected: str, *, choose: str = "") -> None:
        """Read the list of models again."""
        self._workspace.refresh_models(choose=choose)
        if selected:
            self.list.select(selected)

    def _report(self, line: str, take_back: Callable[[], None] | None = None) -> None:
        self.text.setText(line)
        self.undo.setVisible(take_back is not None)
        self._take_back = take_back or (lambda: None)

    def _on_undo(self) -> None:
        self._take_back()

    def done(self, result: int) -> None:
        """Save what was written, take masks away, and close."""
        self.details.save()
        self.views.clear()
        super().done(result)


def _disconnect(signals: tuple[tuple[Any, Callable[..., None]], ...], *_: Any) -> None:
    for signal, call in signals:
        signal.disconnect(call, missing_ok=True)

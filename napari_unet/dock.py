"""The dock widget: predict, correct, fine-tune; then the objects of the mask."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDockWidget,
    QFrame,
    QScrollArea,
    QToolButton,
    QWidget,
)

from napari_unet.jobs.data_watch import DataWatch
from napari_unet.jobs.job import warm_up
from napari_unet.jobs.related_images import RelatedImages
from napari_unet.results.masks import Masks
from napari_unet.results.objects import source_of_objects
from napari_unet.results.raised_image import ImageRaiser
from napari_unet.results.reopened_masks import MaskReopener
from napari_unet.state.last_device import LAST_USED, last_device
from napari_unet.state.per_viewer import of_viewer
from napari_unet.state.untrained_model import two_classes_for
from napari_unet.state.workspace import Workspace
from napari_unet.steps.batch.dialog import BatchDialog
from napari_unet.steps.compare.section import CompareSection
from napari_unet.steps.correct.earlier_mask import EarlierMaskRow
from napari_unet.steps.correct.live import close_all
from napari_unet.steps.correct.live_row import LiveRow
from napari_unet.steps.correct.section import CorrectSection
from napari_unet.steps.finetune.section import FineTuneSection
from napari_unet.steps.images.form_values import FormValues
from napari_unet.steps.images.section import ImagesSection
from napari_unet.steps.models.dialog import ModelsDialog
from napari_unet.steps.new_model.defaults import defaults_for
from napari_unet.steps.new_model.dialog import NewModelDialog
from napari_unet.steps.objects.section import ObjectsSection
from napari_unet.steps.predict.proposal_panel import ProposalPanel
from napari_unet.steps.predict.section import PredictSection
from napari_unet.steps.pretrain.section import PretrainSection
from napari_unet.viewer.conversion import image_of
from napari_unet.viewer.preferences import preference
from napari_unet.viewer.private import focus_canvas, unwrapped
from napari_unet.viewer.screen_layer import is_screen_layer, remove_screen_layers
from napari_unet.widgets.closing import Closing
from napari_unet.widgets.docking import Docking, dock_of
from napari_unet.widgets.forms import Section, column
from napari_unet.widgets.keys import KeyHints, focused, register_keys
from unet_engine.errors import DataError, EngineError
from unet_engine.wording import read_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import napari

    from napari_unet.results.mask import MaskView
    from napari_unet.state.untrained_model import Model, UntrainedModel
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.viewport import ViewportTracker
    from unet_engine.models.store import ModelStore

_WIDTH = 330
"""Pixels: the buttons fit side by side, and the image has the rest."""
_NARROWEST = 40
"""Pixels that a box or a bar is wide at least: a letter or two, and an arrow."""


@dataclass
class LeftModel:
    """The untrained model of a viewer, for a dock that is opened again."""

    untrained: UntrainedModel | None = None


class UNetWidget(QWidget):
    """Predict a mask, correct it with napari's tools, fine-tune the model on that.

    A viewer with a window has one: making another returns it, with all that is in it,
    as napari makes a dock that was closed by its x anew.

    Parameters
    ----------
    napari_viewer
        The viewer; napari passes it in.
    store
        Where models are; by default the bundled ones and the user's.
    """

    _made = False

    def __new__(cls, napari_viewer: napari.Viewer, *_: Any, **__: Any) -> UNetWidget:
        """Return the dock of the viewer, if it has one."""
        return dock_of(napari_viewer) or super().__new__(cls)

    def __init__(
        self, napari_viewer: napari.Viewer, store: ModelStore | None = None
    ) -> None:
        if self._made:
            return
        super().__init__()
        self._made = True
        read_in("window")
        # napari hands plugins a proxy, in which no layer is the layer that events
        # carry.
        self.viewer = unwrapped(napari_viewer)
        self.workspace = Workspace(store)
        self.workspace.refused.connect(show_warning)
        self._left = of_viewer(self.viewer, LeftModel)
        self.workspace.untrained = self._left.untrained
        self.workspace.refresh_models()
        self.masks = Masks(self.viewer, self.workspace, self)
        self.raising = ImageRaiser(self.viewer, self.workspace, self.masks)
        self.reopening = MaskReopener(self.workspace, self.masks)
        self.predict = PredictSection(self.viewer, self.workspace, self.masks)
        form = self.predict.form
        self.proposals = ProposalPanel(self.viewer, self.workspace, form)
        self.predict.content.addWidget(self.proposals)
        self.pretrain = PretrainSection(self.viewer, self.workspace, form)
        self.live = LiveRow(self.viewer, self.workspace, self.masks)
        self.earlier = EarlierMaskRow(self.workspace, self.masks)
        self.correct = CorrectSection(
            self.workspace,
            self.masks,
            form.working_image,
            self.earlier,
            self.live,
        )
        self.fine_tune = FineTuneSection(self.viewer, self.workspace)
        self.objects = ObjectsSection(self.viewer, self.workspace, self.masks, form)
        self.images = ImagesSection(
            self.viewer, self.workspace, self.masks, self.live.live
        )
        self.images.batch_wanted.connect(self.open_batch)
        self.images.follower.size_wanted.connect(self._choose_object_size)
        device = preference("device", "auto")
        form.device.value = last_device() if device == LAST_USED else device
        self.fine_tune.better.by_itself.value = preference("show_better_mask", True)
        self.form_values = FormValues(
            self.workspace.listed,
            {
                "predict": form.fields,
                "fine-tune": self.fine_tune.fields,
                "objects": self.objects.form.fields,
            },
            # Without the dock, which would keep itself alive.
            {"fine-tune": partial(getattr, self.fine_tune.advanced, "usual")},
            self,
        )
        self.compare = CompareSection(
            self.viewer, self.workspace, self.masks, self.live.live
        )
        self.related = RelatedImages(self.viewer, self.workspace, self)
        self._batch: BatchDialog | None = None
        self._scroll_target: QWidget = self.predict
        self._scrolling = QTimer(self)
        self._scrolling.setSingleShot(True)
        self._scrolling.timeout.connect(self._scroll)
        self._data_watch = DataWatch(self)
        self._warm = False
        self._docking = Docking(
            self,
            partial(_on_taken_off, self.masks, self.compare),
            self.masks.resume,
        )
        trainings = (self.pretrain, self.fine_tune)
        self.closing = Closing(self.viewer, self.workspace, trainings, self)
        self._lay_out()
        self._connect()
        self._on_layers_changed()

    def sizeHint(self) -> QSize:
        """Return a width that leaves room for the image."""
        return QSize(_WIDTH, super().sizeHint().height())

    def enterEvent(self, event: Any) -> None:
        """Get torch ready: the mouse is on its way to a button."""
        if not self._warm:
            self._warm = True
            warm_up()
        super().enterEvent(event)

    def showEvent(self, event: Any) -> None:
        """Try the models on an image that was open before the dock."""
        super().showEvent(event)
        self.proposals.follow()

    def changeEvent(self, event: Any) -> None:
        """Follow napari, which takes the dock out of its window and puts it back."""
        super().changeEvent(event)
        # While it is made there is no parent that counts.
        if event.type() == QEvent.Type.ParentChange and hasattr(self, "_docking"):
            self._docking.on_parent_changed(self)

    def select_model(self, name: str) -> None:
        """Choose a model by its name, after reading the list of models again."""
        self.workspace.refresh_models(choose=name)

    def open_model(self, path: str) -> None:
        """Add a model file, or in a thread a package, and choose the model."""
        self.predict.form.picker.open_model(path)

    def new_model(self, start: Model | None = None) -> NewModelDialog:
        """Open the window in which a new model is described.

        Parameters
        ----------
        start
            A model whose weights it may take over.
        """
        # Others may have made models meanwhile: the command line, another window.
        self.workspace.refresh_models()
        defaults = defaults_for(self.workspace, self.masks, self.predict.form)
        dialog = NewModelDialog(self.workspace, defaults, self)
        if start is not None:
            dialog.form.choose_start(start.name)
        dialog.open()
        return dialog

    def manage_models(self) -> ModelsDialog:
        """Open the window of the models, or bring it to the front."""
        for there in self.findChildren(ModelsDialog):
            if there.isVisible():
                there.raise_()
                there.activateWindow()
                return there
        # Others may have made models meanwhile: the command line, another window.
        self.workspace.refresh_models()
        dialog = ModelsDialog(
            self.viewer, self.workspace, self.predict.form, self.masks, self
        )
        dialog.show()
        return dialog

    def open_batch(self) -> BatchDialog:
        """Open the window in which many images are worked on, or bring it up."""
        if self._batch is None:
            self._batch = BatchDialog(
                self.workspace,
                self.predict.form,
                self.objects.form,
                self.images.opener,
                self,
                theme=self.viewer.theme,
            )
        self._batch.show()
        self._batch.raise_()
        self._batch.activateWindow()
        return self._batch

    def predict_with(self, model: Model) -> None:
        """Choose a model and predict the chosen image."""
        self.select_model(model.name)
        self.predict.start()

    def paint_two_classes(self) -> None:
        """Start a new model with strokes: an empty mask, the brush, and Live on."""
        try:
            image, _ = self.predict.form.chosen_image()
        except EngineError as error:
            show_warning(str(error))
            return
        models, store = self.workspace.models, self.workspace.store
        self.workspace.add_untrained(two_classes_for(image, models, store))
        self.correct.choose_class(1)
        self.live.switch.value = True
        self._scroll_to(self.correct)

    def exchange_focus(self) -> None:
        """Move the keyboard to the dock, or back to the image."""
        field = focused(self)
        if field is not None and self.isAncestorOf(field):
            focus_canvas(self.viewer)
            return
        if isinstance(self.parent(), QDockWidget):
            self.parent().raise_()
        last = self.focusWidget()
        wanted = last if last is not None and last.isVisible() else self.predict.predict
        wanted.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._area.ensureWidgetVisible(wanted)

    def open_pretraining(self) -> None:
        """Show the part in which a model learns without labels."""
        self.pretrain.open()
        self._scroll_to(self.pretrain)

    def open_objects(self) -> None:
        """Show the part in which the mask becomes objects."""
        self.objects.open()
        self._scroll_to(self.objects)

    def _scroll_to(self, section: QWidget) -> None:
        """Scroll to a section once the layout has given it a place."""
        self._scroll_target = section
        self._scrolling.start(0)

    def _scroll(self) -> None:
        target, inside = self._scroll_target, self._area.widget()
        if target.height() > self._area.viewport().height():
            # Of what is higher than the dock, Qt would show the middle.
            top = target.mapTo(inside, target.rect().topLeft()).y()
            self._area.verticalScrollBar().setValue(top)
        else:
            self._area.ensureWidgetVisible(target)

    def _lay_out(self) -> None:
        inside = QWidget()
        layout = column(inside)
        sections = (self.predict, self.pretrain, self.correct, self.fine_tune)
        for section in (self.images, *sections, self.objects, self.compare):
            layout.addWidget(section)
        layout.addStretch(1)
        for box in inside.findChildren(QWidget):
            if isinstance(box, (QCheckBox, QComboBox, QAbstractSpinBox, QToolButton)):
                # The longest of their texts must not decide how wide the dock is.
                box.setMinimumWidth(min(_NARROWEST, box.sizeHint().width()))
        self._area = area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        for part in inside.findChildren(Section):
            part.unfolded.connect(self._scroll_to)
        outer = column(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)

    def _connect(self) -> None:
        picker = self.predict.form.picker
        picker.new_wanted.connect(self.new_model)
        picker.pretraining_wanted.connect(self.open_pretraining)
        picker.managing_wanted.connect(self.manage_models)
        self.proposals.chosen.connect(self.predict_with)
        self.proposals.painting_wanted.connect(self.paint_two_classes)
        self.correct.objects_wanted.connect(self.open_objects)
        self.objects.finished.connect(partial(self._scroll_to, self.objects.table))
        self.compare.scores.done.connect(partial(self._scroll_to, self.compare))
        for training in (self.pretrain, self.fine_tune):
            training.begun.connect(partial(self._scroll_to, training))
        self.workspace.models_changed.connect(self._keep_untrained)
        self._data_watch.renewed.connect(self._on_data_renewed)
        self._data_watch.replaced.connect(self._on_data_replaced)
        layers = self.viewer.layers.events
        connections = [
            (layers.inserted, self._on_layers_changed),
            (layers.removed, self._on_layer_removed),
            (layers.renamed, self._on_layers_changed),
            (self.viewer.layers.selection.events.active, self._on_active_changed),
            (self.viewer.events.theme, self._on_theme_changed),
        ]
        for emitter, callback in connections:
            emitter.connect(callback)
        register_keys()
        hints = KeyHints(self)
        for part in (self.earlier, self.compare.shown, self.compare.scores):
            hints.changed.connect(part.show_state)
        hints.changed.connect(self.correct.show_keys)
        # Not a method: Qt does not call those of the object that is being destroyed. Of
        # the dock and none of its children: when the interpreter finds the dock to be
        # garbage, a partial of a child is taken apart before the child is destroyed.
        viewports, views = self.live.live.viewports, self.masks.views
        uncertain = self.compare.uncertainty.viewports
        self.destroyed.connect(
            partial(
                _disconnect_all,
                connections,
                views,
                self.workspace,
                (viewports, uncertain),
                self._data_watch,
                ref(self.viewer),
            )
        )

    def _choose_object_size(self, size: Any) -> None:
        """Choose the size of objects that a list of images remembers."""
        model = self.workspace.model
        form = self.predict.form
        form.object_size.choose(size, None if model is None else model.spec)
        form.show_object_size()

    def _on_layers_changed(self, *_: Any) -> None:
        for layer in self.viewer.layers:
            if isinstance(layer, ImageLayer) and not is_screen_layer(layer):
                self._data_watch.watch(layer)
        self.predict.form.reset_choices()
        self.fine_tune.pairs.reset_choices()
        self.compare.reset_choices()

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        if self._data_watch.unwatch(layer):
            self.workspace.forget(layer)
        self.masks.on_removed(layer)
        self.objects.on_removed(layer)
        self.compare.on_removed(layer)
        self._on_layers_changed()

    def _on_active_changed(self, event: Any) -> None:
        """Turn to the image that was chosen in the layer list, or whose mask was."""
        painted = self.masks.being_painted
        if painted is not None and painted in self.viewer.layers:
            # A layer that appears in the midst of a stroke must not take the mouse.
            if event.value is not painted:
                self.viewer.layers.selection.active = painted
            return
        source = self.masks.source_of(event.value) or source_of_objects(
            self.viewer, event.value
        )
        if event.value in self.predict.form.layers():
            source = event.value
        if source is not None and not self.workspace.activity:
            self.predict.form.follow(source)

    def _on_theme_changed(self, *_: Any) -> None:
        pages = self.findChildren(ModelsDialog)
        for part in (self.pretrain, self.fine_tune, *pages):
            part.follow_theme(self.viewer.theme)
        if self._batch is not None:
            self._batch.plot.set_theme(self.viewer.theme)

    def _keep_untrained(self) -> None:
        self._left.untrained = self.workspace.untrained

    def _on_data_renewed(self, layer: Any) -> None:
        """Go on with a layer that shows the same image from another array."""
        working_image = self.workspace.working_image_of(layer)
        if working_image is not None:
            try:
                working_image.image = image_of(layer, working_image.layout)
            except DataError:
                # The same numbers may be of a kind that models do not take.
                self._on_data_replaced(layer)
                return
        self.predict.form.reset_choices()

    def _on_data_replaced(self, layer: Any) -> None:
        """Start anew with a layer that shows another image now."""
        working_image = self.workspace.working_image_of(layer)
        if working_image is not None:
            retired = self.masks.retire(layer)
            self.workspace.forget(layer, edited=True)
            if retired:
                show_warning(_describe_replaced(layer.name, working_image))
        else:
            self.workspace.saved.forget(layer, edited=True)
        self.predict.form.reset_choices()


def _describe_replaced(name: str, working_image: WorkingImage) -> str:
    """Return what becomes of the mask of a layer that shows another image now."""
    strokes = working_image.annotations.count()
    saved = working_image.annotations.folder is not None
    kept = f", with {strokes:,} touched pixels," if strokes else ""
    stay = " What was painted is saved with those." if strokes and saved else ""
    return (
        f"{name!r} shows other pixels than before. Its mask{kept} belongs to the "
        f"earlier ones: it is hidden, and painting on it does not count.{stay} Press "
        "Predict, or start with an empty mask, for a new one."
    )


def _on_taken_off(masks: Masks, compare: CompareSection) -> None:
    masks.pause()
    compare.end()


def _disconnect_all(
    connections: list[tuple[Any, Any]],
    views: Mapping[Any, MaskView],
    workspace: Workspace,
    viewports: tuple[list[ViewportTracker], ...],
    data_watch: DataWatch,
    viewer: Callable[[], napari.Viewer | None],
    *_: Any,
) -> None:
    """Leave the viewer without a trace of a dock that is gone."""
    for emitter, callback in connections:
        with suppress(ValueError):
            emitter.disconnect(callback)
    for view in list(views.values()):
        view.unwatch()
    for followed in viewports:
        close_all(followed)
    data_watch.close()
    if (there := viewer()) is not None:
        remove_screen_layers(there)
    workspace.close()

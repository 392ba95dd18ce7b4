"""Step 4 of the dock: the mask becomes single objects, and a table of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer, Signal

from napari_unet.jobs.job import run
from napari_unet.jobs.objects import ClassProbabilities, find_objects, save_objects
from napari_unet.jobs.orders import ObjectsOrder
from napari_unet.results.objects import objects_of, show_objects
from napari_unet.results.probabilities import probability_maps_of
from napari_unet.steps.objects.correcting import CorrectingTools
from napari_unet.steps.objects.file_dialog import choose_object_file
from napari_unet.steps.objects.form import MaskInfo, ObjectsForm
from napari_unet.steps.objects.live_split import LiveSplit
from napari_unet.steps.objects.table import dock_table, table_in
from napari_unet.steps.objects.tracking import TrackingTools
from napari_unet.steps.run_texts import texts_of_objects
from napari_unet.viewer.files import folder_of
from napari_unet.widgets.buttons import SideBySide, button, make_primary
from napari_unet.widgets.copy_button import CopyButton
from napari_unet.widgets.forms import TextLine
from napari_unet.widgets.job_section import JobSection
from napari_unet.widgets.tooltips import enable, explain
from unet_engine.errors import DataError, EngineError
from unet_engine.objects import SemanticMask, describe_left_out

if TYPE_CHECKING:
    import napari
    import numpy.typing as npt

    from napari_unet.jobs.objects import FoundObjects, ObjectsStep
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.results.objects import ObjectsView
    from napari_unet.state.workspace import Workspace
    from napari_unet.steps.predict.form import PredictionForm
    from unet_engine.places import PlaneRegion
    from unet_engine.scripting import RunTexts

_PAUSE_MS = 300
"""Time after a correction in which the next one may follow before all is measured."""

_QUICK = 2**24
"""Pixels of an image that is measured after each correction: about a second."""

_SEPARATE = ("Separate objects", "Give every object of the mask a number, and measure.")
_MEASURE = ("Measure objects", "Measure the objects as they are, changed by hand too.")
_NO_OBJECTS = "There are no objects yet: separate them first."
_NO_WINDOW = "The viewer has no window for a table."
_NO_MASK = "There is no mask yet: predict one in step 1, or paint one in step 2."
_HELP = "When {0!r} is good: each of its objects gets a number and is measured."
_NONE = "There are no objects in the mask: it is empty, or all are too small."


class ObjectsSection(JobSection):
    """The form, Separate and Cancel, progress, the table.

    Parameters
    ----------
    viewer
        Gets the objects as a layer.
    workspace
        Its ``activity`` is set while a run lasts.
    masks
        Where the mask of the chosen image is.
    prediction
        The form of step 1, for what is copied.

    Attributes
    ----------
    finished
        A run ended, and the section has grown by the sentence on it.
    """

    finished = Signal()

    def __init__(
        self,
        viewer: napari.Viewer,
        workspace: Workspace,
        masks: Masks,
        prediction: PredictionForm,
    ) -> None:
        super().__init__(
            "4  Objects",
            "Single objects of the mask, and a table of their measurements.",
            workspace,
            activity="objects",
            expanded=False,
        )
        self._viewer = viewer
        self._masks = masks
        self._prediction = prediction
        self._worked_on = self._recording = False
        self._followed: ObjectsView | None = None
        self._measuring = QTimer(self)
        self._measuring.setSingleShot(True)
        self._measuring.setInterval(_PAUSE_MS)
        self._measuring.timeout.connect(self._measure_again)
        self.help_text = TextLine()
        self.content.addWidget(self.help_text)
        self.form = ObjectsForm()
        self.content.addWidget(self.form)
        self._make_buttons()
        self.live = LiveSplit(viewer, self._live_order, self)
        self.form.merging.changed.connect(self.live.request)
        self.form.method.changed.connect(self._show_state)
        workspace.layer_changed.connect(self.live.end)
        workspace.layer_changed.connect(self._forget_result)
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.classes_changed,
        ):
            signal.connect(self._show_state)
        workspace.touched_changed.connect(self._on_mask_worked_on)
        self._on_activity_changed()
        self._show_state()

    def _make_buttons(self) -> None:
        self.separate = make_primary(button(*_SEPARATE, self.start))
        cancel = button("Cancel", "Stop here. Earlier objects stay.", self.stop)
        self._add_controls(self.separate, cancel)
        self.save = button(
            "Save…",
            "Write the measurements as a table, or the objects as an image or as "
            "outlines for ImageJ, QuPath or COCO.",
            self.choose_file,
        )
        self.table = button(
            "Show table",
            "List the objects: a row goes to its object, a picked object to its row.",
            self.show_table,
        )
        self.copy = CopyButton(self._texts)
        self.copy.message.connect(self.text.setText)
        self.form.advanced.content.addWidget(self.copy)
        self.summary = TextLine()
        self.correcting = CorrectingTools(self._viewer, lambda: self.objects)
        self.tracking = TrackingTools(
            self._viewer, self._launch, self._on_steps, self.text.setText
        )
        self.content.addWidget(self.correcting)
        self.content.addWidget(self.summary)
        self.content.addWidget(SideBySide((self.save, 1), (self.table, 1)))
        self.content.addWidget(self.tracking)

    @property
    def objects(self) -> ObjectsView | None:
        """The objects of the chosen image."""
        return objects_of(self._viewer, self._workspace.layer)

    def _texts(self) -> RunTexts:
        prediction, form = self._prediction, self.form
        return texts_of_objects(
            self._workspace,
            prediction.config,
            prediction.axes.value,
            form.config,
            ndim=form.ndim,
            scale=form.stated_scale,
        )

    def open(self) -> None:
        """Unfold the section."""
        self.expand()
        self._show_state()

    def start(self) -> None:
        """Find the objects by the settings of the form, unless something is running."""
        if self._workspace.activity:
            return
        self._show_state()
        view = self._masks.current
        try:
            if view is None:
                raise DataError(_NO_MASK)
            order = self._make_order(view, keeps=self.form.keeps)
        except EngineError as error:
            show_warning(str(error))
            self.text.setText(str(error))
            return
        self._worked_on = False
        self.live.end()
        self._launch(
            partial(find_objects, order),
            layer=order.layer,
            on_events=self._on_steps,
            on_result=partial(self._on_result, order, view),
        )

    def _live_order(self) -> tuple[MaskView, ObjectsOrder] | None:
        """Return how the objects of the mask on screen would be found now."""
        view = self._masks.current
        if view is None or self._workspace.activity:
            return None
        return view, self._make_order(view, keeps=self.form.keeps)

    def _mask_info(self, view: MaskView) -> MaskInfo:
        """Return what the form needs of a mask."""
        working_image = view.working_image
        leading = working_image.layout.leading
        return MaskInfo(
            source=view.source,
            layout=working_image.layout,
            volume=leading.endswith("Z") and working_image.mask.shape[-3] > 1,
            classes=view.classes,
            probabilities=bool(self._probabilities(view)),
            object_maps=working_image.object_maps is not None,
        )

    def _make_order(self, view: MaskView, *, keeps: bool) -> ObjectsOrder:
        form, working_image = self.form, view.working_image
        boundary = form.boundary_class
        maps = None if keeps else working_image.object_maps
        arrays = self._probabilities(view) if form.config.method == "watershed" else []
        return ObjectsOrder(
            layer=view.source,
            image=working_image.image,
            mask=SemanticMask(
                classes=self._ids(view) if keeps else working_image.mask,
                ndim=form.ndim,
                spacing=form.spacing,
                boundary=boundary,
                probabilities=(
                    ClassProbabilities(arrays) if arrays and boundary else None
                ),
                object_maps=None if maps is None else maps.values,
                map_names=() if maps is None else maps.names,
            ),
            config=replace(form.config, method="keep") if keeps else form.config,
            scale=form.scale,
            axes=working_image.layout.leading + "YX",
            classes=view.classes,
            corrected=working_image.corrected_objects.copy() if not keeps else None,
        )

    def _ids(self, view: MaskView) -> npt.NDArray[Any]:
        objects = objects_of(self._viewer, view.source)
        if objects is None or objects.working_image is not view.working_image:
            raise DataError(
                "there are no objects to keep; choose another method and separate the "
                "objects first"
            )
        return objects.ids

    def _probabilities(self, view: MaskView) -> list[npt.NDArray[np.float32]]:
        """Return the probability of every class that is on screen, or nothing."""
        maps = probability_maps_of(self._viewer, view.working_image).values()
        shown = {each.class_name: each.values for each in maps}
        names = view.classes[1:]
        return [shown[name] for name in names] if set(names) <= set(shown) else []

    def _must_wait(self) -> bool:
        """Have objects appear during a stroke too: they are a layer of their own."""
        return False

    def _on_steps(self, steps: list[ObjectsStep]) -> None:
        step = steps[-1]
        self._show_progress(
            step.done, step.total, f"{step.what}: {step.done} of {step.total}"
        )

    def _on_result(
        self, order: ObjectsOrder, mask: MaskView, found: FoundObjects | None
    ) -> None:
        if found is None:
            self.text.setText("Stopped. Nothing was changed.")
            return
        view = objects_of(self._viewer, order.layer)
        if order.config.method == "keep" and view is not None:
            view.measure(found)
        elif found.count or view is not None:
            show_objects(self._viewer, mask, found)
            self.tracking.outdate(order.layer)
        if self._worked_on:
            self._outdate(order.layer)
        self.text.setText("" if found.count else _NONE)
        self._show_state()

    def choose_file(self) -> None:
        """Let the user choose a file and its format, and write the objects there."""
        if self.objects is None:
            return
        name = Path(self.objects.layer.name).name
        folder = folder_of(self._workspace.layer)
        choose_object_file(self, name, folder, self.save_as)

    def save_as(self, path: str) -> None:
        """Write the objects in the format of the suffix, whole or not at all."""
        view = self.objects
        if view is None or self._workspace.activity:
            return
        try:
            # What is corrected meanwhile goes into the next file.
            labels, image = view.ids.copy(), view.named_image
        except EngineError as error:
            show_warning(str(error))
            return
        self._launch(
            partial(save_objects, path, labels, image, view.table),
            layer=None,
            on_events=self._on_steps,
            on_result=partial(self._on_saved, view.outdated),
        )

    def _on_saved(self, outdated: str, path: str | None) -> None:
        if path is None:
            self.text.setText("Stopped. Nothing was written.")
            return
        # A path has no gaps at which a narrow dock could break it.
        self.text.setText(f"Saved {Path(path).name}.")
        show_info(" ".join(filter(None, (f"Saved {path}.", outdated))))

    def _forget_result(self) -> None:
        """Drop the line on what was done with another image."""
        if not self._workspace.activity:
            self.text.setText("")

    def show_table(self) -> None:
        """Open the table of the objects below the canvas."""
        view = self.objects
        if view is None or not hasattr(self._viewer, "window"):
            return
        self._viewer.layers.selection.active = view.layer
        dock_table(self._viewer).follow(view)

    def _on_finished(self) -> None:
        super()._on_finished()
        self.finished.emit()

    def on_removed(self, layer: Any) -> None:
        """Follow the removal of a layer: perhaps that of the objects."""
        self._show_state()

    def _on_activity_changed(self) -> None:
        super()._on_activity_changed()
        if self._workspace.activity == "predict":
            self._outdate(self._workspace.layer)
        self._show_state()

    def _follow_objects(self, view: ObjectsView | None) -> None:
        """Follow what is corrected of the objects of the chosen image."""
        if view is not self._followed:
            if self._followed is not None:
                self._followed.edited.disconnect(self._on_edited)
            self._followed = view
            if view is not None:
                view.edited.connect(self._on_edited)

    def _on_edited(self, places: list[PlaneRegion]) -> None:
        """Show a correction in the mask too, and measure anew in a moment."""
        view = self._masks.current
        self._recording = True
        try:
            if view is not None:
                view.note_touched(places)
        finally:
            self._recording = False
        self._measuring.start()
        self.tracking.outdate(self._workspace.layer)
        self._show_state()

    def _measure_again(self) -> None:
        view, objects = self._masks.current, self.objects
        if view is None or objects is None or objects.working_image.mask.size > _QUICK:
            return
        if self._workspace.activity or objects.recorder.is_drawn_on:
            self._measuring.start()
            return
        try:
            order = self._make_order(view, keeps=True)
        except EngineError:
            # A typed size is none: the button has the sentence.
            return
        ids = np.array(order.mask.classes)
        order = replace(order, mask=replace(order.mask, classes=ids))
        run(
            partial(find_objects, order),
            parent=self,
            on_result=partial(self._on_measured, objects, objects.edits),
        )

    def _on_measured(
        self, objects: ObjectsView, edits: int, found: FoundObjects | None
    ) -> None:
        if found is not None and objects.edits == edits:
            objects.measure(found)
            self._show_state()

    def _on_mask_worked_on(self) -> None:
        if self._recording:
            return
        self._worked_on = True
        self._outdate(self._workspace.layer)
        self._show_state()

    def _outdate(self, source: Any) -> None:
        if (view := objects_of(self._viewer, source)) is not None:
            view.outdate()

    def _enable_inputs(self, enabled: bool) -> None:
        enable(self.form, "" if enabled else self._workspace.why_busy)

    def _show_state(self, *_: Any) -> None:
        """Follow the mask of the chosen image, and show what there is of it."""
        view = self._masks.current
        self.form.follow(None if view is None else self._mask_info(view))
        text, tooltip = _MEASURE if self.form.keeps else _SEPARATE
        self.separate.setText(text)
        explain(self.separate, tooltip)
        objects, busy = self.objects, self._workspace.why_busy
        self._follow_objects(objects)
        self.correcting.follow(objects, busy)
        self.tracking.follow(self._workspace.layer, objects, busy)
        if objects is not None and view is not None:
            objects.recorder.new_class = max(1, int(view.layer.selected_label))
        listed = objects is not None and len(objects.table["label"]) > 0
        enable(self.save, busy if listed else _NO_OBJECTS)
        windowless = "" if hasattr(self._viewer, "window") else _NO_WINDOW
        enable(self.table, windowless if listed else _NO_OBJECTS)
        if view is None:
            self.help_text.setText(_NO_MASK)
        else:
            self.help_text.setText(_HELP.format(view.layer.name))
        self.summary.setText(_describe(objects) if objects and listed else "")
        table = table_in(getattr(self._viewer, "window", None))
        if table is not None:
            table.follow(objects)


def _describe(objects: ObjectsView) -> str:
    """Return how many objects there are, how large, and whether that still holds."""
    table = objects.table
    # In µm where that is known: the last of them.
    name = [n for n in table if n.startswith(("area (", "volume ("))][-1]
    what, unit = name.rstrip(")").split(" (")
    count = len(table["label"])
    median = f"median {what} {np.median(table[name]):.4g} {unit}"
    line = f"{count:,} {'object' if count == 1 else 'objects'}, {median}."
    left_out = describe_left_out(table)
    sentence = f"{left_out[:1].upper()}{left_out[1:]}." if left_out else ""
    return " ".join(filter(None, (line, sentence, objects.outdated)))

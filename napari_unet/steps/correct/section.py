"""Step 2 of the dock: correct the mask where it is wrong, accept it where it is not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QMessageBox,
    QWidget,
)

from napari_unet.results.acceptance import propose_acceptance, propose_clearing
from napari_unet.state.large_arrays import describe_place
from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.steps.correct.class_buttons import ClassButtons
from napari_unet.steps.correct.contradictions import Contradictions
from napari_unet.steps.correct.reasons import (
    NO_CLASSES,
    NO_IMAGE,
    NO_MASK,
    NOTHING_TOUCHED,
)
from napari_unet.widgets.buttons import SideBySide, button
from napari_unet.widgets.forms import Section, TextLine
from napari_unet.widgets.tooltips import enable, explain, why_not
from unet_engine.errors import DataError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from qtpy.QtWidgets import QPushButton

    from napari_unet.results.acceptance import Proposal
    from napari_unet.results.mask import MaskView
    from napari_unet.results.masks import Masks
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from napari_unet.widgets.buttons import NamedButton

_HELP = "Paint on the mask what is wrong. Painting over what is right confirms it."
_NO_MASK = "Predict first, or start painting on an empty mask."
_NEW = "Click a class and paint a few strokes of each on the image, then fine-tune."
_DAMAGED = "{0:,} blocks of them are damaged on disk and lost."
_MOST_WITHOUT_QUESTION = 100_000
"""Pixels that are accepted or cleared without a question: some objects, not a view."""
_NO_CLASS = "There is no class {0} to paint: add it in step 2."
_NO_CLASSES = (
    "{0} takes noise away and has no classes to paint. Choose another model, or start "
    "a new U-Net from it: see step 1."
)


class CorrectSection(Section):
    """Class buttons, counts, touched pixels, accept, clear.

    Parameters
    ----------
    workspace
        Has the classes and what was touched.
    masks
        The layers that are painted on.
    make_working_image
        Returns the chosen image as a working image, for an empty mask.
    shown
        What the mask on screen was made by; shown first.
    live
        What helps while painting; shown below the classes.

    Attributes
    ----------
    objects_wanted
        The mask is good and the user wants its objects.
    """

    objects_wanted = Signal()

    def __init__(
        self,
        workspace: Workspace,
        masks: Masks,
        make_working_image: Callable[[], WorkingImage],
        shown: QWidget,
        live: QWidget,
    ) -> None:
        super().__init__("2  Correct", "Paint on the mask with napari's own tools.")
        self._workspace = workspace
        self._masks = masks
        self._make_working_image = make_working_image
        self.text = TextLine()
        self.content.addWidget(shown)
        self.content.addWidget(self.text)
        self.contradictions = Contradictions(workspace, masks)
        self.content.addWidget(self.contradictions)
        self._make_saved()
        self._make_classes()
        self.content.addWidget(live)
        self._make_tools()
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.touched_changed,
            workspace.classes_changed,
            workspace.activity_changed,
        ):
            signal.connect(self.show_state)
        for signal in (
            workspace.layer_changed,
            workspace.mask_changed,
            workspace.classes_changed,
        ):
            signal.connect(self._fill_classes)
        workspace.label_chosen.connect(self._mark_label)
        self._fill_classes()
        self.show_state()

    def _make_saved(self) -> None:
        self.saved = TextLine()
        self.anew = button(
            "Start anew",
            "Set these strokes aside, in a folder beside their own, and begin without "
            "any. Nothing is deleted.",
            self.start_anew,
        )
        line = QHBoxLayout()
        line.addWidget(self.saved, 1)
        line.addWidget(self.anew, 0, Qt.AlignmentFlag.AlignTop)
        self.content.addLayout(line)

    def _make_classes(self) -> None:
        self.new_class = button(
            "Add class…",
            "Paint one more class. The model learns it in the next training.",
            self._on_new_class_clicked,
        )
        self._classes = ClassButtons(self.new_class, self)
        self._classes.chosen.connect(self.choose_name)
        self._classes.unmarking.connect(self.take_unmark_brush)
        self.content.addLayout(self._classes.grid)

    @property
    def unmark(self) -> QPushButton:
        """The button of the brush that gives pixels back to the prediction."""
        return self._classes.unmark

    @property
    def class_buttons(self) -> list[NamedButton]:
        """A button for each class that can be painted."""
        return self._classes.buttons

    def _make_tools(self) -> None:
        self.empty = button(
            "Start with an empty mask",
            "Make a mask of background only and paint everything yourself.",
            self.start_empty,
        )
        self.accept = button(
            "Accept this view",
            "Mark all pixels of the mask on screen, in this slice, as right. What is "
            "hidden, covered or locked stays. Undo takes it back.",
            self.accept_view,
        )
        self.clear = button(
            "Clear touched…",
            "Give touched pixels back to the prediction. Undo brings them back.",
            lambda: None,
        )
        menu = QMenu(self)
        menu.addAction("on screen").triggered.connect(
            lambda: self.clear_touched(everywhere=False)
        )
        menu.addAction("in all slices").triggered.connect(
            lambda: self.clear_touched(everywhere=True)
        )
        menu.addSeparator()
        menu.addAction("Start anew, and set all strokes aside").triggered.connect(
            lambda: self.start_anew()
        )
        self.clear.setMenu(menu)
        self.touched = CheckBox(text="Show touched pixels")
        explain(
            self.touched.native,
            "Show what you touched in full colour, in a layer of its own.",
        )
        self.touched.changed.connect(self._on_show_touched)
        self.objects = button(
            "Objects…",
            "When the mask is good: separate its objects and measure them, in step 4.",
            self.objects_wanted.emit,
        )
        self.content.addWidget(self.empty)
        self.content.addWidget(SideBySide((self.accept, 1), (self.clear, 1)))
        self.content.addWidget(SideBySide((self.touched.native, 1), (self.objects, 0)))

    def start_empty(self) -> None:
        """Show an empty mask on the chosen image."""
        try:
            working_image = self._make_working_image()
        except EngineError as error:
            show_warning(str(error))
            return
        view = self._masks.show(self._workspace.layer, working_image)
        view.set_classes(self._workspace.classes)

    def show_keys(self) -> None:
        """Show the keys of the classes as they are now."""
        self._classes.show_keys()

    def press_class(self, label: int) -> None:
        """Press the button of a class, if there is one with this value in the mask."""
        made = self._classes.of(label)
        if made is None:
            show_info(_NO_CLASS.format(label))
        elif made.isEnabled():
            made.click()
        else:
            show_info(why_not(made))

    def choose_class(self, label: int) -> None:
        """Paint with a class from now on, on an empty mask if there is none."""
        if self._masks.current is None:
            self.start_empty()
        if (view := self._masks.current) is not None:
            view.paint_with(label)

    def choose_name(self, name: str) -> None:
        """Paint with a class from now on, whatever its value in the mask is."""
        if self._masks.current is None:
            self.start_empty()
        view = self._masks.current
        if view is not None and name in view.working_image.names:
            view.paint_with(view.working_image.names.index(name))

    def take_unmark_brush(self) -> None:
        """Give what the brush covers back to the prediction from now on."""
        if (view := self._masks.current) is not None:
            view.unmark()

    def accept_view(self) -> None:
        """Accept what is on screen as right; undo takes it back."""
        self._change(propose_acceptance)

    def clear_touched(self, *, everywhere: bool) -> None:
        """Give touched pixels back to the model's prediction; undo brings them back.

        Parameters
        ----------
        everywhere
            In all slices; else those on screen.
        """
        self._change(partial(propose_clearing, everywhere=everywhere))

    def _change(self, propose: Callable[[ViewerModel, MaskView], Proposal]) -> None:
        """Do what is proposed, after a question if it is much, and report it."""
        view = self._masks.current
        try:
            if view is None:
                raise DataError(self._why_no_mask())
            proposal = propose(self._masks.viewer, view)
        except EngineError as error:
            show_warning(f"{error}.")
            return
        if not proposal.parts:
            show_info(proposal.refusal)
            return
        if proposal.count > _MOST_WITHOUT_QUESTION:
            if not self._confirm(proposal.question):
                return
            # Layers may have gone meanwhile, and a run may have gone on.
            if self._masks.of(view.source) is not view:
                return
            proposal.drop_changed()
        report = proposal.report
        proposal.carry_out(view.recorder)
        show_info(report)

    def _confirm(self, question: str) -> bool:
        answer = QMessageBox.question(self, "U-Net", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _why_no_mask(self) -> str:
        layer = self._workspace.layer
        if layer is None:
            return "no image is open; open one and predict its mask first"
        return (
            f"there is no mask of {layer.name}; predict it first, or start with an "
            "empty one"
        )

    def start_anew(self) -> None:
        """Set the strokes of the chosen image aside and begin without any."""
        strokes = self._strokes()
        try:
            folder = self._workspace.start_anew()
        except EngineError as error:
            show_warning(str(error))
            return
        if (view := self._masks.current) is not None:
            view.show_other_annotations()
        self.show_state()
        show_info(f"{strokes:,} strokes were set aside in {folder}.")

    def _strokes(self) -> int:
        working_image = self._workspace.working_image
        return 0 if working_image is None else working_image.annotations.strokes

    def add_class(self, name: str) -> None:
        """Offer one more class to paint with."""
        try:
            self._workspace.add_class(name)
        except EngineError as error:
            show_warning(str(error))

    def _on_new_class_clicked(self) -> None:
        name, accepted = QInputDialog.getText(
            self, "Add class", "Name of the new class:"
        )
        if accepted:
            self.add_class(name)

    def _on_show_touched(self, shown: bool) -> None:
        if (view := self._masks.current) is not None:
            view.show_touched(shown)

    def _fill_classes(self) -> None:
        if (view := self._masks.current) is not None:
            view.set_classes(self._workspace.classes)
        self._classes.fill(self._offered(view))
        self.show_state()

    def _offered(self, view: MaskView | None) -> list[tuple[int, str]]:
        """Return value and name of what can be painted: of the model, or painted."""
        classes = self._workspace.classes
        if view is None or not classes:
            return list(enumerate(classes))
        working_image = view.working_image
        wanted = {*classes, *working_image.painted}
        return [
            (v, name) for v, name in enumerate(working_image.names) if name in wanted
        ]

    def _mark_label(self) -> None:
        """Show which class napari's brush paints."""
        view = self._masks.current
        if view is None:
            return
        if view.recorder.unmarks:
            self.unmark.setChecked(True)
        else:
            self._classes.check(int(view.layer.selected_label))

    def show_state(self, *_: Any) -> None:
        """Show what can be done now, and what was touched."""
        view = self._masks.current
        why = "" if view is not None else NO_MASK
        for tool in (self.unmark, self.accept, self.touched.native, self.objects):
            enable(tool, why)
        image = self._workspace.layer is not None
        waits = self._workspace.why_busy if image else NO_IMAGE
        for made in self.class_buttons:
            enable(made, waits if view is None else "")
        classes = bool(self._workspace.classes)
        enable(self.new_class, "" if classes else NO_CLASSES)
        self.empty.setVisible(
            view is None and self._workspace.layer is not None and classes
        )
        enable(self.empty, waits)
        self._show_counts(view)
        self._show_saved()
        self._mark_label()
        if view is not None:
            self.touched.value = view.overlay is not None

    def _show_counts(self, view: MaskView | None) -> None:
        counts = view.working_image.counts if view is not None else {}
        parts = [
            f"{view.working_image.name_of(label)} {count:,} px"
            for label, count in sorted(counts.items())
            if view is not None
        ]
        untouched = "" if parts else NOTHING_TOUCHED
        enable(self.clear, NO_MASK if view is None else untouched)
        self.text.setText(self._describe(parts, view))

    def _show_saved(self) -> None:
        """Show which strokes are back, and whether new ones are saved."""
        working_image = self._workspace.working_image
        annotations = None if working_image is None else working_image.annotations
        fault = "" if annotations is None else annotations.save_error
        lost = 0 if annotations is None else annotations.damaged
        sentences = [
            "" if working_image is None else working_image.origin_note,
            _DAMAGED.format(lost) if lost else "",
            self._workspace.class_notice,
            "" if working_image is None else describe_place(working_image.mask, "mask"),
            fault,
        ]
        self.saved.setText(" ".join(part for part in sentences if part))
        back = (
            working_image is not None
            and bool(working_image.origin_note)
            and bool(self._strokes())
        )
        self.anew.setVisible(back and not fault)

    def _describe(self, parts: list[str], view: MaskView | None) -> str:
        model = self._workspace.model
        if model is not None and not model.spec.classes:
            return _NO_CLASSES.format(model.name)
        if parts:
            return f"Touched: {', '.join(parts)}"
        if isinstance(model, UntrainedModel):
            return _NEW
        return _NO_MASK if view is None else _HELP

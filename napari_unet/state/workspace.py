"""What is being worked on: images, their masks, what was touched, the chosen model.

Plain state without Qt: the widgets read it, change it, and hear of changes through its
signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_unet.state import stroke_classes
from napari_unet.state.same_pixels import twin_of
from napari_unet.state.saved_strokes import SavedStrokes
from napari_unet.state.untrained_model import Draft, make_checkpoint
from napari_unet.viewer.conversion import layouts_of
from unet_engine.errors import DataError, SpecError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import Subject
    from napari_unet.viewer.conversion import Layout
    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.images.labels.values import LabelValues, Unlabelled
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True)
class Pair:
    """Training data the user added: an image layer and a labels layer.

    Attributes
    ----------
    layout
        What the axes of the image are.
    label_values, unlabelled
        What the values of the labels mean, as of ``decide_labels``.
    """

    image: Any
    labels: Any
    layout: Layout
    label_values: LabelValues = "auto"
    unlabelled: Unlabelled = "auto"

    @property
    def title(self) -> str:
        """The pair in a list."""
        given: list[str] = []
        if self.label_values != "auto":
            given.append(self.label_values)
        if self.unlabelled != "auto":
            given.append(f"{self.unlabelled} unlabelled")
        kind = f" ({', '.join(given)})" if given else ""
        return f"{self.image.name} + {self.labels.name}{kind}"


class Workspace:
    """The state of the dock.

    Attributes
    ----------
    store
        Where models are.
    saved
        Where strokes are.
    layer
        The chosen image layer, or None.
    models
        The models of the store, as of the last look, and the draft.
    model
        The chosen model, or None.
    draft
        A new model that was not trained yet, or None.
    added_classes
        Names of classes that the chosen model does not have yet.
    device
        Where prediction and training run.
    pairs
        Training data the user added.
    activity
        What is running: ``""``, ``"predict"``, ``"train"``, ``"pretrain"`` or
        ``"objects"``.
    closing
        Whether napari is about to be closed: nothing is begun by itself any more.
    painting
        Returns whether a stroke is being drawn on a mask.
    """

    layer_changed = Signal()
    mask_changed = Signal()
    touched_changed = Signal()
    label_chosen = Signal()
    models_changed = Signal()
    classes_changed = Signal()
    pairs_changed = Signal()
    activity_changed = Signal()
    prediction_wanted = Signal()
    saving_wanted = Signal()
    refused = Signal(str)
    layer_lost = Signal(object, str)
    image_picked = Signal(object)
    work_begun = Signal(object, str, bool)
    strokes_reopened = Signal(object, object)

    def __init__(self, store: ModelStore | None = None) -> None:
        self.store = store or ModelStore()
        self.saved = SavedStrokes()
        self.layer: Any = None
        self.models: tuple[Model, ...] = ()
        self.model: Model | None = None
        self.draft: Draft | None = None
        self.added_classes: tuple[str, ...] = ()
        self.device: Device = "auto"
        self.pairs: list[Pair] = []
        self.activity = ""
        self.closing = False
        self.painting: Callable[[], bool] = lambda: False
        self._subjects: WeakKeyDictionary[Any, Subject] = WeakKeyDictionary()
        self._model_chosen = False
        self._loaded: tuple[Any, Checkpoint] | None = None

    @property
    def subject(self) -> Subject | None:
        """The chosen image as a subject; None before its first prediction."""
        return None if self.layer is None else self.subject_of(self.layer)

    def subject_of(self, layer: Any) -> Subject | None:
        """Return what is known about a layer."""
        return self._subjects.get(layer)

    def touched_subjects(self, *, others: bool) -> tuple[Subject, ...]:
        """Return the images in which anything was touched, the chosen one first.

        Parameters
        ----------
        others
            Also those that are not chosen, if the model can learn from them.
        """
        found = [] if self.subject is None else [self.subject]
        if others:
            found += [s for s in self._other_subjects() if not self.why_not_taught(s)]
        return tuple(s for s in found if s.counts)

    def left_out(self) -> tuple[str, ...]:
        """Return why strokes on other images teach the chosen model nothing."""
        reasons = (self.why_not_taught(s) for s in self._other_subjects() if s.counts)
        return tuple(reason for reason in reasons if reason)

    def _other_subjects(self) -> list[Subject]:
        # Each once, however many layers show it.
        subjects = dict.fromkeys(self._subjects.values())
        return [s for s in subjects if s is not self.subject]

    def layers_of(self, subject: Subject) -> list[Any]:
        """Return the image layers that show a subject, the first one first."""
        return [layer for layer, s in self._subjects.items() if s is subject]

    def _close(self, subject: Subject) -> None:
        """Let go of the strokes of a subject, unless a layer still shows it."""
        if not self.layers_of(subject):
            subject.annotations.close()

    def why_not_taught(self, subject: Subject) -> str:
        """Return why the chosen model cannot learn from an image, or nothing."""
        if self.model is None or not self.model.spec.classes:
            return ""
        if not subject.names and subject.counts:
            # Nobody knows their names, and no mask was shown that would guess them.
            subject.take_classes(self.classes, self.model_about)
        return stroke_classes.why_not_taught(
            subject, self.model, self.classes, self.models
        )

    def check_painted(self) -> None:
        """Check that the model has all classes that were painted on the chosen image.

        Raises
        ------
        DataError
            When it has not; the strokes would teach it another class.
        """
        subject = self.subject
        painted = subject is not None and bool(subject.counts)
        if subject is not None and painted and (why := self.why_not_taught(subject)):
            raise DataError(why)

    @property
    def class_notice(self) -> str:
        """What is to be known of the classes painted on the chosen image."""
        subject = self.subject
        if subject is None or self.model is None or not subject.counts:
            return ""
        why = self.why_not_taught(subject) if self.model.spec.classes else ""
        return stroke_classes.notice(subject, self.model, why)

    @property
    def model_about(self) -> dict[str, Any]:
        """What identifies the chosen model, to be saved with strokes."""
        return stroke_classes.about_model(self.model, self.added_classes)

    def painted_classes(self, subject: Subject) -> tuple[str, ...]:
        """Return the classes of a new model for the strokes of an image."""
        return stroke_classes.classes_for_new(subject, self.classes)

    def _choose_model_of(self, subject: Subject) -> None:
        """Choose the model that strokes were painted for, unless the user chose one."""
        about = subject.annotations.painted.model
        others = self._subjects.values()
        busy = any(
            s.annotations.strokes > s.annotations.recovery.strokes for s in others
        )
        if not about or self._model_chosen or busy:
            self._take_added()
            return
        model = stroke_classes.model_of(about, self.models)
        if model is None:
            subject.story = f"{subject.story} {stroke_classes.gone(about)}".strip()
            return
        if isinstance(model, Draft) and model is not self.draft:
            if self.draft is not None:
                return
            self.draft = model
            self.models = (*self.models, model)
        if model == self.model:
            self._take_added()
        self.choose_model(model)
        self._model_chosen = False
        self.models_changed.emit()

    def _take_added(self) -> None:
        """Offer the classes again that were added to the chosen model when painting."""
        about = {} if self.subject is None else self.subject.annotations.painted.model
        added = stroke_classes.added_to(about, self.model)
        more = tuple(name for name in added if name not in self.added_classes)
        if more:
            self.added_classes = (*self.added_classes, *more)
            self.classes_changed.emit()

    def adopt(self, layer: Any, subject: Subject) -> None:
        """Make a subject that of a layer."""
        before = self._subjects.get(layer)
        self._subjects[layer] = subject
        if before is not None and before is not subject:
            self._close(before)

    def make_subject(self, layer: Any, image: Image, layout: Layout) -> Subject:
        """Make an image layer a subject; with the strokes that it has already."""
        if (before := self._subjects.pop(layer, None)) is not None:
            # The strokes of one layer may lie in one folder for several layouts.
            self._close(before)
        if (twin := twin_of(layer, (layout,), self._subjects, self.saved)) is not None:
            self.adopt(layer, twin)
            return twin
        subject = self.saved.make_subject(layer, image, layout)
        self.adopt(layer, subject)
        if subject.annotations.planes():
            self._choose_model_of(subject)
            self.strokes_reopened.emit(layer, subject)
        return subject

    def forget(self, layer: Any, *, edited: bool = False) -> None:
        """Drop what is known about a layer.

        Parameters
        ----------
        layer
            One that is gone, or whose data are others now.
        edited
            It stays, and its pixels are not those of its file any more.
        """
        subject = self._subjects.pop(layer, None)
        if subject is not None:
            self._close(subject)
        self.saved.forget(layer, edited=edited)
        why = "shows another image now" if edited else "was deleted"
        self.layer_lost.emit(layer, f"{layer.name!r} {why}")

    def close(self) -> None:
        """Let other windows work on the images: this one is going."""
        for subject in self._subjects.values():
            subject.annotations.close()

    def choose_layer(self, layer: Any) -> None:
        """Make an image layer the one that is worked on, with the strokes it has."""
        if layer is self.layer:
            return
        self.layer = layer
        if layer is not None and self.subject is None:
            try:
                self._find_strokes(layer)
            except DataError as error:
                self.refused.emit(str(error))
        self.layer_changed.emit()

    def _find_strokes(self, layer: Any) -> None:
        """Make a layer a subject if there are strokes of its image, or a mask."""
        channels = 1 if self.model is None else self.model.spec.in_channels
        layouts = layouts_of(layer, channels)
        twin = twin_of(layer, layouts, self._subjects, self.saved)
        if twin is not None:
            self.adopt(layer, twin)
        elif (subject := self.saved.find(layer, channels)) is not None:
            self.adopt(layer, subject)
            self._choose_model_of(subject)
            self.strokes_reopened.emit(layer, subject)

    def start_anew(self) -> Path:
        """Set the strokes of the chosen image aside; return the folder they are in.

        Raises
        ------
        DataError
            When it has none that are saved, or they cannot be moved.
        """
        if self.subject is None:
            raise DataError("there are no strokes on this image")
        aside = self.saved.start_anew(self.layer, self.subject)
        self.touched_changed.emit()
        return aside

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be painted."""
        return (*self.model.spec.classes, *self.added_classes) if self.model else ()

    def choose_model(self, model: Model | None) -> None:
        """Make a model the one that predicts and is tuned."""
        if model != self.model:
            self.model = model
            self._model_chosen = True
            about = (
                {} if self.subject is None else self.subject.annotations.painted.model
            )
            self.added_classes = stroke_classes.added_to(about, model)
            self.classes_changed.emit()

    def refresh_models(self, choose: str = "") -> None:
        """Read the list of models again, and choose one by its name.

        Parameters
        ----------
        choose
            Name of a model; else the chosen one stays, or the first one is taken.
        """
        self.models = (*self.store.list(), *([self.draft] if self.draft else []))
        by_name = {model.name: model for model in self.models}
        wanted = choose or (self.model.name if self.model else "")
        first = self.models[0] if self.models else None
        chosen = self._model_chosen or bool(choose)
        self.choose_model(by_name.get(wanted, first))
        self._model_chosen = chosen
        self.models_changed.emit()

    def open_model(self, path: str) -> None:
        """Copy a model file from anywhere into the store, and choose it.

        Raises
        ------
        CheckpointError
            When it is not a model file of ours, or damaged.
        """
        self.refresh_models(choose=self.store.add(path).name)

    def add_draft(self, draft: Draft) -> None:
        """Take a new model that will be trained, in place of an earlier one."""
        self.draft = draft
        self.refresh_models(choose=draft.name)

    def drop_draft(self, draft: Model) -> None:
        """Let go of a draft, as it became a model; any other model stays."""
        if draft is self.draft:
            self.draft = None

    def checkpoint(self, model: Model, stop: Stop = never) -> Checkpoint:
        """Load a model or make a draft's weights, or return the last ones again.

        The engine keeps the network of a checkpoint for as long as it gets the same
        object. Reads a file: call it in a job.
        """
        key: Any = model
        if not isinstance(model, Draft):
            key = (model.path, model.path.stat().st_mtime_ns)
        if self._loaded is None or self._loaded[0] != key:
            made = (
                make_checkpoint(model, self.checkpoint, stop=stop)
                if isinstance(model, Draft)
                else Checkpoint.load(model.path)
            )
            self._loaded = (key, made)
        return self._loaded[1]

    def base_of(self, model: Model) -> ModelInfo | None:
        """Return the model that a tuned one was tuned from, if it is in the store."""
        name = model.history[-1].get("base") if model.history else None
        known = (info for info in self.store.list() if name and info.name == name)
        return next(known, None)

    def add_class(self, name: str) -> None:
        """Add a class that the next training will teach the model.

        Raises
        ------
        SpecError
            When the name is empty or taken.
        """
        name = name.strip()
        if not name or name in self.classes:
            raise SpecError(
                f"{name!r} cannot be a new class; give a name that is not among "
                f"{', '.join(self.classes)}"
            )
        self.added_classes = (*self.added_classes, name)
        self.classes_changed.emit()

    def add_pair(self, pair: Pair) -> None:
        """Train on a pair as well."""
        if pair not in self.pairs:
            self.pairs.append(pair)
            self.pairs_changed.emit()

    def remove_pair(self, pair: Pair) -> None:
        """Train on a pair no longer."""
        if pair in self.pairs:
            self.pairs.remove(pair)
            self.pairs_changed.emit()

    def begin(self, activity: str) -> None:
        """Say what is running now."""
        self.activity = activity
        self._model_chosen = self._model_chosen or bool(activity)
        self.activity_changed.emit()

    def end(self) -> None:
        """Say that nothing is running any more."""
        self.begin("")

"""What is being worked on: images, their masks, what was touched, the chosen model.

Plain state without Qt: the widgets read it, change it, and follow its signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.state import stroke_classes
from napari_unet.state.activities import Activities
from napari_unet.state.chosen_model import describe_gone, find_again
from napari_unet.state.listed_images import ListedImages
from napari_unet.state.loaded_model import LoadedModel
from napari_unet.state.related_image import FoundImages
from napari_unet.state.saved_strokes import SavedStrokes
from napari_unet.state.untrained_model import UntrainedModel
from napari_unet.state.working_images import WorkingImages
from napari_unet.viewer.conversion import layouts_of
from unet_engine.errors import DataError, SpecError
from unet_engine.models.collection.exchange import import_model
from unet_engine.models.store import ModelStore
from unet_engine.prediction.fitting import why_gone
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_unet.state.model_so_far import ModelSoFar
    from napari_unet.state.training_pair import Pair
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout
    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import ObjectSize
    from unet_engine.stopping import Stop


class Workspace(Activities):
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
        The models of the store, as they were read last, and the untrained model.
    model
        The chosen model, or None.
    model_chosen
        Whether the user chose it, or a run used it: it is not just the first one.
    untrained
        A new model that was not trained yet, or None.
    added_classes
        Names of classes that the chosen model does not have yet.
    device
        Where prediction and training run.
    object_size
        As of a ``PredictConfig``, of all predictions.
    pairs
        Training data the user added.
    related
        Images that are not open, with strokes of the same task.
    listed
        The list of images that is open.
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
    prediction_wanted = Signal(object)
    saving_wanted = Signal()
    refused = Signal(str)
    layer_lost = Signal(object, str)
    image_picked = Signal(object)
    work_begun = Signal(object, str, bool)
    strokes_reopened = Signal(object, object)

    def __init__(self, store: ModelStore | None = None) -> None:
        super().__init__()
        self.store = store or ModelStore()
        self.saved = SavedStrokes()
        self.layer: Any = None
        self.models: tuple[Model, ...] = ()
        self.model: Model | None = None
        self.untrained: UntrainedModel | None = None
        self.added_classes: tuple[str, ...] = ()
        self.device: Device = "auto"
        self.object_size: ObjectSize = "auto"
        self.pairs: list[Pair] = []
        self.related = FoundImages()
        self.listed = ListedImages()
        self.closing = False
        self.painting: Callable[[], bool] = lambda: False
        self._working_images = WorkingImages(self.saved)
        self.model_chosen = False
        self.activity_changed.connect(self._keep_model)
        self._loaded = LoadedModel()

    @property
    def working_image(self) -> WorkingImage | None:
        """The chosen image as a working image; None before its first prediction."""
        return None if self.layer is None else self.working_image_of(self.layer)

    def working_image_of(self, layer: Any) -> WorkingImage | None:
        """Return what is known about a layer."""
        return self._working_images.of(layer)

    def touched_working_images(self, *, others: bool) -> tuple[WorkingImage, ...]:
        """Return the images in which anything was touched, the chosen one first.

        Parameters
        ----------
        others
            Also those that are not chosen, if the model can learn from them.
        """
        found = [] if self.working_image is None else [self.working_image]
        if others:
            found += [
                s for s in self._other_working_images() if not self.why_not_learned(s)
            ]
        return tuple(s for s in found if s.counts)

    def left_out(self) -> tuple[str, ...]:
        """Return why the chosen model cannot learn from strokes on other images."""
        reasons = (
            self.why_not_learned(s) for s in self._other_working_images() if s.counts
        )
        return tuple(reason for reason in reasons if reason)

    def _other_working_images(self) -> list[WorkingImage]:
        return [s for s in self._working_images.all() if s is not self.working_image]

    def layers_of(self, working_image: WorkingImage) -> list[Any]:
        """Return the image layers that show a working image, the first one first."""
        return self._working_images.layers_of(working_image)

    def open_stroke_folders(self) -> frozenset[Path]:
        """Return where the strokes of the images lie that are open."""
        folders = (s.annotations.folder for s in self._working_images.all())
        return frozenset(folder for folder in folders if folder is not None)

    def why_not_learned(self, working_image: WorkingImage) -> str:
        """Return why the chosen model cannot learn from an image, or nothing."""
        if self.model is None or not self.model.spec.classes:
            return ""
        if not working_image.names and working_image.counts:
            # Their names were never saved, and no mask was shown that has names.
            working_image.take_classes(self.classes, self.model_identity)
        return stroke_classes.why_not_learned(
            working_image, self.model, self.classes, self.models
        )

    def check_painted(self) -> None:
        """Check that the model has all classes that were painted on the chosen image.

        Raises
        ------
        DataError
            When it has not; it would learn another class from the strokes.
        """
        image = self.working_image
        if image is not None and image.counts and (why := self.why_not_learned(image)):
            raise DataError(why)

    @property
    def class_notice(self) -> str:
        """The sentence on the classes painted on the chosen image, for the dock."""
        working_image = self.working_image
        if working_image is None or self.model is None or not working_image.counts:
            return ""
        why = self.why_not_learned(working_image) if self.model.spec.classes else ""
        return stroke_classes.notice(working_image, self.model, why)

    @property
    def model_identity(self) -> dict[str, Any]:
        """What identifies the chosen model, to be saved with strokes."""
        return stroke_classes.model_identity(self.model, self.added_classes)

    @property
    def _painted_model(self) -> Mapping[str, Any]:
        """What identifies the model that the chosen image was painted for."""
        image = self.working_image
        return {} if image is None else image.annotations.painted.model

    def painted_classes(self, working_image: WorkingImage) -> tuple[str, ...]:
        """Return the classes of a new model for the strokes of an image."""
        return stroke_classes.classes_for_new(working_image, self.classes)

    def _choose_model_of(self, working_image: WorkingImage) -> None:
        """Choose the model that strokes were painted for, unless the user chose one."""
        identity = working_image.annotations.painted.model
        if not identity or self.model_chosen or self._working_images.painted:
            self._take_added()
            return
        model = stroke_classes.model_of(identity, self.models)
        if model is None:
            working_image.origin_note = (
                f"{working_image.origin_note} {stroke_classes.gone(identity)}".strip()
            )
            return
        if isinstance(model, UntrainedModel) and model is not self.untrained:
            if self.untrained is not None:
                return
            self.untrained = model
            self.models = (*self.models, model)
        if model == self.model:
            self._take_added()
        self.choose_model(model)
        self.model_chosen = False
        self.models_changed.emit()

    def _take_added(self) -> None:
        """Offer the classes again that were added to the chosen model when painting."""
        added = stroke_classes.added_to(self._painted_model, self.model)
        more = tuple(name for name in added if name not in self.added_classes)
        if more:
            self.added_classes = (*self.added_classes, *more)
            self.classes_changed.emit()

    def adopt(self, layer: Any, working_image: WorkingImage) -> None:
        """Make a working image that of a layer."""
        self._working_images.adopt(layer, working_image)

    def make_working_image(
        self, layer: Any, image: Image, layout: Layout
    ) -> WorkingImage:
        """Make an image layer a working image; with the strokes that it has already."""
        # First: the strokes of one layer may lie in one folder for several layouts.
        self._working_images.drop(layer)
        if (same := self._working_images.same_as(layer, (layout,))) is not None:
            self.adopt(layer, same)
            return same
        working_image = self.saved.make_working_image(layer, image, layout)
        self.adopt(layer, working_image)
        if working_image.annotations.planes():
            self._choose_model_of(working_image)
            self.strokes_reopened.emit(layer, working_image)
        return working_image

    def forget(self, layer: Any, *, edited: bool = False) -> None:
        """Drop what is known about a layer.

        Parameters
        ----------
        layer
            One that is gone, or whose data are others now.
        edited
            It stays, and its pixels are not those of its file any more.
        """
        self._working_images.drop(layer)
        self.saved.forget(layer, edited=edited)
        why = "shows another image now" if edited else "was deleted"
        self.layer_lost.emit(layer, f"{layer.name!r} {why}")

    def close(self) -> None:
        """Let other windows work on the images: this one is going."""
        self._working_images.close()
        self.listed.close()

    def choose_layer(self, layer: Any) -> None:
        """Make an image layer the one that is worked on, with the strokes it has."""
        if layer is self.layer:
            return
        self.layer = layer
        if layer is not None and self.working_image is None:
            try:
                self._find_strokes(layer)
            except DataError as error:
                self.refused.emit(str(error))
        self.layer_changed.emit()

    def _find_strokes(self, layer: Any) -> None:
        """Make a layer a working image if there are strokes of its image, or a mask."""
        channels = 1 if self.model is None else self.model.spec.in_channels
        layouts = layouts_of(layer, channels)
        same = self._working_images.same_as(layer, layouts)
        if same is not None:
            self.adopt(layer, same)
        elif (working_image := self.saved.find(layer, channels)) is not None:
            self.adopt(layer, working_image)
            self._choose_model_of(working_image)
            self.strokes_reopened.emit(layer, working_image)

    def start_anew(self) -> Path:
        """Set the strokes of the chosen image aside; return the folder they are in.

        Raises
        ------
        DataError
            When it has none that are saved, or they cannot be moved.
        """
        if self.working_image is None:
            raise DataError("there are no strokes on this image")
        aside = self.saved.start_anew(self.layer, self.working_image)
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
            self.model_chosen = True
            self.added_classes = stroke_classes.added_to(self._painted_model, model)
            self.classes_changed.emit()

    def refresh_models(self, choose: str = "") -> None:
        """Read the list of models again, and choose one by its name.

        Parameters
        ----------
        choose
            Name of a model; else the chosen one stays, or the first one is taken.
        """
        self.models = (
            *self.store.list(),
            *([self.untrained] if self.untrained else []),
        )
        before, chosen = self.model, self.model_chosen or bool(choose)
        by_name = {model.name: model for model in self.models}
        first = self.models[0] if self.models else None
        if choose or before is None:
            self.choose_model(by_name.get(choose, first))
        else:
            self._choose_again(before, first)
        self.model_chosen = chosen
        self.models_changed.emit()

    def _choose_again(self, before: Model, first: Model | None) -> None:
        """Choose the model that was chosen, in a list that was read again."""
        again = find_again(before, self.models)
        added = self.added_classes
        self.choose_model(again or first)
        if again is not None and again.spec.classes == before.spec.classes:
            self.added_classes = added
        if again is None:
            self.refused.emit(describe_gone(before, first))

    def model_is_there(self) -> bool:
        """Whether the file of the chosen model is there; what is not is chosen anew.

        One that another program renamed is chosen under its new name.
        """
        before = self.model
        if before is None or not why_gone(before):
            return True
        self.refresh_models()
        return self.model is not None and find_again(before, (self.model,)) is not None

    def open_model(self, path: str) -> None:
        """Copy a model file from anywhere into the store, and choose it.

        Raises
        ------
        CheckpointError
            When it is not a model file of ours, or damaged.
        """
        self.refresh_models(choose=import_model(self.store, path).name)

    def add_untrained(self, untrained: UntrainedModel) -> None:
        """Take a new model that will be trained, in place of an earlier one."""
        self.untrained = untrained
        self.refresh_models(choose=untrained.name)

    def drop_untrained(self, untrained: Model) -> None:
        """Drop an untrained model that was trained and saved; any other model stays."""
        if untrained is self.untrained:
            self.untrained = None

    def checkpoint(self, model: Model | ModelSoFar, stop: Stop = never) -> Checkpoint:
        """Load a model, make the weights of an untrained one, or return the last ones.

        Reads a file: call it in a job.
        """
        return self._loaded.checkpoint(model, stop)

    def add_class(self, name: str) -> None:
        """Add a class that the model will learn in the next training.

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

    def replace_pair(self, pair: Pair, changed: Pair) -> None:
        """Train on a pair as it was changed, which stays in its place."""
        if pair in self.pairs and pair != changed:
            self.pairs[self.pairs.index(pair)] = changed
            self.pairs_changed.emit()

    def remove_pair(self, pair: Pair) -> None:
        """Train on a pair no longer."""
        if pair in self.pairs:
            self.pairs.remove(pair)
            self.pairs_changed.emit()

    def _keep_model(self) -> None:
        """Count the model that a run uses as one that the user chose."""
        if self.activity or self.training:
            self.model_chosen = True

"""What is being worked on: images, their masks, what was touched, the chosen model.

Plain state without Qt: the widgets read it, change it, and hear of changes through its
signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from unet_engine.annotations import Annotations
from unet_engine.errors import SpecError
from unet_engine.images import Normalisation, match_channels
from unet_engine.spec import IGNORE
from unet_engine.store import Checkpoint, ModelStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet._layers import Layout
    from unet_engine.events import TileDone
    from unet_engine.images import Image
    from unet_engine.spec import ModelSpec
    from unet_engine.store import ModelInfo

Index = tuple[int, ...]
Pixels = npt.NDArray[np.intp]
"""Flat positions in a mask."""
Values = npt.NDArray[np.uint8]
"""Class ids, or ``IGNORE`` where nothing is said."""


class Subject:
    """An image being worked on: its mask, what the user touched, its brightness.

    Parameters
    ----------
    image
        The image, any number of planes.
    layout
        What the axes of its layer mean.

    Attributes
    ----------
    mask
        ``(*leading, Y, X)`` class ids: the model's guess, and over it what the user
        touched. Changed in place.
    annotations
        What the user touched.
    """

    def __init__(self, image: Image, layout: Layout) -> None:
        self.image = image
        self.layout = layout
        shape = (*image.leading_shape, *image.plane_shape)
        self.mask: npt.NDArray[Any] = np.zeros(shape, np.uint8)
        self.annotations = Annotations(shape)
        self._counts = np.zeros(256, np.int64)
        self._guesses: dict[int, npt.NDArray[Any]] = {}
        self._normalisations: dict[tuple[int, float, float], Normalisation] = {}

    def normalisation(self, spec: ModelSpec) -> Normalisation:
        """Return the brightness of the whole image as the model wants it.

        Measured once for each kind of model. It reads the image: call it in a job.
        """
        key = (spec.in_channels, spec.low_percentile, spec.high_percentile)
        if key not in self._normalisations:
            self._normalisations[key] = Normalisation.measure(
                match_channels(self.image, spec.in_channels),
                low=spec.low_percentile,
                high=spec.high_percentile,
            )
        return self._normalisations[key]

    def write_tile(self, tile: TileDone) -> list[Index]:
        """Take a tile of a prediction; touched pixels keep their value.

        Returns
        -------
        list
            The planes it lies in: one, or those of a tile of a volume.
        """
        planes: list[Index] = []
        rows_columns = tile.inner[-2:]
        depths = [range(part.start, part.stop) for part in tile.inner[:-2]]
        for depth, labels in zip(
            product(*depths),
            tile.labels.reshape(-1, *tile.labels.shape[-2:]),
            strict=True,
        ):
            index = (*tile.index, *depth)
            if (guess := self._guesses.get(self.first_pixel(index))) is not None:
                guess[rows_columns] = labels
                labels = labels.copy()
                self.annotations.apply_to(index, labels, rows_columns)
            self.mask[index][rows_columns] = labels
            planes.append(index)
        return planes

    def first_pixel(self, index: Index) -> int:
        """Return the flat position of the first pixel of a plane."""
        zeros = (0,) * (self.mask.ndim - len(index))
        return int(np.ravel_multi_index((*index, *zeros), self.mask.shape))

    def values_at(self, pixels: Pixels) -> Values:
        """Return what the mask shows."""
        return self.mask[self._indices(pixels)].astype(np.uint8)

    def said(self, pixels: Pixels) -> Values:
        """Return what the user said of pixels."""
        return self.annotations.get(self._indices(pixels))

    def touched_pixels(self, index: Index | None = None) -> Pixels:
        """Return the touched pixels of a plane, or of all."""
        planes = self.annotations.planes() if index is None else (index,)
        found = [
            self.first_pixel(plane) + np.flatnonzero(self.annotations.touched(plane))
            for plane in planes
        ]
        return np.concatenate(found) if found else np.zeros(0, np.intp)

    def say(self, pixels: Pixels, values: Values) -> None:
        """Record what the user says of pixels, and show it.

        Parameters
        ----------
        pixels, values
            ``IGNORE`` gives a pixel back to the model's guess.
        """
        for change, ids in ((-1, self.said(pixels)), (1, values)):
            self._counts += change * np.bincount(ids, minlength=256)
        self.annotations.set(self._indices(pixels), values)
        shown = np.where(values == IGNORE, self._guess_at(pixels), values)
        self.mask[self._indices(pixels)] = shown

    @property
    def counts(self) -> dict[int, int]:
        """Touched pixels of each class; kept, because counting takes a while."""
        kept = self._counts[:IGNORE]
        return {int(label): int(kept[label]) for label in np.flatnonzero(kept)}

    def keep_guesses(self, pixels: Pixels, before: Values) -> None:
        """Remember the model's guess of a plane from its first touch on.

        Parameters
        ----------
        pixels, before
            What was just painted over, or will be at once, and its values before.
        """
        for first, here in self._by_plane(pixels):
            if first not in self._guesses:
                flat = self.mask.reshape(-1)[first : first + self._plane_size].copy()
                flat[pixels[here] - first] = before[here]
                self._guesses[first] = flat.reshape(self.mask.shape[-2:])

    def replace_mask(self, mask: npt.NDArray[Any]) -> None:
        """Take another array for the mask; touched pixels keep their value."""
        self.mask = mask
        self._guesses.clear()
        touched = self.touched_pixels()
        self.keep_guesses(touched, self.values_at(touched))
        self.say(touched, self.said(touched))

    @property
    def _plane_size(self) -> int:
        height, width = self.mask.shape[-2:]
        return int(height * width)

    def _indices(self, pixels: Pixels) -> tuple[Pixels, ...]:
        return np.unravel_index(pixels, self.mask.shape)

    def _by_plane(self, pixels: Pixels) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        firsts = pixels - pixels % self._plane_size
        for first in np.unique(firsts):
            yield int(first), firsts == first

    def _guess_at(self, pixels: Pixels) -> Values:
        values = self.values_at(pixels)
        for first, here in self._by_plane(pixels):
            if (guess := self._guesses.get(first)) is not None:
                values[here] = guess.reshape(-1)[pixels[here] - first]
        return values


def takes(image: Image, in_channels: int) -> bool:
    """Whether a model of so many channels can take an image."""
    return image.channels == in_channels or (image.rgb and in_channels == 1)


@dataclass(frozen=True, slots=True)
class Pair:
    """Training data the user added: an image layer and a labels layer.

    Attributes
    ----------
    layout
        What the axes of the image are.
    instances
        The labels are object ids, not class ids.
    """

    image: Any
    labels: Any
    layout: Layout
    instances: bool

    @property
    def title(self) -> str:
        """The pair in a list."""
        kind = " (objects)" if self.instances else ""
        return f"{self.image.name} + {self.labels.name}{kind}"


class Workspace:
    """The state of the dock.

    Attributes
    ----------
    store
        Where models are.
    layer
        The chosen image layer, or None.
    models
        The models of the store, as of the last look.
    model
        The chosen model, or None.
    added_classes
        Names of classes that the chosen model does not have yet.
    pairs
        Training data the user added.
    activity
        What is running: ``""``, ``"predict"`` or ``"train"``.
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
    layer_lost = Signal(object)

    def __init__(self, store: ModelStore | None = None) -> None:
        self.store = store or ModelStore()
        self.layer: Any = None
        self.models: tuple[ModelInfo, ...] = ()
        self.model: ModelInfo | None = None
        self.added_classes: tuple[str, ...] = ()
        self.pairs: list[Pair] = []
        self.activity = ""
        self._subjects: WeakKeyDictionary[Any, Subject] = WeakKeyDictionary()
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
            Also those that are not chosen, if the model can take them.
        """
        found = [] if self.subject is None else [self.subject]
        if others and self.model is not None:
            channels = self.model.spec.in_channels
            found += [
                subject
                for subject in self._subjects.values()
                if subject is not self.subject and takes(subject.image, channels)
            ]
        return tuple(s for s in found if s.counts)

    def adopt(self, layer: Any, subject: Subject) -> None:
        """Make a subject that of a layer."""
        self._subjects[layer] = subject

    def forget(self, layer: Any) -> None:
        """Drop what is known about a layer: it is gone, or its data are others now."""
        self._subjects.pop(layer, None)
        self.layer_lost.emit(layer)

    def choose_layer(self, layer: Any) -> None:
        """Make an image layer the one that is worked on."""
        if layer is not self.layer:
            self.layer = layer
            self.layer_changed.emit()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that can be painted."""
        return (*self.model.spec.classes, *self.added_classes) if self.model else ()

    def choose_model(self, model: ModelInfo | None) -> None:
        """Make a model the one that predicts and is tuned."""
        if model != self.model:
            self.model = model
            self.added_classes = ()
            self.classes_changed.emit()

    def refresh_models(self, choose: str = "") -> None:
        """Read the list of models again, and choose one by its name.

        Parameters
        ----------
        choose
            Name of a model; else the chosen one stays, or the first one is taken.
        """
        self.models = self.store.list()
        by_name = {model.name: model for model in self.models}
        wanted = choose or (self.model.name if self.model else "")
        first = self.models[0] if self.models else None
        self.choose_model(by_name.get(wanted, first))
        self.models_changed.emit()

    def open_model(self, path: str) -> None:
        """Copy a model file from anywhere into the store, and choose it.

        Raises
        ------
        CheckpointError
            When it is not a model file of ours, or damaged.
        """
        self.refresh_models(choose=self.store.add(path).name)

    def checkpoint(self, model: ModelInfo) -> Checkpoint:
        """Load a model, or return the very one that was loaded last.

        The engine keeps the network of a checkpoint for as long as it gets the same
        object. Reads a file: call it in a job.
        """
        key = (model.path, model.path.stat().st_mtime_ns)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, Checkpoint.load(model.path))
        return self._loaded[1]

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
        self.activity_changed.emit()

    def end(self) -> None:
        """Say that nothing is running any more."""
        self.begin("")

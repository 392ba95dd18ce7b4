"""``WorkingImage``: an image being worked on, without Qt and without napari."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import numpy.typing as npt

from napari_unet.state.image_measures import ImageMeasures
from napari_unet.state.large_arrays import zeros
from napari_unet.state.mask_versions import MaskSource, MaskVersions, Reached
from unet_engine.annotations.annotations import Annotations
from unet_engine.labels import IGNORE
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.state.object_maps import ObjectMaps
    from napari_unet.state.object_sizes import ObjectSizes
    from napari_unet.viewer.conversion import Layout
    from unet_engine.images import Image, Normalisation
    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region
    from unet_engine.prediction.events import TileDone
    from unet_engine.stopping import Stop

Values = npt.NDArray[np.uint8]
"""Class ids, uint8, or ``IGNORE`` where there is no label."""

_A_PREDICTION = MaskSource(name="a prediction", is_model=False)


class WorkingImage:
    """An image being worked on: its mask, what the user touched, its brightness.

    Parameters
    ----------
    image
        The image, any number of planes.
    layout
        What the axes of its layer mean.
    annotations
        What the user touched; by default nothing, and in memory only.
    origin_note
        Sentence on where they come from, for the dock; empty when there is nothing.

    Attributes
    ----------
    mask
        ``(*leading, Y, X)`` class ids: the model's prediction, and over it what the
        user touched. Changed in place.
    annotations
        What the user touched. Change it by `record_labels` only, in one ``stroke`` for
        each act of the user.
    reached
        What a prediction has written of the mask.
    measures
        What is measured of its pixels.
    versions
        The mask that this one has replaced.
    names
        What the values of mask and strokes mean. A value that was painted keeps its
        name, whichever model is chosen later; new names come after the others.
    model
        What identifies the model that is chosen, for strokes to be saved with.
    object_maps
        What the last prediction showed of single objects, if its model does.
    corrected_objects
        What was corrected of single objects, as of ``objects.editing``.
    """

    def __init__(
        self,
        image: Image,
        layout: Layout,
        annotations: Annotations | None = None,
        origin_note: str = "",
    ) -> None:
        self.image = image
        self.layout = layout
        self.origin_note = origin_note
        shape = (*image.leading_shape, *image.plane_shape)
        self.mask = zeros(shape, np.uint8, f"mask of {image.name}")
        self.annotations = annotations or Annotations(shape)
        self.corrected_objects = Annotations(shape)
        self.reached = Reached()
        self.measures = ImageMeasures(image)
        self.versions = MaskVersions(self)
        self.names: tuple[str, ...] = self.annotations.painted.names
        self.model: Mapping[str, Any] = {}
        self.object_maps: ObjectMaps | None = None
        self._features: ref[FeatureCache] | None = None
        self._tiles_are_replaced = False
        self._predictions: dict[Index, npt.NDArray[Any]] = {
            index: np.zeros(shape[-2:], np.uint8) for index in self.annotations.planes()
        }

    @property
    def features(self) -> FeatureCache | None:
        """Features of its pixels, while Live keeps them."""
        return None if self._features is None else self._features()

    @features.setter
    def features(self, cache: FeatureCache) -> None:
        # Live alone decides how long they take memory.
        self._features = ref(cache)

    @property
    def object_sizes(self) -> ObjectSizes:
        """What was estimated of the size of its objects."""
        return self.measures.object_sizes

    def normalisation(self, spec: ModelSpec, stop: Stop = never) -> Normalisation:
        """Return the normalisation of the whole image, as of its `ImageMeasures`."""
        return self.measures.normalisation(spec, stop)

    @property
    def predicted(self) -> set[Index]:
        """Planes in which a prediction wrote anything."""
        return self.reached.planes

    @property
    def counts(self) -> dict[int, int]:
        """Touched pixels of each class."""
        return self.annotations.classes()

    @property
    def painted(self) -> tuple[str, ...]:
        """Names of the classes that were painted, in the order of their values."""
        return tuple(self.name_of(value) for value in sorted(self.counts))

    def name_of(self, value: int) -> str:
        """Return the name of a value of the mask, made up where there is none."""
        return self.names[value] if value < len(self.names) else _nameless(value)

    @property
    def assumed_names(self) -> bool:
        """Whether the names of the classes of the strokes were never saved.

        Earlier versions did not keep them: those of the chosen model are assumed, until
        something is painted.
        """
        return not self.annotations.painted.names and bool(self.counts)

    def take_classes(self, classes: Sequence[str], model: Mapping[str, Any]) -> None:
        """Make room for the classes of the model that is chosen now.

        Parameters
        ----------
        classes
            Their names, in the order of the model.
        model
            What identifies it.
        """
        self.model = model
        if self.annotations.painted.names:
            self.names = _joined(self.names, classes)
        elif self.assumed_names:
            made_up = (_nameless(v) for v in range(max(self.counts) + 1))
            self.names = (*classes, *list(made_up)[len(classes) :])
        else:
            self._renumber(_joined(classes, self.names if self._has_values else ()))

    def note_classes(self) -> None:
        """Keep the names of the classes with the strokes, from now on."""
        self.annotations.name_classes(self.names, self.model)

    def values_in(self, classes: Sequence[str]) -> dict[int, int] | None:
        """Return the value in another order for each value here; None for the same.

        Parameters
        ----------
        classes
            The other order. Names that it lacks have no value in it.
        """
        if tuple(classes[: len(self.names)]) == self.names:
            return None
        order = {name: value for value, name in enumerate(classes)}
        return {v: order[name] for v, name in enumerate(self.names) if name in order}

    def strokes_in(self, classes: Sequence[str]) -> Annotations:
        """Return a copy of what was touched, with the values of another order."""
        return self.annotations.copy(self.values_in(classes))

    def _renumber(self, names: tuple[str, ...]) -> None:
        """Give the prediction of a mask without strokes the values of other names."""
        before, self.names = self.names, names
        if not self._has_values or names[: len(before)] == before:
            return  # names without a prediction need not be among the new ones
        new = _lookup(before, names)
        self.versions.renumber(new)
        for index in self.predicted:
            self.mask[index] = new[np.asarray(self.mask[index])]

    @property
    def _has_values(self) -> bool:
        """Whether there are predicted values, in the mask or in the one before."""
        return bool(self.predicted) or self.versions.hidden is not None

    def write_tile(
        self,
        tile: TileDone,
        classes: Sequence[str] = (),
        source: MaskSource = _A_PREDICTION,
    ) -> list[tuple[Index, Region]]:
        """Take a tile of a prediction; touched pixels keep their value.

        Parameters
        ----------
        tile
            The tile.
        classes
            Names of its values, if they are not those of the mask.
        source
            What has predicted it; see ``versions``.

        Returns
        -------
        list
            The planes and regions it covers: one, or those of a tile of a volume. None
            of what belongs to the mask that is not on screen.
        """
        places: list[tuple[Index, Region]] = []
        rows, columns = tile.inner[-2:]
        region = rows, columns
        depths = [range(part.start, part.stop) for part in tile.inner[:-2]]
        every = tile.labels.reshape(-1, *tile.labels.shape[-2:])
        if classes and tuple(classes) != self.names[: len(classes)]:
            self.names = _joined(self.names, classes)
            every = _lookup(classes, self.names)[every]
        for depth, labels in zip(product(*depths), every, strict=True):
            index = (*tile.index, *depth)
            shown = self.versions.write(index, region, labels, source)
            self.versions.record(index, region, shown=shown)
            if shown:
                places.append((index, region))
        return places

    def prediction(self, index: Index, region: Region) -> npt.NDArray[Any]:
        """Return the prediction in a region of a plane; not to be changed.

        Where nothing is touched it is the mask itself.
        """
        kept = self._predictions.get(index)
        return np.asarray((self.mask[index] if kept is None else kept)[region])

    def show_prediction(
        self, index: Index, region: Region, labels: npt.NDArray[Any]
    ) -> None:
        """Write a prediction into a region; touched pixels keep their value."""
        if (prediction := self._predictions.get(index)) is not None:
            prediction[region] = labels
            labels = labels.copy()
            self.annotations.apply_to(index, labels, region)
        self.mask[index][region] = labels

    def predicted_pixels(
        self, index: Index, region: Region
    ) -> npt.NDArray[np.bool_] | None:
        """Return which pixels of a region a prediction has reached, ``(h, w)``.

        None where the mask is no prediction: one that is painted by hand, and one whose
        values were set by other code.
        """
        if not self.predicted or self._tiles_are_replaced:
            return None
        tiles = self.reached.tiles
        if index not in tiles and index in self.annotations.planes():
            return None
        height, width = self.mask.shape[-2:]
        rows, columns = (
            range(n)[s] for n, s in zip((height, width), region, strict=True)
        )
        reached = np.zeros((len(rows), len(columns)), bool)
        for top, bottom, left, right in tiles.get(index, ()):
            reached[
                max(0, top - rows.start) : max(0, bottom - rows.start),
                max(0, left - columns.start) : max(0, right - columns.start),
            ] = True
        return reached

    def record_labels(self, index: Index, region: Region, labels: Values) -> None:
        """Record the labels that the user gives to a region, and show them.

        Parameters
        ----------
        index, region
            The plane, and rows and columns of it.
        labels
            ``(h, w)``; ``IGNORE`` leaves a pixel to the model's prediction, or gives it
            back.
        """
        self.annotations.accept(index, region, labels)
        shown = self.mask[index][region]
        prediction = self._predictions.get(index)
        below = shown if prediction is None else prediction[region]
        shown[...] = np.where(labels == IGNORE, below, labels)

    def show_touched(self, index: Index) -> None:
        """Write the touched pixels of a plane over the mask."""
        self.annotations.apply_to(index, self.mask[index])

    def start_anew(self, annotations: Annotations) -> None:
        """Take other annotations; the mask shows the model's prediction again."""
        for index, prediction in self._predictions.items():
            self.mask[index] = prediction
        self._predictions.clear()
        self.annotations = annotations
        self.origin_note = ""
        for index in annotations.planes():
            self.keep_prediction(index, self.mask[index].copy())
            self.show_touched(index)

    def has_prediction(self, index: Index) -> bool:
        """Whether the model's prediction of a plane is kept apart from the mask."""
        return index in self._predictions

    def keep_prediction(self, index: Index, prediction: npt.NDArray[Any]) -> None:
        """Keep the prediction of a plane, ``(Y, X)``: its mask before any touch."""
        self._predictions[index] = prediction

    def replace_mask(self, mask: npt.NDArray[Any]) -> None:
        """Take another array of that shape; touched pixels keep their value."""
        self.mask = mask
        self._tiles_are_replaced = True
        self.versions.forget()
        self._predictions.clear()
        for index in self.annotations.planes():
            self.keep_prediction(index, mask[index].copy())
            height, width = mask.shape[-2:]
            self.record_labels(
                index,
                (slice(0, height), slice(0, width)),
                self.annotations.target(index),
            )


def _joined(names: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return (*names, *(name for name in more if name not in names))


def _nameless(value: int) -> str:
    return f"class {value}"


def _lookup(names: Sequence[str], names_after: Sequence[str]) -> Values:
    """Return a table from values in one order to those in another that has all."""
    table = np.arange(IGNORE + 1, dtype=np.uint8)
    for value, name in enumerate(names):
        table[value] = names_after.index(name)
    return table

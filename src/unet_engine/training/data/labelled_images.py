"""Images with label images or strokes become what a network is trained on.

Files, layers and arrays, in the dock and on the command line, take this way. An image
is read and normalised as for a prediction, around its labels only. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.generators import discard
from unet_engine.images import Normalisation, match_channels
from unet_engine.images.no_data import count_unrecorded, recorded_target
from unet_engine.images.resampled import resampled_image
from unet_engine.labels import IGNORE
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.prediction.plan import check_axes
from unet_engine.training.data.corrected_objects import with_corrected_objects
from unet_engine.training.data.pairs import KeptFeatures, TrainingPair
from unet_engine.training.data.scaled_strokes import ScaledStrokes, learning_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image, LabelRule
    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index
    from unet_engine.prediction.config import ObjectSize
    from unet_engine.training.config import FineTuneConfig

    Labels = npt.NDArray[np.uint8]
    Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """An image and its label image.

    Attributes
    ----------
    image
        Lazy.
    labels
        Array-like of whole numbers, ``(*leading, Y, X)``; one plane or volume of it is
        read at a time.
    rule
        What the values of the labels mean.
    name
        To call it in messages and in the history of the model.
    """

    image: Image
    labels: Any
    rule: LabelRule
    name: str

    def target(self, index: Index = ()) -> Labels:
        """Return class ids, uint8, ``IGNORE`` where nobody labelled.

        Parameters
        ----------
        index
            Position along the leading axes, or the first of them; the shape of what is
            returned is that of the other axes.
        """
        return self.rule.apply(np.asarray(self.labels[index]))

    def object_ids(self, index: Index = ()) -> npt.NDArray[np.integer[Any]] | None:
        """Return object ids in the shape of `target`; None if the values are none."""
        return self.rule.object_ids(np.asarray(self.labels[index]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PaintedImage:
    """An image and the strokes on it.

    Attributes
    ----------
    image
        Lazy.
    strokes
        Their values are class ids of the model that will learn from them.
    normalise
        Returns the normalisation of the image for a model, where it was measured
        before; None to measure it.
    optional
        The user does not look at it: where it cannot be read any more, a training goes
        on without it.
    features
        Those of its pixels that Live has computed; None to compute what is needed.
    corrected_objects
        What was corrected of single objects, as of ``objects.editing``; None: nothing.
    object_size
        As of a ``PredictConfig``: strokes are learned at the scale at which the image
        is predicted. ``auto`` is estimated at the start of a round of training, and
        is ``off`` elsewhere.
    """

    image: Image
    strokes: Annotations
    normalise: Callable[[ModelSpec], Normalisation] | None = None
    optional: bool = False
    features: FeatureCache | None = None
    corrected_objects: Annotations | None = None
    object_size: ObjectSize = "auto"

    @property
    def name(self) -> str:
        """To call it in messages and in the history of the model."""
        return self.image.name


def training_pairs(
    data: Iterable[LabelledImage | PaintedImage],
    spec: ModelSpec,
    config: FineTuneConfig,
    on_note: Callable[[str], object] = discard,
) -> Iterator[TrainingPair]:
    """Read and normalise all that is labelled.

    Parameters
    ----------
    data
        Images; planes and volumes of them without labels are left out, and so is an
        optional one from where it cannot be read. All strokes on an image weigh as much
        as those on another, however many of its planes were painted on.
    spec
        Of the model that will learn: from planes, or from volumes.
    config
        How it will learn. With a border weight, the gaps between neighbouring objects
        are weighed where labels are object ids.
    on_note
        Called with what is odd about an image, in one line.

    Raises
    ------
    DataError
        When the channels or axes of an image do not fit the model.
    """
    for one in data:
        try:
            yield from _pairs_of(one, spec, config, on_note)
        except DataError as error:
            if not (isinstance(one, PaintedImage) and one.optional):
                raise
            on_note(f"without the strokes on {one.name}: {error}")


def _pairs_of(
    one: LabelledImage | PaintedImage,
    spec: ModelSpec,
    config: FineTuneConfig,
    on_note: Callable[[str], object],
) -> Iterator[TrainingPair]:
    image = match_channels(one.image, spec.in_channels)
    check_axes(image, spec)
    if isinstance(one, PaintedImage):
        normalisation = one.normalise(spec) if one.normalise else None
        source = _Source(one.name, image, spec, config, normalisation, on_note)
        factors = learning_scale(image, spec, one.object_size)
        if factors != (1.0, 1.0):
            yield from _scaled_pairs(one, source, factors)
            return
        size = one.object_size
        for pair, index, box in _painted_pairs(one.strokes, source):
            pair = replace(
                pair,
                times=_of_planes(one.strokes.times, index, box, one.strokes.shape),
                features=_kept(one.features, source, index, box),
                diameters=() if isinstance(size, str) else (size,),
            )
            if (corrected := one.corrected_objects) is not None:
                claims = _of_planes(corrected.target, index, box, corrected.shape)
                pair = with_corrected_objects(pair, claims, spec.object_maps)
            yield pair
    else:
        source = _Source(one.name, image, spec, config, None, on_note)
        yield from _labelled_pairs(one, source)


def _scaled_pairs(
    one: PaintedImage, source: _Source, factors: tuple[float, float]
) -> Iterator[TrainingPair]:
    """Read what is painted at the scale of the model, which so keeps its size.

    What Live has computed is of the image's own grid.
    """
    size = source.spec.object_size_px
    source.resample(factors)
    strokes = ScaledStrokes(one.strokes, source.image.plane_shape)
    for pair, index, box in _painted_planes(strokes, source):
        pair = replace(
            pair,
            times=strokes.times(index, box),
            diameters=() if size is None else (size,),
        )
        if one.corrected_objects is not None:
            corrected = ScaledStrokes(one.corrected_objects, source.image.plane_shape)
            claims = corrected.target(index)[box]
            pair = with_corrected_objects(pair, claims, source.spec.object_maps)
        yield pair


class _Source:
    """An image as a model takes it, part by part."""

    def __init__(
        self,
        name: str,
        image: Image,
        spec: ModelSpec,
        config: FineTuneConfig,
        normalisation: Normalisation | None,
        on_note: Callable[[str], object],
    ) -> None:
        if normalisation is None:
            normalisation = Normalisation.measure(image, spec.preparation)
        for note in normalisation.notes:
            on_note(f"{name}: {note}")
        self.spec, self.config = spec, config
        self.image = normalisation.marked(image)
        self._name, self.normalisation = name, normalisation

    def resample(self, factors: tuple[float, float]) -> None:
        """Have the planes on another grid from now on."""
        self.image = resampled_image(self.image, dict(zip("YX", factors, strict=True)))
        # What was not recorded is NaN already.
        self.normalisation = replace(self.normalisation, fills=())

    def pair(
        self, index: Index, box: Box, target: Labels, weight: float = 1.0
    ) -> TrainingPair:
        """Read a region of a plane or a volume; ``target`` is of that region."""
        read = self.image.read_volume if self.spec.ndim == 3 else self.image.read
        pixels = read(index, box)
        place = f" {index}" if index else ""
        return TrainingPair(
            self.normalisation.apply(pixels),
            recorded_target(target, pixels),
            name=f"{self._name}{place}",
            weight=weight,
            unrecorded=count_unrecorded(target, pixels),
            origin=tuple(part.start or 0 for part in box),
        )


def _labelled_pairs(labelled: LabelledImage, source: _Source) -> Iterator[TrainingPair]:
    from unet_engine.training.data.border_weights import weigh_instances
    from unet_engine.training.data.object_sizes import diameters_of
    from unet_engine.training.data.object_targets import with_object_maps

    spec, strength = source.spec, source.config.border_weight
    shape = source.image.leading_shape
    for index in np.ndindex(shape[: len(shape) - (spec.ndim - 2)]):
        target = labelled.target(index)
        if (target == IGNORE).all():
            continue
        box = _labelled_box(target, source)
        pair = source.pair(index, box, target[box])
        ids = labelled.object_ids(index)
        if ids is not None:
            pair = with_object_maps(pair, ids[box], spec.object_maps)
            pair = replace(pair, diameters=diameters_of(ids) if ids.ndim == 2 else ())
        if ids is not None and strength:
            pair = weigh_instances(pair, ids[box], strength)
        yield pair


def _labelled_box(target: Labels, source: _Source) -> Box:
    """Return what to read: a whole plane, or what is around the labels of a volume."""
    from unet_engine.training.data.crops import volume_around

    if source.spec.ndim == 2:
        return slice(None), slice(None)
    return volume_around(target != IGNORE, source.spec, source.config.crop)


def _of_planes(
    read: Callable[[Index, Box], npt.NDArray[Any]],
    index: Index,
    box: Box,
    shape: tuple[int, ...],
) -> npt.NDArray[Any]:
    """Read a region of a plane or, plane by plane, of a volume."""
    *depth, rows, columns = box
    if not depth:
        return read(index, (rows, columns))
    slices = range(*depth[0].indices(shape[-3]))
    return np.stack([read((*index, z), (rows, columns)) for z in slices])


def _kept(cache: FeatureCache | None, source: _Source, index: Index, box: Box) -> Any:
    """Return what gives the features of parts of a region, or None."""
    if cache is None or cache.normalisation != source.normalisation:
        return None
    first = tuple(0 if part.start is None else part.start for part in box)
    return KeptFeatures(cache=cache, index=index, first=first)


def _painted_pairs(
    strokes: Annotations, source: _Source
) -> Iterator[tuple[TrainingPair, Index, Box]]:
    if source.spec.ndim == 3:
        yield from _painted_volumes(strokes, source)
    else:
        yield from _painted_planes(strokes, source)


def _painted_planes(
    strokes: Annotations | ScaledStrokes, source: _Source
) -> Iterator[tuple[TrainingPair, Index, tuple[slice, slice]]]:
    planes = strokes.planes()
    for index in planes:
        target = strokes.target(index)
        painted = target != IGNORE
        # Nothing, where what is on disk of it is damaged.
        if painted.any():
            # In whole blocks, as the features that Live keeps.
            region = _around(painted, source.config.crop, BLOCK)
            pair = source.pair(index, region, target[region], 1 / len(planes))
            yield pair, index, region


def _painted_volumes(
    strokes: Annotations, source: _Source
) -> Iterator[tuple[TrainingPair, Index, Box]]:
    """Make one volume of all painted slices, those between them ``IGNORE``."""
    from unet_engine.training.data.crops import with_context

    volumes = [
        (place, list(planes))
        for place, planes in groupby(strokes.planes(), key=lambda index: index[:-1])
    ]
    for place, indices in volumes:
        painted = np.any([strokes.touched(index) for index in indices], axis=0)
        if not painted.any():
            continue
        depth = slice(indices[0][-1], indices[-1][-1] + 1)
        box = with_context(
            (depth, *_around(painted, 0)),
            strokes.shape[-3:],
            source.spec,
            source.config.crop,
        )
        target = np.full([part.stop - part.start for part in box], IGNORE, np.uint8)
        for index in indices:
            target[index[-1] - box[0].start] = strokes.target(index, box[1:])
        yield source.pair(place, box, target, 1 / len(volumes)), place, box


def _around(
    painted: npt.NDArray[np.bool_], margin: int, grid: int = 1
) -> tuple[slice, slice]:
    """Return the box around what was painted, with context for the crops.

    Parameters
    ----------
    painted
        ``(Y, X)`` bool, somewhere True.
    margin
        Context on each side, in pixels.
    grid
        Both ends are multiples of it, or lie at the border.
    """
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    height, width = painted.shape
    return _interval(rows, margin, height, grid), _interval(
        columns, margin, width, grid
    )


def _interval(places: npt.NDArray[np.intp], margin: int, size: int, grid: int) -> slice:
    first = max(0, int(places[0]) - margin) // grid * grid
    return slice(first, min(size, -(-(int(places[-1]) + 1 + margin) // grid) * grid))

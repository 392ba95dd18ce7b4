"""Images with label images or strokes become what a network is trained on.

Files, layers and arrays, in the dock and on the command line, take this way. An image
is read and normalised as for a prediction, around its labels only. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.generators import discard
from unet_engine.images import Normalisation, match_channels
from unet_engine.labels import IGNORE
from unet_engine.prediction.plan import check_axes
from unet_engine.training.data.image_source import ImageSource
from unet_engine.training.data.objects.corrected_objects import with_corrected_objects
from unet_engine.training.data.painted_regions import (
    painted_planes,
    painted_regions,
    read_planes,
)
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
        source = ImageSource(one.name, image, spec, config, normalisation, on_note)
        factors = learning_scale(image, spec, one.object_size)
        if factors != (1.0, 1.0):
            yield from _scaled_pairs(one, source, factors)
            return
        size = one.object_size
        for pair, index, box in painted_regions(one.strokes, source):
            pair = replace(
                pair,
                times=read_planes(one.strokes.times, index, box, one.strokes.shape),
                features=_kept(one.features, source, index, box),
                diameters=() if isinstance(size, str) else (size,),
            )
            if (corrected := one.corrected_objects) is not None:
                claims = read_planes(corrected.target, index, box, corrected.shape)
                pair = with_corrected_objects(pair, claims, spec.object_maps)
            yield pair
    else:
        source = ImageSource(one.name, image, spec, config, None, on_note)
        yield from _labelled_pairs(one, source)


def _scaled_pairs(
    one: PaintedImage, source: ImageSource, factors: tuple[float, float]
) -> Iterator[TrainingPair]:
    """Read what is painted at the scale of the model, which so keeps its size.

    What Live has computed is of the image's own grid.
    """
    size = source.spec.object_size_px
    source.resample(factors)
    shape, corrected = source.image.plane_shape, one.corrected_objects
    strokes = ScaledStrokes(one.strokes, shape)
    claims = None if corrected is None else ScaledStrokes(corrected, shape)
    for pair, index, box in painted_planes(strokes, source):
        pair = replace(
            pair,
            times=strokes.times(index, box),
            diameters=() if size is None else (size,),
        )
        if claims is not None:
            known = claims.target(index)[box]
            pair = with_corrected_objects(pair, known, source.spec.object_maps)
        yield pair


def _labelled_pairs(
    labelled: LabelledImage, source: ImageSource
) -> Iterator[TrainingPair]:
    from unet_engine.training.data.objects.border_weights import weigh_instances
    from unet_engine.training.data.objects.object_sizes import diameters_of
    from unet_engine.training.data.objects.object_targets import with_object_maps

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


def _labelled_box(target: Labels, source: ImageSource) -> Box:
    """Return what to read: a whole plane, or what is around the labels of a volume."""
    from unet_engine.training.data.crops import volume_around

    if source.spec.ndim == 2:
        return slice(None), slice(None)
    return volume_around(target != IGNORE, source.spec, source.config.crop)


def _kept(
    cache: FeatureCache | None, source: ImageSource, index: Index, box: Box
) -> Any:
    """Return what gives the features of parts of a region, or None."""
    if cache is None or cache.normalisation != source.normalisation:
        return None
    first = tuple(0 if part.start is None else part.start for part in box)
    return KeptFeatures(cache=cache, index=index, first=first)

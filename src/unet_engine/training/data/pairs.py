"""What a training learns from: images with their labels and soft targets. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.images.no_data import describe_unrecorded
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index


NEAR = 12
"""Distance from a label, in pixels, up to which the parent's prediction is unreliable:
where a part of an object was corrected, that of the rest of it is as wrong."""

_AXES = {2: "(C, Y, X)", 3: "(C, Z, Y, X)"}
"""Axes of a training image by its spatial dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeptFeatures:
    """The features of a region that are kept for Live.

    Attributes
    ----------
    cache
        Of the whole image.
    index
        Position of the region along the leading axes that it does not have.
    first
        Where the region begins.
    """

    cache: FeatureCache
    index: Index
    first: tuple[int, ...]

    def __call__(self, part: tuple[int | slice, ...]) -> npt.NDArray[np.float16]:
        """Return the features of a part of a plane, ``(h, w, features)`` float16.

        Probabilities of a tuned model are not among them.

        Parameters
        ----------
        part
            Within the region: a number along Z, if there is one, and slices of rows
            and columns.
        """
        places = list(zip(self.first, part, strict=True))
        depth = [at + z for at, z in places if isinstance(z, int)]
        rows, columns = (
            slice(side.start + at, side.stop + at)
            for at, side in places
            if isinstance(side, slice)
        )
        own = self.cache.extractor.count(self.cache.image.channels)
        return self.cache.region((*self.index, *depth), (rows, columns))[..., :own]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingPair:
    """An image plane or volume, its labels and soft targets.

    Parameters
    ----------
    image
        ``(C, Y, X)`` or ``(C, Z, Y, X)`` float32, normalised as for prediction.
    target
        ``(Y, X)`` or ``(Z, Y, X)`` uint8 class ids; ``IGNORE`` where nobody labelled,
        such as on the slices of a volume that nobody annotated.
    name
        Shown in messages and kept in the history of the model.
    weight
        How often crops are taken from this pair, relative to the others.
    pixel_weights
        float32 from 0 in the shape of the target, how much each labelled pixel counts
        in the loss; None: all alike.
    soft_target
        ``(classes, *spatial)`` float16 or float32, the probabilities of the classes of
        pixels that nobody labelled; 0 throughout where there are none. None: nowhere.
    object_maps
        ``(maps, *spatial)`` float16 or float32 in the order of the model's, what they
        should be; NaN where it is not known. None: nowhere.
    corrects_objects
        Whether these are corrections of single objects: then they count where weights
        are compared, beside the classes.
    unrecorded
        How many labelled pixels were left out because the image has no data there.
    origin
        Where the first pixel lies in the plane or volume that this is a region of; None
        where it is all of it.
    times
        float64 in the shape of the target: when each pixel was painted, in seconds;
        None: all at once.
    features
        Those that Live keeps; None: they are computed from the image.
    diameters
        Of its objects in pixels, or an estimate, where they are known.

    Raises
    ------
    DataError
        When shapes or types do not fit, or the image has a value that is not finite.
    """

    image: npt.NDArray[np.float32]
    target: npt.NDArray[np.uint8]
    name: str = ""
    weight: float = 1.0
    pixel_weights: npt.NDArray[np.float32] | None = None
    soft_target: npt.NDArray[np.floating[Any]] | None = None
    object_maps: npt.NDArray[np.floating[Any]] | None = None
    corrects_objects: bool = False
    unrecorded: int = 0
    origin: tuple[int, ...] | None = None
    times: npt.NDArray[np.float64] | None = None
    features: KeptFeatures | None = None
    diameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        name = f"{self.name}: " if self.name else ""
        if self.image.ndim - 1 not in _AXES or self.image.dtype != np.float32:
            raise DataError(
                f"{name}a training image must be {_AXES[2]} or {_AXES[3]} float32, got "
                f"{self.image.shape} {self.image.dtype}; normalise it as for prediction"
            )
        if self.target.shape != self.image.shape[1:]:
            raise DataError(
                f"{name}the labels are {_size(self.target.shape)} but the image is "
                f"{_size(self.image.shape[1:])} pixels; give labels of the same shape"
            )
        if self.target.dtype != np.uint8:
            raise DataError(
                f"{name}the target must be uint8 class ids, got {self.target.dtype}"
            )
        if not np.isfinite(self.image).all():
            raise DataError(
                f"{name}the image has NaN or infinite values; normalise it as for "
                "prediction, which replaces them"
            )
        if not 0 < self.weight < float("inf"):
            raise DataError(f"{name}weight {self.weight} is not a number above 0")
        if self.pixel_weights is not None:
            _check_pixel_weights(self.pixel_weights, self.target.shape, name)
        channels = {
            "soft target is": self.soft_target,
            "object maps are": self.object_maps,
        }
        for what, values in channels.items():
            if values is not None and values.shape[1:] != self.target.shape:
                raise DataError(
                    f"{name}the {what} {_size(values.shape[1:])} and the labels are "
                    f"{_size(self.target.shape)}; give one of the same size"
                )


def recorded_pairs(pairs: Sequence[TrainingPair]) -> tuple[list[TrainingPair], str]:
    """Return the pairs that have labels where their image has data.

    Returns
    -------
    pairs
        Those that are left.
    note
        How many labelled pixels are left out, as a text; empty for none.

    Raises
    ------
    DataError
        When none is left for that reason.
    """
    note = describe_unrecorded(sum(pair.unrecorded for pair in pairs))
    kept = [p for p in pairs if not p.unrecorded or (p.target != IGNORE).any()]
    if pairs and not kept:
        raise DataError(f"{note}, and no other is labelled; label where data are")
    return kept, note


def _check_pixel_weights(
    weights: npt.NDArray[np.float32], shape: tuple[int, ...], name: str
) -> None:
    if weights.shape != shape or weights.dtype != np.float32:
        raise DataError(
            f"{name}the pixel weights are {_size(weights.shape)} {weights.dtype}; give "
            f"float32 of the size of the labels, {_size(shape)}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError(
            f"{name}a pixel weight is negative or not finite; use 0 or more"
        )


def targets_from_instances(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Turn object ids into the classes background (0) and foreground (1).

    Parameters
    ----------
    labels
        Object ids of any shape and integer type; 0 and below are background.

    Returns
    -------
    ndarray
        uint8 of the same shape.
    """
    return (np.asarray(labels) > 0).astype(np.uint8)


def check_pairs(pairs: Sequence[TrainingPair], spec: ModelSpec) -> None:
    """Check that a model of ``spec`` can learn from the pairs.

    Raises
    ------
    DataError
        Without labelled pixels, with fewer than two classes over all pairs and no
        corrected object, with a class the model does not have, with the wrong number
        of channels or object maps, with planes for a model of volumes or the other way
        round, or with a volume that is too thin for a network without padding.
    """
    if not pairs:
        raise DataError("there is nothing to learn from; give an image and its labels")
    for pair in pairs:
        _check_dimensions(pair, spec)
        if pair.image.shape[0] != spec.in_channels:
            raise DataError(
                f"{pair.name or 'an image'} has {pair.image.shape[0]} channels but the "
                f"model takes {spec.in_channels}; train images of one kind together "
                "and start from a model made for it"
            )
        if pair.object_maps is not None and len(pair.object_maps) != len(
            spec.object_maps
        ):
            raise DataError(
                f"{pair.name or 'an image'} has {len(pair.object_maps)} object maps "
                f"but the model gives {len(spec.object_maps)}; leave them out, or "
                "start from a model that gives them"
            )
    used = sum(np.bincount(pair.target.ravel(), minlength=256) for pair in pairs)
    present = np.flatnonzero(used)
    present = present[present != IGNORE]
    if not present.size:
        raise DataError(
            "no pixel is labelled; paint at least one stroke of two classes"
        )
    if present.size < 2 and not any(pair.corrects_objects for pair in pairs):
        raise DataError(
            f"all labelled pixels are class {present[0]}; paint at least one stroke "
            "of two classes, such as background and foreground"
        )
    if present[-1] >= len(spec.classes):
        raise DataError(
            f"the labels have class {present[-1]} but the model has "
            f"{len(spec.classes)} classes ({', '.join(spec.classes)}); give it more "
            "classes, or mark the labels as object ids"
        )


def _check_dimensions(pair: TrainingPair, spec: ModelSpec) -> None:
    name = pair.name or "an image"
    if pair.target.ndim < spec.ndim:
        raise DataError(
            f"{name} is a plane and the model works on volumes; give it as a stack "
            f"{_AXES[3]}, or train a model for planes (ndim 2)"
        )
    if pair.target.ndim > spec.ndim:
        raise DataError(
            f"{name} is a volume and the model works on planes; give its planes one "
            "by one, or train a model for volumes (ndim 3)"
        )
    halo, slices = spec.footprint.halo[0], pair.target.shape[0]
    padded = ARCHITECTURES[spec.architecture].padded
    if spec.ndim == 3 and not padded and slices <= halo:
        raise DataError(
            f"{name} has {slices} slices, and {spec.architecture} without padding "
            f"needs {halo} slices above and below; give stacks of {halo + 1} or more, "
            "pool less along Z (z_poolings), or use the architecture unet"
        )


def have_soft_targets(pairs: Sequence[TrainingPair]) -> bool:
    """Whether any pair has soft targets where nobody labelled."""
    return any(pair.soft_target is not None for pair in pairs)


def class_counts(target: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Count the pixels of each class id, ``(HELD_OUT,)`` int64.

    ``target`` is uint8 of any shape; its unlabelled and held-out pixels are left out.
    """
    return np.bincount(target.ravel(), minlength=256)[:HELD_OUT]


def near_labels(spec: ModelSpec) -> tuple[int, ...]:
    """Return ``NEAR`` per axis: along Z in slices, fewer where they lie far apart.

    How far follows from the poolings: those that leave Z out are there to make up for
    it.
    """
    if spec.ndim == 2:
        return NEAR, NEAR
    across, *_, along = spec.footprint.divisor
    return max(1, NEAR * across // along), NEAR, NEAR


def far_from_labels(
    target: npt.NDArray[np.uint8], near: Sequence[int]
) -> npt.NDArray[np.bool_]:
    """Return where no label is as near as ``near`` pixels along each axis.

    Parameters
    ----------
    target
        ``(*spatial)`` uint8 class ids, ``IGNORE`` where nobody labelled.
    near
        Pixels along each axis, as of `near_labels`.

    Returns
    -------
    ndarray
        ``(*spatial)`` bool.
    """
    size = [2 * reach + 1 for reach in near]
    labelled = ndimage.maximum_filter(target != IGNORE, size=size)
    return ~np.asarray(labelled, dtype=bool)


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

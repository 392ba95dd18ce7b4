"""What a training in the widget learns from: touched planes and added labels.

No Qt, no layer: it runs in a thread, and reads only what is learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import Normalisation, match_channels
from unet_engine.plan import check_axes
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_unet._subject import Index
    from napari_unet._training_runs import TrainingOrder
    from unet_engine.annotations import Annotations
    from unet_engine.dataset import TrainingPair
    from unet_engine.images import Image
    from unet_engine.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledImage:
    """Training data the user added.

    Attributes
    ----------
    image
        The image.
    labels
        Array-like of integers, ``(*leading, Y, X)``.
    instances
        The labels are object ids, not class ids.
    """

    image: Image
    labels: Any
    instances: bool


def training_pairs(order: TrainingOrder, spec: ModelSpec) -> Iterator[TrainingPair]:
    """Read and normalise what a training learns from.

    Raises
    ------
    DataError
        When an image or its labels do not fit the model.
    """
    for subject, touched in order.touched:
        image = match_channels(subject.image, spec.in_channels)
        check_axes(image, spec)
        prepared = _Prepared(image, subject.normalisation(spec), spec)
        if spec.ndim == 3:
            yield from _touched_volumes(prepared, touched, order.config.crop)
        else:
            yield from _touched_planes(prepared, touched, order.config.crop)
    for added in order.labelled:
        yield from _labelled_pairs(added, spec, order.config.crop)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """An image as a model wants it."""

    image: Image
    normalisation: Normalisation
    spec: ModelSpec

    def pair(
        self, index: Index, box: tuple[slice, ...], target: npt.NDArray[np.uint8]
    ) -> TrainingPair:
        """Read a region of a plane or a volume; ``target`` is of that region."""
        from unet_engine.dataset import TrainingPair

        read = self.image.read_volume if self.spec.ndim == 3 else self.image.read
        pixels = self.normalisation.apply(read(index, box))
        place = f" {index}" if index else ""
        return TrainingPair(pixels, target, name=f"{self.image.name}{place}")


def _touched_planes(
    prepared: _Prepared, touched: Annotations, crop: int
) -> Iterator[TrainingPair]:
    for index in touched.planes():
        target = touched.target(index)
        said = target != IGNORE
        # Nothing, where what is on disk of it is damaged.
        if said.any():
            region = _around(said, crop)
            yield prepared.pair(index, region, target[region])


def _touched_volumes(
    prepared: _Prepared, touched: Annotations, crop: int
) -> Iterator[TrainingPair]:
    """Make one volume of all touched slices, those between them ``IGNORE``."""
    from unet_engine.crops import with_context

    for place, planes in groupby(touched.planes(), key=lambda index: index[:-1]):
        indices = list(planes)
        said = np.any([touched.touched(index) for index in indices], axis=0)
        if not said.any():
            continue
        depth = slice(indices[0][-1], indices[-1][-1] + 1)
        box = with_context(
            (depth, *_around(said, 0)), touched.shape[-3:], prepared.spec, crop
        )
        target = np.full([part.stop - part.start for part in box], IGNORE, np.uint8)
        for index in indices:
            target[index[-1] - box[0].start] = touched.target(index, box[1:])
        yield prepared.pair(place, box, target)


def _labelled_pairs(
    added: LabelledImage, spec: ModelSpec, crop: int
) -> Iterator[TrainingPair]:
    image = match_channels(added.image, spec.in_channels)
    check_axes(image, spec)
    normalisation = Normalisation.measure(
        image, low=spec.low_percentile, high=spec.high_percentile
    )
    prepared = _Prepared(image, normalisation, spec)
    leading = image.leading_shape[: len(image.leading_shape) - (spec.ndim - 2)]
    indices = tuple(np.ndindex(leading))
    parts = [np.asarray(added.labels[index]) for index in indices]
    # Alone with 0, 255 is the foreground of a mask, not "nobody said".
    values = {int(value) for labels in parts for value in np.unique(labels)}
    instances = added.instances or values == {0, IGNORE}
    for index, labels in zip(indices, parts, strict=True):
        target = class_target(
            labels, spec.classes, instances=instances, name=image.name
        )
        box = _labelled_box(target, spec, crop)
        if box is not None:
            yield prepared.pair(index, box, target[box])


def _labelled_box(
    target: npt.NDArray[np.uint8], spec: ModelSpec, crop: int
) -> tuple[slice, ...] | None:
    """Return what to read: a plane, what is around the labels of a volume, or None."""
    from unet_engine.crops import volume_around

    if spec.ndim == 2:
        return slice(None), slice(None)
    labelled = target != IGNORE
    return volume_around(labelled, spec, crop) if labelled.any() else None


def class_target(
    labels: npt.NDArray[Any],
    classes: tuple[str, ...],
    *,
    instances: bool,
    name: str,
) -> npt.NDArray[np.uint8]:
    """Turn labels of a plane or a volume into a training target.

    Raises
    ------
    DataError
        When a label is no class of the model.
    """
    if instances:
        return (labels > 0).astype(np.uint8)
    odd = labels[(labels < 0) | ((labels >= len(classes)) & (labels != IGNORE))]
    if odd.size:
        raise DataError(
            f"the labels of {name!r} have the value {int(odd.flat[0])}, but the model "
            f"has the classes 0 to {len(classes) - 1} ({', '.join(classes)}); tick "
            "'Labels are object ids' if they number objects"
        )
    return labels.astype(np.uint8)


def _around(touched: npt.NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the box around what was touched, with context for the crops."""
    rows, columns = (np.flatnonzero(touched.any(axis=axis)) for axis in (1, 0))
    height, width = touched.shape
    return (
        slice(max(0, int(rows[0]) - margin), min(height, int(rows[-1]) + 1 + margin)),
        slice(
            max(0, int(columns[0]) - margin), min(width, int(columns[-1]) + 1 + margin)
        ),
    )

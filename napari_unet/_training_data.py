"""What a training in the widget learns from: touched planes and added labels.

No Qt, no layer: it runs in a thread, and reads only what is learned from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import Normalisation, match_channels
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_unet._runs import TrainingOrder
    from napari_unet._subject import Index
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
    margin = order.config.crop
    for subject, touched in order.touched:
        normalisation = subject.normalisation(spec)
        image = match_channels(subject.image, spec.in_channels)
        for index in touched.planes():
            target = touched.target(index)
            region = _around(target != IGNORE, margin)
            yield _pair(image, normalisation, index, region, target[region])
    for added in order.labelled:
        yield from _labelled_pairs(added, spec)


def _labelled_pairs(added: LabelledImage, spec: ModelSpec) -> Iterator[TrainingPair]:
    image = match_channels(added.image, spec.in_channels)
    normalisation = Normalisation.measure(
        image, low=spec.low_percentile, high=spec.high_percentile
    )
    whole = (slice(None), slice(None))
    indices = tuple(image.indices())
    planes = [np.asarray(added.labels[index]) for index in indices]
    # Alone with 0, 255 is the foreground of a mask, not "nobody said".
    values = {int(value) for labels in planes for value in np.unique(labels)}
    instances = added.instances or values == {0, IGNORE}
    for index, labels in zip(indices, planes, strict=True):
        target = class_target(
            labels, spec.classes, instances=instances, name=image.name
        )
        yield _pair(image, normalisation, index, whole, target)


def class_target(
    labels: npt.NDArray[Any],
    classes: tuple[str, ...],
    *,
    instances: bool,
    name: str,
) -> npt.NDArray[np.uint8]:
    """Turn a labels plane into a training target.

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


def _pair(
    image: Image,
    normalisation: Normalisation,
    index: Index,
    region: tuple[slice, slice],
    target: npt.NDArray[np.uint8],
) -> TrainingPair:
    from unet_engine.dataset import TrainingPair

    pixels = normalisation.apply(image.read(index, region))
    place = f" {index}" if index else ""
    return TrainingPair(pixels, target, name=f"{image.name}{place}")


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

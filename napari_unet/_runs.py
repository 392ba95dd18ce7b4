"""What runs in a thread: a prediction, a training. No Qt, no layer, no widget.

Orders are made on the main thread from what is on screen; the generators here carry
them out and may import torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet._jobs import load_torch
from unet_engine.errors import DataError
from unet_engine.images import Normalisation, match_channels
from unet_engine.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    import numpy.typing as npt

    from napari_unet._subject import Index, Subject
    from napari_unet._workspace import Workspace
    from unet_engine.annotations import Annotations
    from unet_engine.config import FineTuneConfig, PredictConfig
    from unet_engine.dataset import TrainingPair
    from unet_engine.events import (
        FineTuned,
        Prediction,
        Step,
        Stop,
        TileDone,
        Validation,
    )
    from unet_engine.images import Image
    from unet_engine.plan import Place
    from unet_engine.spec import ModelSpec
    from unet_engine.store import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PredictionOrder:
    """A prediction that was asked for.

    Attributes
    ----------
    layer
        The image layer; only to tell whether a result is still wanted.
    subject, model, config
        What, by which model, and how.
    indices
        Planes to predict; None for all.
    near
        Asked before every tile for the place on screen; must not touch Qt.
    """

    layer: Any
    subject: Subject
    model: ModelInfo
    config: PredictConfig
    indices: tuple[Index, ...] | None
    near: Callable[[], Place | None]


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingOrder:
    """A training that was asked for.

    Attributes
    ----------
    model
        The model to start from.
    classes
        Names of all classes afterwards.
    touched
        Subjects with a copy of what was touched in them.
    labelled
        Images and labels the user added.
    config
        How to train.
    """

    model: ModelInfo
    classes: tuple[str, ...]
    touched: tuple[tuple[Subject, Annotations], ...]
    labelled: tuple[LabelledImage, ...]
    config: FineTuneConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A training that ended; ``model`` is the new one, None if nothing was learned."""

    result: FineTuned
    model: ModelInfo | None


def predict_run(
    order: PredictionOrder, workspace: Workspace, stop: Stop
) -> Generator[TileDone, None, Prediction]:
    """Predict; see `unet_engine.inference.iter_predict`."""
    load_torch()
    from unet_engine.inference import iter_predict

    checkpoint = workspace.checkpoint(order.model)
    return (
        yield from iter_predict(
            order.subject.image,
            checkpoint,
            order.config,
            stop=stop,
            normalisation=order.subject.normalisation(checkpoint.spec),
            indices=order.indices,
            near=order.near,
        )
    )


def train_run(
    order: TrainingOrder, workspace: Workspace, stop: Stop
) -> Generator[Step | Validation, None, Trained]:
    """Train a copy of the model and save it, if it became better, under a free name."""
    load_torch()
    from unet_engine.training import adapt_checkpoint, fine_tune

    workspace.store.check_writable()
    checkpoint = adapt_checkpoint(
        workspace.checkpoint(order.model), classes=order.classes
    )
    pairs = list(training_pairs(order, checkpoint.spec))
    result = yield from fine_tune(checkpoint, pairs, order.config, stop=stop)
    if not result.improved:
        return Trained(result=result, model=None)
    *earlier, last = result.checkpoint.history
    history = (*earlier, {**last, "parent": order.model.name})
    name = workspace.store.free_name(tuned_name(order.model.name))
    model = workspace.store.save(name, replace(result.checkpoint, history=history))
    return Trained(result=result, model=model)


def tuned_name(name: str) -> str:
    """Return the name of what comes out of tuning a model, to be made free.

    ``nuclei`` and ``nuclei-ft-3`` both become ``nuclei-ft``.
    """
    return re.sub(r"-ft(-\d+)?$", "", name) + "-ft"


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

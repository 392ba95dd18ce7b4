"""A model made to fit other classes or channels."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.errors import SpecError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.object_maps import (
    gives_object_maps,
    with_object_maps_of,
    without_object_maps,
)
from unet_engine.models.spec import WHY_NOT_BUILT, build

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.models.spec import ModelSpec

logger = logging.getLogger(__name__)


def check_tunable(parent: Checkpoint) -> None:
    """Make sure that a model can be trained on.

    Raises
    ------
    SpecError
        When its network is one of another program, which is run as it is.
    """
    if parent.spec.imported is not None:
        raise SpecError(f"{parent.title}: {WHY_NOT_BUILT}")


def adapt_checkpoint(
    checkpoint: Checkpoint,
    *,
    classes: Sequence[str] | None = None,
    in_channels: int | None = None,
) -> Checkpoint:
    """Return the model made to fit other classes or channels.

    Its pixel classifiers stay, unless they know a class that is left out, or images of
    other channels; then the network alone is left, and the log has a line about it.

    A new class starts where it is nowhere the most probable one, so that the known ones
    are predicted as before; object maps stay as they are. For other channels each first
    kernel becomes its mean over the channels, scaled so that an image that is the same
    in all channels gives the same features as before.

    Parameters
    ----------
    checkpoint
        The model; it stays as it is.
    classes
        Names of all classes, background first; None keeps them.
    in_channels
        Channels of the images; None keeps them.

    Raises
    ------
    SpecError
        When the model has pixel classifiers alone, and they do not fit.
    """
    if gives_object_maps(checkpoint):
        # Rows of new classes belong before those of the maps, which stay.
        bare = without_object_maps(checkpoint)
        adapted = adapt_checkpoint(bare, classes=classes, in_channels=in_channels)
        if adapted is bare:
            return checkpoint
        return with_object_maps_of(adapted, checkpoint)
    old = checkpoint.spec
    spec = old.changed(
        classes=old.classes if classes is None else tuple(classes),
        in_channels=old.in_channels if in_channels is None else in_channels,
    )
    if spec == old:
        return checkpoint
    check_tunable(checkpoint)
    classifier = _fitting_classifier(checkpoint, spec)
    if not checkpoint.has_network:
        return replace(checkpoint, spec=spec, classifier=classifier)
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in build(spec).state_dict().items()}
    weights = {
        name: _fitted(checkpoint.weights[name], shape) for name, shape in shapes.items()
    }
    return Checkpoint(spec, weights, checkpoint.history, classifier=classifier)


def _fitting_classifier(
    checkpoint: Checkpoint, spec: ModelSpec
) -> ClassifierPart | None:
    part = checkpoint.classifier
    if part is None or (
        spec.in_channels == checkpoint.spec.in_channels
        and part.classes[-1] < len(spec.classes)
    ):
        return part
    reason = (
        f"{checkpoint.title} has pixel classifiers of {len(checkpoint.spec.classes)} "
        f"classes and {checkpoint.spec.in_channels} channels, which do not fit "
        f"{len(spec.classes)} classes and {spec.in_channels} channels"
    )
    if not checkpoint.has_network:
        raise SpecError(f"{reason}, and no network; choose another model")
    logger.warning("%s; its network is used alone", reason)
    return None


def _fitted(weights: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Fit the first kernel to other channels, or the head to other classes."""
    if weights.shape == shape:
        return weights.copy()
    if (
        weights.ndim > 1
        and weights.shape[0] != shape[0]
        and weights.shape[1] != shape[1]
    ):
        return _fitted_upsampling(weights, shape)
    if weights.shape[0] == shape[0]:
        mean = weights.mean(axis=1, keepdims=True) * (weights.shape[1] / shape[1])
        return np.repeat(mean, shape[1], axis=1).astype(weights.dtype)
    kept = weights[: shape[0]]
    # The mean of the known logits is never the largest, so nothing changes yet, and
    # is near enough to be learned soon: a step moves a weight by the learning rate.
    new = weights.mean(axis=0, keepdims=True)
    missing = np.repeat(new, shape[0] - len(kept), axis=0)
    return np.concatenate([kept, missing]).astype(weights.dtype)


def _fitted_upsampling(
    weights: npt.NDArray[Any], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Fit the filters between score maps of an FCN: a new map is upsampled alone."""
    known = min(len(weights), shape[0])
    fitted = np.zeros(shape, weights.dtype)
    fitted[:known, :known] = weights[:known, :known]
    alone = np.mean([weights[i, i] for i in range(len(weights))], axis=0)
    for index in range(known, shape[0]):
        fitted[index, index] = alone
    return fitted

"""What Live shows, as a model that predicts the same."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.checkpoint import Checkpoint, check_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.interactive.learner import InstantLearner
    from unet_engine.interactive.remote.learner import RemoteLearner
    from unet_engine.models.spec import ModelSpec


def live_model(
    learner: InstantLearner | RemoteLearner,
    classes: Sequence[str],
    prepared_as: ModelSpec,
    *,
    parent: str = "",
) -> Checkpoint:
    """Return a model that predicts what an instant learner shows.

    It holds what was learned, the network that gives the features and the model whose
    probabilities count beside them, if there is one; without, it has no network that
    gives its classes, and a training starts from that of the features.

    Parameters
    ----------
    learner
        It has learned.
    classes
        Names of the classes, background first, as they were painted.
    prepared_as
        Its percentiles are those of the image's normalisation, and its channels those
        of the image; a network of features has them as well.
    parent
        Name of the model that Live began with.

    Returns
    -------
    Checkpoint
        Saved with ``ModelStore.save``.

    Raises
    ------
    DataError
        When nothing was learned, or a class was painted that has no name.
    """
    part = learner.part
    if part.classes[-1] >= len(classes):
        raise DataError(
            f"class {part.classes[-1]} was painted and there are {len(classes)} names "
            "of classes; add the class again, or clear its strokes"
        )
    tuned = learner.tuned
    if tuned is not None and len(tuned.spec.classes) < len(classes):
        tuned = adapt_checkpoint(tuned, classes=classes)
    features = part.network.spec if part.network is not None else prepared_as
    spec = dataclasses.replace(
        tuned.spec
        if tuned is not None
        else features.changed(classes=tuple(classes), object_maps=()),
        classes=tuple(classes),
        low_percentile=prepared_as.low_percentile,
        high_percentile=prepared_as.high_percentile,
        brightness=prepared_as.brightness,
        colour=prepared_as.colour,
        pixel_size_um=prepared_as.pixel_size_um,
        # It has learned at the scale of its images, whatever its parent did.
        object_size_px=None,
        object_size_range=None,
    )
    entry: dict[str, Any] = {
        "name": "",
        "parent": parent,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "steps": 0,
        "seconds": 0.0,
    }
    model = Checkpoint(
        spec,
        tuned.weights if tuned is not None else {},
        (*(tuned.history if tuned is not None else ()), entry),
        classifier=part,
    )
    check_weights(model)
    return model

"""Object maps of a model: the last rows of its last layer, left out or put on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.models.spec import OBJECT_MAPS

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint

_HEAD = ("head.weight", "head.bias")
"""Last layer of a network with object maps: a row for each class, then for each map."""

_FRESH = 0.1
"""Standard deviation of new rows: small, so that at first all maps are near 0.5."""


def gives_object_maps(checkpoint: Checkpoint) -> bool:
    """Whether a prediction by a model can return object maps."""
    return bool(checkpoint.spec.object_maps) and checkpoint.has_network


def without_object_maps(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model that gives the same classes, and no object maps.

    Parameters
    ----------
    checkpoint
        Any model; one without object maps is returned as it is.
    """
    if not checkpoint.spec.object_maps:
        return checkpoint
    classes = len(checkpoint.spec.classes)
    weights = dict(checkpoint.weights)
    # Of classifiers alone there are none, and damaged weights get their own message.
    for name in _HEAD:
        if name in weights and len(weights[name]) == checkpoint.spec.out_channels:
            weights[name] = weights[name][:classes]
    # What was measured of the classes holds still.
    spec = replace(checkpoint.spec, object_maps=())
    return replace(checkpoint, spec=spec, weights=weights)


def with_object_maps_of(checkpoint: Checkpoint, source: Checkpoint) -> Checkpoint:
    """Return a model that also gives the object maps of another one.

    Parameters
    ----------
    checkpoint
        Without object maps, of the features of ``source``.
    source
        A model, with object maps or without.
    """
    if not source.spec.object_maps:
        return checkpoint
    classes = len(source.spec.classes)
    weights = dict(checkpoint.weights)
    for name in _HEAD:
        rows = source.weights[name][classes:]
        weights[name] = np.concatenate([weights[name], rows])
    spec = replace(checkpoint.spec, object_maps=source.spec.object_maps)
    return replace(checkpoint, spec=spec, weights=weights)


def with_fresh_object_maps(checkpoint: Checkpoint, seed: int = 0) -> Checkpoint:
    """Return a model that can learn to separate objects.

    Parameters
    ----------
    checkpoint
        One that gives object maps, or whose network cannot, is returned as it is.
    seed
        Of the weights of the new maps.
    """
    spec = checkpoint.spec
    able = spec.row.object_maps and spec.classes
    if spec.object_maps or not able or not checkpoint.has_network:
        return checkpoint
    generator = np.random.default_rng(seed)
    weights = dict(checkpoint.weights)
    shape = (len(OBJECT_MAPS), *weights["head.weight"].shape[1:])
    for name, rows in (
        ("head.weight", generator.normal(0, _FRESH, shape).astype(np.float32)),
        ("head.bias", np.zeros(len(OBJECT_MAPS), np.float32)),
    ):
        weights[name] = np.concatenate([weights[name], rows])
    new = replace(spec, object_maps=OBJECT_MAPS)
    return replace(checkpoint, spec=new, weights=weights)

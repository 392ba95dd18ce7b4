"""The sizes of the objects that a network is trained on. No torch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.data.pairs import TrainingPair

_SMALLEST = 2.0
"""Diameter in pixels below which an id marks no object but a speck."""

_RANGE = (5.0, 95.0)
"""Percentiles of the diameters between which nine objects in ten lie."""


def diameters_of(ids: npt.NDArray[np.integer[Any]]) -> tuple[float, ...]:
    """Return the diameter of each object, that of a disk of its area.

    Parameters
    ----------
    ids
        ``(Y, X)`` object ids; 0 and below are background.

    Returns
    -------
    tuple of float
        In pixels, without specks.
    """
    _, areas = np.unique(ids[ids > 0], return_counts=True)
    diameters = np.sqrt(4 * areas / np.pi)
    return tuple(float(d) for d in diameters[diameters >= _SMALLEST])


def with_object_sizes(spec: ModelSpec, pairs: Sequence[TrainingPair]) -> ModelSpec:
    """Return the spec of a model that has learned from pairs, as they are.

    It knows the size of the objects in these images, for it was trained at their scale,
    and not that of its parent's. Where it is not known, images are predicted at their
    own scale.

    Parameters
    ----------
    spec
        Of the model that learns.
    pairs
        What it learns from.
    """
    sizes = [size for pair in pairs for size in pair.diameters]
    if spec.ndim != 2 or not spec.classes or not sizes:
        return replace(spec, object_size_px=None, object_size_range=None)
    low, high = np.percentile(sizes, _RANGE)
    return replace(
        spec,
        object_size_px=round(float(np.median(sizes)), 1),
        object_size_range=(round(float(low), 1), round(float(high), 1)),
    )

"""A network that was not trained and is known: it reads the brightness of a pixel."""

from __future__ import annotations

import numpy as np

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint

_STEEP = 40.0
"""Slope of the foreground's logit: brighter than a twentieth is foreground."""


def brightness_model() -> Checkpoint:
    """Return a model whose distance map grows with the normalised brightness.

    Its foreground is what is brighter than 0.05, its boundary map is 0 everywhere.
    """
    spec = ModelSpec(
        depth=1,
        width=1,
        object_maps=("distance", "boundary"),
        low_percentile=0.0,
        high_percentile=100.0,
    )
    weights = {
        name: np.zeros_like(values)
        for name, values in start_checkpoint(spec).weights.items()
    }
    for name, values in weights.items():
        if name.endswith("running_var") or (
            name.endswith("weight") and values.ndim == 1
        ):
            values[...] = 1
        elif name.startswith(("down.", "merge.")) and values.ndim == 4:
            values[:, 0, 1, 1] = 1
    weights["head.weight"][:, 0, 0, 0] = (0, _STEEP, 8, 0)
    weights["head.bias"][...] = (0, -0.05 * _STEEP, -4, -20)
    return Checkpoint(spec, weights, ({"name": "brightness"},))

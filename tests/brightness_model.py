"""A network that was not trained and is known: it reads the brightness of a pixel."""

from __future__ import annotations

import numpy as np

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec

_STEEP = 40.0
"""Slope of the foreground's logit: brighter than a twentieth is foreground."""


def brightness_model() -> Checkpoint:
    """Return a model whose distance map grows with the normalised brightness.

    Its foreground is what is brighter than 0.05, its boundary map is 0 everywhere.
    """
    # Not before it is needed: it imports torch.
    from unet_engine.models.starting import start_checkpoint

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


def touching_cells() -> np.ndarray:
    """Return an image, uint16, of a square of four cells that touch along their sides.

    Its brightness is the distance to the border of a cell. The square is rows 12 to 52
    and columns 10 to 50.
    """
    from unet_engine.training.data.objects.object_targets import object_targets

    ids = np.zeros((64, 80), np.int32)
    ids[12:52, 10:50] = np.kron([[1, 2], [3, 4]], np.ones((20, 20), np.int32))
    (distance,) = object_targets(ids, ["distance"])
    # Without noise the background would count as a border of no data.
    noise = np.random.default_rng(0).integers(0, 20, ids.shape)
    return np.round(1000 * distance + noise).astype(np.uint16)

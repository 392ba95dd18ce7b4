"""Models that were sent, by the digest of their file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.runner import RUNNERS
from unet_engine.errors import DataError, EngineError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.worker.blobs import path_of

if TYPE_CHECKING:
    from unet_engine.devices import Precision

_EDGES = {2: 64, 3: 16}
"""Edge in pixels, by dimensions, of what is computed once: with its halo some hundred
pixels, and a tenth of the time of a tile."""


@lru_cache(maxsize=2)
def model_of(digest: str) -> Checkpoint:
    """Load a model, or return the same again: its network is then built already.

    Raises
    ------
    DataError
        When it was not sent.
    """
    path = path_of(digest)
    if path is None:
        raise DataError("the model was not sent; start the run again")
    # Its file here has no name that a message could use.
    return replace(Checkpoint.load(path), path=None)


def compute_once(digest: str, object_maps: bool, precision: Precision) -> None:
    """Build the network of a model that was sent, and compute a block with it.

    Parameters
    ----------
    digest
        Of the model.
    object_maps, precision
        As of the prediction that may follow, which then finds the same network.
    """
    # Where it fails the prediction meets the same, and its message is shown.
    with suppress(EngineError):
        _compute(model_of(digest), object_maps, precision)


def _compute(checkpoint: Checkpoint, object_maps: bool, precision: Precision) -> None:
    if not checkpoint.has_network:
        return
    runner = RUNNERS.get(checkpoint, "auto", precision, object_maps=object_maps)
    spec, edge = runner.spec, _EDGES[runner.spec.ndim]
    outer = spec.footprint.around([(0, edge)] * spec.ndim)
    shape = [stop - start for start, stop in outer]
    wanted = [(-start, edge - start) for start, _ in outer]
    runner(np.zeros((spec.input_maps, *shape), np.float32), wanted)

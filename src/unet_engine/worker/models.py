"""Models that were sent, by the digest of their file."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from unet_engine.errors import DataError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.worker.blobs import path_of


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

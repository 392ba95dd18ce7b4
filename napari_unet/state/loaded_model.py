"""The model whose weights are in memory."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING, Any

from napari_unet.state.model_so_far import ModelSoFar
from napari_unet.state.untrained_model import UntrainedModel, make_checkpoint
from unet_engine.errors import CheckpointError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.fitting import why_gone
from unet_engine.stopping import never

if TYPE_CHECKING:
    from napari_unet.state.untrained_model import Model
    from unet_engine.stopping import Stop


class LoadedModel:
    """Keeps the weights of one model, the one that was used last.

    The engine keeps the network of a checkpoint for as long as it gets the same object.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._key: Any = None
        self._checkpoint: Checkpoint | None = None

    def checkpoint(self, model: Model | ModelSoFar, stop: Stop = never) -> Checkpoint:
        """Load a model, make the weights of an untrained one, or return the last ones.

        Reads a file: call it in a job.

        Raises
        ------
        CheckpointError
            When the file is damaged, or was deleted meanwhile.
        Cancelled
            When ``stop`` returned True.
        """
        if isinstance(model, ModelSoFar):
            return model.checkpoint
        key: Any = model
        if gone := why_gone(model):
            raise CheckpointError(gone)
        if not isinstance(model, UntrainedModel):
            key = (model.path, model.path.stat().st_mtime_ns)
        # A training and a prediction may need it at the same time.
        with self._lock:
            if self._checkpoint is None or self._key != key:
                made = (
                    make_checkpoint(model, self.checkpoint, stop=stop)
                    if isinstance(model, UntrainedModel)
                    else Checkpoint.load(model.path)
                )
                self._key, self._checkpoint = key, made
            return self._checkpoint

"""``iter_fine_tune_there``: a fine-tuning by a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.stopping import never
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.remote.training import iter_train_there

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.data.sources import Source
    from unet_engine.training.events import FineTuned, TrainingEvent


def iter_fine_tune_there(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair] | Source[TrainingPair],
    config: FineTuneConfig,
    *,
    features_from: Checkpoint | None = None,
    stop: Stop = never,
) -> Generator[TrainingEvent, None, FineTuned]:
    """Train a copy of a model as ``iter_fine_tune`` does, by a worker of a device.

    Parameters
    ----------
    checkpoint, pairs, config, features_from, stop
        As of ``iter_fine_tune``; ``config.device`` is the address.

    Raises
    ------
    EngineError
        As ``iter_train_there``.
    """
    return iter_train_there(
        checkpoint,
        pairs,
        config,
        here=iter_fine_tune,
        features_from=features_from,
        stop=stop,
    )

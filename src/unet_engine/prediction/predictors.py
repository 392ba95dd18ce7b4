"""``iter_predictor_for``: what predicts an image, on this machine or by workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.devices import is_remote
from unet_engine.prediction.remote.predictor import RemotePredictor
from unet_engine.prediction.scaled_predictor import predictor_for

if TYPE_CHECKING:
    from collections.abc import Generator

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.remote.seeking import Reconnecting
    from unet_engine.stopping import Stop


def iter_predictor_for(
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig,
    normalisation: Normalisation,
    plan: PredictionPlan,
    *,
    stop: Stop,
    features: FeatureCache | None = None,
    calibrate: bool = False,
    block_edge: int = 0,
    sends_probabilities: bool = False,
    quantises_object_maps: bool = False,
) -> Generator[Reconnecting, None, AnyPredictor | RemotePredictor]:
    """Return what predicts the tiles of a plan, on this machine or by workers.

    Parameters
    ----------
    image, checkpoint, config, normalisation, plan, stop
        As of ``predictor_for``.
    features, calibrate, block_edge
        As of ``predictor_for``.
    sends_probabilities, quantises_object_maps
        As of a ``RemotePredictor``.

    Yields
    ------
    Reconnecting
        While the line to workers is lost and tried again.

    Raises
    ------
    CheckpointError
        When the model cannot be computed with.
    EngineError
        When the device has no workers.
    """

    def here(block_edge: int) -> AnyPredictor:
        return predictor_for(
            image,
            checkpoint,
            config,
            normalisation,
            plan,
            stop=stop,
            features=features,
            calibrate=calibrate,
            block_edge=block_edge,
        )

    if not is_remote(config.device):
        return here(block_edge)
    predictor = RemotePredictor(
        image,
        checkpoint,
        config,
        normalisation,
        plan,
        stop=stop,
        block_edge=block_edge,
        sends_probabilities=sends_probabilities,
        quantises_object_maps=quantises_object_maps,
        here=here,
    )
    yield from predictor.begin()
    return predictor

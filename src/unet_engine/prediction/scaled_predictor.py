"""``ScaledPredictor``: tiles of an image that are predicted at the scale of the model.

What a tile needs of the model's grid is predicted as any tile there, and its
probabilities are interpolated at the pixels of the image. Both grids are fixed by the
image and the factors, so tiles equal the whole.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.images.no_data import unrecorded
from unet_engine.images.resampled import resampled_image
from unet_engine.prediction.directions import (
    footprint_of_planes,
    in_three_directions,
)
from unet_engine.prediction.directions_predictor import DirectionsPredictor
from unet_engine.prediction.model_predictor import ModelPredictor
from unet_engine.tiling.resampling import AxisWeights
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.stopping import Stop

    Floats = npt.NDArray[np.float32]


class ScaledPredictor:
    """Predicts tiles of an image by a predictor of the resampled one.

    Parameters
    ----------
    image
        As the model takes it; its fill is NaN.
    predictor
        Of the resampled image.
    plan
        Of the prediction.
    """

    def __init__(
        self,
        image: Image,
        predictor: AnyPredictor,
        plan: PredictionPlan,
    ) -> None:
        self._image = image
        self._predictor = predictor
        self._sizes = plan.network_shape
        self._shape = plan.tiles.shape
        self._footprint = plan.footprint

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._predictor.device

    @property
    def block_edge(self) -> int:
        """As of a ``ModelPredictor``."""
        return self._predictor.block_edge

    @property
    def threads(self) -> int:
        """As of an ``AnyPredictor``."""
        return self._predictor.threads

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        return self._predictor.notes

    @property
    def retreats(self) -> tuple[str, ...]:
        """What was reduced so far for want of memory, a sentence each."""
        return self._predictor.retreats

    def close(self) -> None:
        """Free the memory that the network keeps from tile to tile."""
        self._predictor.close()

    def predict(self, index: Index, tile: Tile) -> Floats:
        """Return the ``(channels, *inner)`` probabilities of one tile of the image.

        Pixels of no data are background, probability 1.

        Raises
        ------
        Cancelled
            When ``stop`` returned True within the tile.
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        weights = [
            AxisWeights.of(there, here, wanted)
            for there, here, wanted in zip(
                self._sizes, self._shape, tile.inner, strict=True
            )
        ]
        # A tile of the model's grid begins on its pooling grid.
        inner = tuple(
            (start - start % divisor, stop)
            for (start, stop), divisor in zip(
                (axis.needed for axis in weights), self._footprint.divisor, strict=True
            )
        )
        outer = self._footprint.around(inner, self._sizes)
        found = self._predictor.predict(index, Tile(inner, outer))
        for number, (axis, (start, _)) in enumerate(zip(weights, inner, strict=True)):
            there = slice(axis.needed[0] - start, None)
            found = axis.apply(
                found[(slice(None),) * (1 + number) + (there,)], 1 + number
            )
        found = np.ascontiguousarray(found, np.float32)
        self._leave_out(found, index, tile)
        return found

    def _leave_out(self, found: Floats, index: Index, tile: Tile) -> None:
        """Make background of the pixels of no data."""
        if self._image.dtype.kind != "f":
            return
        read = self._image.read if len(tile.inner) == 2 else self._image.read_volume
        lost = unrecorded(read(index, tile.inner_slices))
        if lost is not None:
            found[:, lost] = 0
            found[0, lost] = 1


def predictor_for(
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
) -> AnyPredictor:
    """Return what predicts the tiles of a plan, at any scale and in any direction.

    Parameters
    ----------
    image
        As the model takes it.
    checkpoint, config, normalisation, stop, features, calibrate, block_edge
        As of a ``ModelPredictor``.
    plan
        Of the prediction.

    Raises
    ------
    CheckpointError
        When the model cannot be computed with.
    """
    there, brightness = on_grid_of_model(image, normalisation, plan)
    make: Callable[..., AnyPredictor]
    three, footprint = in_three_directions(checkpoint.spec, config), plan.footprint
    # What Live keeps is of the grid of the image.
    kept = None if plan.is_scaled else features
    make = DirectionsPredictor if three else partial(ModelPredictor, features=kept)
    predictor: AnyPredictor = make(
        there,
        checkpoint,
        config,
        brightness,
        stop,
        footprint=footprint_of_planes(footprint) if three else footprint,
        calibrate=calibrate,
        block_edge=block_edge,
    )
    if not plan.is_scaled:
        return predictor
    return ScaledPredictor(normalisation.marked(image), predictor, plan)


def on_grid_of_model(
    image: Image, normalisation: Normalisation, plan: PredictionPlan
) -> tuple[Image, Normalisation]:
    """Return an image resampled for a model, and the normalisation that fits it.

    Both are returned as they are where the grid of the model is that of the image.

    Parameters
    ----------
    image
        As the model takes it.
    normalisation
        Of the image, whose brightness resampling does not change.
    plan
        Of the prediction.
    """
    if not plan.is_scaled:
        return image, normalisation
    axes = "ZYX"[-len(plan.factors) :]
    marked = normalisation.marked(image)
    there = resampled_image(marked, dict(zip(axes, plan.factors, strict=True)))
    # Its fill is NaN already.
    return there, replace(normalisation, fills=())

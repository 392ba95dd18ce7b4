"""A small tile in the middle of the screen, before those of the plan. No Qt.

It is as exact as every tile and takes a third of the time of one of the plan; the tile
of the plan in which it lies repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.devices import is_remote
from unet_engine.errors import EngineError
from unet_engine.images import match_channels
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.plan import PredictionPlan, plan_prediction
from unet_engine.tiling.tiles import TilePlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_unet.jobs.orders import PredictionOrder
    from unet_engine.images import Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop

_EDGE = 192
"""Pixels of an edge: a third of the time of a tile of the plan on a CPU."""
_FEWEST_TILES = 9
"""A plan of fewer tiles is finished too soon to do any of it twice."""


def first_tile(
    order: PredictionOrder,
    checkpoint: Checkpoint,
    normalisation: Normalisation,
    stop: Stop,
) -> Iterator[TileDone]:
    """Predict the small tile, if the plan is long and there is no fast device."""
    if is_remote(order.config.device):
        # This machine would compute it before the others begin.
        return
    from unet_engine.labels import most_probable_class
    from unet_engine.prediction.tile_predictor import TilePredictor

    place, spec, config = order.near(), checkpoint.spec, order.config
    image = match_channels(order.working_image.image, spec.in_channels)
    plan = plan_prediction(
        image, spec, config, order.indices, watched=True, place=place
    )
    if place is None or place[0] not in plan.planes or not _is_long(plan):
        return
    if plan.is_scaled:
        # Its predictor is made for the grid of the image.
        return
    if checkpoint.classifier is not None:
        # Its tiles are those of its features, and small as it is.
        return
    predictor = TilePredictor(image, checkpoint, config, normalisation, stop)
    if predictor.device != "cpu":
        return
    small = TilePlan.for_shape(
        image.plane_shape, tile=_EDGE, footprint=spec.footprint
    ).nearest_first(place[1])[0]
    try:
        probabilities = predictor.predict(place[0], small)
    except EngineError:
        # The run that follows comes to the same place, and its error names the tile.
        return
    yield TileDone(
        index=place[0],
        inner=small.inner_slices,
        labels=most_probable_class(probabilities),
        probabilities=probabilities if config.probabilities else None,
        done=0,
        total=plan.total,
    )


def _is_long(plan: PredictionPlan) -> bool:
    """Whether it has many tiles, of planes, that are larger."""
    edges = plan.tiles.tile
    return len(edges) == 2 and min(edges) > _EDGE and plan.total >= _FEWEST_TILES

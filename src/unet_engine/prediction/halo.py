"""The halo of an older model: measured in the image, and what it may have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.compute.measured_halo import measure_halo
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.prediction.tile_predictor import read_tile
from unet_engine.tiling.tiles import Tile, TilePlan

if TYPE_CHECKING:
    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.stopping import Stop

_MEASURED_EDGE = 256
"""Edge of the part of an image in which the halo of an older model is measured."""


def with_measured_halo(
    checkpoint: Checkpoint,
    image: Image,
    normalisation: Normalisation,
    plan: PredictionPlan,
    stop: Stop,
) -> Checkpoint:
    """Measure the halo of an older model in the middle of the image itself."""
    # The shape of the tiles has more axes where planes have three directions.
    between = len(plan.network_shape) - checkpoint.spec.ndim
    depth, shape = plan.network_shape[:between], plan.network_shape[between:]
    middle = TilePlan.for_shape(
        shape, tile=_MEASURED_EDGE, footprint=checkpoint.spec.footprint
    ).nearest_first([size / 2 for size in shape])[0]
    index = (*plan.planes[len(plan.planes) // 2], *(size // 2 for size in depth))
    with named_tile(index, middle):
        marked = normalisation.marked(image)
        block = read_tile(marked, index, Tile(middle.inner, middle.inner))
    return measure_halo(checkpoint, [normalisation.apply(block)], stop=stop)


def halo_notes(spec: ModelSpec, config: PredictConfig) -> tuple[str, ...]:
    """Describe what a measured halo may have changed; ``()`` for the exact one.

    Of a network of another program nothing is known of its receptive field.
    """
    if spec.imported is not None:
        halo = " x ".join(map(str, dict.fromkeys(spec.imported.halo)))
        whose = "its package states" if spec.imported.halo_is_stated else "was assumed"
        return (
            "This network of another program was run in tiles that overlap by the "
            f"{halo} pixels that {whose}; near their edges the mask may differ from "
            "that of the whole image.",
        )
    if config.halo == "exact" or spec.measured_halo is None:
        return ()
    across, exact = spec.measured_halo[-1], spec.footprint.halo[-1]
    return (
        f"The measured halo of {across} instead of {exact} pixels changed no "
        f"probability by more than {spec.measured_error:.1g} where it was measured.",
    )

"""The part of an image on which a model is tried: full of contrast, at its scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unet_engine.images import Normalisation, match_channels
from unet_engine.prediction.part import part_at, place_with_contrast
from unet_engine.prediction.scale import scale_of
from unet_engine.prediction.size_estimate import settled_size

if TYPE_CHECKING:
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.scale import SizeEstimate
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPart:
    """A part of an image on the grid of a model.

    Attributes
    ----------
    pixels
        As the model takes them, the fill as NaN.
    shown
        The same with all channels of the image.
    index
        The plane it is of.
    normalisation
        Of the whole image.
    size
        What was estimated of the size of objects; None where nothing was.
    config
        How the part is predicted: at its own scale, in one direction.
    """

    pixels: Image
    shown: Image
    index: Index
    normalisation: Normalisation
    size: SizeEstimate | None
    config: PredictConfig


def trial_part(
    image: Image, checkpoint: Checkpoint, config: PredictConfig, edge: int, stop: Stop
) -> TrialPart | None:
    """Cut out the part with most contrast; None where the image is too small.

    Parameters
    ----------
    image
        Any number of planes, with the channels of the model.
    checkpoint
        A model of planes with classes.
    config
        Where it runs, and the size of objects and pixels, where it is known.
    edge
        Of the part at most, in pixels of the model's grid.
    stop
        Polled before every layer of a network.

    Raises
    ------
    Cancelled
        When ``stop`` returned True.
    DataError
        When the image cannot be read, or does not fit the model.
    """
    spec = checkpoint.spec
    read = match_channels(image, spec.in_channels)
    normalisation = Normalisation.measure(read, spec.preparation)
    config, size = settled_size(read, checkpoint, normalisation, config, stop)
    scale = scale_of(read, spec, config)[-1]
    marked = normalisation.marked(read)
    index, middle = place_with_contrast(marked, normalisation)
    pixels = part_at(marked, index, middle, scale, edge)
    shown = part_at(image, index, middle, scale, edge)
    if pixels is None or shown is None:
        return None
    return TrialPart(
        pixels=pixels,
        shown=shown,
        index=index,
        normalisation=normalisation,
        size=size,
        config=replace(
            config,
            probabilities=False,
            object_maps=False,
            average_flips="off",
            directions="one",
            object_size="off",
            pixel_size=0.0,
        ),
    )

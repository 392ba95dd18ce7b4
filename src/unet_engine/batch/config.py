"""``BatchConfig``: what is made of every image of a batch, and how."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from unet_engine.errors import SpecError
from unet_engine.images.choice import ImageChoice
from unet_engine.objects.config import ObjectConfig
from unet_engine.prediction.config import PredictConfig

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint

_SAME_RESULTS_SINCE = 1
"""Raised when the same settings give other results than before: they are made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """What is made of every image, and how.

    Attributes
    ----------
    masks
        Write the class of every pixel.
    objects
        Write the number of the object of every pixel.
    table
        Measure the objects, and write a table of those of all images.
    prediction
        How masks are predicted.
    finding
        How objects are found.
    planes
        The planes of a stack along Z have objects of their own.
    boundary
        Class of the boundaries between objects, if there is one.
    scale
        Size of a pixel in µm, for all axes of an object or for each; None: as the files
        state it.
    images
        How files are read.

    Raises
    ------
    SpecError
        When nothing is wanted, or the objects are to be those of a mask.
    """

    masks: bool = True
    objects: bool = True
    table: bool = True
    prediction: PredictConfig = field(default_factory=PredictConfig)
    finding: ObjectConfig = field(default_factory=ObjectConfig)
    planes: bool = False
    boundary: int | None = None
    scale: tuple[float, ...] | None = None
    images: ImageChoice = field(default_factory=ImageChoice)

    def __post_init__(self) -> None:
        if not (self.masks or self.objects or self.table):
            raise SpecError(
                "nothing is wanted of the images; choose masks, objects or the table"
            )
        if self.finding.method == "keep":
            raise SpecError(
                "method keep takes object ids that are there, and predicted masks have "
                "none; choose watershed or components"
            )

    @property
    def finds_objects(self) -> bool:
        """Whether objects are found in the masks."""
        return self.objects or self.table

    def prediction_with(self, checkpoint: Checkpoint) -> PredictConfig:
        """Return how a model predicts what the objects are found in."""
        from unet_engine.models.object_maps import gives_object_maps

        splits = self.finds_objects and self.finding.method == "watershed"
        maps = splits and gives_object_maps(checkpoint)
        probable = splits and self.boundary is not None
        return replace(self.prediction, object_maps=maps, probabilities=probable)

    def digest(self, checkpoint: Checkpoint) -> str:
        """Return a digest of all that decides what becomes of an image.

        What is written of it does not count, and neither does the device.
        """
        from unet_engine.prediction.outputs import digest_of_model

        values: dict[str, Any] = asdict(self)
        for name in ("masks", "objects", "table"):
            del values[name]
        for name in ("device", "probabilities", "object_maps"):
            del values["prediction"][name]
        values |= {"model": digest_of_model(checkpoint), "since": _SAME_RESULTS_SINCE}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

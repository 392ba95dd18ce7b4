"""Images that are not open, with strokes of the same task."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from unet_engine.errors import Cancelled
from unet_engine.images import Normalisation, Preparation, match_channels
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import PaintedImage
    from unet_engine.training.data.saved_strokes import SavedStrokes


class RelatedImage:
    """Strokes on an image that is not open, and the brightness of the image.

    Parameters
    ----------
    saved
        As they were found.

    Attributes
    ----------
    features
        Those that Live has computed; None before.
    """

    def __init__(self, saved: SavedStrokes) -> None:
        self.saved = saved
        self._normalisations: dict[tuple[int, Preparation], Normalisation] = {}
        self.features: FeatureCache | None = None

    @property
    def image(self) -> Image:
        """The image, lazy."""
        return self.saved.image

    def normalisation(self, spec: ModelSpec, stop: Stop = never) -> Normalisation:
        """Return the normalisation of the whole image as a model needs it.

        Reads the image, once for each kind of model: call it in a job.

        Raises
        ------
        Cancelled
            When ``stop`` returned True before.
        """
        key = (spec.in_channels, spec.preparation)
        if key not in self._normalisations:
            if stop():
                raise Cancelled("the run was stopped")
            self._normalisations[key] = Normalisation.measure(
                match_channels(self.image, spec.in_channels),
                spec.preparation,
            )
        return self._normalisations[key]

    def painted(self, classes: Sequence[str]) -> PaintedImage:
        """Return what is painted, with the values of a model.

        Raises
        ------
        DataError
            When the model lacks a class.
        """
        return replace(self.saved.in_classes(classes), features=self.features)

    def strokes_in(self, classes: Sequence[str]) -> Annotations:
        """Return the strokes with the values of another order of classes."""
        return self.saved.in_classes(classes).strokes


class FoundImages:
    """The images that were found.

    Attributes
    ----------
    images
        Those that are learned from.
    left_out
        Why others are not, a line for each.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.images: tuple[RelatedImage, ...] = ()
        self.left_out: tuple[str, ...] = ()

    def replace(
        self, images: tuple[RelatedImage, ...], left_out: tuple[str, ...]
    ) -> None:
        """Take what was found last."""
        self.images, self.left_out = images, left_out
        self.changed.emit()

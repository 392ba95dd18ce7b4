"""``ImageMeasures``: what is measured of an image once for each kind of model."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from napari_unet.state.object_sizes import ObjectSizes
from napari_unet.state.polling import locked, polled
from unet_engine.images import Normalisation, Preparation, match_channels
from unet_engine.stopping import never

if TYPE_CHECKING:
    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.stopping import Stop


class ImageMeasures:
    """The brightness of an image and the size of its objects.

    What one job measures another one waits for.

    Parameters
    ----------
    image
        The image.

    Attributes
    ----------
    image
        The image.
    object_sizes
        What was estimated of the size of its objects.
    """

    def __init__(self, image: Image) -> None:
        self.image = image
        self.object_sizes = ObjectSizes()
        self._normalisations: dict[tuple[int, Preparation], Normalisation] = {}
        self._lock = RLock()

    def normalisation(self, spec: ModelSpec, stop: Stop = never) -> Normalisation:
        """Return the normalisation of the whole image as the model needs it.

        Measured once for each kind of model. It reads the image: call it in a job.

        Raises
        ------
        Cancelled
            When ``stop`` returned True before a block of the image was read.
        """
        key = (spec.in_channels, spec.preparation)
        with locked(self._lock, stop):
            if key not in self._normalisations:
                self._normalisations[key] = Normalisation.measure(
                    match_channels(polled(self.image, stop), spec.in_channels),
                    spec.preparation,
                )
            return self._normalisations[key]

"""The pixels that labels lie on, read and normalised as for a prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.images import Normalisation
from unet_engine.images.no_data import count_unrecorded, recorded_target
from unet_engine.images.resampled import resampled_image
from unet_engine.training.data.pairs import TrainingPair

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index
    from unet_engine.training.config import FineTuneConfig

    Labels = npt.NDArray[np.uint8]
    Box = tuple[slice, ...]


class ImageSource:
    """An image as a model takes it, part by part.

    Parameters
    ----------
    name
        To call it in messages.
    image
        With the channels of the model.
    spec, config
        Of the model that learns, and how.
    normalisation
        Of the image; None to measure it.
    on_note
        Called with what is odd about the image, in one line.

    Attributes
    ----------
    image
        With NaN where nothing was recorded.
    normalisation
        Of it.
    spec, config
        See above.
    """

    def __init__(
        self,
        name: str,
        image: Image,
        spec: ModelSpec,
        config: FineTuneConfig,
        normalisation: Normalisation | None,
        on_note: Callable[[str], object],
    ) -> None:
        if normalisation is None:
            normalisation = Normalisation.measure(image, spec.preparation)
        for note in normalisation.notes:
            on_note(f"{name}: {note}")
        self.spec, self.config = spec, config
        self.image = normalisation.marked(image)
        self._name, self.normalisation = name, normalisation

    def resample(self, factors: tuple[float, float]) -> None:
        """Have the planes on another grid from now on."""
        self.image = resampled_image(self.image, dict(zip("YX", factors, strict=True)))
        # What was not recorded is NaN already.
        self.normalisation = replace(self.normalisation, fills=())

    def pair(
        self, index: Index, box: Box, target: Labels, weight: float = 1.0
    ) -> TrainingPair:
        """Read a region of a plane or a volume; ``target`` is of that region."""
        read = self.image.read_volume if self.spec.ndim == 3 else self.image.read
        pixels = read(index, box)
        place = f" {index}" if index else ""
        return TrainingPair(
            self.normalisation.apply(pixels),
            recorded_target(target, pixels),
            name=f"{self._name}{place}",
            weight=weight,
            unrecorded=count_unrecorded(target, pixels),
            origin=tuple(part.start or 0 for part in box),
        )

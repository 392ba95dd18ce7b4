"""The size of the objects in images that strokes are learned from, where unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Normalisation, match_channels
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import is_estimated
from unet_engine.prediction.size_estimate import settled_size
from unet_engine.stopping import never
from unet_engine.training.data.labelled_images import PaintedImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.devices import Device
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.config import ObjectSize
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import LabelledImage


class EstimatedSizes:
    """Estimates as a prediction does, once for each image.

    Parameters
    ----------
    checkpoint
        What would predict the images: the model that is tuned.
    device
        Where it runs.
    stop
        Polled before every layer; the size is then unknown.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: Device, stop: Stop = never
    ) -> None:
        self._checkpoint = checkpoint
        self._config = PredictConfig(device=device)
        self._stop = stop
        # The image is kept, so that no other gets its identity.
        self._found: dict[int, tuple[Image, ObjectSize]] = {}

    def settled(
        self, data: Sequence[LabelledImage | PaintedImage]
    ) -> list[LabelledImage | PaintedImage]:
        """Return images of which none has the size ``auto``.

        What cannot be read, or has other channels, keeps it: whoever reads it next
        states that. So does any that is left when the training is stopped.
        """
        spec = self._checkpoint.spec
        if not self._checkpoint.trained or not is_estimated(spec, self._config):
            return list(data)
        return [
            replace(one, object_size=self._size_of(one))
            if isinstance(one, PaintedImage) and one.object_size == "auto"
            else one
            for one in data
        ]

    def _size_of(self, one: PaintedImage) -> ObjectSize:
        known = self._found.get(id(one.image))
        if known is None:
            known = self._found[id(one.image)] = one.image, self._estimate(one)
        return known[1]

    def _estimate(self, one: PaintedImage) -> ObjectSize:
        spec = self._checkpoint.spec
        try:
            image = match_channels(one.image, spec.in_channels)
            brightness = one.normalise(spec) if one.normalise else None
            config, _ = settled_size(
                image,
                self._checkpoint,
                brightness or Normalisation.measure(image, spec.preparation),
                self._config,
                self._stop,
            )
        except (DataError, Cancelled):
            return "auto"
        return config.object_size

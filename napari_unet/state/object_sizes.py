"""``ObjectSizes``: what was estimated of the size of the objects in an image."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING

from napari_unet.state.polling import locked
from unet_engine.prediction.scale import config_for, describe_scale, is_estimated

if TYPE_CHECKING:
    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.spec import ModelSpec
    from unet_engine.prediction.config import ObjectSize, PredictConfig
    from unet_engine.prediction.scale import SizeEstimate
    from unet_engine.stopping import Stop


class ObjectSizes:
    """Estimates of one image, for each kind of model; all predictions use the same.

    Attributes
    ----------
    used
        With which the image was predicted last, as of a ``PredictConfig``; ``auto``
        before a prediction.
    """

    def __init__(self) -> None:
        self.used: ObjectSize = "auto"
        self._found: dict[ModelSpec, SizeEstimate] = {}
        self._lock = RLock()

    def found(self, spec: ModelSpec, config: PredictConfig) -> SizeEstimate | None:
        """Return what was estimated for a model; None where nothing was or counts."""
        return self._of(spec) if is_estimated(spec, config) else None

    def _of(self, spec: ModelSpec) -> SizeEstimate | None:
        """Return the estimate of a model, or else a sure one of another of its classes.

        The objects stay as large as they are when a model was tuned on them.
        """
        if spec in self._found:
            return self._found[spec]
        return next(
            (
                found
                for other, found in self._found.items()
                if other.classes == spec.classes and found.sure
            ),
            None,
        )

    def known(
        self, image: Image, spec: ModelSpec, config: PredictConfig
    ) -> PredictConfig:
        """Return the configuration in which what was estimated counts. Reads no pixel.

        It is the same one while nothing was.
        """
        found = self.found(spec, config)
        return config if found is None else config_for(image, spec, config, found)

    def settled(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop,
    ) -> PredictConfig:
        """Return the configuration for a prediction, and estimate where it is needed.

        Call it in a job: the first time for a model it predicts.

        Raises
        ------
        Cancelled
            When ``stop`` returned True.
        """
        spec = checkpoint.spec
        if is_estimated(spec, config) and normalisation.constant:
            # There are no objects; a note of the prediction states why.
            self.used = "off"
            return replace(config, object_size="off")
        self.estimate(image, checkpoint, config, normalisation, stop)
        known = self.known(image, spec, config)
        self.used = known.object_size
        return known

    def estimate(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop,
    ) -> None:
        """Estimate the size for a model, if it plays a part and is not known.

        What one job estimates another one waits for. Takes and raises what `settled`
        does.
        """
        from unet_engine.prediction.size_estimate import estimate_object_size

        spec = checkpoint.spec
        if not is_estimated(spec, config) or normalisation.constant:
            return
        with locked(self._lock, stop):
            if self._of(spec) is None:
                self._found[spec] = estimate_object_size(
                    image, checkpoint, normalisation, config, stop
                )

    def describe(self, image: Image, spec: ModelSpec, config: PredictConfig) -> str:
        """Return at which scale the image is predicted, and why; empty for its own.

        Raises
        ------
        EngineError
            When it cannot be.
        """
        known = self.known(image, spec, config)
        return describe_scale(image, spec, known, self.found(spec, config))

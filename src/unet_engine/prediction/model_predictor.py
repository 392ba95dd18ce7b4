"""``ModelPredictor``: the tiles of an image by all that a model holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.devices import choose_device
from unet_engine.compute.interruption import interruptible
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.errors import OutOfMemoryError
from unet_engine.models.checkpoint import check_weights
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.pixel_classification.classifier_runner import (
    ClassifierRunner,
    combine,
)
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import feature_extractor
from unet_engine.pixel_classification.tile_classifier import TileClassifier
from unet_engine.prediction.tile_predictor import TilePredictor, check_normalisation
from unet_engine.stopping import never

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.devices import Device
    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Footprint, Tile

    Floats = npt.NDArray[np.float32]

KEPT_BYTES = 2**29
"""Bytes of probabilities of blocks that are kept, 512 MiB: those along a side of a wide
image, or of the planes of a volume's tiles, as each is needed again."""


def uses_classifier(checkpoint: Checkpoint, config: PredictConfig) -> bool:
    """Whether a prediction evaluates the pixel classifiers of a model."""
    part = checkpoint.classifier
    if part is None or part.network_share == 1:
        return False
    alone = part.network_share == 0 or not checkpoint.has_network
    return config.effort == "full" or alone


def uses_network(checkpoint: Checkpoint, config: PredictConfig) -> bool:
    """Whether a prediction runs the tuned network of a model."""
    part = checkpoint.classifier
    if part is None or not uses_classifier(checkpoint, config):
        return True
    if config.object_maps and gives_object_maps(checkpoint):
        return True
    return part.network_share > 0


class ModelPredictor:
    """Predicts tiles by a network, by pixel classifiers, or by the mean of both.

    Parameters
    ----------
    image, checkpoint, config, normalisation, stop, footprint, calibrate, block_edge
        As of a ``TilePredictor``.
    kept_bytes
        As of a ``TileClassifier``.
    features
        Of the image, if they are kept elsewhere, as Live does: blocks that are there
        need not be computed again, if they are those of the model.

    Raises
    ------
    CheckpointError
        When the model cannot be computed with.
    """

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        stop: Stop = never,
        *,
        footprint: Footprint | None = None,
        calibrate: bool = False,
        block_edge: int = 0,
        kept_bytes: int = KEPT_BYTES,
        features: FeatureCache | None = None,
    ) -> None:
        check_normalisation(normalisation, image)
        self._notes = list(normalisation.notes)
        self._network: TilePredictor | None = None
        self._classifier: ImageClassifier | None = None
        if uses_network(checkpoint, config):
            self._network = TilePredictor(
                image,
                checkpoint,
                config,
                normalisation,
                stop,
                footprint=footprint,
                calibrate=calibrate,
                block_edge=block_edge,
            )
        if uses_classifier(checkpoint, config):
            self._classifier = ImageClassifier(
                image,
                checkpoint,
                config.device,
                normalisation,
                stop,
                kept_bytes=kept_bytes,
                features=features,
            )
            if config.effort == "fast":
                self._notes.append(
                    "No network takes part in the mask of this model, so its pixel "
                    "classifiers predicted, as with full effort."
                )
        part = checkpoint.classifier
        self._share = part.network_share if part is not None else 1.0

    @property
    def device(self) -> str:
        """Where it runs."""
        parts = self._network or self._classifier
        assert parts is not None
        return parts.device

    @property
    def block_edge(self) -> int:
        """As of a ``TilePredictor``; 0 without a network."""
        return self._network.block_edge if self._network else 0

    @property
    def threads(self) -> int:
        """As of an ``AnyPredictor``: classifiers keep blocks from tile to tile."""
        return self._network.threads if self._network and not self._classifier else 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        return (*self._notes, *self.retreats)

    @property
    def retreats(self) -> tuple[str, ...]:
        """What was reduced so far for want of memory, a sentence each."""
        parts = (self._network, self._classifier)
        return tuple(note for part in parts if part for note in part.retreats)

    def close(self) -> None:
        """Free the memory that the network keeps from tile to tile."""
        if self._network is not None:
            self._network.close()

    def predict(self, index: Index, tile: Tile) -> Floats:
        """Return the ``(classes, *inner)`` probabilities of one tile.

        Object maps, which are those of the network, follow the classes where they are
        wanted. Pixels of no data are background, probability 1.

        Raises
        ------
        Cancelled
            When ``stop`` returned True within the tile.
        DataError
            When it cannot be read, or the file changed since it was opened.
        """
        if self._classifier is None:
            assert self._network is not None
            return self._network.predict(index, tile)
        found = self._classifier.predict(index, tile)
        if self._network is None:
            return found
        network = self._network.predict(index, tile)
        classes, maps = network[: len(found)], network[len(found) :]
        return np.concatenate((combine(found, classes, self._share), maps))


class ImageClassifier:
    """The pixel classifiers of a model on the tiles of an image.

    Those of volumes are predicted plane by plane: the classifiers know planes.

    Parameters
    ----------
    image, checkpoint, device, normalisation, stop
        As of a ``TilePredictor``.
    kept_bytes
        As of a ``TileClassifier``.
    features
        As of a ``ModelPredictor``.
    """

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        device: Device,
        normalisation: Normalisation,
        stop: Stop,
        *,
        kept_bytes: int = KEPT_BYTES,
        features: FeatureCache | None = None,
    ) -> None:
        assert checkpoint.classifier is not None
        check_weights(checkpoint)
        self._image = image
        self._normalisation = normalisation
        self._stop = stop
        self._kept_bytes = kept_bytes
        self._features = features
        self._runner = ClassifierRunner(
            checkpoint.classifier, len(checkpoint.spec.classes)
        )
        self._title = checkpoint.title
        self.retreats: tuple[str, ...] = ()
        self.device = choose_device(device)
        self._tiles = self._prepared()

    def predict(self, index: Index, tile: Tile) -> Floats:
        """Return the ``(classes, *inner)`` probabilities of one tile."""
        while True:
            try:
                with translated_errors(), interruptible(self._stop):
                    found = self._predict(index, tile)
            except OutOfMemoryError:
                if self.device == "cpu":
                    raise
                self.retreats = (
                    f"{self.device} had too little memory for the features of pixels; "
                    "the CPU computed them.",
                )
                self.device = "cpu"
                self._tiles = self._prepared()
                continue
            if self._image.source is not None:
                self._image.source.check_unchanged()
            return found

    def _predict(self, index: Index, tile: Tile) -> Floats:
        *depth, rows, columns = tile.inner_slices
        if not depth:
            return self._tiles(index, (rows, columns))
        planes = range(depth[0].start, depth[0].stop)
        return np.stack(
            [self._tiles((*index, z), (rows, columns)) for z in planes], axis=1
        )

    def _prepared(self) -> TileClassifier:
        extractor = feature_extractor(self._runner.part, self._title, self.device)
        cache = FeatureCache(
            self._image,
            self._normalisation,
            extractor,
            cache_bytes=1,
            other=self._features,
        )
        return TileClassifier(self._runner, cache, kept_bytes=self._kept_bytes)

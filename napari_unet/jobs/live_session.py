"""``LiveSession``: what Live keeps from stroke to stroke, and learns from.

No Qt, layer or widget; torch and scikit-learn are imported in the thread.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from napari_unet.state.untrained_model import UntrainedModel
from unet_engine.devices import is_remote
from unet_engine.errors import Cancelled, DataError, EngineError
from unet_engine.models.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_unet.jobs.orders import LiveOrder
    from napari_unet.state.related_image import RelatedImage
    from napari_unet.state.untrained_model import Model
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.state.workspace import Workspace
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.interactive.labelled_blocks import LabelledBlocks
    from unet_engine.interactive.learner import InstantLearner
    from unet_engine.interactive.remote.learner import RemoteLearner
    from unet_engine.interactive.remote.session import RemoteLive
    from unet_engine.interactive.stages import StageMemory
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.pixel_classification.features import FeatureExtractor
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

log = logging.getLogger(__name__)

_REMOTE_AGAIN_S = 10.0
"""Seconds after which a device is tried again whose line was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """The strokes were learned from.

    Attributes
    ----------
    note
        What was left out of them, as a text; empty for nothing.
    closed
        Images that are not open, of which strokes were learned from.
    """

    note: str = ""
    closed: int = 0


class LiveSession:
    """What is kept from stroke to stroke.

    Parameters
    ----------
    workspace
        Has the models.

    Attributes
    ----------
    lock
        Held by the thread that uses the session.
    learner
        None before there were strokes of two classes.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.lock = Lock()
        self._workspace = workspace
        self._extractor: FeatureExtractor | None = None
        self._spec = ModelSpec()
        self._key: Any = None
        self._sources: WeakKeyDictionary[
            WorkingImage | RelatedImage, LabelledBlocks
        ] = WeakKeyDictionary()
        self._ready: WeakSet[RelatedImage] = WeakSet()
        self._share: float | None = None
        self._memory: StageMemory | None = None
        self._remote: RemoteLive | None = None
        self._remote_again = 0.0
        self.learner: InstantLearner | RemoteLearner | None = None

    def prepare(self, order: LiveOrder, stop: Stop) -> FeatureCache:
        """Return the image on screen with its features, by the maps of the model."""
        channels = order.working_image.image.channels
        key = (order.model, channels, order.classes)
        if key != self._key:
            checkpoint = self._checkpoint(order.model, channels, stop)
            extractor, known = self._extractor_for(order, checkpoint, stop)
            part = checkpoint.classifier if checkpoint is not None else None
            # As in the predictions of a model that has both.
            self._share = None if part is None else part.network_share
            self._spec = known.spec if known else ModelSpec(in_channels=channels)
            self._extractor, self.learner, self._key = extractor, None, key
            self._remote = None
            self._sources.clear()
            self._ready.clear()
        return self._source(order.working_image, stop).cache

    def _extractor_for(
        self, order: LiveOrder, checkpoint: Checkpoint | None, stop: Stop
    ) -> tuple[FeatureExtractor, Checkpoint | None]:
        """Return what computes features, and the model that images are prepared for."""
        from unet_engine.models.starting import model_of_planes
        from unet_engine.pixel_classification.features import (
            FeatureExtractor,
            feature_extractor,
        )

        channels = order.working_image.image.channels
        if checkpoint is not None and checkpoint.classifier is not None:
            own = checkpoint if checkpoint.has_network else None
            made = feature_extractor(
                checkpoint.classifier,
                checkpoint.title,
                "cpu",
                tuned=_with_classes(own, order.classes),
            )
            return made, checkpoint
        base = self._workspace.store.base_of(order.model.history if order.model else ())
        feature_model = self._checkpoint(base, channels, stop)
        # Of a tuned model the probabilities count; its base gives the maps.
        tuned = checkpoint if feature_model else None
        made = FeatureExtractor(
            feature_model or checkpoint, tuned=_with_classes(tuned, order.classes)
        )
        if made.network is not None:
            return made, checkpoint
        planes = model_of_planes(self._workspace.store, channels)
        # Of a network without such maps the probabilities count all the same.
        return FeatureExtractor(planes, tuned=made.tuned), made.tuned

    def model(self, order: LiveOrder) -> Checkpoint:
        """Return what was learned as a model that predicts the same.

        Raises
        ------
        DataError
            When nothing was learned.
        """
        from unet_engine.interactive.live_model import live_model

        if self.learner is None:
            raise DataError(
                "Live has learned nothing yet; paint a stroke of two classes at least"
            )
        parent = order.model.name if order.model else ""
        return live_model(self.learner, order.classes, self._spec, parent=parent)

    def learn(self, order: LiveOrder, stop: Stop) -> Learned:
        """Learn from all strokes.

        Raises
        ------
        DataError
            When they are of one class.
        Cancelled
            When ``stop`` returned True.
        """
        ready = [(one, strokes) for one, strokes in order.related if one in self._ready]
        every: list[tuple[WorkingImage | RelatedImage, Annotations]]
        every = [*order.painted, *ready]
        painted = [(self._source(s, stop), strokes) for s, strokes in every]
        learner = self._learned(len(order.classes), painted, stop)
        for image, _ in every:
            if image is not order.working_image:
                self._source(image, stop).cache.forget_blocks()
        self.learner = learner
        return Learned(note=learner.note, closed=len(ready))

    def _learned(
        self,
        classes: int,
        painted: Sequence[tuple[LabelledBlocks, Annotations]],
        stop: Stop,
    ) -> InstantLearner | RemoteLearner:
        """Learn by the chosen device, and by this machine where its line is lost."""
        from unet_engine.interactive.learner import InstantLearner
        from unet_engine.interactive.pixel_classifier import TUNED_SHARE
        from unet_engine.interactive.remote.learner import RemoteLearner
        from unet_engine.interactive.stages import StageMemory

        share = TUNED_SHARE if self._share is None else self._share
        note = ""
        remote = self.remote
        if remote is not None:
            there = RemoteLearner(remote, classes, network_share=share)
            try:
                there.learn(painted, stop)
            except (Cancelled, DataError):
                raise
            except EngineError as error:
                note = f"on this machine, as {error}"
                self.lose_remote()
            else:
                return there
        self._memory = self._memory or StageMemory()
        learner = InstantLearner(classes, memory=self._memory, network_share=share)
        learner.learn(painted, stop)
        learner.note = "; ".join(filter(None, (learner.note, note)))
        return learner

    @property
    def remote(self) -> RemoteLive | None:
        """The worker that learns; None where this machine does."""
        from unet_engine.interactive.remote.session import RemoteLive

        device = self._workspace.device
        if not is_remote(device) or time.monotonic() < self._remote_again:
            return None
        assert self._extractor is not None
        if self._remote is None or self._remote.device != device:
            self._remote = RemoteLive(device, self._extractor)
        return self._remote

    def lose_remote(self) -> None:
        """Have this machine learn for a while."""
        self._remote = None
        self._remote_again = time.monotonic() + _REMOTE_AGAIN_S

    def compute(
        self, source: FeatureCache, index: Index, inner: Region, stop: Stop
    ) -> None:
        """Have the features of a block computed, where they will be learned from."""
        from unet_engine.pixel_classification.feature_cache import BLOCK

        row, column = (part.start // BLOCK for part in inner)
        remote = self.remote
        if remote is None:
            source.features(index, row, column)
            return
        with suppress(Cancelled):
            try:
                remote.ask(
                    "prepare",
                    [source],
                    remote.key(source),
                    index,
                    row,
                    column,
                    stop=stop,
                    around=(index, source.inner(row, column)),
                )
            except EngineError as error:
                if isinstance(error, Cancelled):
                    raise
                log.info("Live goes on here: %s", error)
                self.lose_remote()

    def make_ready(self, order: LiveOrder, stop: Stop) -> bool:
        """Compute the features of strokes on images that are not open.

        It takes a while for each, so that what is on screen is predicted first, without
        them.

        Returns
        -------
        bool
            Whether there are any that were not learned from yet.

        Raises
        ------
        Cancelled
            When ``stop`` returned True; what was computed stays.
        """
        new = [(one, s) for one, s in order.related if one not in self._ready]
        if self.remote is not None:
            # The worker computes them, when it learns from them.
            self._ready.update(one for one, _ in new)
            return bool(new)
        for one, strokes in new:
            try:
                blocks = self._source(one, stop)
                blocks.take(strokes, stop)
                blocks.cache.forget_blocks()
            except (EngineError, OSError) as error:
                if isinstance(error, Cancelled):
                    raise
                # The image may have gone since it was found: it takes no part.
                log.info("%s is not learned from: %s", one.image.name, error)
                continue
            self._ready.add(one)
        return any(one in self._ready for one, _ in new)

    def _source(
        self, working_image: WorkingImage | RelatedImage, stop: Stop
    ) -> LabelledBlocks:
        from unet_engine.interactive.labelled_blocks import LabelledBlocks
        from unet_engine.pixel_classification.feature_cache import FeatureCache

        if working_image not in self._sources:
            assert self._extractor is not None
            cache = FeatureCache(
                working_image.image,
                working_image.normalisation(self._spec, stop),
                self._extractor,
            )
            self._sources[working_image] = LabelledBlocks(cache)
            working_image.features = cache
        return self._sources[working_image]

    def _checkpoint(
        self, model: Model | None, channels: int, stop: Stop
    ) -> Checkpoint | None:
        from unet_engine.models.adaptation import adapt_checkpoint

        if model is None or isinstance(model, UntrainedModel) or not model.trained:
            return None
        if not model.spec.classes or model.spec.ndim != 2:
            return None
        if model.spec.imported is not None:
            return None
        checkpoint = self._workspace.checkpoint(model, stop)
        return adapt_checkpoint(checkpoint, in_channels=channels)


def _with_classes(
    tuned: Checkpoint | None, classes: tuple[str, ...]
) -> Checkpoint | None:
    """Return a tuned model with all classes of the mask; None if they do not fit."""
    from unet_engine.models.adaptation import adapt_checkpoint

    # Its probabilities are distinguished by their order.
    if tuned is None or classes[: len(tuned.spec.classes)] != tuned.spec.classes:
        return None
    return adapt_checkpoint(tuned, classes=classes)

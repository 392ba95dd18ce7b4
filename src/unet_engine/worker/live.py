"""Live for someone elsewhere: features, classifiers and strokes stay here meanwhile."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, cast

from unet_engine.compute.devices import choose_device
from unet_engine.compute.interruption import interruptible
from unet_engine.errors import DataError
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.interactive.remote.chunks import ChunkedArray
from unet_engine.interactive.remote.orders import (
    LearnedThere,
    LiveTile,
    MissingPart,
    UnknownSession,
)
from unet_engine.interactive.remote.strokes import ReceivedStrokes
from unet_engine.interactive.stages import StageMemory
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.remote.pixels import MissingPixelsError
from unet_engine.remote.packing import pack
from unet_engine.worker.models import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.interactive.remote.orders import (
        ImageHeader,
        LiveHeader,
        Parcel,
    )
    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

T = TypeVar("T")

_KEPT_SESSIONS = 4
"""That stay in memory with their features, up to 1 GiB for each image."""

_sessions: OrderedDict[str, _Session] = OrderedDict()
_lock = Lock()


@dataclass(eq=False)
class _LiveImage:
    """An image as far as it was sent, its features and strokes."""

    pixels: ChunkedArray
    blocks: LabelledBlocks
    strokes: ReceivedStrokes

    @property
    def painted(self) -> tuple[LabelledBlocks, Annotations]:
        """As a learner takes it."""
        return self.blocks, cast("Annotations", self.strokes)


@dataclass(eq=False)
class _Session:
    """One who paints."""

    extractor: FeatureExtractor
    images: dict[str, _LiveImage] = field(default_factory=dict)
    memory: StageMemory = field(default_factory=StageMemory)
    learner: InstantLearner | None = None
    interrupted: int = 0
    busy: Lock = field(default_factory=Lock)

    def take(self, parcel: Parcel) -> None:
        """Add what an order brought along."""
        if parcel.header is not None:
            self.images[parcel.key] = self._opened(parcel.header)
        image = self.images[parcel.key]
        for sent in parcel.pixels:
            image.pixels.hold(sent)
        for block in parcel.strokes:
            image.strokes.take(block)

    def _opened(self, header: ImageHeader) -> _LiveImage:
        image = header.image
        pixels = ChunkedArray(image.data.shape, image.data.dtype, image.axes)
        held = replace(image, data=pixels)
        cache = FeatureCache(held, header.normalisation, self.extractor)
        shape = (*image.leading_shape, *image.plane_shape)
        return _LiveImage(pixels, LabelledBlocks(cache), ReceivedStrokes(shape))


def begin(session: str, header: LiveHeader) -> None:
    """Begin a session; its models have been sent before.

    Raises
    ------
    DataError
        When they were not.
    """
    extractor = FeatureExtractor(
        model_of(header.network) if header.network else None,
        choose_device("auto"),
        tuned=model_of(header.tuned) if header.tuned else None,
        average=header.averaged,
    )
    with _lock:
        _sessions[session] = _Session(extractor)
        while len(_sessions) > _KEPT_SESSIONS:
            _sessions.popitem(last=False)


def learn(
    session: str,
    order: int,
    parcels: Sequence[Parcel],
    keys: Sequence[str],
    classes: int,
    network_share: float,
) -> LearnedThere | MissingPart | UnknownSession:
    """Learn from the strokes on some images, as an ``InstantLearner`` does.

    Raises
    ------
    DataError
        As of an ``InstantLearner``.
    Cancelled
        When the order is no longer wanted.
    """

    def work(live: _Session, stop: Stop) -> LearnedThere:
        learner = InstantLearner(
            classes, memory=live.memory, network_share=network_share
        )
        pixels = learner.learn([live.images[key].painted for key in keys], stop)
        live.learner = learner
        return LearnedThere(pixels, learner.note, learner.tuned is not None)

    return _carried_out(session, order, parcels, work)


def predict(
    session: str,
    order: int,
    parcels: Sequence[Parcel],
    key: str,
    index: Index,
    tiles: Sequence[Region],
    probabilities: bool,
) -> list[LiveTile] | MissingPart | UnknownSession:
    """Predict tiles of a plane by what was learned.

    Raises
    ------
    Cancelled
        When the order is no longer wanted.
    """

    def work(live: _Session, stop: Stop) -> list[LiveTile] | UnknownSession:
        if live.learner is None:
            return UnknownSession()
        source = live.images[key].blocks.cache
        return [
            LiveTile(
                pack(done.labels),
                pack(done.probabilities)
                if probabilities and done.probabilities is not None
                else None,
            )
            for done in live.learner.iter_tiles(source, index, tiles, stop)
        ]

    return _carried_out(session, order, parcels, work)


def prepare(
    session: str,
    order: int,
    parcels: Sequence[Parcel],
    key: str,
    index: Index,
    row: int,
    column: int,
) -> bool | MissingPart | UnknownSession:
    """Compute the features of a block, so that the first stroke finds them."""

    def work(live: _Session, stop: Stop) -> bool:
        live.images[key].blocks.cache.features(index, row, column)
        return True

    return _carried_out(session, order, parcels, work)


def part(
    session: str, order: int, parcels: Sequence[Parcel]
) -> ClassifierPart | MissingPart | UnknownSession:
    """Return what was learned, without the network of the features."""

    def work(live: _Session, stop: Stop) -> ClassifierPart:
        if live.learner is None:
            raise DataError("what was learned is gone there; paint another stroke")
        return replace(live.learner.part, network=None)

    return _carried_out(session, order, parcels, work)


def interrupt(session: str, order: int) -> None:
    """End an order that is no longer wanted, and those before it."""
    live = _sessions.get(session)
    if live is not None:
        live.interrupted = max(live.interrupted, order)


def _carried_out(
    session: str,
    order: int,
    parcels: Sequence[Parcel],
    work: Callable[[_Session, Stop], T],
) -> T | MissingPart | UnknownSession:
    """Take what an order brought along and do it; or return what it lacks."""
    with _lock:
        live = _sessions.get(session)
        if live is None:
            return UnknownSession()
        _sessions.move_to_end(session)

    def stop() -> bool:
        return live.interrupted >= order

    with live.busy:
        for parcel in parcels:
            live.take(parcel)
        try:
            with interruptible(stop):
                return work(live, stop)
        except MissingPixelsError as error:
            return MissingPart(_lacking(live, parcels, error), error.box)


def _lacking(
    live: _Session, parcels: Sequence[Parcel], error: MissingPixelsError
) -> str:
    """Return the key of the image whose pixels lack."""
    return next(
        parcel.key
        for parcel in parcels
        if live.images[parcel.key].pixels is error.source
    )

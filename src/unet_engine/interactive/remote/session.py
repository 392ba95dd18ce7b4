"""``RemoteLive``: a line to the worker that learns for Live, and what it has got."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from unet_engine.errors import Cancelled, EngineError
from unet_engine.interactive.remote.chunks import ChunkSender
from unet_engine.interactive.remote.orders import (
    ImageHeader,
    LiveHeader,
    MissingPart,
    Parcel,
    UnknownSession,
)
from unet_engine.interactive.remote.strokes import StrokeSender
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.prediction.remote.pixels import box_of, without_pixels
from unet_engine.remote.blobs import digest_of, send_blobs
from unet_engine.remote.connection import LineLostError, connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.devices import Device
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.pixel_classification.features import FeatureExtractor
    from unet_engine.places import Index, Region
    from unet_engine.prediction.remote.pixels import Box
    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop

_FROM_NOTHING = ("learn", "prepare")
"""Orders that a worker can carry out that has learned nothing before."""

_INTERRUPT_S = 0.5
"""Seconds in which a worker learns that an order is no longer wanted."""


class RemoteLive:
    """Learns and predicts by a worker; everything goes there once.

    Parameters
    ----------
    device
        The address.
    extractor
        What gives the features; it computes none here.
    """

    def __init__(self, device: Device, extractor: FeatureExtractor) -> None:
        self.device = device
        self.extractor = extractor
        self._session = ""
        self._worker = ""
        self._order = 0
        self._connection: Connection | None = None
        self._images: WeakKeyDictionary[FeatureCache, _SentImage]
        self._images = WeakKeyDictionary()

    def strokes(self, cache: FeatureCache, annotations: Annotations) -> None:
        """Take note of what is painted on an image; the next order sends it."""
        self._image(cache).take(annotations)

    def ask(
        self,
        name: str,
        caches: Sequence[FeatureCache],
        *arguments: Any,
        stop: Stop,
        around: tuple[Index, Region] | None = None,
    ) -> Any:
        """Have an order carried out, with all that it needs.

        Parameters
        ----------
        name
            Of a function of ``worker.live``.
        caches
            The images that it concerns.
        *arguments
            More of the function; an image among them by its ``key``.
        stop
            Polled while it is awaited.
        around
            A part of the first image that it surely reads.

        Raises
        ------
        LineLostError
            When the line breaks, or what was learned is gone there.
        EngineError
            As the function raises it.
        Cancelled
            When ``stop`` returned True.
        """
        images = [self._image(cache) for cache in caches]
        if around is not None:
            images[0].want(*around)
        while True:
            self._begin(stop)
            self._order += 1
            parcels = tuple(image.parcel() for image in images)
            answer = self._answer(name, parcels, arguments, stop)
            if isinstance(answer, UnknownSession):
                self._forget()
                if name not in _FROM_NOTHING:
                    raise LineLostError(f"a worker of {self.device} was started anew")
            elif isinstance(answer, MissingPart):
                next(i for i in images if i.key == answer.key).lack(answer.box)
            else:
                return answer

    def key(self, cache: FeatureCache) -> str:
        """Return what an image is called there."""
        return self._image(cache).key

    def _answer(
        self,
        name: str,
        parcels: tuple[Parcel, ...],
        arguments: tuple[Any, ...],
        stop: Stop,
    ) -> Any:
        assert self._connection is not None
        try:
            answers = self._connection.ask(
                f"live.{name}",
                self._session,
                self._order,
                parcels,
                *arguments,
                workers=[self._worker],
                stop=stop,
            )
        except Cancelled:
            self._interrupt()
            raise
        except LineLostError:
            # What has arrived there of the parcels is not known.
            self._forget()
            raise
        return answers[self._worker]

    def _interrupt(self) -> None:
        deadline = time.monotonic() + _INTERRUPT_S
        with suppress(EngineError):
            assert self._connection is not None
            self._connection.ask(
                "live.interrupt",
                self._session,
                self._order,
                workers=[self._worker],
                stop=lambda: time.monotonic() > deadline,
            )

    def _begin(self, stop: Stop) -> None:
        """Have a session at a worker that has the models."""
        if self._session and self._connection is not None and self._connection.alive:
            return
        self._forget()
        connection = connect(self.device, stop)
        worker = connection.addresses[0]
        contents: dict[str, bytes] = {}
        header = LiveHeader(
            network=self._add(contents, self._network()),
            tuned=self._add(contents, self.extractor.tuned),
            averaged=self.extractor.averaged,
        )
        send_blobs(connection, contents, worker, stop=stop)
        session = uuid4().hex
        connection.ask("live.begin", session, header, workers=[worker], stop=stop)
        self._connection, self._worker, self._session = connection, worker, session

    def _network(self) -> Checkpoint | None:
        found = self.extractor.network
        if found is None:
            return None
        # Only trained networks give features, which a history is the sign of.
        return Checkpoint(found.spec, found.weights, ({"name": "features"},))

    @staticmethod
    def _add(contents: dict[str, bytes], model: Checkpoint | None) -> str:
        if model is None:
            return ""
        content = model.to_bytes()
        digest = digest_of(content)
        contents[digest] = content
        return digest

    def _forget(self) -> None:
        self._session = ""
        for image in self._images.values():
            image.forget()

    def _image(self, cache: FeatureCache) -> _SentImage:
        if cache not in self._images:
            self._images[cache] = _SentImage(cache)
        return self._images[cache]


class _SentImage:
    """What a worker has got of an image."""

    def __init__(self, cache: FeatureCache) -> None:
        self.key = uuid4().hex
        self._cache = cache
        self._annotations: Annotations | None = None
        self._margins = [(0, 0)] * len(cache.image.axes)
        self._wanted: list[Box] = []
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing is there."""
        self._headed = False
        self._pixels = ChunkSender(self._cache.image)
        self._strokes = StrokeSender()
        self._last: Box | None = None

    def take(self, annotations: Annotations) -> None:
        """Take note of all that is painted."""
        self._annotations = annotations

    def want(self, index: Index, region: Region) -> None:
        """Send what a part needs, as far as is known from those before."""
        image = self._cache.image
        box = box_of(image.key((*index, *region)), image.data.shape)
        self._last = box
        self._wanted.append(self._with_margins(box))

    def lack(self, box: Box) -> None:
        """Send a part, and as much around those that follow."""
        self._wanted.append(box)
        if self._last is None or not _meet(box, self._last):
            return
        self._margins = [
            (max(before, start - low), max(after, high - stop))
            for (before, after), (start, stop), (low, high) in zip(
                self._margins, self._last, box, strict=True
            )
        ]

    def parcel(self) -> Parcel:
        """Return what is new."""
        cache = self._cache
        strokes: tuple[Any, ...] = ()
        if self._annotations is not None:
            strokes = self._strokes.changes(cache, self._annotations)
        header = None
        if not self._headed:
            header = ImageHeader(
                image=without_pixels(cache.image), normalisation=cache.normalisation
            )
            self._headed = True
        wanted, self._wanted = self._wanted, []
        for block in strokes:
            self.want(block.index, cache.inner(block.row, block.column))
        wanted += self._wanted
        self._wanted = []
        pixels = [one for box in wanted for one in self._pixels.cut(box)]
        return Parcel(
            key=self.key, header=header, pixels=tuple(pixels), strokes=strokes
        )

    def _with_margins(self, box: Box) -> Box:
        shape = self._cache.image.data.shape
        return tuple(
            (max(0, start - before), min(size, stop + after))
            for (start, stop), (before, after), size in zip(
                box, self._margins, shape, strict=True
            )
        )


def _meet(one: Box, other: Box) -> bool:
    return all(
        low < stop and high > start
        for (low, high), (start, stop) in zip(one, other, strict=True)
    )

"""``RemotePredictor``: the tiles of an image by workers, several at a time."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from unet_engine.errors import Cancelled, EngineError
from unet_engine.prediction.remote.orders import (
    PackedTile,
    PredictionHeader,
    RunReady,
    SegmentedTile,
    UnknownRun,
)
from unet_engine.prediction.remote.pixels import PixelSender, without_pixels
from unet_engine.remote.blobs import send_blob
from unet_engine.remote.connection import LineLostError, connect
from unet_engine.remote.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt
    from distributed import Future

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.prediction.remote.pixels import SentPixels
    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    Floats = npt.NDArray[np.float32]
    Found = Floats | SegmentedTile

_AHEAD = 2
"""Tiles of each worker that are on their way: one that is computed, and one that
arrives meanwhile. With more, those of a viewport that moved would come late."""

_FIND_AGAIN_S = 20.0
"""Seconds for which a line that broke is tried again, before this machine goes on."""

_RETRY_S = 1.0
"""Seconds between two trials."""

_CLOSE_S = 1.0
"""Seconds in which workers learn that a run ended."""


@dataclass(eq=False)
class _Job:
    """A tile on its way."""

    index: Index
    tile: Tile
    sent: SentPixels
    future: Future | None = None


class RemotePredictor:
    """Has the tiles of an image predicted by the workers of a device.

    What it gives is what this machine would give with the same blocks and device. When
    the line breaks it is sought for a while, and then this machine predicts the rest.

    Parameters
    ----------
    image, checkpoint, config, normalisation, plan, stop
        As of ``predictor_for``; ``config.device`` is the address.
    block_edge
        Blocks in which CPUs compute; 0: those that suit.
    sends_probabilities
        Whether they come back with the labels.
    here
        Makes a predictor of this machine with blocks of an edge.

    Raises
    ------
    EngineError
        When there are no workers.
    Cancelled
        When ``stop`` returned True while the model was sent.
    """

    def __init__(
        self,
        image: Image,
        checkpoint: Checkpoint,
        config: PredictConfig,
        normalisation: Normalisation,
        plan: PredictionPlan,
        *,
        stop: Stop,
        block_edge: int = 0,
        sends_probabilities: bool = False,
        here: Callable[[int], AnyPredictor],
    ) -> None:
        self._address = config.device
        self._run = uuid4().hex
        self._model = checkpoint.to_bytes()
        self._sender = PixelSender(image)
        self._header = PredictionHeader(
            image=without_pixels(image),
            model="",
            classes=len(checkpoint.spec.classes),
            config=replace(config, device="auto"),
            normalisation=normalisation,
            plan=plan,
            block_edge=block_edge,
            sends_probabilities=sends_probabilities,
        )
        self._stop = stop
        self._here = here
        self._local: AnyPredictor | None = None
        self._retreats: tuple[str, ...] = ()
        self._lost: tuple[str, ...] = ()
        self._arrived: SimpleQueue[_Job] = SimpleQueue()
        self._pending: list[_Job] = []
        try:
            self._connection, self._ready = self._begin()
        except LineLostError:
            # As when the first worker ended just then.
            if not self._find_again():
                raise

    @property
    def device(self) -> str:
        """What computes, of the kind that decides the last bits."""
        return self._ready.device if self._local is None else self._local.device

    @property
    def block_edge(self) -> int:
        """As of a ``TilePredictor``."""
        return self._ready.block_edge

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        return tuple(dict.fromkeys((*self._ready.notes, *self.retreats)))

    @property
    def retreats(self) -> tuple[str, ...]:
        """What was reduced so far, a sentence each."""
        local = self._local.retreats if self._local is not None else ()
        return (*self._lost, *self._retreats, *local)

    def close(self) -> None:
        """End what is computed there, and forget the run."""
        if self._local is not None:
            self._local.close()
            return
        futures = [job.future for job in self._pending if job.future is not None]
        deadline = time.monotonic() + _CLOSE_S

        def late() -> bool:
            return time.monotonic() > deadline

        with suppress(EngineError):
            self._connection.ask("prediction.end", self._run, stop=late)
            cancelled = self._connection.client.cancel(futures, asynchronous=True)
            self._connection.wait(cancelled, late)

    def predict_each(
        self, jobs: Iterable[tuple[Index, Tile]]
    ) -> Iterator[tuple[Index, Tile, Found]]:
        """Predict tiles, and yield each as it arrives.

        Raises
        ------
        Cancelled
            When ``stop`` returned True.
        DataError
            When pixels cannot be read.
        EngineError
            When a worker cannot compute a tile.
        """
        waiting = iter(jobs)
        while True:
            try:
                yield from self._there(waiting)
            except LineLostError:
                if self._find_again():
                    continue
                yield from self._by_this_machine(waiting)
            return

    def _there(
        self, waiting: Iterator[tuple[Index, Tile]]
    ) -> Iterator[tuple[Index, Tile, Found]]:
        for job in self._pending:
            self._submit(job)
        while True:
            while len(self._pending) < _AHEAD * len(self._connection.workers):
                place = next(waiting, None)
                if place is None:
                    break
                job = _Job(*place, self._sender.cut(*place))
                self._pending.append(job)
                self._submit(job)
            if not self._pending:
                return
            job = self._next_arrived()
            found = self._answer(job)
            if found is not None:
                self._pending.remove(job)
                yield job.index, job.tile, found

    def _submit(self, job: _Job) -> None:
        future = self._connection.submit(
            "prediction.predict_tile", self._run, job.index, job.tile, job.sent
        )
        job.future = future

        def arrived(done: Future) -> None:
            # One of an earlier line counts no more.
            if job.future is done:
                self._arrived.put(job)

        future.add_done_callback(arrived)

    def _next_arrived(self) -> _Job:
        while True:
            try:
                job = self._arrived.get(timeout=0.02)
            except Empty:
                if self._stop():
                    raise Cancelled("stopped") from None
                self._connection.check()
                continue
            if job in self._pending:
                return job

    def _answer(self, job: _Job) -> Found | None:
        """Return the tile; None when it was ordered anew."""
        assert job.future is not None
        if job.future.status in ("cancelled", "lost"):
            raise self._connection.lost()
        if job.future.status == "error":
            raise _described(job, job.future.exception(timeout=_CLOSE_S))
        client = self._connection.client
        answer = self._connection.wait(
            client.gather(job.future, asynchronous=True), self._stop
        )
        if isinstance(answer, PackedTile):
            self._retreats = answer.retreats
            return self._unpacked(answer)
        if isinstance(answer, UnknownRun):
            self._prepare(self._connection, [answer.worker])
        else:
            job.sent = self._sender.cut_more(job.index, job.tile, job.sent, answer)
        self._submit(job)
        return None

    def _unpacked(self, tile: PackedTile) -> Found:
        values = None if tile.values is None else unpack(tile.values)
        if tile.labels is None:
            assert values is not None
            return values
        maps = None if tile.object_maps is None else unpack(tile.object_maps)
        return SegmentedTile(unpack(tile.labels), values, maps)

    def _begin(self) -> tuple[Connection, RunReady]:
        connection = connect(self._address, self._stop)
        first, *others = connection.addresses
        ready = self._prepare(connection, [first])
        # All compute in the blocks of the first, so that tiles do not depend on whose.
        self._header = replace(self._header, block_edge=ready.block_edge)
        if others:
            self._prepare(connection, others)
        return connection, ready

    def _prepare(self, connection: Connection, workers: list[str]) -> RunReady:
        digest = send_blob(connection, self._model, stop=self._stop, workers=workers)
        self._header = replace(self._header, model=digest)
        answers = connection.ask(
            "prediction.begin",
            self._run,
            self._header,
            workers=workers,
            stop=self._stop,
        )
        ready = [answer for answer in answers.values() if isinstance(answer, RunReady)]
        if not ready:
            raise connection.lost()
        return ready[0]

    def _find_again(self) -> bool:
        """Seek the line for a while; True when it is there again."""
        until = time.monotonic() + _FIND_AGAIN_S
        while time.monotonic() < until:
            try:
                self._connection, self._ready = self._begin()
            except Cancelled:
                raise
            except EngineError:
                wait_until = time.monotonic() + _RETRY_S
                while time.monotonic() < wait_until:
                    if self._stop():
                        raise Cancelled("stopped") from None
                    time.sleep(0.05)
                continue
            return True
        return False

    def _by_this_machine(
        self, waiting: Iterator[tuple[Index, Tile]]
    ) -> Iterator[tuple[Index, Tile, Found]]:
        self._lost = (
            f"The connection to {self._address} was lost; this machine finished the "
            "prediction.",
        )
        self._local = self._here(self._ready.block_edge)
        places = deque((job.index, job.tile) for job in self._pending)
        self._pending.clear()
        while True:
            place = places.popleft() if places else next(waiting, None)
            if place is None:
                return
            yield *place, self._local.predict(*place)


def _described(job: _Job, error: Any) -> BaseException:
    """Return an error of a worker as it is raised here."""
    if isinstance(error, EngineError | MemoryError):
        return error
    place = ", ".join(f"{start}:{stop}" for start, stop in job.tile.inner)
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return EngineError(
        f"the workers could not compute tile [{place}] ({reason}); look at what "
        "napari-unet worker printed there, and whether memory ran out"
    )

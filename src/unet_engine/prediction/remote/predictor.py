"""``RemotePredictor``: the tiles of an image by workers, several at a time."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING
from uuid import uuid4

from unet_engine.errors import Cancelled, EngineError
from unet_engine.prediction.remote.jobs import (
    TileJob,
    level_jobs,
    sent_job,
    stored_jobs,
    unpacked,
)
from unet_engine.prediction.remote.orders import (
    PackedTile,
    PredictionHeader,
    RunReady,
    SegmentedTile,
    UnknownRun,
)
from unet_engine.prediction.remote.pixels import PixelSender, without_pixels
from unet_engine.prediction.remote.storage import (
    WRITTEN,
    FilledChunks,
    WrittenBatch,
    stored_run,
    tiles_of_batch,
)
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.remote.blobs import digest_of, send_blob
from unet_engine.remote.connection import LineLostError, connect
from unet_engine.remote.dispatch import Dispatch
from unet_engine.remote.seeking import Reconnecting, iter_sought

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from collections.abc import Set as AbstractSet

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image, Normalisation
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.empty_tiles import EmptyTiles
    from unet_engine.prediction.outputs import Output
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.prediction.remote.storage import StoredRun, WrittenMark
    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    Floats = npt.NDArray[np.float32]
    Found = Floats | SegmentedTile | WrittenMark

_FIND_AGAIN_S = 20.0
"""Seconds for which a line that broke is tried again, before this machine goes on."""

_CLOSE_S = 0.5
"""Seconds in which workers learn that a run ended; who stops it waits for that."""


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

    """

    _connection: Connection
    _ready: RunReady

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
            model=digest_of(self._model),
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
        self._dispatch: Dispatch[TileJob] = Dispatch(stop)
        self._image = image
        self._stored: StoredRun | None = None
        self._empty: EmptyTiles | None = None

    def begin(self) -> Iterator[Reconnecting]:
        """Have the workers ready for tiles; call it before all else.

        Yields
        ------
        Reconnecting
            While a line that broke is tried again.

        Raises
        ------
        EngineError
            When there are no workers.
        Cancelled
            When ``stop`` returned True while the model was sent.
        """
        try:
            self._connection, self._ready = self._begin(self._stop)
        except LineLostError:
            # As when the first worker ended just then.
            if not (yield from self._find_again()):
                local = self._go_on_here(self._header.block_edge)
                self._ready = RunReady(local.device, local.block_edge, ())

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
        futures = [
            job.future for job in self._dispatch.pending if job.future is not None
        ]
        deadline = time.monotonic() + _CLOSE_S

        def late() -> bool:
            return time.monotonic() > deadline

        with suppress(EngineError):
            self._connection.ask("prediction.end", self._run, stop=late)
            cancelled = self._connection.client.cancel(futures, asynchronous=True)
            self._connection.wait(cancelled, late)

    def predict_each(
        self, jobs: Iterable[tuple[Index, Tile]]
    ) -> Iterator[tuple[Index, Tile, Found] | Reconnecting]:
        """Predict tiles, and yield each as it arrives.

        While a line that broke is tried again, that is yielded in between.

        Raises
        ------
        Cancelled
            When ``stop`` returned True.
        DataError
            When pixels cannot be read.
        EngineError
            When a worker cannot compute a tile.
        """
        return self._predicted(self._cut(place) for place in jobs)

    def _cut(self, place: tuple[Index, Tile]) -> TileJob:
        with named_tile(*place):
            sent = self._sender.cut(*place)
        return sent_job(self._run, *place, sent)

    def predict_stored(
        self, finished: AbstractSet[int]
    ) -> Iterator[tuple[Index, Tile, Found] | Reconnecting]:
        """Have workers read, predict and write the tiles that are not finished.

        Yields ``WRITTEN`` in place of each, but for those that this machine predicts
        when the line is lost. Neighbouring tiles go to one worker, and in an order in
        which they share chunks of the image. Raises what ``predict_each`` does.
        """
        plan, workers = self._header.plan, len(self._connection.workers)
        most = tiles_of_batch(plan, workers, self._ready.device)
        return self._predicted(
            stored_jobs(
                self._run,
                plan,
                self._image,
                most=most,
                finished=finished,
                stop=self._stop,
            )
        )

    def share_storage(self, output: Output, empty: EmptyTiles | None = None) -> None:
        """Have workers open image and results themselves, if all of them can.

        ``stores`` is whether they do.

        Parameters
        ----------
        output
            Which has begun its run.
        empty
            Finds tiles that are not predicted; it counts those that workers find.
        """
        self._empty = empty
        stored = stored_run(self._image, output, empty)
        if stored is None or self._local is not None:
            return
        reasons = self._open_storage(self._connection, stored, [])
        if not reasons:
            self._stored = stored
            return
        self._lost += (
            f"The tiles were sent to the workers, which do not all see "
            f"{self._header.image.name} and its results as this machine does "
            f"({next(iter(reasons.values()))}).",
        )

    @property
    def stores(self) -> bool:
        """Whether workers read and write tiles themselves."""
        return self._stored is not None and self._local is None

    @property
    def shared(self) -> bool:
        """Whether workers opened the results, if only until the line was lost."""
        return self._stored is not None

    def fill_level(self, target: int, level: int) -> bool:
        """Have workers fill a smaller level of a result that they wrote.

        Parameters
        ----------
        target, level
            Which of the results, and which of its levels.

        Returns
        -------
        bool
            False when ``stop`` returned True.
        """
        assert self._stored is not None
        multiscale = self._stored.targets[target].multiscale
        jobs = level_jobs(self._run, target, level, multiscale.corners(level))
        try:
            for _ in self._predicted(jobs):
                pass
        except Cancelled:
            return False
        if self._local is not None:
            # The line was lost: what workers filled is filled again, to the same.
            return multiscale.fill_level(level, multiscale.corners(level), self._stop)
        return True

    def _predicted(
        self, waiting: Iterator[TileJob]
    ) -> Iterator[tuple[Index, Tile, Found] | Reconnecting]:
        while self._local is None:
            try:
                yield from self._there(waiting)
            except LineLostError:
                if not (yield from self._find_again()):
                    self._go_on_here(self._ready.block_edge)
            else:
                return
        yield from self._by_this_machine(waiting, self._local)

    def _there(self, waiting: Iterator[TileJob]) -> Iterator[tuple[Index, Tile, Found]]:
        for job, answer in self._dispatch.answers(self._connection, waiting):
            if isinstance(answer, UnknownRun):
                self._prepare(self._connection, [answer.worker])
                self._dispatch.again(job)
            elif isinstance(answer, FilledChunks):
                self._dispatch.end(job)
            elif isinstance(answer, WrittenBatch):
                yield from self._written(job, answer)
            elif isinstance(answer, PackedTile):
                self._retreats = answer.retreats
                self._dispatch.end(job)
                assert job.tile is not None
                yield job.index, job.tile, unpacked(answer)
            else:
                assert job.tile is not None
                assert job.sent is not None
                job.sent = self._sender.cut_more(job.index, job.tile, job.sent, answer)
                job.arguments = (self._run, job.index, job.tile, job.sent)
                self._dispatch.again(job)

    def _written(
        self, job: TileJob, batch: WrittenBatch
    ) -> Iterator[tuple[Index, Tile, Found]]:
        self._retreats = batch.retreats
        if self._empty is not None:
            self._empty.found += batch.skipped
        left = tuple(n for n in job.numbers if n not in set(batch.numbers))
        if left:
            # The worker forgot the run meanwhile, for others.
            job.numbers, job.arguments = left, (self._run, left)
            self._dispatch.again(job)
        else:
            self._dispatch.end(job)
        for number in batch.numbers:
            yield *self._header.plan.at(number), WRITTEN

    def _begin(self, stop: Stop) -> tuple[Connection, RunReady]:
        connection = connect(self._address, stop)
        first, *others = connection.addresses
        ready = self._prepare(connection, [first])
        # All compute in the blocks of the first, so that tiles do not depend on whose.
        self._header = replace(self._header, block_edge=ready.block_edge)
        if others:
            self._prepare(connection, others)
        return connection, ready

    def _prepare(self, connection: Connection, workers: list[str]) -> RunReady:
        answers = self._ask_to_begin(connection, workers)
        lacking = [a for a, answer in answers.items() if isinstance(answer, UnknownRun)]
        if lacking:
            # Asked afterwards, as a round trip is a part of the time to the first tile.
            send_blob(connection, self._model, stop=self._stop, workers=lacking)
            answers |= self._ask_to_begin(connection, lacking)
        ready = [answer for answer in answers.values() if isinstance(answer, RunReady)]
        if not ready:
            raise connection.lost()
        if self._stored is not None:
            reasons = self._open_storage(connection, self._stored, workers)
            for worker, reason in reasons.items():
                raise EngineError(
                    f"the worker {worker} does not see {self._header.image.name} and "
                    f"its results ({reason}); mount them there as here, or end it"
                )
        return ready[0]

    def _ask_to_begin(
        self, connection: Connection, workers: list[str]
    ) -> dict[str, RunReady | UnknownRun]:
        return connection.ask(
            "prediction.begin",
            self._run,
            self._header,
            workers=workers,
            stop=self._stop,
        )

    def _open_storage(
        self, connection: Connection, stored: StoredRun, workers: list[str]
    ) -> dict[str, str]:
        """Have workers open image and results; return why which of them cannot."""
        answers = connection.ask(
            "storage.open_storage", self._run, stored, workers=workers, stop=self._stop
        )
        return {
            worker: "it was started anew" if isinstance(answer, UnknownRun) else answer
            for worker, answer in answers.items()
            if answer
        }

    def _find_again(self) -> Generator[Reconnecting, None, bool]:
        """Seek the line for a while; True when it is there again."""
        run = iter_sought(self._begin, _FIND_AGAIN_S, self._stop)
        total = self._header.plan.total
        while True:
            try:
                left = next(run)
            except StopIteration as end:
                found: tuple[Connection, RunReady] | None = end.value
                break
            yield Reconnecting(device=self._address, seconds=left, done=0, total=total)
        if found is None:
            return False
        self._connection, self._ready = found
        return True

    def _go_on_here(self, block_edge: int) -> AnyPredictor:
        self._lost += (
            f"The connection to {self._address} was lost; this machine finished the "
            "prediction.",
        )
        self._local = self._here(block_edge)
        return self._local

    def _by_this_machine(
        self, waiting: Iterator[TileJob], local: AnyPredictor
    ) -> Iterator[tuple[Index, Tile, Found]]:
        pending = self._dispatch.pending[:]
        self._dispatch.pending.clear()
        for job in chain(pending, waiting):
            places = [self._header.plan.at(number) for number in job.numbers]
            if job.tile is not None:
                places = [(job.index, job.tile)]
            for place in places:
                yield *place, local.predict(*place)

"""``RemotePredictor``: the tiles of an image by workers, several at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from unet_engine.errors import Cancelled
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
from unet_engine.prediction.remote.run_there import RunThere
from unet_engine.prediction.remote.storage import (
    WRITTEN,
    FilledChunks,
    WrittenBatch,
    stored_run,
    tiles_of_batch,
)
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.remote.blobs import digest_of
from unet_engine.remote.connection import LineLostError
from unet_engine.remote.dispatch import Dispatch
from unet_engine.remote.seeking import FIND_AGAIN_S, Reconnecting, iter_sought

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
    from unet_engine.prediction.remote.storage import WrittenMark
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    Floats = npt.NDArray[np.float32]
    Found = Floats | SegmentedTile | WrittenMark

_MOST_BREAKS = 4
"""Times that the line breaks with no tile between: one at which the only worker ends
would be ordered for ever."""


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
    quantises_object_maps
        Whether object maps come back as uint8, 255 for 1.
    here
        Makes a predictor of this machine with blocks of an edge.
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
        quantises_object_maps: bool = False,
        here: Callable[[int], AnyPredictor],
    ) -> None:
        self._address = config.device
        model = checkpoint.to_bytes()
        header = PredictionHeader(
            image=without_pixels(image),
            model=digest_of(model),
            classes=len(checkpoint.spec.classes),
            config=replace(config, device="auto"),
            normalisation=normalisation,
            plan=plan,
            block_edge=block_edge,
            sends_probabilities=sends_probabilities,
            quantises_object_maps=quantises_object_maps,
        )
        self._there = RunThere(config.device, model, header, stop)
        self._plan = plan
        self._sender = PixelSender(image)
        self._stop = stop
        self._here = here
        self._local: AnyPredictor | None = None
        self._retreats: tuple[str, ...] = ()
        self._lost: tuple[str, ...] = ()
        self._dispatch: Dispatch[TileJob] = Dispatch(stop)
        self._image = image
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
            self._there.begin(self._stop)
        except LineLostError:
            # As when the first worker ended just then.
            if not (yield from self._find_again()):
                local = self._go_on_here(self._there.header.block_edge)
                self._there.ready = RunReady(local.device, local.block_edge, ())

    @property
    def device(self) -> str:
        """What computes, of the kind that decides the last bits."""
        return self._there.ready.device if self._local is None else self._local.device

    @property
    def block_edge(self) -> int:
        """As of a ``TilePredictor``."""
        return self._there.ready.block_edge

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        return tuple(dict.fromkeys((*self._there.ready.notes, *self.retreats)))

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
        self._there.end(futures)

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
        return sent_job(self._there.name, *place, sent)

    def predict_stored(
        self, finished: AbstractSet[int]
    ) -> Iterator[tuple[Index, Tile, Found] | Reconnecting]:
        """Have workers read, predict and write the tiles that are not finished.

        Yields ``WRITTEN`` in place of each, but for those that this machine predicts
        when the line is lost. Neighbouring tiles go to one worker, and in an order in
        which they share chunks of the image. Raises what ``predict_each`` does.
        """
        workers = len(self._there.connection.workers)
        most = tiles_of_batch(self._plan, workers, self._there.ready.device)
        return self._predicted(
            stored_jobs(
                self._there.name,
                self._plan,
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
        reasons = self._there.share(stored)
        if not reasons:
            return
        self._lost += (
            f"The tiles were sent to the workers, which do not all see "
            f"{self._image.name} and its results as this machine does "
            f"({next(iter(reasons.values()))}).",
        )

    @property
    def stores(self) -> bool:
        """Whether workers read and write tiles themselves."""
        return self.shared and self._local is None

    @property
    def shared(self) -> bool:
        """Whether workers opened the results, if only until the line was lost."""
        return self._there.stored is not None

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
        assert self._there.stored is not None
        multiscale = self._there.stored.targets[target].multiscale
        jobs = level_jobs(self._there.name, target, level, multiscale.corners(level))
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
        breaks = 0
        while self._local is None:
            try:
                for found in self._by_workers(waiting):
                    breaks = 0
                    yield found
            except LineLostError:
                breaks += 1
                if breaks > _MOST_BREAKS or not (yield from self._find_again()):
                    self._go_on_here(self._there.ready.block_edge)
            else:
                return
        yield from self._by_this_machine(waiting, self._local)

    def _by_workers(
        self, waiting: Iterator[TileJob]
    ) -> Iterator[tuple[Index, Tile, Found]]:
        for job, answer in self._dispatch.answers(self._there.connection, waiting):
            if isinstance(answer, UnknownRun):
                self._there.prepare([answer.worker])
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
                job.arguments = (self._there.name, job.index, job.tile, job.sent)
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
            job.numbers, job.arguments = left, (self._there.name, left)
            self._dispatch.again(job)
        else:
            self._dispatch.end(job)
        for number in batch.numbers:
            yield *self._plan.at(number), WRITTEN

    def _find_again(self) -> Generator[Reconnecting, None, bool]:
        """Seek the line for a while; True when it is there again."""
        run = iter_sought(self._there.begin, FIND_AGAIN_S, self._stop)
        total = self._plan.total
        while True:
            try:
                left = next(run)
            except StopIteration as end:
                return bool(end.value)
            yield Reconnecting(device=self._address, seconds=left, done=0, total=total)

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
            places = [self._plan.at(number) for number in job.numbers]
            if job.tile is not None:
                places = [(job.index, job.tile)]
            for place in places:
                yield *place, local.predict(*place)

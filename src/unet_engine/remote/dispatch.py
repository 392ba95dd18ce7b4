"""``Dispatch``: calls of workers, as many at a time as keep them busy."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from unet_engine.errors import Cancelled, EngineError
from unet_engine.remote.connection import LineLostError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Future

    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop

logger = logging.getLogger(__name__)

_AHEAD = 2
"""Jobs of each worker that are on their way: one that is computed, and one that
arrives meanwhile. With more, tiles of a viewport that moved would come late."""

_ALONE_S = 0.03
"""Seconds after which the second jobs follow the first ones: what is ordered within
10 ms travels together, and the first tile would wait for the second."""

_LOOK_S = 10.0
"""Seconds between two looks at which workers there are."""

_NO_WORKER_S = 120.0
"""Seconds for which none is there before the line counts as lost: one that ended is
started anew within that, unless it ends at each job."""

_MOST_MOVES = 3
"""Times that a job is ordered of other workers, as often as dask.distributed does."""

_POLL_S = 0.02
"""Seconds between two looks at whether a run is to stop."""

_ANSWER_S = 1.0
"""Seconds in which the reason of a failure arrives that is known to be there."""


class FailedJobError(EngineError):
    """Workers failed at a job, or ended, and did not state why in words for users."""


@dataclass(eq=False)
class Job:
    """A call of a function of ``unet_engine.worker``.

    Attributes
    ----------
    name, arguments
        As of ``calls.call``.
    title
        What it computes, for messages.
    future
        Its latest order.
    chosen
        Addresses of the workers that this is for; empty: any.
    moves
        How often all of these had ended, and it was ordered of others.
    """

    name: str
    arguments: tuple[Any, ...]
    title: str
    future: Future | None = None
    chosen: frozenset[str] = frozenset()
    moves: int = 0


_Job = TypeVar("_Job", bound=Job)


class Dispatch(Generic[_Job]):
    """Orders jobs of workers and returns their answers as they arrive.

    The number of jobs in memory, here and at the scheduler, does not grow with the run.

    Parameters
    ----------
    stop
        Polled while an answer is awaited.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._arrived: SimpleQueue[_Job] = SimpleQueue()
        self.pending: list[_Job] = []
        self._connection: Connection
        self._looked = time.monotonic()
        self._begun = False
        self._alone_since: float | None = None

    def answers(
        self, connection: Connection, waiting: Iterator[_Job]
    ) -> Iterator[tuple[_Job, Any]]:
        """Yield jobs with their answers; each ends by ``end`` or is ordered ``again``.

        Those that are pending from a line that broke come first.

        Raises
        ------
        LineLostError
            When the line breaks; what is pending stays so.
        Cancelled
            When ``stop`` returned True.
        EngineError
            When a worker cannot do a job; ``FailedJobError`` where it gave no reason.
        MemoryError
            When a worker has too little memory for one.
        """
        self._connection = connection
        for job in self.pending:
            self.again(job)
        while True:
            self._look_for_workers()
            while len(self.pending) < _AHEAD * len(connection.workers):
                following = next(waiting, None)
                if following is None:
                    break
                if not self._begun and len(self.pending) == len(connection.workers):
                    self._begun = True
                    time.sleep(_ALONE_S)
                self.pending.append(following)
                self.again(following)
            if not self.pending:
                return
            job = self._next_arrived()
            yield job, self._answer(job)

    def again(self, job: _Job) -> None:
        """Order a job, anew where it was before."""
        future = self._connection.submit(job.name, *job.arguments)
        job.future = future
        job.chosen = frozenset(self._connection.chosen or ())

        def arrived(done: Future) -> None:
            # One of an earlier order counts no more.
            if job.future is done:
                self._arrived.put(job)

        future.add_done_callback(arrived)

    def end(self, job: _Job) -> None:
        """Count a job as done."""
        self.pending.remove(job)
        # The scheduler forgets what nobody holds.
        job.future = None

    def _look_for_workers(self) -> None:
        """Count workers that came since the run began: a queue starts one by one."""
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        try:
            self._connection.refresh(self._stop)
        except (LineLostError, Cancelled):
            raise
        except EngineError as error:
            # All may be about to start anew, and the jobs wait for them.
            logger.debug("no worker is there now: %s", error)
            self._alone_since = self._alone_since or now
            if now - self._alone_since > _NO_WORKER_S:
                raise self._connection.lost() from error
        else:
            self._alone_since = None
            self._move()

    def _move(self) -> None:
        """Order again what is for workers that all ended: others are in their place."""
        there = self._connection.addresses
        for job in self.pending:
            waits = job.future is not None and job.future.status == "pending"
            if not waits or not job.chosen or not job.chosen.isdisjoint(there):
                continue
            job.moves += 1
            if job.moves > _MOST_MOVES:
                raise _described(job, RuntimeError(f"{job.moves} workers ended at it"))
            self.again(job)

    def _next_arrived(self) -> _Job:
        while True:
            try:
                job = self._arrived.get(timeout=_POLL_S)
            except Empty:
                if self._stop():
                    raise Cancelled("stopped") from None
                self._connection.check()
                self._look_for_workers()
                continue
            if job in self.pending:
                return job

    def _answer(self, job: _Job) -> Any:
        assert job.future is not None
        if job.future.status in ("cancelled", "lost"):
            raise self._connection.lost()
        if job.future.status == "error":
            raise _described(job, job.future.exception(timeout=_ANSWER_S))
        client = self._connection.client
        answer = client.gather(job.future, asynchronous=True)
        return self._connection.wait(answer, self._stop)


def _described(job: Job, error: Any) -> BaseException:
    """Return an error of a worker as it is raised here."""
    if isinstance(error, EngineError | MemoryError):
        return error
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return FailedJobError(
        f"the workers could not compute {job.title} ({reason}); look at what "
        "napari-unet worker printed there, and whether memory ran out"
    )

"""``connect``: a device's address → workers that are there, of this version."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from unet_engine.devices import Device, checked_device, process_count
from unet_engine.errors import Cancelled, DeviceError, EngineError
from unet_engine.remote.calls import call, call_aside
from unet_engine.remote.handshake import PATIENCE_S, check_reachable, client_of
from unet_engine.remote.local_workers import local_scheduler
from unet_engine.versions import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from distributed import Client, Future

    from unet_engine.stopping import Stop

_START_S = 60.0
"""Seconds in which processes that were just started are there."""

_PULSE_S = 2.0
"""Seconds after which the other end is asked for a sign of life while it is awaited."""

_POLL_S = 0.02
"""Seconds between two looks at whether a run is to stop."""


class LineLostError(DeviceError):
    """The scheduler or its workers no longer answer."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker is.

    Attributes
    ----------
    address
        Its name at the scheduler.
    version
        Of napari-unet-finetune there.
    device
        What ``auto`` is there: ``"cuda"``, ``"mps"`` or ``"cpu"``.
    """

    address: str
    version: str
    device: str


class Connection:
    """A line to a scheduler and the workers that use the best device among them.

    Parameters
    ----------
    device
        As the user named it, without a token.
    client
        Of dask.distributed.

    Attributes
    ----------
    workers
        Those that compute, as they were when ``refresh`` was last called.
    prepared
        Digests of what all of them keep, as far as is known.
    """

    def __init__(self, device: Device, client: Client) -> None:
        self.device = device
        self.client = client
        self.workers: tuple[WorkerInfo, ...] = ()
        self.prepared: set[str] = set()
        self._known: dict[str, WorkerInfo] = {}
        self._pulse: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._asked: float | None = None
        self._last_asked = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the line is there, as far as is known."""
        return bool(self.client.status == "running")

    @property
    def addresses(self) -> list[str]:
        """Of the workers, at the scheduler."""
        return [worker.address for worker in self.workers]

    @property
    def chosen(self) -> list[str] | None:
        """Addresses that jobs are for; None where any worker will do.

        One that is started anew has another address, and may then have any job.
        """
        return None if set(self._known) <= set(self.addresses) else self.addresses

    def describe(self) -> str:
        """Return how many workers compute, and on what: ``2 workers with a GPU``."""
        count = len(self.workers)
        noun = "worker" if count == 1 else "workers"
        gpu = any(worker.device != "cpu" for worker in self.workers)
        return f"{count} {noun} {'with a GPU' if gpu else 'on the CPU'}"

    def refresh(self, stop: Stop) -> None:
        """Look which workers there are now: they come and go, and are started anew.

        Those with a GPU compute where there are any, and those of this version.

        Raises
        ------
        LineLostError
            When the scheduler does not answer.
        DeviceError
            When no worker is there, or all are of another version; states what to do.
        Cancelled
            When ``stop`` returned True before.
        """
        # What an earlier line did not answer is no sign of this one.
        self._pulse, self._asked = SimpleQueue(), None
        there = self.wait(self.client.scheduler.identity(), stop)["workers"]
        new = [address for address in there if address not in self._known]
        if new:
            self.prepared.clear()
            found = self.ask("status.describe", workers=new, stop=stop)
            self._known |= {a: WorkerInfo(a, **info) for a, info in found.items()}
        self._known = {a: self._known[a] for a in sorted(there) if a in self._known}
        self.workers = self._suitable()

    def _suitable(self) -> tuple[WorkerInfo, ...]:
        infos = self._known.values()
        if not infos:
            raise DeviceError(
                f"{self.device} has no worker; look at what napari-unet worker prints "
                "there, and start it again"
            )
        here = VERSION
        same = [info for info in infos if info.version == here]
        if not same:
            there = ", ".join(sorted({info.version or "none" for info in infos}))
            raise DeviceError(
                f"{self.device} has version {there} of napari-unet-finetune and this "
                f"is {here}; install the same version on both machines"
            )
        with_gpu = [info for info in same if info.device != "cpu"]
        return tuple(with_gpu or same)

    def submit(self, name: str, *arguments: Any, worker: str = "") -> Future:
        """Have one of the workers call a function of ``unet_engine.worker``.

        Parameters
        ----------
        name, *arguments
            As of ``calls.call``.
        worker
            The address of a certain one.

        Raises
        ------
        LineLostError
            When the line is closed.
        """
        if not self.alive:
            raise self.lost()
        workers = [worker] if worker else self.chosen
        return self.client.submit(call, name, *arguments, pure=False, workers=workers)

    def ask(
        self, name: str, *arguments: Any, stop: Stop, workers: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Call a function on every worker, or some, beside what they compute.

        Returns
        -------
        dict
            The results by the address of the worker; one that ended has none.

        Raises
        ------
        EngineError
            As the function raises it.
        LineLostError
            When none of them answers.
        Cancelled
            When ``stop`` returned True before.
        """
        answer = self.client.run(
            call_aside,
            name,
            *arguments,
            workers=list(workers) or self.addresses,
            on_error="return",
            asynchronous=True,
        )
        found: dict[str, Any] = {}
        errors: list[Exception] = []
        for worker, result in self.wait(answer, stop).items():
            if isinstance(result, EngineError):
                raise result
            if isinstance(result, OSError) and _is_of_line(result):
                errors.append(result)
            elif isinstance(result, Exception):
                raise EngineError(f"{self.device}: {result}") from result
            else:
                found[worker] = result
        if not found:
            raise self.lost(*errors[:1])
        return found

    def wait(self, answer: Coroutine[Any, Any, Any], stop: Stop) -> Any:
        """Wait for an answer of the other end, but no longer than for a stop.

        Raises
        ------
        LineLostError
            When none comes.
        Cancelled
            When ``stop`` returned True before.
        """
        arrived: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._start(answer, arrived)
        while True:
            try:
                result, error = arrived.get(timeout=_POLL_S)
            except Empty:
                if stop():
                    raise Cancelled("stopped") from None
                self.check()
                continue
            if error is None:
                return result
            if isinstance(error, EngineError):
                raise error
            raise self.lost(error) from error

    def check(self) -> None:
        """Make sure, from time to time, that the other end answers.

        Raises
        ------
        LineLostError
            When it did not for 10 seconds, or the line is closed.
        """
        if not self.alive:
            raise self.lost()
        now = time.monotonic()
        try:
            _, error = self._pulse.get_nowait()
            self._asked = None
            if error is not None:
                raise self.lost(error)
        except Empty:
            pass
        if self._asked is None:
            if now - self._last_asked > _PULSE_S:
                self._asked = self._last_asked = now
                self._start(self.client.scheduler.identity(), self._pulse)
        elif now - self._asked > PATIENCE_S:
            raise self.lost()

    def _start(
        self,
        answer: Coroutine[Any, Any, Any],
        arrived: SimpleQueue[tuple[Any, BaseException | None]],
    ) -> None:
        async def waiting() -> None:
            try:
                arrived.put((await answer, None))
            except BaseException as error:
                arrived.put((None, error))
                if not isinstance(error, Exception):
                    raise

        loop = self.client.loop.asyncio_loop
        asyncio.run_coroutine_threadsafe(waiting(), loop)

    def lost(self, error: BaseException | None = None) -> LineLostError:
        """Return an error for a line that broke; what broke it is its cause."""
        lost = LineLostError(
            f"the connection to {self.device} was lost; see whether napari-unet worker "
            "still runs there and the network, or the ssh tunnel, is up"
        )
        lost.__cause__ = error
        return lost

    def close(self) -> None:
        """Let go of the line; what runs there is not ended by this."""
        # One that broke may not close in time: nothing waits for it.
        with suppress(TimeoutError):
            self.client.close(timeout=1)


def _is_of_line(error: OSError) -> bool:
    """Whether an error is of the way to a worker, and not of its disk or files."""
    return isinstance(error, ConnectionError | TimeoutError) or error.errno is None


_connections: dict[Device, Connection] = {}
_waiting: defaultdict[Device, Lock] = defaultdict(Lock)
_lock = Lock()


def connect(device: Device, stop: Stop) -> Connection:
    """Return a line to the workers of a device; one that is there is used again.

    Raises
    ------
    DeviceError
        When nothing listens there, the token is another one, or no worker is there, or
        all are of another version; states what to do.
    Cancelled
        When ``stop`` returned True before.
    """
    # A token in it is kept apart, and is in no message.
    device = checked_device(device)
    connection: Connection = _stoppable(partial(_kept_connection, device), stop)
    connection.refresh(stop)
    return connection


def is_connected(device: Device) -> bool:
    """Whether there is a line already, as far as is known."""
    return known_connection(device) is not None


def known_connection(device: Device) -> Connection | None:
    """Return the line that there is already, as far as is known."""
    known = _connections.get(device)
    return known if known is not None and known.alive else None


def _stoppable(work: Callable[[], Any], stop: Stop) -> Any:
    """Do what cannot be interrupted in a thread, which a stop leaves to itself."""
    ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:
            ended.put((None, error))
            if not isinstance(error, Exception):
                raise

    Thread(target=run, name="unet-connect", daemon=True).start()
    while True:
        try:
            result, error = ended.get(timeout=_POLL_S)
        except Empty:
            if stop():
                raise Cancelled("stopped") from None
            continue
        if error is not None:
            raise error
        return result


def _kept_connection(device: Device) -> Connection:
    with _lock:
        waiting = _waiting[device]
    # One host that does not answer holds up no other.
    with waiting:
        known = _connections.pop(device, None)
        if known is None or not known.alive:
            if known is not None:
                known.close()
            known = _connect(device)
        _connections[device] = known
        return known


def _connect(device: Device) -> Connection:
    count = process_count(device)
    address = local_scheduler(count) if count else device
    check_reachable(address)
    client = client_of(address)
    try:
        client.wait_for_workers(max(1, count), timeout=_START_S)
    except Exception as error:
        client.close(timeout=1)
        raise DeviceError(
            f"{device} has no worker that answers ({error}); look at what napari-unet "
            "worker prints there, and start it again"
        ) from error
    return Connection(device, client)

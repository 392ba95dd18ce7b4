"""``serving``: a scheduler and the processes that compute for it, on this machine."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from distributed.core import Status

from unet_engine.child_processes import with_spared_processes
from unet_engine.devices import checked_device, host_and_port, written_place
from unet_engine.errors import DeviceError, EngineError
from unet_engine.remote.credentials import security_of, token_for
from unet_engine.remote.handshake import check_reachable
from unet_engine.worker.temporary_folder import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import SpecCluster

    from unet_engine.stopping import Stop

_SETTINGS = {
    # Pages about what runs would be open to all who reach this machine.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # The line to a worker that ended is closed at once; nobody waits for it long.
    "distributed.comm.timeouts.connect": "5s",
    # One that was frozen is given up, and its tiles go to others; a busy one answers
    # within some seconds.
    "distributed.scheduler.worker-ttl": "60s",
    # One that ended is started anew, which takes a busy machine long.
    "distributed.deploy.lost-worker-timeout": "30s",
    # What fills the memory is a network, which spilling results does not help.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}
"""Of dask.distributed."""

_REPLACED_S = 5.0
"""Seconds between two looks at which processes were given up."""

_POLL_S = 0.2
"""Seconds between two looks at whether to end."""

_LOGGED = logging.ERROR
"""What dask.distributed prints: lines that come and go are no news."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"

_LOOPBACK = "127.0.0.1:0"
"""Where the web server listens that dask.distributed always starts, without pages."""


@contextmanager
def serving(
    token: str,
    *,
    host: str,
    port: int,
    processes: int = 0,
    device: str = "auto",
) -> Iterator[tuple[int, int]]:
    """Have a scheduler and workers for as long as the block runs.

    Parameters
    ----------
    token
        That clients have to prove.
    host
        Address of this machine at which it listens; ``127.0.0.1`` is reached from this
        machine alone, and through ssh.
    port
        At which it listens; 0 for any that is free.
    processes
        That compute; 0: one for each GPU, or one with all processors.
    device
        On which they compute.

    Yields
    ------
    tuple
        The port, and how many processes compute.

    Raises
    ------
    EngineError
        When it cannot listen there.
    """
    from distributed import Scheduler, SpecCluster

    security = security_of(token)
    common = {
        "host": f"[{host}]" if ":" in host else host,
        "protocol": "tls://",
        "security": security,
    }
    # Its pages are for all who reach this machine, and show what runs.
    options = {
        **common,
        "port": port,
        "dashboard": False,
        "dashboard_address": _LOOPBACK,
    }
    with _workers(processes, device, common) as workers:
        try:
            cluster = with_spared_processes(
                lambda: SpecCluster(
                    workers=dict(enumerate(workers)),
                    scheduler={"cls": Scheduler, "options": options},
                    security=security,
                    silence_logs=_LOGGED,
                )
            )
        except (OSError, RuntimeError) as error:
            raise _cannot_listen(host, port, error) from error
        with cluster, _replaced(cluster, len(workers)):
            yield int(cluster.scheduler_address.rpartition(":")[2]), len(workers)


@contextmanager
def _replaced(cluster: SpecCluster, count: int) -> Iterator[None]:
    """Start processes in place of those that were given up, while the block runs.

    One that ends as soon as it is there, at a job that takes too much memory, is not
    started anew by what watches it.
    """
    ended = Event()

    def replace() -> None:
        while not ended.wait(_REPLACED_S):
            cluster.scale(count)

    Thread(target=replace, name="unet-replace", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def joining(line: str, processes: int, device: str, stop: Stop) -> None:
    """Compute for a scheduler elsewhere until it ends, or ``stop`` returns True.

    Parameters
    ----------
    line
        Its address with the token.
    processes, device, stop
        As of ``serving``.

    Raises
    ------
    EngineError
        When there is none at the address.
    """
    address = checked_device(line)
    check_reachable(address)
    host, port = host_and_port(address)
    common = {
        "scheduler_ip": f"tls://{written_place(host, port)}",
        "protocol": "tls://",
        "security": security_of(token_for(address)),
    }
    with _workers(processes, device, common) as workers:
        try:
            with_spared_processes(lambda: asyncio.run(_run_workers(workers, stop)))
        except (OSError, RuntimeError) as error:
            raise _not_started(error) from error
    if not stop():
        raise EngineError(
            f"the napari-unet worker at {written_place(host, port)} ended, or the line "
            "to it was lost; start it there, then this again"
        )


async def _run_workers(workers: list[dict[str, Any]], stop: Stop) -> None:
    nannies = [one["cls"](**one["options"]) for one in workers]
    # That they come and go is no news.
    logging.getLogger("distributed").setLevel(_LOGGED)
    try:
        for nanny in nannies:
            await nanny
        while not stop() and any(n.status == Status.running for n in nannies):
            await asyncio.sleep(_POLL_S)
    finally:
        await asyncio.gather(*(nanny.close(timeout=5) for nanny in nannies))


@contextmanager
def _workers(
    processes: int, device: str, options: dict[str, Any]
) -> Iterator[list[dict[str, Any]]]:
    """Set dask.distributed up, with a folder for as long as the block runs.

    Parameters
    ----------
    processes, device
        As of ``serving``.
    options
        Of a ``Nanny``, which all have in common.

    Yields
    ------
    list of dict
        The class and the options of each process that is to compute.
    """
    import dask
    from distributed import Nanny

    environments = _environments(processes, device)
    with (
        temporary_folder() as folder,
        dask.config.set(
            {
                **_SETTINGS,
                "temporary-directory": folder,
                "distributed.nanny.pre-spawn-environ": _threads(len(environments)),
            }
        ),
    ):
        common = {
            **options,
            "dashboard_address": _LOOPBACK,
            "nthreads": 1,
            "silence_logs": _LOGGED,
        }
        yield [
            {
                "cls": Nanny,
                "options": {**common, "env": {**environment, "TMPDIR": folder}},
            }
            for environment in environments
        ]


def _environments(processes: int, device: str) -> list[dict[str, str]]:
    """Return the variables of each process: one for each GPU, or for the CPU.

    Raises
    ------
    DeviceError
        When the device is not there.
    """
    if device == "cpu":
        return [{_VISIBLE: ""}] * (processes or 1)
    if device == "mps":
        from unet_engine.compute.devices import choose_device

        choose_device(device)
    gpus = _gpus()
    if device.startswith("cuda") and not gpus:
        raise DeviceError(
            "no GPU is usable here; use --device cpu, or napari-unet doctor"
        )
    _, _, chosen = device.partition(":")
    if chosen and int(chosen) >= len(gpus):
        raise DeviceError(
            f"there is no {device} here; use --device cuda:0"
            + (f" to cuda:{len(gpus) - 1}" if len(gpus) > 1 else "")
        )
    gpus = [gpus[int(chosen)]] if chosen else gpus
    if not gpus:
        return [{}] * (processes or 1)
    count = processes or len(gpus)
    return [{_VISIBLE: gpus[n % len(gpus)]} for n in range(count)]


def _gpus() -> list[str]:
    """Return the names by which a process is given one GPU each.

    They are counted without work on them, which would take memory of the first.
    """
    import torch

    count = torch.cuda.device_count()
    # A queue gives a job some of them, by number or by UUID.
    given = [one for one in os.environ.get(_VISIBLE, "").split(",") if one.strip()]
    return given[:count] if given else [str(n) for n in range(count)]


def _threads(processes: int) -> dict[str, str]:
    """Return what gives each process its share of the processors."""
    share = max(1, (os.cpu_count() or 1) // processes)
    names = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    return dict.fromkeys(names, str(share))


def _cannot_listen(host: str, port: int, error: BaseException) -> EngineError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        return EngineError(
            f"port {port} of {host} is in use; choose another one with --port, or end "
            "the napari-unet worker that has it"
        )
    if cause is None:
        return _not_started(error)
    reason = getattr(cause, "strerror", None) or error
    return EngineError(
        f"{written_place(host, port)} cannot be listened at ({reason}); --host takes "
        "an address of this machine: 127.0.0.1 for it alone, 0.0.0.0 for all of its "
        "networks"
    )


def _not_started(error: BaseException) -> EngineError:
    return EngineError(
        f"the workers could not be started ({error.__cause__ or error}); look at what "
        "was printed before, and whether memory or disk is full: napari-unet doctor"
    )

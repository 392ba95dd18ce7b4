"""``iter_prepare``: a line to workers, and bytes that they keep, with progress."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.devices import Device, is_remote
from unet_engine.generators import drain
from unet_engine.remote.blobs import digest_of, iter_send_blob
from unet_engine.remote.connection import (
    LineLostError,
    connect,
    is_connected,
    known_connection,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from unet_engine.devices import Precision
    from unet_engine.stopping import Stop

_MEGABYTE = 1e6
"""Bytes in a unit of the progress."""


@dataclass(frozen=True, slots=True)
class Connecting:
    """A line is being made.

    Attributes
    ----------
    device
        To whose workers.
    done, total
        As of any event: nothing is done yet.
    """

    device: Device
    done: int = 0
    total: int = 1

    def describe(self) -> str:
        """Return what happens, for the user."""
        if self.device.startswith("local:"):
            return "Starting the processes…"
        return f"Connecting to {self.device}…"


@dataclass(frozen=True, slots=True)
class Sending:
    """A model is on its way to workers that lack it.

    Attributes
    ----------
    done, total
        Bytes that are there, and all of them.
    """

    done: int
    total: int

    def describe(self) -> str:
        """Return how much is there, for the user."""
        done, total = self.done / _MEGABYTE, self.total / _MEGABYTE
        digits = 0 if total >= 2 else 1
        return f"Sending the model: {done:.{digits}f} of {total:.{digits}f} MB"


def iter_prepare(
    device: Device, content: Callable[[], bytes], *, stop: Stop
) -> Generator[Connecting | Sending, None, None]:
    """Connect to the workers of a device, and have them keep a model.

    A run that follows does both by itself, without progress; so a line that breaks here
    is no error yet. For a device of this machine nothing is done; nor, without a round
    trip, where workers kept the model before.

    Parameters
    ----------
    device
        Where the run will be.
    content
        Returns the bytes of the model.
    stop
        Polled while it waits.

    Raises
    ------
    EngineError
        When there are no workers.
    Cancelled
        When ``stop`` returned True.
    """
    if not is_remote(device):
        return
    if not is_connected(device):
        yield Connecting(device)
    there = content()
    digest, known = digest_of(there), known_connection(device)
    if known is not None and digest in known.prepared:
        return
    try:
        connection = connect(device, stop)
        for done, total in iter_send_blob(connection, there, stop=stop):
            yield Sending(done, total)
    except LineLostError:
        return
    connection.prepared.add(digest)


def warm_up(
    device: Device,
    content: Callable[[], bytes],
    *,
    object_maps: bool,
    precision: Precision = "full",
    stop: Stop,
) -> None:
    """Have the workers of a device keep a model and compute with it once.

    The first block takes longer than others: the network is built, and a GPU loads its
    libraries. A line that breaks is no error.

    Parameters
    ----------
    device, content, stop
        As of ``iter_prepare``.
    object_maps, precision
        As of the ``PredictConfig`` of the run that may follow.

    Raises
    ------
    EngineError
        When there are no workers.
    Cancelled
        When ``stop`` returned True.
    """
    drain(iter_prepare(device, content, stop=stop))
    connection = known_connection(device)
    if connection is None:
        return
    digest = digest_of(content())
    # In the queue of each worker, so that no tile is computed beside it.
    jobs = [
        connection.submit(
            "models.compute_once", digest, object_maps, precision, worker=address
        )
        for address in connection.addresses
    ]
    answer = connection.client.gather(jobs, errors="skip", asynchronous=True)
    with suppress(LineLostError):
        connection.wait(answer, stop)

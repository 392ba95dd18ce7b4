"""``RunThere``: a prediction as workers know it, from its beginning to its end."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from unet_engine.errors import EngineError
from unet_engine.prediction.remote.orders import RunReady, UnknownRun
from unet_engine.remote.blobs import send_blob
from unet_engine.remote.connection import connect

if TYPE_CHECKING:
    from distributed import Future

    from unet_engine.devices import Device
    from unet_engine.prediction.remote.orders import PredictionHeader
    from unet_engine.prediction.remote.storage import StoredRun
    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop

_CLOSE_S = 0.5
"""Seconds in which workers learn that a run ended; who stops it waits for that."""


class RunThere:
    """Has workers ready for the tiles of a prediction.

    Parameters
    ----------
    address
        Of the scheduler.
    model
        Bytes of its file.
    header
        What all tiles share.
    stop
        Polled while an answer is awaited.

    Attributes
    ----------
    name
        Of the run, that of no other.
    connection, ready
        The line, and what computes; there after ``begin``.
    stored
        What workers open of storage, once they do.
    """

    connection: Connection
    ready: RunReady

    def __init__(
        self, address: Device, model: bytes, header: PredictionHeader, stop: Stop
    ) -> None:
        self.name = uuid4().hex
        self.address = address
        self.header = header
        self.stored: StoredRun | None = None
        self._model = model
        self._stop = stop

    def begin(self, stop: Stop) -> bool:
        """Make a line and have all workers ready; True when they are.

        Raises
        ------
        LineLostError
            When the line breaks meanwhile.
        EngineError
            When there are no workers.
        Cancelled
            When ``stop`` returned True while a line was made, or that of the run while
            the model was sent.
        """
        connection = connect(self.address, stop)
        first, *others = connection.addresses
        ready = self._prepared(connection, [first])
        # All compute in the blocks of the first, so that tiles do not depend on whose.
        self.header = replace(self.header, block_edge=ready.block_edge)
        if others:
            self._prepared(connection, others)
        self.connection, self.ready = connection, ready
        return True

    def prepare(self, workers: list[str]) -> None:
        """Have workers ready that were started anew, or have ended the run."""
        self._prepared(self.connection, workers)

    def share(self, stored: StoredRun) -> dict[str, str]:
        """Have workers open image and results; return why which of them cannot.

        If all can, those that are made ready later open them too.
        """
        reasons = self._opened(self.connection, stored, [])
        if not reasons:
            self.stored = stored
        return reasons

    def end(self, orders: list[Future]) -> None:
        """End what is computed there, and have the workers forget the run."""
        deadline = time.monotonic() + _CLOSE_S

        def late() -> bool:
            return time.monotonic() > deadline

        with suppress(EngineError):
            self.connection.ask("prediction.end", self.name, stop=late)
            cancelled = self.connection.client.cancel(orders, asynchronous=True)
            self.connection.wait(cancelled, late)

    def _prepared(self, connection: Connection, workers: list[str]) -> RunReady:
        answers = self._ask_to_begin(connection, workers)
        lacking = [a for a, answer in answers.items() if isinstance(answer, UnknownRun)]
        if lacking:
            # Asked afterwards, as a round trip is a part of the time to the first tile.
            send_blob(connection, self._model, stop=self._stop, workers=lacking)
            answers |= self._ask_to_begin(connection, lacking)
        ready = [answer for answer in answers.values() if isinstance(answer, RunReady)]
        if not ready:
            raise connection.lost()
        if self.stored is not None:
            reasons = self._opened(connection, self.stored, workers)
            for worker, reason in reasons.items():
                raise EngineError(
                    f"the worker {worker} does not see {self.header.image.name} and "
                    f"its results ({reason}); mount them there as here, or end it"
                )
        return ready[0]

    def _ask_to_begin(
        self, connection: Connection, workers: list[str]
    ) -> dict[str, RunReady | UnknownRun]:
        return connection.ask(
            "prediction.begin",
            self.name,
            self.header,
            workers=workers,
            stop=self._stop,
        )

    def _opened(
        self, connection: Connection, stored: StoredRun, workers: list[str]
    ) -> dict[str, str]:
        answers = connection.ask(
            "storage.open_storage", self.name, stored, workers=workers, stop=self._stop
        )
        return {
            worker: "it was started anew" if isinstance(answer, UnknownRun) else answer
            for worker, answer in answers.items()
            if answer
        }

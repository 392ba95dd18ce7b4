"""``iter_train_there``: a training by a worker, whose line may break."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from unet_engine.errors import Cancelled, EngineError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.remote.blobs import digest_of, fetch_blob, send_blobs
from unet_engine.remote.connection import LineLostError, connect
from unet_engine.remote.seeking import sought
from unet_engine.stopping import never
from unet_engine.training.data.sources import Source
from unet_engine.training.events import FineTuned, Note, Preparing, Step, Validation
from unet_engine.training.remote.orders import TrainingHeader
from unet_engine.training.remote.sending import PairSender

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from unet_engine.remote.connection import Connection
    from unet_engine.stopping import Stop
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import TrainingEvent
    from unet_engine.training.remote.orders import Config, TrainingNews

_WAIT_S = 0.5
"""Seconds that a worker waits for an event before it answers that there is none;
strokes that were made meanwhile are sent after it."""

_FIND_AGAIN_S = 180.0
"""Seconds for which a line that broke is tried again, before this machine goes on."""

_STOPPING_S = 2.0
"""Seconds for which an answer is awaited after a stop: longer, the line is lost."""


def iter_train_there(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair] | Source[TrainingPair],
    config: Config,
    *,
    here: Callable[..., Generator[TrainingEvent, None, FineTuned]],
    features_from: Checkpoint | None = None,
    stop: Stop = never,
) -> Generator[TrainingEvent, None, FineTuned]:
    """Train a copy of a model as ``here`` does, by a worker of a device.

    The training goes on there when the line breaks, and is found again by what it
    learns from: also by another process, as after the window was closed. After three
    minutes without it this machine goes on from the best model that has arrived.

    Parameters
    ----------
    checkpoint, pairs, config, features_from, stop
        As of ``iter_fine_tune``, or of ``iter_pretrain_on`` with its configuration,
        which is pretrained; ``config.device`` is the address.
    here
        That function, for when the worker is not found again.

    Yields
    ------
    TrainingEvent
        As of that function, and notes about the line.

    Raises
    ------
    EngineError
        As that function, and when there are no workers.
    """
    training = _Training(checkpoint, pairs, config, here, features_from, stop)
    return (yield from training.events())


class _Training:
    """One training by a worker: the parameters of ``iter_train_there``."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair] | Source[TrainingPair],
        config: Config,
        here: Callable[..., Generator[TrainingEvent, None, FineTuned]],
        features_from: Checkpoint | None,
        stop: Stop,
    ) -> None:
        self._started = time.monotonic()
        self._train_here = here
        self._checkpoint, self._features_from = checkpoint, features_from
        self._source = pairs if isinstance(pairs, Source) else None
        self._pairs = (pairs.poll() or ()) if isinstance(pairs, Source) else pairs
        self._config, self._stop = config, stop
        self._sender = PairSender()
        self._models = {
            digest_of(content): content
            for content in (
                model.to_bytes()
                for model in (checkpoint, features_from)
                if model is not None
            )
        }
        self._header = self._described()
        self._run = _name_of(self._header)
        self._worker = self._attempt = ""
        self._known = 0
        self._changed = False
        self._before: Validation | None = None
        self._best: tuple[Validation, Checkpoint] | None = None
        self._steps = 0
        self._left = config.minutes

    def _described(self) -> TrainingHeader:
        start, *other = self._models
        return TrainingHeader(
            start=start,
            features_from=other[0] if other else "",
            pairs=self._sender.pack(self._pairs),
            config=replace(self._config, device="auto"),
            follows=self._source is not None,
        )

    def events(self) -> Generator[TrainingEvent, None, FineTuned]:
        """Have it trained, and return the best model."""
        yield Preparing(what="sending images and model", done=0, total=1)
        connection = connect(self._config.device, self._stop)
        while True:
            try:
                yield from self._begin(connection)
                return (yield from self._follow(connection))
            except Cancelled:
                return self._so_far("It was stopped while the worker did not answer.")
            except LineLostError as error:
                # The search takes nothing from the time to train.
                self._left = self._minutes_left()
                yield Note(
                    f"{_sentence(error)} The training goes on there, and is sought; "
                    "what is painted meanwhile is sent when it is found."
                )
            except EngineError as error:
                # As of a disk there that is full: what arrived before is not lost.
                if self._best is None:
                    raise
                return self._so_far(_sentence(error))
            found = self._sought()
            if found is None:
                return (yield from self._here())
            connection = found
            yield Note(f"The connection to {self._config.device} is there again.")

    def _begin(self, connection: Connection) -> Generator[TrainingEvent, None, None]:
        """Find the training, or have it begun with what is sent now."""
        known = connection.ask("training.knows", self._run, stop=self._stop)
        there = [address for address, has_it in known.items() if has_it]
        self._worker = there[0] if there else connection.addresses[0]
        if not there:
            contents = {**self._models, **self._sender.contents}
            send_blobs(connection, contents, self._worker, stop=self._stop)
            self._ask(connection, "training.start", self._run, self._header)
        elif not self._attempt:
            yield Note("This training was begun before, and is gone on with.")

    def _follow(
        self, connection: Connection
    ) -> Generator[TrainingEvent, None, FineTuned]:
        stopping = False
        while True:
            if self._stop() and not stopping:
                stopping = True
                self._ask(connection, "training.stop", self._run)
            if not stopping:
                self._send_changes(connection)
            news: TrainingNews | None = self._ask(
                connection,
                "training.news",
                self._run,
                self._attempt,
                self._known,
                _WAIT_S,
            )
            if news is None:
                # The worker was started anew: it goes on from what it kept.
                yield from self._begin(connection)
                self._changed = True
                continue
            yield from self._take(connection, news)
            if news.error is not None:
                self._ask(connection, "training.forget", self._run)
                raise news.error
            if news.result is not None:
                return self._result(connection, news)

    def _take(
        self, connection: Connection, news: TrainingNews
    ) -> Generator[TrainingEvent, None, None]:
        if news.attempt != self._attempt:
            self._attempt, self._known = news.attempt, 0
        self._known += len(news.events)
        better = [e for e in news.events if isinstance(e, Validation) and e.best]
        for event in news.events:
            if isinstance(event, Step):
                self._steps = event.step
            if isinstance(event, Validation):
                self._before = self._before or event
                # Of several models that arrive at once the last one is wanted.
                if better and event is better[-1] and news.model and not news.ended:
                    model = self._fetched(connection, news.model)
                    self._best = event, model
                    event = replace(event, checkpoint=model)
            yield event

    def _send_changes(self, connection: Connection) -> None:
        changed = self._source.poll() if self._source is not None else None
        if changed is not None:
            self._pairs, self._changed = changed, True
        if not self._changed:
            return
        pairs = self._sender.pack(self._pairs)
        send_blobs(connection, self._sender.contents, self._worker, stop=self._stop)
        self._ask(connection, "training.update", self._run, pairs)
        self._changed = False

    def _result(self, connection: Connection, news: TrainingNews) -> FineTuned:
        assert news.result is not None
        model = self._checkpoint
        if news.final:
            model = self._fetched(connection, news.final)
        self._ask(connection, "training.forget", self._run)
        return replace(news.result, checkpoint=model)

    def _fetched(self, connection: Connection, digest: str) -> Checkpoint:
        content = fetch_blob(connection, digest, self._worker, stop=never)
        return Checkpoint.from_bytes(content)

    def _ask(self, connection: Connection, name: str, *arguments: object) -> Any:
        answer = connection.ask(
            name, *arguments, workers=[self._worker], stop=self._patience()
        )
        return answer[self._worker]

    def _patience(self) -> Stop:
        """Return what ends the wait for one answer: a stop, and none for a while.

        What was learned is fetched even while the training is being stopped.
        """
        started = time.monotonic()

        def late() -> bool:
            return self._stop() and time.monotonic() - started > _STOPPING_S

        return late

    def _sought(self) -> Connection | None:
        """Seek the line for a while; None when it is not found, or on a stop."""
        try:
            return sought(
                partial(connect, self._config.device), _FIND_AGAIN_S, self._stop
            )
        except Cancelled:
            return None

    def _here(self) -> Generator[TrainingEvent, None, FineTuned]:
        """Go on without the worker: from the best model so far, on this machine."""
        note = f"The connection to {self._config.device} was lost."
        if self._stop() or (self._config.minutes and not self._left):
            return self._so_far(note)
        yield Note(
            f"{note} This machine goes on from the best model that arrived."
            if self._best
            else f"{note} Nothing better had arrived, so this machine begins anew."
        )
        start = self._best[1] if self._best is not None else self._checkpoint
        config = replace(self._config, device="auto")
        if config.minutes:
            config = replace(config, minutes=self._left)
        other = self._features_from
        features = {} if other is None else {"features_from": other}
        result = yield from self._train_here(
            start, self._pairs, config, **features, stop=self._stop
        )
        result = replace(result, notes=(*result.notes, note))
        return self._so_far(note) if self._best and not result.improved else result

    def _minutes_left(self) -> float:
        if not self._config.minutes:
            return 0.0
        gone = (time.monotonic() - self._started) / 60
        return max(0.0, self._config.minutes - gone)

    def _so_far(self, note: str) -> FineTuned:
        """Return the best model that has arrived.

        Raises
        ------
        Cancelled
            When none has, after a stop.
        EngineError
            When none has, as the line was lost.
        """
        if self._before is None and self._stop():
            raise Cancelled(note)
        if self._before is None:
            raise EngineError(
                f"{note[:-1]} before the training had begun, and its time is over; "
                "start the worker there and run it again, or choose another device"
            )
        after, model = self._best or (self._before, self._checkpoint)
        return FineTuned(
            checkpoint=model,
            improved=self._best is not None,
            before=self._before,
            after=replace(after, checkpoint=None),
            steps=self._steps,
            stopped=self._stop(),
            notes=(note,),
        )


def _name_of(header: TrainingHeader) -> str:
    """Return a name that the same start, data and settings get again."""
    digest = hashlib.sha256(repr((header.start, header.features_from)).encode())
    digest.update(repr(header.config).encode())
    for pair in header.pairs:
        digest.update(repr((pair.image, pair.labels, pair.fields)).encode())
    return digest.hexdigest()


def _sentence(error: EngineError) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."

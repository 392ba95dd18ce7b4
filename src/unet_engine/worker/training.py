"""Trainings for someone elsewhere, who may be gone for a while and come back.

A training runs in a thread, beside what answers for it, and is known by the name that
its order gives it. Who asks gets what happened since; a process that was started anew
goes on from the file that the training is kept in.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import OrderedDict
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING
from uuid import uuid4

from unet_engine.errors import DataError, EngineError
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.training.config import PretrainConfig
from unet_engine.training.course.interrupted_run import InterruptedRun
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.pretraining import iter_pretrain_on
from unet_engine.training.remote.orders import TrainingNews
from unet_engine.training.remote.sending import unpack_pairs
from unet_engine.worker.blobs import keep, path_of
from unet_engine.worker.models import model_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import FineTuned, TrainingEvent
    from unet_engine.training.remote.orders import SentPair, TrainingHeader

_KEPT_RUNS = 4
"""Ended trainings of which the results wait to be fetched."""

_ATTEMPT = uuid4().hex
"""Names this process."""

_runs: OrderedDict[str, _Run] = OrderedDict()
_lock = Lock()


@dataclass(eq=False)
class _Run:
    """A training and what happened in it."""

    name: str
    data: Latest[TrainingPair]
    stopped: Event = field(default_factory=Event)
    events: list[TrainingEvent] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)
    model: str = ""
    result: FineTuned | None = None
    final: str = ""
    error: BaseException | None = None

    @property
    def kept_in(self) -> Path:
        """The file from which it goes on."""
        name = hashlib.sha256(self.name.encode()).hexdigest()[:32]
        return Path(tempfile.gettempdir(), f"{name}.training")

    def add(self, event: TrainingEvent) -> None:
        """Take note of an event; the model of a validation is kept as a blob."""
        model = ""
        if isinstance(event, Validation) and event.checkpoint is not None:
            model = keep(event.checkpoint.to_bytes())
            event = replace(event, checkpoint=None)
        with self.changed:
            self.events.append(event)
            self.model = model or self.model
            self.changed.notify_all()

    def end(self, result: FineTuned | None, error: BaseException | None) -> None:
        """Take note of how it ended."""
        final = ""
        if result is not None and result.improved:
            final = keep(result.checkpoint.to_bytes())
        with self.changed:
            self.result, self.final, self.error = result, final, error
            self.changed.notify_all()


def start(run: str, header: TrainingHeader) -> str:
    """Begin a training, unless it is known; what it needs has been sent before.

    Returns
    -------
    str
        The name of this process.

    Raises
    ------
    DataError
        When something was not sent.
    """
    with _lock:
        if run in _runs:
            return _ATTEMPT
        pairs = unpack_pairs(header.pairs, _read)
        known = _runs[run] = _Run(run, Latest(pairs))
        ended = [name for name, one in _runs.items() if one.result or one.error]
        for name in ended[:-_KEPT_RUNS]:
            del _runs[name]
    begin = model_of(header.start)
    other = model_of(header.features_from) if header.features_from else None
    Thread(
        target=_train, args=(known, header, begin, other, pairs), daemon=True
    ).start()
    return _ATTEMPT


def _train(
    run: _Run,
    header: TrainingHeader,
    begin: Checkpoint,
    features_from: Checkpoint | None,
    pairs: list[TrainingPair],
) -> None:
    interrupted = InterruptedRun(run.kept_in, resume=run.kept_in.exists())
    if isinstance(header.config, PretrainConfig):
        # It is begun anew by a process that was started anew.
        events = iter_pretrain_on(begin, pairs, header.config, stop=run.stopped.is_set)
    else:
        events = iter_fine_tune(
            begin,
            run.data if header.follows else pairs,
            header.config,
            features_from=features_from,
            interrupted=interrupted,
            stop=run.stopped.is_set,
        )
    try:
        with closing(events):
            while True:
                try:
                    run.add(next(events))
                except StopIteration as end:
                    run.end(end.value, None)
                    break
    except EngineError as error:
        run.end(None, error)
    except Exception as error:  # noqa: BLE001 - who asks has to get it
        run.end(None, EngineError(f"the training failed there ({error!r})"))
    interrupted.remove()


def news(run: str, attempt: str, since: int, wait_s: float) -> TrainingNews | None:
    """Return what happened in a training.

    Parameters
    ----------
    run
        Its name.
    attempt
        As the answer before had it.
    since
        Events of this attempt that are known.
    wait_s
        Seconds to wait for another one.

    Returns
    -------
    TrainingNews or None
        None of a training that this process does not know.
    """
    known = _runs.get(run)
    if known is None:
        return None
    since = since if attempt == _ATTEMPT else 0
    until = time.monotonic() + wait_s
    with known.changed:
        while not (known.events[since:] or known.result or known.error):
            if not known.changed.wait(until - time.monotonic()):
                break
        result = known.result
        if result is not None:
            # The model goes as bytes.
            empty = Checkpoint(result.checkpoint.spec, {})
            result = replace(result, checkpoint=empty)
        return TrainingNews(
            attempt=_ATTEMPT,
            events=tuple(known.events[since:]),
            model=known.model,
            result=result,
            final=known.final,
            error=known.error,
        )


def knows(run: str) -> bool:
    """Return whether this process has a training."""
    return run in _runs


def update(run: str, pairs: Sequence[SentPair]) -> None:
    """Have a training go on with other labels, before its next step."""
    known = _runs.get(run)
    if known is not None:
        known.data.post(unpack_pairs(pairs, _read))


def stop(run: str) -> None:
    """Have a training end with its best model."""
    known = _runs.get(run)
    if known is not None:
        known.stopped.set()


def forget(run: str) -> None:
    """End a training of which nothing more is wanted."""
    with _lock:
        known = _runs.pop(run, None)
    if known is not None:
        known.stopped.set()


def _read(digest: str) -> bytes:
    path = path_of(digest)
    if path is None:
        raise DataError("what the training learns from was not sent; start it again")
    return path.read_bytes()

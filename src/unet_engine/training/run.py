"""The course of a training: steps, looks at what was held out, the best weights."""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.training.events import FineTuned, Step, Validation
from unet_engine.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt
    from torch import nn

    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.optimisation import Optimisation
    from unet_engine.training.validation import Look

    Weights = dict[str, npt.NDArray[Any]]

_GENTLE = 0.3
"""Share of the learning rate that a model with frozen statistics is tuned at: these
cannot follow large changes of the weights."""

_BOLD = 2.0
"""The same for a start under other classes, which has half a minute to get far, if its
statistics follow."""

_HARM = 5.0
"""What a changed share of the unlabelled rest costs, in IoU."""


class Judge(Protocol):
    """Says how good a network is."""

    def evaluate(self, network: nn.Module, device: str) -> Look:
        """Look at what was held out."""


class TrainingRun:
    """The state of one training: where it is, and the best it has seen.

    Parameters
    ----------
    checkpoint
        The model that came in.
    config
        Limits and settings.
    learner
        Takes the steps.
    judge
        Chooses the best weights.
    record
        For the history of the model.
    notes
        What the user should know from the start.
    advice
        Said when nothing better was found.
    leeway
        Loss of IoU up to which later weights are preferred to the best: on few
        held-out pixels less says nothing, and later weights have seen more.
    started
        Of ``time.monotonic``; now when it is None.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: FineTuneConfig,
        learner: Optimisation,
        judge: Judge,
        *,
        record: dict[str, Any],
        notes: Sequence[str],
        advice: str,
        leeway: float = 0.0,
        started: float | None = None,
    ) -> None:
        self._started = time.monotonic() if started is None else started
        self._checkpoint = checkpoint
        self._config = config
        self._learner = learner
        self._judge = judge
        self._record = record
        self._notes = list(notes)
        self._advice = advice
        self._leeway = leeway
        self._schedule = _schedule(config, pace=_pace(checkpoint, learner))
        self._count = 0
        self._looked_at = 0
        self._next_look = 0.0
        self._stopped = self._diverged = False
        self._before: Validation | None = None
        self._best: tuple[Validation, Weights] | None = None
        self._first_look: Look | None = None
        self._best_look: Look | None = None
        self._highest: Look | None = None

    def events(self, stop: Stop) -> Generator[Step | Validation, None, FineTuned]:
        """Train until a limit or ``stop``; yield what happens, return the best."""
        yield self._look()
        while self._goes_on(stop):
            yield self._step()
            if self._is_time_to_look():
                yield self._look()
        if self._has_learned_since_look():
            yield self._look()
        return self._result()

    def _goes_on(self, stop: Stop) -> bool:
        if self._progress() >= 1 or self._diverged:
            return False
        self._stopped = stop()
        return not self._stopped

    def _step(self) -> Step:
        loss = self._learner.step(self._schedule.learning_rate(self._progress()))
        self._count += 1
        self._diverged = not math.isfinite(loss)
        seconds = self._seconds()
        pace = (seconds - self._before.seconds) / self._count if self._before else 0.0
        left = self._schedule.seconds_left(self._count, seconds, pace)
        return Step(step=self._count, loss=loss, seconds=seconds, seconds_left=left)

    def _is_time_to_look(self) -> bool:
        return not self._diverged and self._progress() >= self._next_look

    def _has_learned_since_look(self) -> bool:
        return self._count > self._looked_at and not self._diverged

    def _look(self) -> Validation:
        started = time.monotonic()
        found = self._judge.evaluate(
            self._learner.average.network, self._learner.device
        )
        validation = Validation(
            step=self._count,
            loss=found.loss,
            iou=found.iou,
            best=self._is_best(found),
            seconds=self._seconds(),
        )
        if self._before is None:
            self._before, self._first_look = validation, found
        elif validation.best:
            self._best, self._best_look = (validation, self._learner.weights()), found
        self._looked_at = self._count
        cost = time.monotonic() - started
        self._schedule = self._schedule.sparing(cost)
        self._next_look = self._schedule.next_look(self._count, self._seconds(), cost)
        return validation

    def _is_best(self, found: Look) -> bool:
        if self._first_look is None:
            return True
        # Harm to the rest ranks the candidates but forbids none of them: a model that
        # was wrong nearly everywhere has to change nearly everywhere.
        if not _is_better(found, self._first_look, harm=0.0):
            return False
        if self._highest is None or _is_better(found, self._highest, harm=_HARM):
            self._highest = found
            return True
        return found.iou >= self._highest.iou - self._leeway

    def _result(self) -> FineTuned:
        assert self._before is not None
        if self._diverged:
            self._notes.append(
                "The loss became infinite and the training ended there. "
                "Use a lower learning rate."
            )
        if self._learner.batch < self._config.batch:
            self._notes.append(
                f"Memory was short: a step had {self._learner.batch} crops instead of "
                f"{self._config.batch}. Use a smaller crop to have more of them."
            )
        if self._best is None:
            self._notes.append(self._advice)
        elif self._best_look and self._best_look.missed:
            self._notes.append(self._describe_missed(self._best_look.missed))
        after = self._best[0] if self._best else self._before
        return FineTuned(
            checkpoint=self._trained(),
            improved=self._best is not None,
            before=self._before,
            after=after,
            steps=self._count,
            stopped=self._stopped,
            notes=tuple(self._notes),
        )

    def _describe_missed(self, missed: Sequence[int]) -> str:
        names = ", ".join(self._checkpoint.spec.classes[label] for label in missed)
        return (
            f"On the held-out pixels the model still finds no {names}. Train longer, "
            "or label more of it."
        )

    def _trained(self) -> Checkpoint:
        if self._best is None or self._before is None:
            return self._checkpoint
        after, weights = self._best
        record: dict[str, Any] = {
            "parent": self._checkpoint.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": after.step,
            "seconds": round(self._seconds(), 1),
            "before": _figures(self._before),
            "after": _figures(after),
            **self._record,
            "config": dataclasses.asdict(self._config),
        }
        return Checkpoint(
            # What was measured of the old weights does not hold for these.
            spec=dataclasses.replace(
                self._checkpoint.spec, measured_halo=None, measured_error=None
            ),
            weights=weights,
            history=(*self._checkpoint.history, record),
        )

    def _progress(self) -> float:
        return self._schedule.progress(self._count, self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _pace(checkpoint: Checkpoint, learner: Optimisation) -> float:
    if checkpoint.fresh_head:
        return 1.0 if learner.frozen else _BOLD
    return _GENTLE if learner.frozen else 1.0


def _schedule(config: FineTuneConfig, *, pace: float) -> Schedule:
    return Schedule(
        steps=config.steps,
        seconds=60 * config.minutes,
        peak=config.learning_rate * pace,
    )


def _figures(validation: Validation) -> dict[str, float]:
    """Return what JSON can hold: a model without classes has no IoU."""
    figures = {"loss": validation.loss, "iou": validation.iou}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _is_better(new: Look, old: Look, *, harm: float) -> bool:
    """Compare by IoU, what the user sees, less harm; where that is equal, by loss."""
    if not math.isfinite(new.loss):
        return False
    if math.isnan(new.iou):
        return new.loss < old.loss
    score, best = (round(look.iou - harm * look.changed, 4) for look in (new, old))
    return (score, -new.loss) > (best, -old.loss)

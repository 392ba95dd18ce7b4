"""The course of a training: steps, evaluations on the held-out set, best weights."""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from unet_engine.models.checkpoint import Checkpoint
from unet_engine.training.events import FineTuned, Step, Validation
from unet_engine.training.gains import Gains
from unet_engine.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt
    from torch import nn

    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.optimisation import Optimisation
    from unet_engine.training.validation import HeldOutScores

    Weights = dict[str, npt.NDArray[Any]]

_FROZEN_RATE = 0.3
"""Share of the learning rate that a model with frozen statistics is tuned at: these
cannot follow large changes of the weights."""

_FRESH_HEAD_RATE = 2.0
"""The same for a start under other classes, which has half a minute to get far, if its
statistics follow."""

_CHANGE_COST = 5.0
"""What a changed share of the unlabelled rest costs, in IoU."""


class Evaluator(Protocol):
    """Measures how good a network is."""

    def evaluate(self, network: nn.Module, device: str) -> HeldOutScores:
        """Measure a network in evaluation mode on the held-out set."""


class TrainingRun:
    """The state of one training: where it is, and the best weights so far.

    Parameters
    ----------
    checkpoint
        The model that came in.
    config
        Limits and settings.
    optimisation
        Takes the steps.
    evaluator
        Chooses the best weights.
    record
        For the history of the model.
    notes
        What the user should know from the start, one sentence each.
    advice
        Note where nothing better was found.
    tolerance
        Loss of IoU up to which later weights are preferred to the best: on few
        held-out pixels less is noise, and later weights have learned from more crops.
    started
        Of ``time.monotonic``; now when it is None.
    open_ended
        Whether it ends as soon as it no longer gains.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: FineTuneConfig,
        optimisation: Optimisation,
        evaluator: Evaluator,
        *,
        record: dict[str, Any],
        notes: Sequence[str],
        advice: str,
        tolerance: float = 0.0,
        started: float | None = None,
        open_ended: bool = False,
    ) -> None:
        self._started = time.monotonic() if started is None else started
        self._checkpoint = checkpoint
        self._config = config
        self._optimisation = optimisation
        self._evaluator = evaluator
        self._record = record
        self._notes = list(notes)
        self._advice = advice
        self._tolerance = tolerance
        self._schedule = _schedule(
            config,
            rate_factor=_rate_factor(checkpoint, optimisation),
            open_ended=open_ended,
        )
        self._gains = Gains()
        self._converged = False
        self._count = 0
        self._evaluated_at = 0
        self._next_evaluation = 0.0
        self._stopped = self._diverged = False
        self._before: Validation | None = None
        self._best: tuple[Validation, Weights] | None = None
        self._first: HeldOutScores | None = None
        self._best_evaluation: HeldOutScores | None = None
        self._highest: HeldOutScores | None = None

    def events(self, stop: Stop) -> Generator[Step | Validation, None, FineTuned]:
        """Train until a limit or ``stop``; yield what happens, return the best."""
        yield self._evaluate()
        while self._goes_on(stop):
            yield self._step()
            if self._is_evaluation_due():
                yield self._evaluate()
        if self._has_learned_since_evaluation():
            yield self._evaluate()
        return self._result()

    def _goes_on(self, stop: Stop) -> bool:
        if self._progress() >= 1 or self._diverged:
            return False
        self._stopped = stop()
        return not self._stopped

    def _step(self) -> Step:
        rate = self._schedule.learning_rate(self._count, self._progress())
        loss = self._optimisation.step(rate)
        self._count += 1
        self._diverged = not math.isfinite(loss)
        seconds = self._seconds()
        step_seconds = (
            (seconds - self._before.seconds) / self._count if self._before else 0.0
        )
        left = self._schedule.seconds_left(self._count, seconds, step_seconds)
        return Step(step=self._count, loss=loss, seconds=seconds, seconds_left=left)

    def _is_evaluation_due(self) -> bool:
        return not self._diverged and self._progress() >= self._next_evaluation

    def _has_learned_since_evaluation(self) -> bool:
        return self._count > self._evaluated_at and not self._diverged

    def _evaluate(self) -> Validation:
        started = time.monotonic()
        found = self._evaluator.evaluate(
            self._optimisation.average.network, self._optimisation.device
        )
        validation = Validation(
            step=self._count,
            loss=found.loss,
            iou=found.iou,
            best=self._is_best(found),
            seconds=self._seconds(),
        )
        if self._before is None:
            self._before, self._first = validation, found
        elif validation.best:
            self._best, self._best_evaluation = (
                (validation, self._optimisation.weights()),
                found,
            )
            validation = dataclasses.replace(validation, checkpoint=self._trained())
        self._evaluated_at = self._count
        self._end_without_gains(found)
        cost = time.monotonic() - started
        self._schedule = self._schedule.sparing(cost)
        self._next_evaluation = self._schedule.next_evaluation(
            self._count, self._seconds(), cost
        )
        return validation

    def _end_without_gains(self, found: HeldOutScores) -> None:
        """Begin the decay when the model no longer gains."""
        self._gains.add(found, self._count)
        if (
            self._schedule.open_ended
            and not self._converged
            and self._gains.are_over(self._count)
        ):
            self._converged = True
            self._schedule = self._schedule.ending_soon(self._count)

    def _is_best(self, found: HeldOutScores) -> bool:
        if self._first is None:
            return True
        # Change of the rest ranks the candidates but forbids none of them: a model that
        # was wrong nearly everywhere has to change nearly everywhere.
        if not _is_better(found, self._first, change_cost=0.0):
            return False
        if self._highest is None or _is_better(
            found, self._highest, change_cost=_CHANGE_COST
        ):
            self._highest = found
            return True
        return found.iou >= self._highest.iou - self._tolerance

    def _result(self) -> FineTuned:
        assert self._before is not None
        if self._diverged:
            self._notes.append(
                "The loss became infinite and the training ended there. "
                "Use a lower learning rate."
            )
        if self._optimisation.batch < self._config.batch:
            self._notes.append(
                f"Memory was short: a step had {self._optimisation.batch} crops "
                f"instead of {self._config.batch}. Use a smaller crop to have more."
            )
        if not (self._count or self._stopped):
            self._notes.append(
                f"Not one step was taken within {self._config.minutes:g} min, so the "
                "model is as it was. Give it more minutes, or label fewer images."
            )
        elif self._best is None:
            self._notes.append(self._advice)
        elif self._best_evaluation and self._best_evaluation.missed:
            self._notes.append(self._describe_missed(self._best_evaluation.missed))
        after = self._best[0] if self._best else self._before
        return FineTuned(
            checkpoint=self._trained(),
            improved=self._best is not None,
            before=self._before,
            after=after,
            steps=self._count,
            stopped=self._stopped,
            converged=self._converged,
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


def _rate_factor(checkpoint: Checkpoint, optimisation: Optimisation) -> float:
    if checkpoint.fresh_head:
        return 1.0 if optimisation.frozen else _FRESH_HEAD_RATE
    return _FROZEN_RATE if optimisation.frozen else 1.0


def _schedule(
    config: FineTuneConfig, *, rate_factor: float, open_ended: bool
) -> Schedule:
    return Schedule(
        open_ended=open_ended,
        steps=config.steps,
        seconds=60 * config.minutes,
        peak=config.learning_rate * rate_factor,
    )


def _figures(validation: Validation) -> dict[str, float]:
    """Return what JSON can hold: a model without classes has no IoU."""
    figures = {"loss": validation.loss, "iou": validation.iou}
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _is_better(new: HeldOutScores, old: HeldOutScores, *, change_cost: float) -> bool:
    """Compare by IoU less the cost of changes; where that is equal, by loss."""
    if not math.isfinite(new.loss):
        return False
    if math.isnan(new.iou):
        return new.loss < old.loss
    score, best = (round(one.iou - change_cost * one.changed, 4) for one in (new, old))
    return (score, -new.loss) > (best, -old.loss)

"""The course of a training: steps, evaluations on the held-out set, best weights."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from unet_engine.compute.loading import folded_network, load_network
from unet_engine.training.course.gains import Gains
from unet_engine.training.course.ranking import Ranking
from unet_engine.training.course.run_state import RunState
from unet_engine.training.course.schedule import Schedule
from unet_engine.training.course.trained import trained_checkpoint
from unet_engine.training.events import DataChanged, FineTuned, Note, Step, Validation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    import numpy.typing as npt
    from torch import Tensor

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop
    from unet_engine.training.config import FineTuneConfig
    from unet_engine.training.course.interfaces import Evaluator, Keeper, Renewed
    from unet_engine.training.events import TrainingEvent
    from unet_engine.training.optimisation import Optimisation
    from unet_engine.training.validation import HeldOutScores

    Weights = Mapping[str, npt.NDArray[Any]]

_FROZEN_RATE = 0.3
"""Share of the learning rate that a model with frozen statistics is tuned at: these
cannot follow large changes of the weights."""

_FRESH_HEAD_RATE = 2.0
"""The same for a start under other classes, which has half a minute to get far, if its
statistics follow."""


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
    renew
        Called before every step: what is labelled now, where that has changed.
    keeper
        Resumes a run that was interrupted, and keeps what this one would need.
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
        renew: Callable[[], Renewed | None] | None = None,
        keeper: Keeper | None = None,
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
        self._renew = renew
        self._keeper = keeper
        self._stopped = self._diverged = False
        self.state = RunState()
        self._best_weights: Weights | None = None

    def events(self, stop: Stop) -> Generator[TrainingEvent, None, FineTuned]:
        """Train until a limit or ``stop``; yield what happens, return the best."""
        yield self._evaluate()
        if self._keeper is not None:
            yield from self._keeper.resume(self)
        while self._goes_on(stop):
            yield from self._renewed()
            yield self._step()
            if self._is_evaluation_due():
                yield self._evaluate()
            if self._keeper is not None and not self._diverged:
                yield from self._keeper.keep(self)
        if self._has_learned_since_evaluation():
            yield self._evaluate()
        return self._result()

    def close(self) -> None:
        """End what runs beside it."""
        self._optimisation.close()

    def _goes_on(self, stop: Stop) -> bool:
        if self._progress() >= 1 or self._diverged:
            return False
        self._stopped = stop()
        return not self._stopped

    def _step(self) -> Step:
        state = self.state
        rate = self._schedule.learning_rate(state.step, self._progress())
        loss = self._optimisation.step(rate)
        state.step += 1
        self._diverged = not math.isfinite(loss)
        seconds = self._seconds()
        each = (seconds - state.before.seconds) / state.step if state.before else 0.0
        left = self._schedule.seconds_left(state.step, seconds, each)
        return Step(step=state.step, loss=loss, seconds=seconds, seconds_left=left)

    def _is_evaluation_due(self) -> bool:
        return not self._diverged and self._progress() >= self.state.next_evaluation

    def _has_learned_since_evaluation(self) -> bool:
        return self.state.step > self.state.evaluated_at and not self._diverged

    def _evaluate(self) -> Validation:
        started, state = time.monotonic(), self.state
        found = self._evaluator.evaluate(
            self._optimisation.average.network,
            self._optimisation.device,
            step=state.step,
        )
        best = state.ranking.is_best(found, self._tolerance)
        validation = self._validation(found, best=best)
        if state.before is None:
            state.before = validation
        elif best:
            state.best, state.best_scores = validation, found
            self._best_weights = self._optimisation.weights()
            state.seconds = self._seconds()
            validation = replace(validation, checkpoint=self._trained())
        elif found.overtakes is False and not self._checkpoint.trained:
            # An early network that a few strokes preferred by chance is no candidate
            # any more: the later one has learned more, and they prefer Live to it.
            state.best = state.best_scores = self._best_weights = None
            state.ranking.highest = None
        state.evaluated_at = state.step
        self._end_without_gains(found)
        cost = time.monotonic() - started
        self._schedule = self._schedule.sparing(cost)
        state.next_evaluation = self._schedule.next_evaluation(
            state.step, self._seconds(), cost
        )
        return validation

    def _validation(self, found: HeldOutScores, *, best: bool) -> Validation:
        return Validation(
            step=self.state.step,
            loss=found.loss,
            iou=found.iou,
            best=best,
            seconds=self._seconds(),
            expected_iou=found.expected_iou,
        )

    def _end_without_gains(self, found: HeldOutScores) -> None:
        """Begin the decay when the model no longer gains."""
        state = self.state
        state.gains.add(found, state.step)
        if (
            self._schedule.open_ended
            and not state.decay_from
            and state.gains.are_over(state.step)
        ):
            state.decay_from = state.step
            self._schedule = self._schedule.ending_soon(state.step)

    def _renewed(self) -> Iterator[TrainingEvent]:
        """Go on with what is labelled now, where that has changed."""
        found = self._renew() if self._renew is not None else None
        if found is None:
            return
        self._notes += found.notes
        yield from map(Note, found.notes)
        if not found.training or found.evaluator is None:
            return
        self._optimisation.learn_from(found.training)
        self._record = {**self._record, "data": list(found.names)}
        if self._keeper is not None:
            self._keeper.belongs_to(found.training)
        self._measure_again(found.evaluator)
        yield self._changed(found)

    def _measure_again(self, evaluator: Evaluator) -> None:
        """Compare what was measured on other held-out pixels on the present ones."""
        state = self.state
        self._evaluator = evaluator
        state.ranking = Ranking()
        if state.decay_from:
            state.decay_from = 0
            self._schedule = replace(self._schedule, steps=self._config.steps)
            state.next_evaluation = self._schedule.next_evaluation(
                state.step, self._seconds(), cost=0.0
            )
        found = self._measured(self._checkpoint.weights)
        state.ranking.is_best(found, self._tolerance)
        if state.before is not None:
            state.before = _again(state.before, found)
        # New strokes are new gains to wait for, at the rate of a run that goes on.
        state.gains = Gains(iou=found.iou, loss=found.loss, step=state.step)
        if state.best is None or self._best_weights is None:
            return
        found = self._measured(self._best_weights, state.best.step)
        state.gains = Gains(iou=found.iou, loss=found.loss, step=state.step)
        if state.ranking.is_best(found, self._tolerance):
            state.best = _again(state.best, found)
            state.best_scores = found
        else:
            state.best = state.best_scores = self._best_weights = None

    def _measured(self, weights: Weights, step: int = 0) -> HeldOutScores:
        device = self._optimisation.device
        checkpoint = replace(self._checkpoint, weights=weights)
        network = folded_network(checkpoint, object_maps=True)
        return self._evaluator.evaluate(network.to(device), device, step=step)

    def _changed(self, found: Renewed) -> DataChanged:
        assert self.state.before is not None
        return DataChanged(
            step=self.state.step,
            images=len({pair.name for pair in found.training}),
            pixels=found.pixels,
            before=self.state.before,
            best=self.state.best,
        )

    def kept(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return all that the run needs to go on: tensors, and texts by their names."""
        self.state.seconds = self._seconds()
        tensors, texts = self._optimisation.kept()
        best = self._best_weights or {}
        return {
            **{f"optimisation.{name}": one for name, one in tensors.items()},
            **{f"best.{name}": torch.from_numpy(one) for name, one in best.items()},
        }, {**texts, "state": self.state.to_json()}

    def restore(
        self,
        state: RunState,
        best: Mapping[str, Tensor],
        tensors: Mapping[str, Tensor],
        texts: Mapping[str, str],
    ) -> None:
        """Go on from where a run of the same start and data was.

        Parameters
        ----------
        state
            Its course.
        best
            Its best weights; none where ``state`` has none.
        tensors, texts
            As of ``kept``, without prefixes.

        Raises
        ------
        ValueError, KeyError
            When they do not fit; nothing has changed then.
        """
        weights = {name: one.numpy() for name, one in best.items()}
        if best:
            load_network(replace(self._checkpoint, weights=weights))
        self._optimisation.restore(tensors, texts)
        self.state, self._best_weights = state, weights or None
        self._started = time.monotonic() - state.seconds
        if state.decay_from:
            self._schedule = self._schedule.ending_soon(state.decay_from)

    def _result(self) -> FineTuned:
        state = self.state
        state.seconds = self._seconds()
        assert state.before is not None
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
        if not (state.step or self._stopped):
            self._notes.append(
                f"Not one step was taken within {self._config.minutes:g} min, so the "
                "network is as it was. Give it more minutes, or label fewer images."
            )
        elif state.best is None:
            self._notes.append(self._advice)
        elif state.best_scores and state.best_scores.missed:
            self._notes.append(self._describe_missed(state.best_scores.missed))
        return FineTuned(
            checkpoint=self._trained(),
            improved=state.best is not None,
            before=state.before,
            after=state.best or state.before,
            steps=state.step,
            stopped=self._stopped,
            converged=bool(state.decay_from),
            notes=tuple(self._notes),
            share=self.share,
            score_before=state.ranking.first.mask if state.ranking.first else None,
            score_after=state.best_scores.mask if state.best_scores else None,
        )

    @property
    def share(self) -> float:
        """Of the network beside the classifier in the best mask so far."""
        scores = self.state.best_scores
        return scores.share if scores else 0.0

    def _trained(self) -> Checkpoint:
        if self.state.best is None or self._best_weights is None:
            return self._checkpoint
        return self._recorded(self._best_weights)

    def unchanged(self) -> Checkpoint:
        """Return the model that came in, with the record of this training."""
        return self._recorded(self._checkpoint.weights)

    def _recorded(self, weights: Mapping[str, npt.NDArray[Any]]) -> Checkpoint:
        return trained_checkpoint(
            self._checkpoint, weights, self.state, self._record, self._config
        )

    def _describe_missed(self, missed: Sequence[int]) -> str:
        names = ", ".join(self._checkpoint.spec.classes[label] for label in missed)
        return (
            f"On the held-out pixels the model still finds no {names}. Train longer, "
            "or label more of it."
        )

    def _progress(self) -> float:
        return self._schedule.progress(self.state.step, self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _again(validation: Validation, found: HeldOutScores) -> Validation:
    """Return an evaluation as it is on other held-out pixels."""
    return replace(
        validation, loss=found.loss, iou=found.iou, expected_iou=found.expected_iou
    )


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

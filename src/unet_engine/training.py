"""Train a model: ``fine_tune`` yields what happens and returns the best weights."""

from __future__ import annotations

import dataclasses
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unet_engine.config import FineTuneConfig
from unet_engine.dataset import check_pairs
from unet_engine.events import FineTuned, Step, Stop, Validation, never
from unet_engine.learner import Learner
from unet_engine.runtime import (
    choose_device,
    fold_normalisation,
    load_network,
    translated_errors,
)
from unet_engine.schedule import Schedule
from unet_engine.spec import ModelSpec, build
from unet_engine.split import split_pairs
from unet_engine.store import Checkpoint
from unet_engine.validation import HeldOut, affordable_pixels, find_mistakes

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from unet_engine.dataset import TrainingPair

    Weights = dict[str, npt.NDArray[Any]]


_GENTLE = 0.3
"""Share of the learning rate that a model with frozen statistics is tuned at: these
cannot follow large changes of the weights."""


def start_checkpoint(spec: ModelSpec, seed: int = 0) -> Checkpoint:
    """Return a model with random weights and an empty history.

    The caller's random numbers are not touched.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build(spec)
    weights = {n: t.detach().numpy().copy() for n, t in network.state_dict().items()}
    return Checkpoint(spec=spec, weights=weights, history=())


def adapt_checkpoint(
    checkpoint: Checkpoint,
    *,
    classes: Sequence[str] | None = None,
    in_channels: int | None = None,
) -> Checkpoint:
    """Return the model made to fit other classes or channels.

    A new class starts where it wins nowhere, so that the known ones are predicted as
    before. For other channels each first kernel becomes its mean over the channels,
    scaled so that an image that is the same in all channels is seen as before.

    Parameters
    ----------
    checkpoint
        The model; it stays as it is.
    classes
        Names of all classes, background first; None keeps them.
    in_channels
        Channels of the images; None keeps them.
    """
    old = checkpoint.spec
    spec = dataclasses.replace(
        old,
        classes=old.classes if classes is None else tuple(classes),
        in_channels=old.in_channels if in_channels is None else in_channels,
    )
    if spec == old:
        return checkpoint
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in build(spec).state_dict().items()}
    weights = {
        name: _fitted(checkpoint.weights[name], shape) for name, shape in shapes.items()
    }
    return Checkpoint(spec=spec, weights=weights, history=checkpoint.history)


def _fitted(weights: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Fit the first kernel to other channels, or the head to other classes."""
    if weights.shape == shape:
        return weights.copy()
    if weights.shape[0] == shape[0]:
        mean = weights.mean(axis=1, keepdims=True) * (weights.shape[1] / shape[1])
        return np.repeat(mean, shape[1], axis=1).astype(weights.dtype)
    kept = weights[: shape[0]]
    # The mean of the known logits is never the largest, so nothing changes yet, and
    # is near enough to be learned soon: a step moves a weight by the learning rate.
    new = weights.mean(axis=0, keepdims=True)
    missing = np.repeat(new, shape[0] - len(kept), axis=0)
    return np.concatenate([kept, missing]).astype(weights.dtype)


def fine_tune(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: FineTuneConfig | None = None,
    *,
    stop: Stop = never,
) -> Generator[Step | Validation, None, FineTuned]:
    """Train a copy of a model on the labelled pixels.

    The weights that are judged and returned are a moving average of those that learn.
    With a limit in steps and no other, the same seed gives the same weights on a CPU.
    A trained model, one with a history, keeps its normalisation statistics, and where
    nobody labelled it is held near to what it said before.

    Parameters
    ----------
    checkpoint
        The model to start from; it is not changed.
    pairs
        What to learn from: at least two classes over all of them.
    config
        Limits and settings; None for the defaults.
    stop
        Polled before every step; when it says True the best model so far is returned.

    Yields
    ------
    Step or Validation
        Every optimiser step; the held-out pixels before the first one, at intervals,
        and after the last one.

    Returns
    -------
    FineTuned
        With the very checkpoint that came in when nothing better was found.

    Raises
    ------
    DataError
        When the pairs cannot teach this model; before anything is computed.
    OutOfMemoryError
        When not even one crop fits the device.
    EngineError
        When the device is absent, or torch fails.
    """
    config = config or FineTuneConfig()
    check_pairs(pairs, checkpoint.spec)
    device = choose_device(config.device)
    with translated_errors():
        run = _Run(checkpoint, pairs, config, device)
        yield run.look()
        while run.goes_on(stop):
            yield run.step()
            if run.is_time_to_look():
                yield run.look()
        if run.has_learned_since_look():
            yield run.look()
        return run.result()


class _Run:
    """The state of one training: where it is, and the best it has seen."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair],
        config: FineTuneConfig,
        device: str,
    ) -> None:
        self._started = time.monotonic()
        self._checkpoint = checkpoint
        self._config = config
        self._names = tuple(pair.name for pair in pairs)
        split = split_pairs(
            pairs,
            fraction=config.validation,
            seed=config.seed,
            mistakes=_find_mistakes(checkpoint, pairs, device),
        )
        self._notes = list(split.notes)
        self._learner = Learner(checkpoint, split.training, config, device)
        self._held_out = HeldOut(
            split.validation,
            checkpoint.spec,
            pixels=affordable_pixels(config),
            seed=config.seed,
        )
        self._schedule = _schedule(config, gentle=self._learner.frozen)
        self._count = 0
        self._looked_at = 0
        self._next_look = 0.0
        self._stopped = self._diverged = False
        self._before: Validation | None = None
        self._best: tuple[Validation, Weights] | None = None

    def goes_on(self, stop: Stop) -> bool:
        if self._progress() >= 1 or self._diverged:
            return False
        self._stopped = stop()
        return not self._stopped

    def step(self) -> Step:
        loss = self._learner.step(self._schedule.learning_rate(self._progress()))
        self._count += 1
        self._diverged = not math.isfinite(loss)
        seconds = self._seconds()
        pace = (seconds - self._before.seconds) / self._count if self._before else 0.0
        left = self._schedule.seconds_left(self._count, seconds, pace)
        return Step(step=self._count, loss=loss, seconds=seconds, seconds_left=left)

    def is_time_to_look(self) -> bool:
        return not self._diverged and self._progress() >= self._next_look

    def has_learned_since_look(self) -> bool:
        return self._count > self._looked_at and not self._diverged

    def look(self) -> Validation:
        started = time.monotonic()
        loss, iou = self._held_out.evaluate(
            self._learner.average.network, self._learner.device
        )
        current = self._best[0] if self._best else self._before
        validation = Validation(
            step=self._count,
            loss=loss,
            iou=iou,
            best=current is None or _is_better(loss, iou, current),
            seconds=self._seconds(),
        )
        if self._before is None:
            self._before = validation
        elif validation.best:
            self._best = validation, self._learner.weights()
        self._looked_at = self._count
        cost = time.monotonic() - started
        self._schedule = self._schedule.sparing(cost)
        self._next_look = self._schedule.next_look(self._count, self._seconds(), cost)
        return validation

    def result(self) -> FineTuned:
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
            self._notes.append(
                "The training did not make the model better on the held-out pixels, "
                "so the old one is kept. Label more pixels, or train longer."
            )
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

    def _trained(self) -> Checkpoint:
        if self._best is None or self._before is None:
            return self._checkpoint
        after, weights = self._best
        record: dict[str, Any] = {
            "parent": self._checkpoint.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "steps": after.step,
            "seconds": round(self._seconds(), 1),
            "before": {"loss": self._before.loss, "iou": self._before.iou},
            "after": {"loss": after.loss, "iou": after.iou},
            "data": sorted(set(self._names)),
            "config": dataclasses.asdict(self._config),
        }
        return Checkpoint(
            spec=self._checkpoint.spec,
            weights=weights,
            history=(*self._checkpoint.history, record),
        )

    def _progress(self) -> float:
        return self._schedule.progress(self._count, self._seconds())

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _schedule(config: FineTuneConfig, *, gentle: bool) -> Schedule:
    return Schedule(
        steps=config.steps,
        seconds=60 * config.minutes,
        peak=config.learning_rate * (_GENTLE if gentle else 1.0),
    )


def _find_mistakes(
    checkpoint: Checkpoint, pairs: Sequence[TrainingPair], device: str
) -> list[npt.NDArray[np.bool_]] | None:
    # Random weights make no mistake that means anything.
    if not checkpoint.trained:
        return None
    network = load_network(checkpoint).eval().to(device)
    fold_normalisation(network)
    return find_mistakes(pairs, network, checkpoint.spec, device)


def _is_better(loss: float, iou: float, best: Validation) -> bool:
    """Compare by IoU, what the user sees; where that is equal, by the loss."""
    if not math.isfinite(loss):
        return False
    return (round(iou, 4), -loss) > (round(best.iou, 4), -best.loss)

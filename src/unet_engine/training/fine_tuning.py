"""Train a model: ``iter_fine_tune`` yields events and returns the best weights."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.compute.devices import choose_device
from unet_engine.compute.loading import folded_network
from unet_engine.compute.measured_halo import measure_halo
from unet_engine.compute.torch_errors import translated_errors
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.stopping import never
from unet_engine.training.batch_norm import renormalised
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course.renewal import REST, CarriedTargets, Renewal
from unet_engine.training.data.objects.object_sizes import with_object_sizes
from unet_engine.training.data.pairs import (
    check_pairs,
    class_counts,
    have_soft_targets,
    near_labels,
)
from unet_engine.training.data.soft_targets import (
    StrokeClassifier,
    with_soft_targets,
)
from unet_engine.training.data.sources import Source
from unet_engine.training.data.splits.growing_split import GrowingSplit
from unet_engine.training.data.splits.held_out_split import split_pairs
from unet_engine.training.data.teacher_targets import with_teacher_targets
from unet_engine.training.events import Preparing, Validation
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.parallel.processes import check_processes
from unet_engine.training.run import TrainingRun
from unet_engine.training.share_line import describe_share
from unet_engine.training.validation import HeldOut, affordable_pixels, find_mistakes

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.interactive.cross_validation import StrokeCheck
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.stopping import Stop
    from unet_engine.training.course.interrupted_run import InterruptedRun
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.data.splits.held_out_split import Split
    from unet_engine.training.events import FineTuned, TrainingEvent


_ADVICE = (
    "The training did not make the model better on the held-out pixels. Label more "
    "pixels, train longer, or use another learning rate."
)
_TOLERANCE = 0.05
"""Loss of IoU up to which later weights are preferred to the best, with soft targets:
where few pixels are held out, less is noise."""

_STROKE_NOISE = 8.0
"""Two standard errors of an IoU times the root of its pixels, where a stroke has a
hundred: a few held-out strokes do not show which evaluation was best. With half of it,
an early one on five strokes took the AP of a training on retinas from 0.79 to 0.33."""

_LEAST_SHIFT = 0.15
"""Shift of the first layer below which its statistics are kept. Measured on the sets of
"A few strokes on images of a new kind" in benchmarks/RESULTS.md: new ones improve dark
vessels and nuclei, and worsen tissue in electron microscopes."""

_PARTS = "dividing the labels", "computing soft targets", "evaluating the model"
"""Of what is computed before the first step, in their order."""

_MOST_PREPARING = 0.1
"""Share of the time of a training that the soft targets may take."""

_USUAL_MINUTES = 2.0
"""After which most trainings from strokes no longer gain, on a CPU: what is prepared
and evaluated suits this length, whatever the limit is."""


def iter_fine_tune(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair] | Source[TrainingPair],
    config: FineTuneConfig | None = None,
    *,
    features_from: Checkpoint | None = None,
    interrupted: InterruptedRun | None = None,
    stop: Stop = never,
) -> Generator[TrainingEvent, None, FineTuned]:
    """Train a copy of a model on the labelled pixels.

    The weights that are evaluated and returned are an exponential moving average of
    those that learn. Without a number of steps it ends when it no longer gains. With
    one and no limit in time, the same seed gives the same weights on a CPU. A trained
    model, one with a history, keeps its normalisation statistics, and where nobody
    labelled it is kept near to its former prediction.

    Parameters
    ----------
    checkpoint
        The model to start from; it is not changed.
    pairs
        What to learn from: at least two classes over all of them. Of a source, what
        it has before a step is learned from in that step. What was held out stays held
        out.
    config
        Limits and settings; None for the defaults.
    features_from
        A model of planes whose maps are features of the pixel classifier beside those
        of filters, as they are for Live; None: the one to start from.
    interrupted
        Where the run is kept every 30 seconds, in case the process ends, and what it
        goes on from; None for neither.
    stop
        Polled before every step; when it returns True the best model so far is
        returned.

    Yields
    ------
    TrainingEvent
        What is prepared; every optimiser step; the held-out pixels before the first
        one, at intervals, and after the last one; what a source has changed.

    Returns
    -------
    FineTuned
        With the very checkpoint that came in when nothing better was found.

    Raises
    ------
    DataError
        When this model cannot learn from the pairs; before anything is computed.
    OutOfMemoryError
        When not even one crop fits the device.
    EngineError
        When the device is absent, or torch fails.
    """
    config = config or FineTuneConfig()
    source: Source[TrainingPair] | None = None
    if isinstance(pairs, Source):
        source, pairs = pairs, pairs.poll() or ()
    check_pairs(pairs, checkpoint.spec)
    device = choose_device(config.device)
    check_processes(config.processes, config.batch, device)
    spec = with_object_sizes(checkpoint.spec, pairs)
    sized = checkpoint if spec == checkpoint.spec else replace(checkpoint, spec=spec)
    start = _Start(sized, pairs, config, device, features_from or checkpoint, stop)
    with translated_errors():
        run = yield from start.run(source, interrupted)
        result = yield from start.events(run)
        if not result.improved:
            return replace(result, checkpoint=checkpoint)
        if not result.checkpoint.has_network:
            return result
        trained = measure_halo(
            result.checkpoint,
            [pair.image for pair in start.pairs],
            device=config.device,
            stop=stop,
        )
        return replace(result, checkpoint=trained)


class _Start:
    """Prepares a training: the parameters of ``iter_fine_tune``, and a device."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pairs: Sequence[TrainingPair],
        config: FineTuneConfig,
        device: str,
        features_from: Checkpoint,
        stop: Stop,
    ) -> None:
        self._started = time.monotonic()
        self.pairs = pairs
        self._checkpoint, self._config = checkpoint, config
        self._usual = config
        if _is_open_ended(config):
            minutes = min(config.minutes, _USUAL_MINUTES)
            self._usual = replace(config, minutes=minutes)
        self._device, self._stop = device, stop
        self._extractor = FeatureExtractor(features_from, device)
        self._strokes: StrokeClassifier | None = None
        self._check: StrokeCheck | None = None
        self._check_done = self._check_cost = 0.0
        self._fitted: tuple[Sequence[TrainingPair], ClassifierPart | None] | None = None

    def run(
        self,
        source: Source[TrainingPair] | None,
        interrupted: InterruptedRun | None,
    ) -> Generator[Preparing, None, TrainingRun]:
        """Return the training, which follows a source if there is one."""
        yield _preparing(0)
        self._follow_statistics()
        checkpoint, config = self._checkpoint, self._config
        split = split_pairs(
            self.pairs,
            fraction=config.validation,
            seed=config.seed,
            mistakes=_find_mistakes(checkpoint, self.pairs, self._device),
        )
        near = near_labels(checkpoint.spec)
        targets = CarriedTargets(
            self._soft_targets, near if checkpoint.trained else None
        )
        yield _preparing(1)
        training = targets(split.training)
        yield _preparing(2)
        loose = have_soft_targets(training) and not checkpoint.trained
        renew = None
        if source is not None:
            growing = GrowingSplit(
                self.pairs, split, fraction=config.validation, near=near
            )
            renew = Renewal(source, checkpoint.spec, growing, targets, self._evaluator)
        if interrupted is not None:
            interrupted.begins(checkpoint, config, self._device)
            interrupted.belongs_to(split.training)
        return TrainingRun(
            checkpoint,
            config,
            Optimisation(checkpoint, training, config, self._device),
            self._evaluator(split, self.pairs),
            record={"data": sorted({pair.name for pair in self.pairs})},
            notes=split.notes,
            advice=_ADVICE,
            tolerance=_tolerance(split.validation) if loose else 0.0,
            started=self._started,
            open_ended=_is_open_ended(config),
            renew=renew,
            keeper=interrupted,
        )

    def _follow_statistics(self) -> None:
        """Bring the statistics of a start nearer to those of the images."""
        if not (self._checkpoint.fresh_head and self._checkpoint.spec.ndim == 2):
            return
        # They come from images that were perhaps quite unlike these.
        self._checkpoint, shift = renormalised(self._checkpoint, self.pairs)
        if self._config.statistics == "auto" and shift < _LEAST_SHIFT:
            self._config = replace(self._config, statistics="frozen")

    def events(self, run: TrainingRun) -> Generator[TrainingEvent, None, FineTuned]:
        """Train; the models that are yielded and returned have their classifier."""
        with closing(run), closing(run.events(self._stop)) as events:
            while True:
                try:
                    event = next(events)
                except StopIteration as end:
                    return self._combined(end.value, run)
                if isinstance(event, Validation) and event.checkpoint is not None:
                    complete = self._with_classifier(event.checkpoint, run.share)
                    event = replace(event, checkpoint=complete)
                yield event

    def _combined(self, result: FineTuned, run: TrainingRun) -> FineTuned:
        """Return the result with the classifier that is part of the model.

        A new model is at least what Live shows, the classifier alone.
        """
        trained, notes = result.checkpoint, result.notes
        if self._part() is None or (self._checkpoint.trained and not result.improved):
            return result
        if not result.improved:
            trained = run.unchanged()
            if trained.spec.ndim == 2:
                # A further training starts from the network of the features.
                trained = replace(trained, weights={})
            notes = tuple(note for note in notes if note != _ADVICE)
        return replace(
            result,
            checkpoint=self._with_classifier(trained, result.share),
            improved=True,
            notes=(
                describe_share(
                    result.share, result.steps, trained=self._checkpoint.trained
                ),
                *notes,
            ),
            score_after=result.score_after or result.score_before,
        )

    def _with_classifier(self, trained: Checkpoint, share: float) -> Checkpoint:
        part = self._part()
        if part is None:
            return trained
        return replace(trained, classifier=replace(part, network_share=share))

    def _part(self) -> ClassifierPart | None:
        """Return the classifier of all strokes, those that are held out as well."""
        if self._strokes is None:
            return None
        if self._fitted is None or self._fitted[0] is not self.pairs:
            self._fitted = self.pairs, self._strokes.part(self.pairs)
        return self._fitted[1]

    def _soft_targets(self, pairs: Sequence[TrainingPair]) -> Sequence[TrainingPair]:
        checkpoint, seed = self._checkpoint, self._config.seed
        seconds = 60 * self._usual.minutes * _MOST_PREPARING or math.inf
        classes = len(checkpoint.spec.classes)
        self._strokes = StrokeClassifier(
            pairs, self._extractor, classes, self._stop, seconds=seconds
        )
        if checkpoint.trained:
            return with_teacher_targets(
                pairs, checkpoint, self._device, self._stop, seconds=seconds, seed=seed
            )
        return with_soft_targets(pairs, self._strokes)

    def _evaluator(self, split: Split, pairs: Sequence[TrainingPair]) -> HeldOut:
        self.pairs = pairs
        return HeldOut(
            split.validation,
            self._checkpoint.spec,
            pixels=affordable_pixels(self._usual, self._checkpoint.spec.ndim),
            seed=self._config.seed,
            watched=pairs if self._checkpoint.trained else (),
            classifier=self._strokes,
            check=self._checked(pairs),
            trained=self._checkpoint.trained,
        )

    def _checked(self, pairs: Sequence[TrainingPair]) -> StrokeCheck | None:
        """Return how the classifier does on strokes; not anew after every stroke."""
        strokes = self._strokes
        # What a classifier of strokes does proves nothing of a trained network.
        if self._checkpoint.trained or strokes is None or strokes.classifier is None:
            return None
        started = time.monotonic()
        if self._check is None or started - self._check_done >= REST * self._check_cost:
            self._check = strokes.cross_validated(pairs)
            self._check_done = time.monotonic()
            self._check_cost = self._check_done - started
        return self._check


def _preparing(done: int) -> Preparing:
    return Preparing(what=_PARTS[done], done=done, total=len(_PARTS))


def _is_open_ended(config: FineTuneConfig) -> bool:
    """Whether it goes on until it no longer gains, and not for some steps."""
    return not config.steps


def _tolerance(held_out: Sequence[TrainingPair]) -> float:
    pixels = sum(int(class_counts(pair.target).sum()) for pair in held_out)
    return max(_TOLERANCE, _STROKE_NOISE / math.sqrt(max(1, pixels)))


def _find_mistakes(
    checkpoint: Checkpoint, pairs: Sequence[TrainingPair], device: str
) -> list[npt.NDArray[np.bool_]] | None:
    # Random weights make no mistake that means anything.
    if not checkpoint.trained:
        return None
    network = folded_network(checkpoint).to(device)
    return find_mistakes(pairs, network, checkpoint.spec, device)

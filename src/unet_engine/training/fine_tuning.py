"""Train a model: ``iter_fine_tune`` yields events and returns the best weights."""

from __future__ import annotations

import math
import time
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
from unet_engine.training.data.held_out_split import split_pairs
from unet_engine.training.data.pairs import check_pairs, class_counts, have_soft_targets
from unet_engine.training.data.soft_targets import with_soft_targets
from unet_engine.training.data.teacher_targets import with_teacher_targets
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.run import TrainingRun
from unet_engine.training.validation import HeldOut, affordable_pixels, find_mistakes

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy as np
    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.events import FineTuned, Step, Validation


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

_MOST_PREPARING = 0.1
"""Share of the time of a training that the soft targets may take."""

_USUAL_MINUTES = 2.0
"""After which most trainings from strokes no longer gain, on a CPU: what is prepared
and evaluated suits this length, whatever the limit is."""


def iter_fine_tune(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: FineTuneConfig | None = None,
    *,
    previous: Checkpoint | None = None,
    features_from: Checkpoint | None = None,
    stop: Stop = never,
) -> Generator[Step | Validation, None, FineTuned]:
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
        What to learn from: at least two classes over all of them.
    config
        Limits and settings; None for the defaults.
    previous
        A model that was tuned on some of these labels before, if this one starts
        anew: its probabilities count as much in the soft targets as those of the
        instant learner.
    features_from
        A model of planes whose features, beside those of filters, are used for the
        soft targets of a volume, for a model of volumes that is not trained yet; see
        `models.starting.model_of_planes`. None: filters alone.
    stop
        Polled before every step; when it returns True the best model so far is
        returned.

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
        When this model cannot learn from the pairs; before anything is computed.
    OutOfMemoryError
        When not even one crop fits the device.
    EngineError
        When the device is absent, or torch fails.
    """
    config = config or FineTuneConfig()
    check_pairs(pairs, checkpoint.spec)
    device = choose_device(config.device)
    with translated_errors():
        run = _start(checkpoint, pairs, config, device, previous, features_from, stop)
        result = yield from run.events(stop)
        if not result.improved:
            return replace(result, checkpoint=checkpoint)
        trained = measure_halo(
            result.checkpoint,
            [pair.image for pair in pairs],
            device=config.device,
            stop=stop,
        )
        return replace(result, checkpoint=trained)


def _start(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: FineTuneConfig,
    device: str,
    previous: Checkpoint | None,
    features_from: Checkpoint | None,
    stop: Stop,
) -> TrainingRun:
    started = time.monotonic()
    if checkpoint.fresh_head and checkpoint.spec.ndim == 2:
        # The statistics come from images that were perhaps quite unlike these.
        checkpoint, shift = renormalised(checkpoint, pairs)
        if config.statistics == "auto" and shift < _LEAST_SHIFT:
            config = replace(config, statistics="frozen")
    split = split_pairs(
        pairs,
        fraction=config.validation,
        seed=config.seed,
        mistakes=_find_mistakes(checkpoint, pairs, device),
    )
    usual = config
    if _is_open_ended(config):
        usual = replace(config, minutes=min(config.minutes, _USUAL_MINUTES))
    seconds = 60 * usual.minutes * _MOST_PREPARING or math.inf
    if checkpoint.trained:
        training = with_teacher_targets(
            split.training, checkpoint, device, stop, seconds=seconds, seed=config.seed
        )
    else:
        training = with_soft_targets(
            split.training,
            # Averaged over symmetries they cost steps, and are no better targets.
            FeatureExtractor(
                checkpoint if checkpoint.spec.ndim == 2 else features_from,
                device,
                tuned=previous,
                average=False,
            ),
            len(checkpoint.spec.classes),
            stop,
            seconds=seconds,
        )
    loose = have_soft_targets(training) and not checkpoint.trained
    held_out = HeldOut(
        split.validation,
        checkpoint.spec,
        pixels=affordable_pixels(usual, checkpoint.spec.ndim),
        seed=config.seed,
        watched=pairs if checkpoint.trained else (),
    )
    return TrainingRun(
        checkpoint,
        config,
        Optimisation(checkpoint, training, config, device),
        held_out,
        record={"data": sorted({pair.name for pair in pairs})},
        notes=split.notes,
        advice=_ADVICE,
        tolerance=_tolerance(split.validation) if loose else 0.0,
        started=started,
        open_ended=_is_open_ended(config),
    )


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

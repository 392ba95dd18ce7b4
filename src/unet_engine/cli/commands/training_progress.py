"""What ``finetune`` and ``pretrain`` share: follow a training, save its model."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.cli.progress import bar, report
from unet_engine.errors import CheckpointError, DataError
from unet_engine.generators import drain
from unet_engine.training.events import Note, Preparing, Step, Validation
from unet_engine.training.score_line import describe_scores

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from unet_engine.cli.options.training import TrainingOptions
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.models.store import ModelStore
    from unet_engine.training.config import FineTuneConfig, PretrainConfig
    from unet_engine.training.events import FineTuned, Saving, TrainingEvent
    from unet_engine.training.saving import Trained

    Config = FineTuneConfig | PretrainConfig

STOPPING = "stopping; the best weights so far are kept (Ctrl-C again: drop them)"


def check_name(store: ModelStore, options: TrainingOptions) -> None:
    """Make sure that the new model may have its name, before a long training.

    Raises
    ------
    CheckpointError
        When it may not.
    """
    store.check_name(options.out, overwrite=True)
    try:
        store.check_name(options.out, overwrite=options.overwrite)
    except CheckpointError as error:
        raise CheckpointError(f"{error}, or pass --overwrite to replace it") from error


def follow(
    events: Generator[TrainingEvent | Saving, None, Trained],
    config: Config,
    *,
    quiet: bool,
) -> Trained:
    """Run a training behind a progress bar, with a line for each validation."""
    shown: set[str] = set()
    with bar(1.0, "training", quiet=quiet) as progress:

        def show(event: TrainingEvent | Saving) -> None:
            if isinstance(event, Validation):
                report([describe_evaluation(event)], quiet=quiet)
            elif isinstance(event, Note):
                shown.add(event.line)
                report([event.line], quiet=quiet)
            elif isinstance(event, Preparing):
                progress.set_postfix_str(event.what)
            elif isinstance(event, Step):
                loss = f"{event.loss:.3f}"
                progress.set_postfix(refresh=False, step=event.step, loss=loss)
                progress.update(min(1.0, _share(event, config)) - progress.n)

        trained = drain(events, show)
    result = trained.result
    if result.improved or result.stopped:
        report((note for note in result.notes if note not in shown), quiet=quiet)
    return trained


def _share(event: Step, config: Config) -> float:
    """Return how much of the training is over, by the limit that is nearer."""
    by_steps = event.step / config.steps if config.steps else 0.0
    by_time = event.seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(by_steps, by_time)


def describe_evaluation(event: Validation) -> str:
    """Return the line of an evaluation: the score of the mask, if it has one."""
    name = "IoU" if event.expected_iou is None else "expected IoU"
    known = not math.isnan(event.mask_iou)
    iou = f"{name} {event.mask_iou:.3f}, " if known else ""
    mark = "  best so far" if event.best and event.step else ""
    return (
        f"step {event.step:6d}  {event.seconds:7.1f} s  validation: "
        f"{iou}loss {event.loss:.3f}{mark}"
    )


def conclude(trained: Trained, options: TrainingOptions) -> int:
    """Print what a training made.

    Parameters
    ----------
    trained
        What was learned, and where it is.
    options
        With ``out`` and ``overwrite``.

    Returns
    -------
    int
        Exit code of the command.

    Raises
    ------
    DataError
        When the training was complete and did not make the model better, or the model
        could not be saved where it belongs.
    """
    result, info = trained.result, trained.model
    if trained.unsaved is not None:
        place = trained.unsaved.place
        end = f"is in {place} instead" if place else "could not be kept anywhere"
        raise DataError(f"{trained.unsaved.reason}; the trained model {end}")
    if info is not None:
        if options.overwrite and result.stopped and info.name != options.out:
            print(
                f"napari-unet: stopped early, so the model {options.out!r} is kept "
                f"and the new one is {info.name!r}",
                file=sys.stderr,
            )
        _report(info, result)
        return 0
    if result.stopped:
        print(
            "napari-unet: stopped before anything was learned, nothing was saved",
            file=sys.stderr,
        )
        return INTERRUPTED
    raise DataError(f"nothing was saved. {' '.join(result.notes)}")


def _report(info: ModelInfo, result: FineTuned) -> None:
    state = "stopped early" if result.stopped else "complete"
    print(f"saved the model {info.name!r} in {info.path}")
    print(
        f"training {state}: {result.steps} steps, validation "
        f"{', '.join(_changes(result))}"
    )
    scores = describe_scores(result.score_before, result.score_after, info.spec.classes)
    if scores:
        print(scores)


def _changes(result: FineTuned) -> Iterator[str]:
    for name in "IoU", "loss":
        before, after = (
            getattr(validation, name.lower())
            for validation in (result.before, result.after)
        )
        # A model without classes has no IoU.
        if math.isfinite(after):
            yield f"{name} {before:.3f} -> {after:.3f}"

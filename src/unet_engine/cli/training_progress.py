"""What ``finetune`` and ``pretrain`` share: follow a training, save its model."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from unet_engine.cli.interrupts import INTERRUPTED
from unet_engine.cli.progress import bar, tell
from unet_engine.errors import CheckpointError, DataError
from unet_engine.generators import drain
from unet_engine.models.store import SUFFIX, ModelStore
from unet_engine.training.events import FineTuned, Step, Validation
from unet_engine.training.rescue import Unsaved, folders_for_commands, save_or_rescue

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Iterator, Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.training.config import FineTuneConfig, PretrainConfig
    from unet_engine.training.pairs import TrainingPair

    Config = FineTuneConfig | PretrainConfig

STOPPING = "stopping; the best weights so far are kept (Ctrl-C again: drop them)"


def model_name(text: str) -> str:
    """Read the name of a new model, which has no suffix."""
    return text.removesuffix(SUFFIX)


def check_name(store: ModelStore, arguments: argparse.Namespace) -> None:
    """Make sure that the new model may have its name, before a long training.

    Raises
    ------
    CheckpointError
        When it may not.
    """
    store.check_name(arguments.out, overwrite=True)
    try:
        store.check_name(arguments.out, overwrite=arguments.overwrite)
    except CheckpointError as error:
        raise CheckpointError(f"{error}, or pass --overwrite to replace it") from error


def follow(
    events: Generator[Step | Validation, None, FineTuned],
    config: Config,
    *,
    quiet: bool,
) -> FineTuned:
    """Run a training behind a progress bar, with a line for each validation."""
    with bar(1.0, "training", quiet=quiet) as progress:

        def show(event: Step | Validation) -> None:
            if isinstance(event, Validation):
                tell([_describe(event)], quiet=quiet)
                return
            progress.set_postfix(
                refresh=False, step=event.step, loss=f"{event.loss:.3f}"
            )
            progress.update(min(1.0, _share(event, config)) - progress.n)

        return drain(events, show)


def _share(event: Step, config: Config) -> float:
    """Return how much of the training is over, by the limit that is nearer."""
    by_steps = event.step / config.steps if config.steps else 0.0
    by_time = event.seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(by_steps, by_time)


def _describe(event: Validation) -> str:
    iou = "" if math.isnan(event.iou) else f"IoU {event.iou:.3f}, "
    mark = "  best so far" if event.best and event.step else ""
    return (
        f"step {event.step:6d}  {event.seconds:7.1f} s  validation: "
        f"{iou}loss {event.loss:.3f}{mark}"
    )


def conclude(
    result: FineTuned,
    store: ModelStore,
    arguments: argparse.Namespace,
    crops: Sequence[TrainingPair] = (),
) -> int:
    """Save what was learned as ``--out`` and ``--overwrite`` say.

    Parameters
    ----------
    result, store
        What was learned, and where it is kept.
    arguments
        With ``out``, ``overwrite`` and ``quiet``.
    crops
        That stay with the model.

    Returns
    -------
    int
        Exit code of the command.

    Raises
    ------
    DataError
        When the training was complete and did not make the model better.
    """
    if result.improved:
        tell(result.notes, quiet=arguments.quiet)
        info = _save(store, arguments.out, result, crops, overwrite=arguments.overwrite)
        _report(info, result)
        return 0
    if result.stopped:
        tell(result.notes, quiet=arguments.quiet)
        print(
            "napari-unet: stopped before anything was learned, nothing was saved",
            file=sys.stderr,
        )
        return INTERRUPTED
    raise DataError(f"nothing was saved. {' '.join(result.notes)}")


def _save(
    store: ModelStore,
    name: str,
    result: FineTuned,
    crops: Sequence[TrainingPair],
    *,
    overwrite: bool,
) -> ModelInfo:
    """Save the model; only a complete training replaces another model."""
    if overwrite and result.stopped:
        name, kept = store.free_name(name), name
        if name != kept:
            print(
                f"napari-unet: stopped early, so the model {kept!r} is kept and the "
                f"new one is {name!r}",
                file=sys.stderr,
            )
    saved = save_or_rescue(
        store,
        name,
        result.checkpoint,
        crops=crops,
        overwrite=overwrite,
        folders=folders_for_commands(),
    )
    if isinstance(saved, Unsaved):
        place = saved.place
        end = f"is in {place} instead" if place else "could be kept nowhere"
        raise DataError(f"{saved.reason}; the trained model {end}")
    return saved


def _report(info: ModelInfo, result: FineTuned) -> None:
    state = "stopped early" if result.stopped else "complete"
    print(f"saved the model {info.name!r} in {info.path}")
    print(
        f"training {state}: {result.steps} steps, validation "
        f"{', '.join(_changes(result))}"
    )


def _changes(result: FineTuned) -> Iterator[str]:
    for name in "IoU", "loss":
        before, after = (
            getattr(validation, name.lower())
            for validation in (result.before, result.after)
        )
        # A model without classes has no IoU.
        if math.isfinite(after):
            yield f"{name} {before:.3f} -> {after:.3f}"

"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.cli.data import add_data_options, read_labelled, read_pairs
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from
from unet_engine.cli.progress import add_quiet_option, bar, tell
from unet_engine.config import FineTuneConfig
from unet_engine.errors import CheckpointError, DataError, SpecError
from unet_engine.events import FineTuned, Step, Validation
from unet_engine.spec import ARCHITECTURES, IGNORE, Architecture, ModelSpec
from unet_engine.store import SUFFIX, ModelStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from unet_engine.cli.data import LabelledImage
    from unet_engine.dataset import TrainingPair
    from unet_engine.events import Stop
    from unet_engine.store import Checkpoint, ModelInfo

_STOPPING = "stopping; the best weights so far are kept (Ctrl-C again: drop them)"


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "finetune",
        help="train a model on images with labels",
        description="Train a model on images with labels: a fresh U-Net, or a copy of "
        "a model with --from. Ctrl-C ends the training and keeps the best weights. A "
        "training that finds nothing better saves nothing and ends with exit code 1.",
    )
    add_data_options(parser)
    parser.add_argument(
        "--out", required=True, metavar="NAME", help="name of the new model"
    )
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="MODEL",
        help="name or file of the model to start from (default: a fresh U-Net)",
    )
    parser.add_argument(
        "--classes",
        type=_class_names,
        metavar="A,B,...",
        help="names of all classes, the background first",
    )
    parser.add_argument(
        "--architecture",
        choices=[name for name, row in ARCHITECTURES.items() if _learns_planes(row)],
        help=f"network of a fresh model (default: {ModelSpec().architecture})",
    )
    parser.add_argument(
        "--depth", type=int, metavar="N", help="its poolings (default: as published)"
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="channels of its first level (default: 16 of a U-Net, else as published)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the model NAME when the training was complete and successful",
    )
    add_config_options(parser, FineTuneConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def _learns_planes(row: Architecture) -> bool:
    return 2 in row.ndims and not row.reconstructs


def _class_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def run(arguments: argparse.Namespace) -> int:
    """Train, and save what was learned.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the data cannot be used;
        after it when nothing was learned.
    """
    store = ModelStore()
    store.check_name(arguments.out, overwrite=arguments.overwrite)
    store.check_writable()
    # Steps that are asked for replace the default of the minutes.
    limits = {"minutes": 0.0} if "steps" in arguments else {}
    config = config_from(arguments, FineTuneConfig, **limits)
    with stop_on_interrupt(_STOPPING) as stop:
        checkpoint, pairs = _prepare(arguments, store, config)
        result = _train(checkpoint, pairs, config, stop, quiet=arguments.quiet)
        tell(result.notes, quiet=arguments.quiet)
        if result.improved:
            info = _save(store, arguments.out, result, overwrite=arguments.overwrite)
            _report(info, result)
            return 0
    if result.stopped:
        print(
            "napari-unet: stopped before anything was learned, nothing was saved",
            file=sys.stderr,
        )
        return INTERRUPTED
    raise DataError(
        "the training did not make the model better, so nothing was saved; "
        "label more pixels, train longer, or use another learning rate"
    )


def _prepare(
    arguments: argparse.Namespace, store: ModelStore, config: FineTuneConfig
) -> tuple[Checkpoint, Sequence[TrainingPair]]:
    """Return the model to start from and all that it will learn from."""
    from unet_engine.training import adapt_checkpoint, start_checkpoint

    names = arguments.classes
    if arguments.parent is None:
        classes = names and len(ModelSpec(classes=names).classes)
        data = read_labelled(arguments, classes)
        checkpoint = start_checkpoint(_fresh_spec(arguments, data), config.seed)
    else:
        if {arguments.architecture, arguments.depth, arguments.width} != {None}:
            raise DataError(
                "--architecture, --depth and --width are of a fresh model, and --from "
                "has its own; leave one of them out"
            )
        checkpoint = adapt_checkpoint(store.load(arguments.parent), classes=names)
        _check_learns_from_labels(checkpoint.spec, arguments.parent)
        data = read_labelled(arguments, len(checkpoint.spec.classes))
    pairs = [
        pair
        for one in data
        for pair in read_pairs(one, checkpoint.spec, config.border_weight)
    ]
    if not pairs:
        raise DataError(
            f"no pixel is labelled, all label values are {IGNORE}; "
            "label some pixels of at least two classes"
        )
    return checkpoint, pairs


def _check_learns_from_labels(spec: ModelSpec, name: str) -> None:
    if spec.ndim != 2:
        raise SpecError(
            f"{name} works on volumes, and finetune trains on planes; "
            "start from a model for planes"
        )
    if not spec.classes:
        raise SpecError(f"{name} has no classes; name them with --classes")


def _fresh_spec(
    arguments: argparse.Namespace, data: Sequence[LabelledImage]
) -> ModelSpec:
    names = arguments.classes
    if names is None:
        count = 1 + max(
            int(one.target[one.target != IGNORE].max(initial=0)) for one in data
        )
        names = ModelSpec().classes
        if count > len(names):
            names = ("background", *(f"class {i}" for i in range(1, count)))
    # Grey and colour images together are all seen in grey.
    options = {
        "in_channels": min(one.image.channels for one in data),
        "depth": arguments.depth,
        "width": arguments.width,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return ModelSpec.for_architecture(
        arguments.architecture or ModelSpec().architecture,
        ndim=2,
        classes=names,
        **given,
    )


def _train(
    checkpoint: Checkpoint,
    pairs: Sequence[TrainingPair],
    config: FineTuneConfig,
    stop: Stop,
    *,
    quiet: bool,
) -> FineTuned:
    from unet_engine.training import fine_tune

    events = fine_tune(checkpoint, pairs, config, stop=stop)
    with bar(1.0, "training", quiet=quiet) as progress:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                result: FineTuned = finished.value
                return result
            if isinstance(event, Validation):
                tell([_describe(event)], quiet=quiet)
                continue
            progress.set_postfix(
                refresh=False, step=event.step, loss=f"{event.loss:.3f}"
            )
            progress.update(min(1.0, _share(event, config)) - progress.n)


def _share(event: Step, config: FineTuneConfig) -> float:
    """Return how much of the training is over, by the limit that is nearer."""
    by_steps = event.step / config.steps if config.steps else 0.0
    by_time = event.seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(by_steps, by_time)


def _describe(event: Validation) -> str:
    mark = "  best so far" if event.best and event.step else ""
    return (
        f"step {event.step:6d}  {event.seconds:7.1f} s  validation: "
        f"IoU {event.iou:.3f}, loss {event.loss:.3f}{mark}"
    )


def _save(
    store: ModelStore, name: str, result: FineTuned, *, overwrite: bool
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
    try:
        return store.save(name, result.checkpoint, overwrite=overwrite)
    except CheckpointError:
        # Somebody took the name meanwhile.
        return store.save(store.free_name(name), result.checkpoint)
    except DataError as error:
        rescue = Path(store.free_name(name)).with_suffix(SUFFIX).absolute()
        result.checkpoint.save(rescue)
        raise DataError(f"{error}; the trained model is in {rescue} instead") from error


def _report(info: ModelInfo, result: FineTuned) -> None:
    state = "stopped early" if result.stopped else "complete"
    print(f"saved the model {info.name!r} in {info.path}")
    print(
        f"training {state}: {result.steps} steps, validation "
        f"IoU {result.before.iou:.3f} -> {result.after.iou:.3f}, "
        f"loss {result.before.loss:.3f} -> {result.after.loss:.3f}"
    )

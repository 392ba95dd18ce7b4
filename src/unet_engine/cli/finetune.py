"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.annotations.store import STROKES_VARIABLE
from unet_engine.cli.finetune_start import (
    add_start_options,
    architecture_of,
    start_fresh,
    start_from_parent,
)
from unet_engine.cli.image_options import (
    add_data_options,
    open_selected,
    read_labelled,
)
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option, tell
from unet_engine.cli.training_progress import (
    STOPPING,
    check_name,
    conclude,
    follow,
    model_name,
)
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.saved_strokes import find_strokes, painted_classes
from unet_engine.training.saving import folders_for_commands

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop
    from unet_engine.training.labelled_images import LabelledImage, PaintedImage
    from unet_engine.training.saved_strokes import SavedStrokes


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "finetune",
        help="train a model on images with labels",
        description="Train a model on images with labels or strokes: a fresh U-Net, or "
        "a copy of a model with --from. Ctrl-C ends the training and keeps the best "
        "weights. A training that finds nothing better saves nothing and ends with "
        "exit code 1.",
    )
    add_data_options(parser, required=False)
    parser.add_argument(
        "--strokes",
        type=parse_path,
        nargs="+",
        default=(),
        metavar="FOLDER|IMAGE",
        help="train on strokes that were painted in napari, with label images or "
        "without: images whose strokes are looked for, or a folder of strokes, all of "
        "which are taken unless there are images too (without a folder, images are "
        "looked for among the strokes that were saved on this computer, or where "
        f"{STROKES_VARIABLE} says)",
    )
    parser.add_argument(
        "--out",
        type=model_name,
        required=True,
        metavar="NAME",
        help="name of the new model",
    )
    add_start_options(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the model NAME when the training was complete and successful",
    )
    add_config_options(parser, FineTuneConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Train, and save what was learned.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the data cannot be used;
        after it when nothing was learned.
    """
    from unet_engine.training.rounds import Round, train_round

    _check_data(arguments)
    store = ModelStore()
    check_name(store, arguments)
    store.check_writable()
    info: ModelInfo | None = None
    parent: Checkpoint | None = None
    if arguments.parent is not None:
        info = store.info(arguments.parent)
        parent = Checkpoint.load(info.path)
    config = _choose_config(arguments, parent)
    with stop_on_interrupt(STOPPING) as stop:
        start, data = _prepare(arguments, parent, config, stop)
        training = Round(
            start=start,
            data=data,
            config=config,
            name=arguments.out,
            parent=info,
            old=parent,
            overwrite=arguments.overwrite,
            restarts=bool(arguments.strokes),
        )
        events = train_round(training, store, folders=folders_for_commands(), stop=stop)
        return conclude(follow(events, config, quiet=arguments.quiet), arguments)


def _check_data(arguments: argparse.Namespace) -> None:
    """Refuse a training on nothing, or on images whose labels are not named."""
    given = [arguments.images is not None, arguments.labels is not None]
    if not all(given) and (any(given) or not arguments.strokes):
        arguments.usage_error(
            "images and labels are needed: --images and --labels, or --strokes"
        )


def _choose_config(
    arguments: argparse.Namespace, parent: Checkpoint | None
) -> FineTuneConfig:
    """Return the settings of the network's recipe, and over it those of the options."""
    row = ARCHITECTURES[architecture_of(arguments, parent)]
    start = parent is not None and parent.is_start
    # Few strokes are learned from as in the window, all labels as the paper says.
    sparse = arguments.strokes or arguments.architecture
    transfer = start or arguments.imagenet or (parent is not None and sparse)
    # Steps that are asked for replace the default of the minutes.
    limits = {"minutes": 0.0} if "steps" in arguments else {}
    recipe = {**row.recipe_for(transfer=bool(transfer)), **limits}
    config: FineTuneConfig = config_from(arguments, FineTuneConfig, **recipe)
    return config


def _prepare(
    arguments: argparse.Namespace,
    parent: Checkpoint | None,
    config: FineTuneConfig,
    stop: Stop,
) -> tuple[Checkpoint, Sequence[LabelledImage | PaintedImage]]:
    """Return the model to start from and all that it will learn from."""
    strokes = _find_strokes(arguments)
    names = arguments.classes or (painted_classes(strokes) if strokes else None)
    start: Checkpoint | None = None
    if parent is not None and parent.spec.classes and not (strokes and parent.is_start):
        start = start_from_parent(arguments, parent, config.seed)
        names = start.spec.classes
    labelled = None
    if arguments.images is not None:
        labelled = read_labelled(arguments, names and ModelSpec(classes=names).classes)
    classes = names or (labelled.class_names if labelled else ())
    opened = [one.image for one in strokes]
    opened += [one.image for one in labelled.images] if labelled else []
    if start is None and parent is not None:
        start = start_from_parent(arguments, parent, config.seed, classes)
    elif start is None:
        start = start_fresh(arguments, opened, classes, config.seed, stop)
    if labelled is not None and not strokes:
        tell(labelled.rule.unused(start.spec.classes), quiet=arguments.quiet)
    painted = [one.in_classes(start.spec.classes) for one in strokes]
    return start, [*painted, *(labelled.images if labelled else ())]


def _find_strokes(arguments: argparse.Namespace) -> list[SavedStrokes]:
    found = find_strokes(
        arguments.strokes,
        lambda path, axes: open_selected(path, arguments, axes=axes),
    )
    tell(
        (
            f"the names of the classes were not saved with the strokes on "
            f"{one.image.name}: their values are those of the model's classes"
            for one in found
            if not one.names
        ),
        quiet=arguments.quiet,
    )
    return found

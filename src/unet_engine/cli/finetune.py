"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.cli.finetune_start import (
    add_start_options,
    architecture_of,
    start_fresh,
    start_from_parent,
)
from unet_engine.cli.image_options import add_data_options, read_labelled
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from
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
from unet_engine.training.saving import folders_for_commands

if TYPE_CHECKING:
    import argparse

    from unet_engine.cli.image_options import LabelledData
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop


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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, and save what was learned.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the data cannot be used;
        after it when nothing was learned.
    """
    from unet_engine.training.rounds import Round, train_round

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
            data=data.images,
            config=config,
            name=arguments.out,
            parent=info,
            old=parent,
            overwrite=arguments.overwrite,
        )
        events = train_round(training, store, folders=folders_for_commands(), stop=stop)
        return conclude(follow(events, config, quiet=arguments.quiet), arguments)


def _choose_config(
    arguments: argparse.Namespace, parent: Checkpoint | None
) -> FineTuneConfig:
    """Return the settings of the network's recipe, and over it those of the options."""
    row = ARCHITECTURES[architecture_of(arguments, parent)]
    start = parent is not None and parent.is_start
    transfer = start or arguments.imagenet or (parent and arguments.architecture)
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
) -> tuple[Checkpoint, LabelledData]:
    """Return the model to start from and all that it will learn from."""
    names = arguments.classes
    if parent is not None and parent.spec.classes:
        checkpoint = start_from_parent(arguments, parent, config.seed)
        data = read_labelled(arguments, checkpoint.spec.classes)
    else:
        data = read_labelled(arguments, names and ModelSpec(classes=names).classes)
        if parent is None:
            checkpoint = start_fresh(arguments, data, config.seed, stop)
        else:
            classes = names or data.class_names
            checkpoint = start_from_parent(arguments, parent, config.seed, classes)
    tell(data.rule.unused(checkpoint.spec.classes), quiet=arguments.quiet)
    return checkpoint, data

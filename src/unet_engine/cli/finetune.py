"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.cli.finetune_start import (
    add_start_options,
    architecture_of,
    start_fresh,
    start_from_parent,
)
from unet_engine.cli.image_options import add_data_options, read_labelled, read_pairs
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
from unet_engine.errors import DataError
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.config import FineTuneConfig

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.stopping import Stop
    from unet_engine.training.pairs import TrainingPair


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
    from unet_engine.models.starting import model_of_planes
    from unet_engine.training.fine_tuning import fine_tune
    from unet_engine.training.forgetting import check_forgetting
    from unet_engine.training.remembered_crops import load_remembered

    store = ModelStore()
    check_name(store, arguments)
    store.check_writable()
    parent: Checkpoint | None = None
    remembered: Sequence[TrainingPair] = ()
    if arguments.parent is not None:
        parent = store.load(arguments.parent)
        remembered = load_remembered(store.info(arguments.parent))
    row = ARCHITECTURES[architecture_of(arguments, parent)]
    start = parent is not None and parent.is_start
    transfer = start or arguments.imagenet or (parent and arguments.architecture)
    recipe = {**row.recipe, **(row.transfer_recipe if transfer else {})}
    # Steps that are asked for replace the default of the minutes.
    limits = {"minutes": 0.0} if "steps" in arguments else {}
    config = config_from(arguments, FineTuneConfig, **{**recipe, **limits})
    with stop_on_interrupt(STOPPING) as stop:
        checkpoint, pairs = _prepare(arguments, parent, config, stop)
        events = fine_tune(
            checkpoint,
            pairs,
            config,
            features_from=model_of_planes(store, checkpoint.spec.in_channels),
            stop=stop,
        )
        result = follow(events, config, quiet=arguments.quiet)
        result, kept = check_forgetting(
            result, parent or checkpoint, remembered, pairs, device=config.device
        )
        return conclude(result, store, arguments, crops=kept)


def _prepare(
    arguments: argparse.Namespace,
    parent: Checkpoint | None,
    config: FineTuneConfig,
    stop: Stop,
) -> tuple[Checkpoint, Sequence[TrainingPair]]:
    """Return the model to start from and all that it will learn from."""
    from unet_engine.training.pairs import recorded_pairs

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
    pairs = [
        pair
        for one in data.images
        for pair in read_pairs(one, checkpoint.spec, config, quiet=arguments.quiet)
    ]
    if not pairs:
        raise DataError(
            "no pixel of the chosen images is labelled; label some pixels of at least "
            "two classes"
        )
    pairs, note = recorded_pairs(pairs)
    tell(filter(None, [note]), quiet=arguments.quiet)
    return checkpoint, pairs

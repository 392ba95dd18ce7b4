"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.cli.data import add_data_options, read_labelled, read_pairs
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from
from unet_engine.cli.progress import add_quiet_option, bar
from unet_engine.cli.trainings import STOPPING, conclude, follow, model_name
from unet_engine.config import FineTuneConfig
from unet_engine.errors import DataError, SpecError
from unet_engine.spec import ARCHITECTURES, IGNORE, Architecture, ModelSpec
from unet_engine.store import ModelStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from unet_engine.cli.data import LabelledImage
    from unet_engine.dataset import TrainingPair
    from unet_engine.events import Stop
    from unet_engine.store import Checkpoint

_ADVICE = "label more pixels, train longer, or use another learning rate"


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
    parser.add_argument(
        "--from",
        dest="parent",
        metavar="MODEL",
        help="name or file of the model to start from: one to tune, one that was "
        "pretrained, or a coarser FCN for a finer --architecture (default: a fresh "
        "U-Net)",
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
        help="network of a new model, trained with the settings of its paper unless "
        f"others are given (default: that of --from, else {ModelSpec().architecture})",
    )
    parser.add_argument(
        "--imagenet",
        action="store_true",
        help="start an FCN from VGG-16 or AlexNet as trained on ImageNet; the weights "
        "are fetched once",
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
    return 2 in row.ndims


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
    from unet_engine.training import fine_tune

    store = ModelStore()
    store.check_name(arguments.out, overwrite=arguments.overwrite)
    store.check_writable()
    parent = None if arguments.parent is None else store.load(arguments.parent)
    row = ARCHITECTURES[_architecture(arguments, parent)]
    transfer = arguments.imagenet or (parent and arguments.architecture)
    recipe = {**row.recipe, **(row.transfer_recipe if transfer else {})}
    # Steps that are asked for replace the default of the minutes.
    limits = {"minutes": 0.0} if "steps" in arguments else {}
    config = config_from(arguments, FineTuneConfig, **{**recipe, **limits})
    with stop_on_interrupt(STOPPING) as stop:
        checkpoint, pairs = _prepare(arguments, parent, config, stop)
        events = fine_tune(checkpoint, pairs, config, stop=stop)
        result = follow(events, config, quiet=arguments.quiet)
        return conclude(result, store, arguments, advice=_ADVICE)


def _architecture(arguments: argparse.Namespace, parent: Checkpoint | None) -> str:
    """Return which network will be trained."""
    if arguments.architecture is not None:
        return str(arguments.architecture)
    # A model without classes only lends its weights.
    own = parent is not None and parent.spec.classes
    return parent.spec.architecture if parent and own else ModelSpec().architecture


def _prepare(
    arguments: argparse.Namespace,
    parent: Checkpoint | None,
    config: FineTuneConfig,
    stop: Stop,
) -> tuple[Checkpoint, Sequence[TrainingPair]]:
    """Return the model to start from and all that it will learn from."""
    names = arguments.classes
    if parent is not None and parent.spec.classes:
        checkpoint = _start_from(arguments, parent, config.seed)
        data = read_labelled(arguments, len(checkpoint.spec.classes))
    else:
        data = read_labelled(arguments, names and len(ModelSpec(classes=names).classes))
        classes = names or _class_names_of(data)
        if parent is None:
            spec = _fresh_spec(arguments, data, classes)
            checkpoint = _start_fresh(spec, arguments, config.seed, stop)
        else:
            checkpoint = _start_from(arguments, parent, config.seed, classes)
    pairs = [
        pair
        for one in data
        for pair in read_pairs(
            one, checkpoint.spec, config.border_weight, quiet=arguments.quiet
        )
    ]
    if not pairs:
        raise DataError(
            f"no pixel is labelled, all label values are {IGNORE}; "
            "label some pixels of at least two classes"
        )
    return checkpoint, pairs


def _start_from(
    arguments: argparse.Namespace,
    parent: Checkpoint,
    seed: int,
    classes: Sequence[str] | None = None,
) -> Checkpoint:
    """Tune the parent, or start another network from it."""
    from unet_engine.training import adapt_checkpoint
    from unet_engine.warm_starts import start_from

    if arguments.imagenet or {arguments.depth, arguments.width} != {None}:
        raise DataError(
            "--imagenet, --depth and --width are of a fresh model, and --from has its "
            "own weights and size; leave one of them out"
        )
    if parent.spec.ndim != 2:
        raise SpecError(
            f"{arguments.parent} works on volumes, and finetune trains on planes; "
            "start from a model for planes"
        )
    if parent.spec.classes:
        parent = adapt_checkpoint(parent, classes=arguments.classes)
    return start_from(parent, arguments.architecture, classes=classes, seed=seed)


def _start_fresh(
    spec: ModelSpec, arguments: argparse.Namespace, seed: int, stop: Stop
) -> Checkpoint:
    from unet_engine.training import start_checkpoint
    from unet_engine.warm_starts import start_imagenet

    if not arguments.imagenet:
        return start_checkpoint(spec, seed)
    with bar(1.0, "fetching ImageNet weights", quiet=arguments.quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.update(done / max(total, done) - progress.n)

        return start_imagenet(spec, seed, progress=show, stop=stop)


def _class_names_of(data: Sequence[LabelledImage]) -> tuple[str, ...]:
    """Name as many classes as the labels have."""
    count = 1 + max(
        int(one.target[one.target != IGNORE].max(initial=0)) for one in data
    )
    names = ModelSpec().classes
    if count <= len(names):
        return names
    return ("background", *(f"class {i}" for i in range(1, count)))


def _fresh_spec(
    arguments: argparse.Namespace,
    data: Sequence[LabelledImage],
    classes: Sequence[str],
) -> ModelSpec:
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
        classes=tuple(classes),
        **given,
    )

"""``napari-unet pretrain``: learn from images without labels."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.cli.batch import Batch, list_inputs
from unet_engine.cli.image_options import add_image_options, open_selected
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option
from unet_engine.cli.training_progress import (
    STOPPING,
    check_name,
    conclude,
    follow,
    model_name,
)
from unet_engine.errors import DataError
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.config import PretrainConfig
from unet_engine.training.saving import folders_for_commands, train_and_save

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "pretrain",
        help="learn from images without labels",
        description="Train a model to take the noise out of images, without labels. "
        "Where labels are few, a network that starts from it learns more from them: "
        "finetune --from NAME. And predict --model NAME writes denoised images. Noise "
        "must be independent from pixel to pixel; a pattern is taken for image.",
    )
    parser.add_argument(
        "images",
        type=parse_path,
        nargs="+",
        metavar="IMAGES",
        help="a file, a folder, a pattern such as 'day1/*.tif', or several",
    )
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
        help="name or file of a pretrained model to go on with",
    )
    spec = ModelSpec()
    parser.add_argument(
        "--depth", type=int, metavar="N", help=f"poolings (default: {spec.depth})"
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help=f"channels of the first level (default: {spec.width})",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the model NAME when the training was complete and successful",
    )
    add_image_options(parser)
    add_config_options(parser, PretrainConfig)
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, and save what was learned.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the images cannot be used;
        after it when nothing was learned.
    """
    from unet_engine.training.pretraining import iter_pretrain

    store = ModelStore()
    check_name(store, arguments)
    store.check_writable()
    limits = {"minutes": 0.0} if "steps" in arguments else {}
    config = config_from(arguments, PretrainConfig, **limits)
    paths, _ = list_inputs(arguments.images)
    batch = Batch(len(paths), "images", "learned from")
    images = []
    for path in paths:
        with batch.attempt(path):
            images.append(open_selected(path, arguments))
            batch.done += 1

    @contextmanager
    def attempt(image: Image) -> Iterator[None]:
        failed = len(batch.errors)
        with batch.attempt(Path(image.name)):
            yield
        batch.done -= len(batch.errors) - failed

    if not images:
        batch.conclude(quiet=True)
    checkpoint = _start(arguments, store, images, config.seed)
    with stop_on_interrupt(STOPPING) as stop:
        events = train_and_save(
            iter_pretrain(checkpoint, images, config, stop=stop, attempt=attempt),
            store,
            arguments.out,
            overwrite=arguments.overwrite,
            folders=folders_for_commands(),
        )
        try:
            trained = follow(events, config, quiet=arguments.quiet)
        except DataError:
            if batch.errors and not batch.done:
                return batch.conclude(quiet=True)
            raise
        code = conclude(trained, arguments)
    return code or batch.conclude(quiet=True)


def _start(
    arguments: argparse.Namespace,
    store: ModelStore,
    images: Sequence[Image],
    seed: int,
) -> Checkpoint:
    from unet_engine.models.starting import start_checkpoint

    size = {"depth": arguments.depth, "width": arguments.width}
    given = {name: value for name, value in size.items() if value is not None}
    if arguments.parent is None:
        # Grey and colour images together are all seen in grey.
        channels = min((image.channels for image in images), default=1)
        spec = ModelSpec(
            architecture="autoencoder", classes=(), in_channels=channels, **given
        )
        return start_checkpoint(spec, seed)
    if given:
        raise DataError(
            "--depth and --width are of a fresh model, and --from has its own; "
            "leave one of them out"
        )
    return store.load(arguments.parent)

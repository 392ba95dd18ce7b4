"""``napari-unet pretrain``: learn from images without labels."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unet_engine.cli.commands.training_progress import (
    STOPPING,
    check_name,
    conclude,
    follow,
)
from unet_engine.cli.files.batch import Batch
from unet_engine.cli.files.reading import open_selected
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.data import ImageOptions
from unet_engine.cli.options.parameters import (
    NETWORK,
    NO_SETTINGS,
    Settings,
    UserPath,
    parse_whole,
    settings_of,
)
from unet_engine.cli.options.training import TrainingOptions
from unet_engine.errors import DataError
from unet_engine.images.folders import list_inputs
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.config import PretrainConfig
from unet_engine.training.pretraining_start import (
    Purpose,
    start_spec,
    usual_settings,
)
from unet_engine.training.saving import folders_for_commands, train_and_save

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PretrainOptions(TrainingOptions, ImageOptions):
    """What a training without labels starts from.

    Parameters
    ----------
    parent
        Name or file of a pretrained model to go on with.
    purpose
        start: what a network of classes starts from. restore: a U-Net that takes noise
        out of images, kept only if it is better than filters; where they are not given
        it has 3 poolings, crops of 64 pixels, 8 in a step, and a learning rate of 5e-3.
    depth, width
        Poolings, and channels of the first level.
    """

    parent: Annotated[str | None, Parameter(name="--from", metavar="MODEL")] = None
    purpose: Annotated[
        Purpose | None, Parameter(help="What it is for; see below (default: start).")
    ] = None
    depth: Annotated[
        int | None,
        Parameter(
            help=f"Poolings (default: {ModelSpec().depth}).",
            group=NETWORK,
            metavar="N",
            converter=parse_whole,
        ),
    ] = None
    width: Annotated[
        int | None,
        Parameter(
            help=f"Channels of the first level (default: {ModelSpec().width}).",
            group=NETWORK,
            metavar="N",
            converter=parse_whole,
        ),
    ] = None


@settings_of(PretrainConfig, everyday=("device", "minutes", "steps"))
def run(
    *sources: Annotated[UserPath, Parameter(name="IMAGES", required=True)],
    options: PretrainOptions,
    settings: Settings = NO_SETTINGS,
) -> int:
    """Train a model on images without labels: a start, or one that removes noise.

    With --purpose restore, predict --model NAME then writes images without noise. It
    is compared with Gaussian filters and non-local means on pixels that none of them
    saw, and where one of these is better, nothing is saved and it is named. Otherwise
    a network of classes starts from it: finetune --from NAME. For that, --from general
    was better wherever both were measured.

    Parameters
    ----------
    sources
        A file, a folder, a pattern such as 'day1/*.tif', or several.
    options
        What the training starts from and leads to.
    settings
        How it learns.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the images cannot be used;
        after it when nothing was learned.

    Examples
    --------
    napari-unet pretrain stack.tif --purpose restore --out denoiser --minutes 10
    napari-unet pretrain 'day1/*.tif' --out tissue
    napari-unet pretrain 'day2/*.tif' --out more --from tissue
    """
    from unet_engine.training.pretraining import iter_pretrain

    store = ModelStore()
    check_name(store, options)
    store.check_writable()
    limits = {"minutes": 0.0} if "steps" in settings else {}
    parent = _parent(options, store)
    config = PretrainConfig(
        **{**usual_settings(_purpose(options, parent)), **limits, **settings}
    )
    paths, _ = list_inputs(sources)
    batch = Batch(len(paths), "images", "learned from")
    images = _open_images(paths, options, batch)

    @contextmanager
    def attempt(image: Image) -> Iterator[None]:
        failed = len(batch.errors)
        with batch.attempt(Path(image.name)):
            yield
        batch.done -= len(batch.errors) - failed

    if not images:
        batch.conclude(quiet=True)
    checkpoint = parent or _start(options, images, config.seed)
    with stop_on_interrupt(STOPPING) as stop:
        events = train_and_save(
            iter_pretrain(checkpoint, images, config, stop=stop, attempt=attempt),
            store,
            options.out,
            overwrite=options.overwrite,
            folders=folders_for_commands(),
        )
        try:
            trained = follow(events, config, quiet=options.quiet)
        except DataError:
            if batch.errors and not batch.done:
                return batch.conclude(quiet=True)
            raise
        code = conclude(trained, options)
    return code or batch.conclude(quiet=True)


def _open_images(
    paths: Sequence[Path], options: PretrainOptions, batch: Batch
) -> list[Image]:
    images = []
    for path in paths:
        with batch.attempt(path):
            images.append(open_selected(path, options))
            batch.done += 1
    return images


def _parent(options: PretrainOptions, store: ModelStore) -> Checkpoint | None:
    """Return the model to go on with, if one is given."""
    if options.parent is None:
        return None
    fresh = {
        "--depth": options.depth,
        "--width": options.width,
        "--purpose": options.purpose,
    }
    if given := [name for name, value in fresh.items() if value is not None]:
        raise DataError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} of a fresh "
            "model, and --from has its own; leave one of them out"
        )
    return store.load(options.parent)


def _purpose(options: PretrainOptions, parent: Checkpoint | None) -> Purpose:
    if parent is not None:
        return "restore" if parent.spec.restores else "start"
    return options.purpose or "start"


def _start(options: PretrainOptions, images: Sequence[Image], seed: int) -> Checkpoint:
    from unet_engine.models.starting import start_checkpoint

    purpose = _purpose(options, None)
    spec = start_spec(purpose, images, depth=options.depth, width=options.width)
    return start_checkpoint(spec, seed)

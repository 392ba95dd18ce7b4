"""``napari-unet pretrain``: learn from images without labels."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    depth, width
        Poolings, and channels of the first level.
    """

    parent: Annotated[str | None, Parameter(name="--from", metavar="MODEL")] = None
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
    """Train a model to take the noise out of images, without labels.

    Where labels are few, a network that starts from it learns more from them: finetune
    --from NAME. And predict --model NAME writes denoised images. Noise must be
    independent from pixel to pixel; a pattern is taken for image.

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
    napari-unet pretrain images/ --out denoiser --minutes 10
    napari-unet pretrain 'day1/*.tif' --out more --from denoiser
    """
    from unet_engine.training.pretraining import iter_pretrain

    store = ModelStore()
    check_name(store, options)
    store.check_writable()
    limits = {"minutes": 0.0} if "steps" in settings else {}
    config = PretrainConfig(**{**limits, **settings})
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
    checkpoint = _start(options, store, images, config.seed)
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


def _start(
    options: PretrainOptions,
    store: ModelStore,
    images: Sequence[Image],
    seed: int,
) -> Checkpoint:
    from unet_engine.models.starting import start_checkpoint

    size: dict[str, Any] = {"depth": options.depth, "width": options.width}
    given = {name: value for name, value in size.items() if value is not None}
    if options.parent is None:
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
    return store.load(options.parent)

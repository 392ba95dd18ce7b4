"""``napari-unet finetune``: train a model on a folder of images and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from unet_engine.annotations.store import STROKES_VARIABLE
from unet_engine.cli.commands.finetune_start import (
    architecture_of,
    start_fresh,
    start_from_parent,
)
from unet_engine.cli.commands.training_progress import (
    STOPPING,
    check_name,
    conclude,
    follow,
)
from unet_engine.cli.files.reading import open_selected, read_labelled
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options.data import DataOptions
from unet_engine.cli.options.parameters import (
    NO_SETTINGS,
    Flag,
    Settings,
    UserPath,
    parse_paths,
    settings_of,
)
from unet_engine.cli.options.training import StartOptions, TrainingOptions
from unet_engine.cli.progress import report
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.saved_strokes import find_strokes, painted_classes
from unet_engine.training.saving import folders_for_commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop
    from unet_engine.training.data.labelled_images import LabelledImage, PaintedImage
    from unet_engine.training.data.saved_strokes import SavedStrokes


def _check_data(kind: Any, options: FineTuneOptions) -> None:
    """Refuse a training on nothing, or on images whose labels are not named."""
    given = [options.images is not None, options.labels is not None]
    if not all(given) and (any(given) or not options.strokes):
        raise ValueError(
            "images and labels are needed: --images and --labels, or --strokes"
        )


@Parameter(name="*", validator=_check_data)
@dataclass(frozen=True, kw_only=True)
class FineTuneOptions(StartOptions, TrainingOptions, DataOptions):
    """What is learned from, and what a training starts from and leads to."""

    strokes: Annotated[
        tuple[UserPath, ...],
        Parameter(
            help="Train on strokes that were painted in napari, with label images or "
            "without: images whose strokes are looked for, a list of images (a file "
            "that ends in .unet), or a folder of strokes, all "
            "of which are taken unless there are images too (without a folder, images "
            "are looked for among the strokes that were saved on this computer, or "
            f"in the folder that {STROKES_VARIABLE} names).",
            converter=parse_paths,
            consume_multiple=True,
            metavar="FOLDER|IMAGE|LIST.unet",
            show_default=False,
        ),
    ] = ()
    resume: Annotated[
        Flag,
        Parameter(
            help="Go on with a training of the same name, data and settings whose "
            "process was killed, from where it was at most 30 seconds before.",
        ),
    ] = False


@settings_of(FineTuneConfig, everyday=("device", "minutes", "steps"))
def run(*, options: FineTuneOptions, settings: Settings = NO_SETTINGS) -> int:
    """Train a model on images with labels or strokes.

    The model is a fresh U-Net, or a copy of another one with --from.

    Ctrl-C ends the training and keeps the best weights. A training that finds nothing
    better saves nothing and ends with exit code 1.

    Parameters
    ----------
    options
        What is learned from, and what the training starts from.
    settings
        How it learns.

    Raises
    ------
    EngineError
        Before the training when it could not be saved or the data cannot be used;
        after it when nothing was learned.

    Examples
    --------
    napari-unet finetune --images a/ --labels b/ --from nuclei --out mine
    napari-unet finetune --strokes slide.tif --from nuclei --out mine
    napari-unet finetune --images a/ --labels b/ --out new --classes gap,cell
    """
    from unet_engine.models.adaptation import check_tunable
    from unet_engine.training.rounds import Round, train_round

    store = ModelStore()
    check_name(store, options)
    store.check_writable()
    info: ModelInfo | None = None
    parent: Checkpoint | None = None
    if options.parent is not None:
        info = store.info(options.parent)
        parent = Checkpoint.load(info.path)
        check_tunable(parent)
    config = _choose_config(options, settings, parent)
    with stop_on_interrupt(STOPPING) as stop:
        start, data = _prepare(options, parent, config, stop)
        training = Round(
            start=start,
            data=data,
            config=config,
            name=options.out,
            parent=info,
            old=parent,
            overwrite=options.overwrite,
            restarts=bool(options.strokes),
            resumes=options.resume,
        )
        events = train_round(training, store, folders=folders_for_commands(), stop=stop)
        return conclude(follow(events, config, quiet=options.quiet), options)


def _choose_config(
    options: FineTuneOptions, settings: Settings, parent: Checkpoint | None
) -> FineTuneConfig:
    """Return the settings of the network's recipe, and over it those of the options."""
    row = ARCHITECTURES[architecture_of(options, parent)]
    start = parent is not None and parent.is_start
    # From strokes a model is tuned as in the window, from whole labels as in its paper.
    tuned = parent is not None and parent.trained and options.strokes
    other = parent is not None and options.architecture
    transfer = start or options.imagenet or tuned or other
    # Steps that are set replace the default of the minutes.
    limits = {"minutes": 0.0} if "steps" in settings else {}
    recipe = row.recipe_for(transfer=bool(transfer))
    return FineTuneConfig(**{**recipe, **limits, **settings})


def _prepare(
    options: FineTuneOptions,
    parent: Checkpoint | None,
    config: FineTuneConfig,
    stop: Stop,
) -> tuple[Checkpoint, Sequence[LabelledImage | PaintedImage]]:
    """Return the model to start from and all that it will learn from."""
    strokes = _find_strokes(options)
    names = options.classes or (painted_classes(strokes) if strokes else None)
    start: Checkpoint | None = None
    if parent is not None and parent.spec.classes and not (strokes and parent.is_start):
        start = start_from_parent(options, parent, config.seed)
        names = start.spec.classes
    labelled = None
    if options.images is not None:
        labelled = read_labelled(options, names and ModelSpec(classes=names).classes)
    classes = names or (labelled.class_names if labelled else ())
    opened = [one.image for one in strokes]
    opened += [one.image for one in labelled.images] if labelled else []
    if start is None and parent is not None:
        start = start_from_parent(options, parent, config.seed, classes)
    elif start is None:
        start = start_fresh(options, opened, classes, config.seed, stop)
    if labelled is not None and not strokes:
        report(labelled.rule.unused(start.spec.classes), quiet=options.quiet)
    painted = [one.in_classes(start.spec.classes) for one in strokes]
    return start, [*painted, *(labelled.images if labelled else ())]


def _find_strokes(options: FineTuneOptions) -> list[SavedStrokes]:
    found = find_strokes(
        options.strokes,
        lambda path, axes: open_selected(path, options, axes=axes),
    )
    report(
        (
            f"the names of the classes were not saved with the strokes on "
            f"{one.image.name}: their values are those of the model's classes"
            for one in found
            if not one.names
        ),
        quiet=options.quiet,
    )
    return found

"""``napari-unet predict``: one image or a folder of them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from unet_engine.cli.batch import Batch
from unet_engine.cli.image_options import add_image_options, open_selected
from unet_engine.cli.interrupts import stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.outputs import Inputs
from unet_engine.cli.predict_files import (
    LABEL_SUFFIXES,
    LARGE_SUFFIXES,
    TIFF_SUFFIXES,
    Task,
    check_fits,
    check_task,
    plan_tasks,
)
from unet_engine.cli.progress import add_quiet_option, bar, tell
from unet_engine.errors import DataError, EngineError
from unet_engine.generators import drain
from unet_engine.images import (
    ZARR_SUFFIX,
    write_labels,
    write_pixels,
    write_probabilities,
)
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.events import Denoised

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.events import Prediction, TileDone
    from unet_engine.stopping import Stop

_LARGE_BYTES = 2**26
"""Results from here on go to disk tile by tile."""

_Result = TypeVar("_Result", "Prediction", "Denoised")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="segment an image or a folder of images",
        description="Segment an image, or all images of a folder, and write label "
        "images of the same names; or denoised ones with a pretrained model. An image "
        "that fails is named, and the others are done; the exit code is then 1. "
        "Nothing that exists is replaced without --overwrite. An interrupted run to a "
        ".zarr, or to a large .tif, goes on when the same command is given again.",
    )
    parser.add_argument(
        "images",
        type=parse_path,
        nargs="+",
        metavar="IMAGE",
        help="a file, a .zarr, a folder, a pattern such as 'day1/*.tif', or several",
    )
    parser.add_argument(
        "out",
        type=parse_path,
        nargs="?",
        metavar="OUT",
        help="label image to write (.tif, .png, .ome.zarr), or the folder for several; "
        "the last of the names unless -o gives it",
    )
    parser.add_argument(
        "-o", "--output", type=parse_path, metavar="OUT", help="the same as OUT"
    )
    parser.add_argument(
        "--model", default="nuclei", help="name or file (default: nuclei)"
    )
    parser.add_argument(
        "--probabilities",
        type=parse_path,
        metavar="OUT2",
        dest="probabilities_out",
        help="also write the probability of every class (.tif, .ome.zarr, or a folder)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="skip images whose results are there, and go on with an unfinished one",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace results that are there, and start unfinished ones anew; together "
        "with --resume go on with these",
    )
    add_image_options(parser)
    add_config_options(parser, PredictConfig, without=("probabilities",))
    add_quiet_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict; the images of a folder that cannot be are reported and passed over.

    Raises
    ------
    EngineError
        When the only image cannot be predicted, or the results not be written.
    """
    config = config_from(
        arguments, PredictConfig, probabilities=arguments.probabilities_out is not None
    )
    checkpoint = ModelStore().load(arguments.model)
    if not checkpoint.spec.classes and config.probabilities:
        raise DataError(
            f"{arguments.model} restores images and has no classes; "
            "leave --probabilities out"
        )
    suffixes = LABEL_SUFFIXES if checkpoint.spec.classes else TIFF_SUFFIXES
    sources, out = _places(arguments)
    tasks = plan_tasks(sources, out, arguments.probabilities_out, suffixes=suffixes)
    _tell_renamed(tasks, quiet=arguments.quiet)
    inputs = Inputs(task.image for task in tasks)
    batch = Batch(len(tasks), "images", "segmented")
    skipping = arguments.resume and not arguments.overwrite
    with stop_on_interrupt("stopping") as stop:
        for number, task in enumerate(tasks):
            title = task.image.name
            if len(tasks) > 1:
                title = f"{number + 1}/{len(tasks)} {title}"
            if stop():
                return batch.stopped()
            with batch.attempt(task.image):
                if skipping and not task.clash and task.is_finished:
                    batch.skip(task.labels, quiet=arguments.quiet)
                    continue
                check_task(task, inputs, suffixes, overwrite=arguments.overwrite)
                try:
                    if not _run_task(task, title, checkpoint, config, stop, arguments):
                        return batch.stopped()
                except KeyboardInterrupt:
                    return batch.stopped()
                batch.done += 1
    return batch.conclude(quiet=arguments.quiet)


def _tell_renamed(tasks: Sequence[Task], *, quiet: bool) -> None:
    tell(
        (
            f"{task.image.name}: another image has the same name without suffix, so "
            f"the result is {task.labels.name}"
            for task in tasks
            if task.is_renamed
        ),
        quiet=quiet,
    )


def _run_task(
    task: Task,
    title: str,
    checkpoint: Checkpoint,
    config: PredictConfig,
    stop: Stop,
    arguments: argparse.Namespace,
) -> bool:
    """Predict one image and write the results; False when it was stopped."""
    from unet_engine.prediction.denoising import iter_denoise
    from unet_engine.prediction.segmentation import iter_predict

    image = open_selected(task.image, arguments)
    check_fits(task.labels, image)
    result: Prediction | Denoised
    if not checkpoint.spec.classes:
        result = _drain_behind_bar(
            iter_denoise(image, checkpoint, config, stop=stop), title, arguments
        )
    else:
        into = _disk_results(task, image, checkpoint, config, arguments)
        run = iter_predict(image, checkpoint, config, stop=stop, into=into)
        if into is not None:
            return _run_to_disk(run, into, task, title, arguments)
        result = _drain_behind_bar(run, title, arguments)
    if not result.complete:
        return False
    _write(task, image, checkpoint, result)
    _report(task, title, result, arguments)
    return True


def _disk_results(
    task: Task,
    image: Image,
    checkpoint: Checkpoint,
    config: PredictConfig,
    arguments: argparse.Namespace,
) -> DiskOutput | None:
    """Return where results go tile by tile, if they are large or an OME-Zarr."""
    paths = [path for path in (task.labels, task.probabilities) if path is not None]
    suffixes = {path.suffix.lower() for path in paths}
    pixels = prod((*image.leading_shape, *image.plane_shape))
    nbytes = pixels * (1 + 4 * len(checkpoint.spec.classes) * config.probabilities)
    if ZARR_SUFFIX not in suffixes and nbytes < _LARGE_BYTES:
        return None
    if not suffixes <= set(LARGE_SUFFIXES):
        if ZARR_SUFFIX not in suffixes:
            return None
        raise DataError(
            f"{task.labels} is kept in memory and {task.probabilities} is not; "
            "write both to .tif or .ome.zarr"
        )
    return DiskOutput(*paths, overwrite=arguments.overwrite, resume=arguments.resume)


def _goes_on(arguments: argparse.Namespace) -> str:
    """Return which command goes on at finished tiles."""
    if arguments.overwrite and not arguments.resume:
        return "the same command with --resume, too, goes on there"
    return "the same command goes on there"


def _run_to_disk(
    run: Generator[TileDone, None, Prediction],
    into: DiskOutput,
    task: Task,
    title: str,
    arguments: argparse.Namespace,
) -> bool:
    """Drain a run that writes as it goes; False when it was stopped."""
    try:
        result = _drain_behind_bar(run, title, arguments)
    except EngineError as error:
        if into.unfinished is None:
            raise
        raise type(error)(
            f"{error}; finished tiles are kept in {into.unfinished}; "
            f"{_goes_on(arguments)}"
        ) from error
    except KeyboardInterrupt:
        return _report_kept(into, title, arguments)
    if not result.complete:
        return _report_kept(into, title, arguments)
    _report(task, title, result, arguments)
    return True


def _report_kept(into: DiskOutput, title: str, arguments: argparse.Namespace) -> bool:
    if into.unfinished is not None:
        tell(
            [
                f"{title}: finished tiles are kept in {into.unfinished}; "
                f"{_goes_on(arguments)}"
            ]
        )
    return False


def _report(
    task: Task, title: str, result: Prediction | Denoised, arguments: argparse.Namespace
) -> None:
    tell((f"{title}: {note}" for note in result.notes), quiet=arguments.quiet)
    print(f"{task.labels} ({result.seconds:.1f} s on {result.device})")


def _places(arguments: argparse.Namespace) -> tuple[list[Path], Path]:
    """Return what is read, and where the result goes."""
    names: list[Path] = [*arguments.images]
    if arguments.out is not None:
        names.append(arguments.out)
    out: Path | None = arguments.output
    if out in names or (out is None and len(names) == 1):
        raise DataError(
            "state once where the result goes, as OUT after the image or with --output"
        )
    if out is not None:
        return names, out
    sources, out = names[:-1], names[-1]
    if len(sources) > 1 and out.is_file():
        raise DataError(
            f"{out} is a file, and the results of several images go to a folder; "
            "name the folder last, or with -o"
        )
    return sources, out


def _write(
    task: Task, image: Image, checkpoint: Checkpoint, result: Prediction | Denoised
) -> None:
    if isinstance(result, Denoised):
        write_pixels(task.labels, result.image, image=image)
        return
    if task.probabilities is not None and result.probabilities is not None:
        write_probabilities(
            task.probabilities,
            result.probabilities,
            image=image,
            classes=checkpoint.spec.classes,
        )
    write_labels(task.labels, result.labels, image=image, replaceable=True)


def _drain_behind_bar(
    run: Generator[Any, None, _Result], title: str, arguments: argparse.Namespace
) -> _Result:
    """Run a prediction behind a progress bar."""
    with bar(1, title, quiet=arguments.quiet) as progress:

        def show(event: Any) -> None:
            progress.total = event.total
            progress.update(event.done - progress.n)

        return drain(run, show)

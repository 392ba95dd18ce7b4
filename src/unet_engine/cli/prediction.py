"""``napari-unet predict``: one image or a folder of them."""

from __future__ import annotations

import sys
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar, cast

from unet_engine.cli.data import add_image_options, open_selected
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option, bar, tell
from unet_engine.cli.tasks import (
    LABEL_SUFFIXES,
    LARGE_SUFFIXES,
    TIFF_SUFFIXES,
    Task,
    check_fits,
    plan_tasks,
)
from unet_engine.config import PredictConfig
from unet_engine.disk_results import DiskResults
from unet_engine.errors import DataError, EngineError
from unet_engine.events import Denoised
from unet_engine.images import (
    ZARR_SUFFIX,
    write_labels,
    write_pixels,
    write_probabilities,
)
from unet_engine.store import ModelStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator
    from pathlib import Path

    from unet_engine.events import Prediction, Stop, TileDone
    from unet_engine.images import Image
    from unet_engine.store import Checkpoint

_LARGE_BYTES = 2**26
"""Results from here on go to disk tile by tile."""

_Result = TypeVar("_Result", "Prediction", "Denoised")


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="segment an image or a folder of images",
        description="Segment an image, or all images of a folder, and write label "
        "images of the same names; or denoised ones with a pretrained model. Files "
        "that exist are replaced when the new ones are complete, a .zarr only with "
        "--overwrite. An interrupted run to a .zarr, or to a large .tif, goes on when "
        "the same command is given again.",
    )
    parser.add_argument(
        "image", type=parse_path, metavar="IMAGE", help="a file, a .zarr or a folder"
    )
    parser.add_argument(
        "out",
        type=parse_path,
        nargs="?",
        metavar="OUT",
        help="label image to write (.tif, .png, .ome.zarr), or a folder for a folder",
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
        help="go on with an interrupted run, which also happens without it; of a run "
        "that is finished say so and do nothing",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="delete a .zarr or an unfinished run that is there, and start anew",
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
    tasks = plan_tasks(
        arguments.image,
        _output(arguments),
        arguments.probabilities_out,
        suffixes=LABEL_SUFFIXES if checkpoint.spec.classes else TIFF_SUFFIXES,
    )
    failed = 0
    with stop_on_interrupt("stopping") as stop:
        for number, task in enumerate(tasks):
            title = task.image.name
            if len(tasks) > 1:
                title = f"{number + 1}/{len(tasks)} {title}"
            try:
                if not _run_task(task, title, checkpoint, config, stop, arguments):
                    return _report_stop(number - failed, len(tasks))
            except EngineError as error:
                if len(tasks) == 1:
                    raise
                failed += 1
                tell([f"napari-unet: error: {_named(task.image.name, str(error))}"])
    if failed:
        raise DataError(f"{failed} of {len(tasks)} images could not be segmented")
    return 0


def _run_task(
    task: Task,
    title: str,
    checkpoint: Checkpoint,
    config: PredictConfig,
    stop: Stop,
    arguments: argparse.Namespace,
) -> bool:
    """Predict one image and write the results; False when it was stopped."""
    from unet_engine.denoising import iter_denoise
    from unet_engine.inference import iter_predict

    image = open_selected(task.image, arguments)
    check_fits(task.labels, image)
    result: Prediction | Denoised
    if not checkpoint.spec.classes:
        result = _drain(
            iter_denoise(image, checkpoint, config, stop=stop), title, arguments
        )
    else:
        into = _disk_results(task, image, checkpoint, config, arguments)
        run = iter_predict(image, checkpoint, config, stop=stop, into=into)
        if into is not None:
            return _run_to_disk(run, into, task, title, arguments)
        result = _drain(run, title, arguments)
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
) -> DiskResults | None:
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
    return DiskResults(*paths, overwrite=arguments.overwrite, resume=arguments.resume)


def _run_to_disk(
    run: Generator[TileDone, None, Prediction],
    into: DiskResults,
    task: Task,
    title: str,
    arguments: argparse.Namespace,
) -> bool:
    """Drain a run that writes as it goes; False when it was stopped."""
    try:
        result = _drain(run, title, arguments)
    except EngineError as error:
        if into.unfinished is None:
            raise
        raise type(error)(
            f"{error}; finished tiles are kept in {into.unfinished}"
        ) from (error)
    except KeyboardInterrupt:
        return _report_kept(into, title)
    if not result.complete:
        return _report_kept(into, title)
    _report(task, title, result, arguments)
    return True


def _report_kept(into: DiskResults, title: str) -> bool:
    if into.unfinished is not None:
        tell(
            [
                f"{title}: finished tiles are kept in {into.unfinished}; "
                "the same command goes on there"
            ]
        )
    return False


def _report(
    task: Task, title: str, result: Prediction | Denoised, arguments: argparse.Namespace
) -> None:
    tell((f"{title}: {note}" for note in result.notes), quiet=arguments.quiet)
    print(f"{task.labels} ({result.seconds:.1f} s on {result.device})")


def _output(arguments: argparse.Namespace) -> Path:
    given = [path for path in (arguments.out, arguments.output) if path is not None]
    if len(given) != 1:
        raise DataError(
            "state once where the result goes, as OUT after the image or as --output"
        )
    path: Path = given[0]
    return path


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
    write_labels(task.labels, result.labels, image=image)


def _report_stop(written: int, total: int) -> int:
    what = f"{written} of {total} images were" if written else "nothing was"
    print(f"napari-unet: stopped, {what} written", file=sys.stderr)
    return INTERRUPTED


def _named(name: str, message: str) -> str:
    return message if name in message else f"{name}: {message}"


def _drain(
    run: Generator[Any, None, _Result], title: str, arguments: argparse.Namespace
) -> _Result:
    """Run a prediction behind a progress bar."""
    with bar(1, title, quiet=arguments.quiet) as progress:
        while True:
            try:
                event = next(run)
            except StopIteration as finished:
                return cast("_Result", finished.value)
            progress.total = event.total
            progress.update(event.done - progress.n)

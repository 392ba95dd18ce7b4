"""``napari-unet predict``: one image or a folder of them."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from unet_engine.cli.data import add_image_options, open_selected
from unet_engine.cli.interrupts import INTERRUPTED, stop_on_interrupt
from unet_engine.cli.options import add_config_options, config_from, parse_path
from unet_engine.cli.progress import add_quiet_option, bar, tell
from unet_engine.config import PredictConfig
from unet_engine.errors import DataError, EngineError
from unet_engine.events import Denoised
from unet_engine.images import (
    IMAGE_SUFFIXES,
    list_images,
    write_labels,
    write_pixels,
    write_probabilities,
)
from unet_engine.store import ModelStore
from unet_engine.writing import check_writable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.events import Prediction, Stop, TileDenoised, TileDone
    from unet_engine.images import Image
    from unet_engine.store import Checkpoint

_LABEL_SUFFIXES = (".tif", ".tiff", ".png")
_TIFF_SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An image and where its results go."""

    image: Path
    labels: Path
    probabilities: Path | None


def add_parser(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="segment an image or a folder of images",
        description="Segment an image, or all images of a folder, and write label "
        "images of the same names; or denoised ones with a pretrained model. Results "
        "that exist are replaced when the new ones are complete.",
    )
    parser.add_argument(
        "image", type=parse_path, metavar="IMAGE", help="a file or a folder"
    )
    parser.add_argument(
        "out",
        type=parse_path,
        metavar="OUT",
        help="label image to write (.tif, .png), or a folder for a folder",
    )
    parser.add_argument(
        "--model", default="nuclei", help="name or file (default: nuclei)"
    )
    parser.add_argument(
        "--probabilities",
        type=parse_path,
        metavar="OUT2",
        dest="probabilities_out",
        help="also write the probability of every class (.tif, or a folder)",
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
        arguments.out,
        arguments.probabilities_out,
        suffixes=_LABEL_SUFFIXES if checkpoint.spec.classes else _TIFF_SUFFIXES,
    )
    failed = 0
    with stop_on_interrupt("stopping; this image is not written") as stop:
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
    _check_fits(task.labels, image)
    run = iter_predict if checkpoint.spec.classes else iter_denoise
    events = run(image, checkpoint, config, stop=stop)
    result = _drain(events, title, quiet=arguments.quiet)
    if not result.complete:
        return False
    _write(task, image, checkpoint, result)
    tell((f"{title}: {note}" for note in result.notes), quiet=arguments.quiet)
    print(f"{task.labels} ({result.seconds:.1f} s on {result.device})")
    return True


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


def plan_tasks(
    source: Path,
    out: Path,
    probabilities: Path | None,
    *,
    suffixes: Sequence[str] = _LABEL_SUFFIXES,
) -> tuple[Task, ...]:
    """Decide what is written where, and make sure that it can be.

    Parameters
    ----------
    source
        An image file or a folder.
    out, probabilities
        Files for a file, folders for a folder; a folder is made when it is missing.
    suffixes
        That the results may have.

    Raises
    ------
    DataError
        When results would replace an image or each other, have a suffix that cannot
        be written, or the folder is read-only.
    """
    if source.is_dir():
        tasks = _folder_tasks(source, out, probabilities, suffixes)
        for folder in filter(None, (out, probabilities)):
            _make_folder(folder)
    else:
        labels = out / source.with_suffix(".tif").name if out.is_dir() else out
        tasks = (Task(image=source, labels=labels, probabilities=probabilities),)
    _check_apart(tasks)
    for task in tasks:
        _check_suffix(task.labels, suffixes)
        check_writable(task.labels)
        if task.probabilities is not None:
            _check_suffix(task.probabilities, _TIFF_SUFFIXES)
            check_writable(task.probabilities)
    return tasks


def _folder_tasks(
    source: Path, out: Path, probabilities: Path | None, suffixes: Sequence[str]
) -> tuple[Task, ...]:
    tasks = []
    for image in list_images(source):
        # JPEG would change the labels, so these become TIFF.
        keep = image.suffix.lower() in suffixes
        name = image.name if keep else image.with_suffix(".tif").name
        tiff = image.with_suffix(".tif").name
        tasks.append(
            Task(
                image=image,
                labels=out / name,
                probabilities=probabilities and probabilities / tiff,
            )
        )
    return tuple(tasks)


def _make_folder(folder: Path) -> None:
    if folder.suffix.lower() in IMAGE_SUFFIXES and not folder.exists():
        raise DataError(
            f"the images are a folder and {folder} is the name of a file; "
            "give a folder for the results"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be made: {error.strerror}; choose another one"
        ) from error


def _check_apart(tasks: Sequence[Task]) -> None:
    outputs = [t.labels.resolve() for t in tasks]
    outputs += [t.probabilities.resolve() for t in tasks if t.probabilities]
    if images := {t.image.resolve() for t in tasks} & set(outputs):
        raise DataError(
            f"the result would replace the image {sorted(images)[0]}; "
            "write it to another place"
        )
    path, times = Counter(outputs).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{times} results would be written to {path}; give them different names"
        )


def _check_suffix(path: Path, allowed: Sequence[str]) -> None:
    if path.suffix.lower() not in allowed:
        raise DataError(
            f"{path} is no name for this result; let it end in {' or '.join(allowed)}"
        )


def _check_fits(path: Path, image: Image) -> None:
    if path.suffix.lower() not in _TIFF_SUFFIXES and image.leading_shape:
        raise DataError(
            f"{path} holds one plane and the image is a stack "
            f"({image.leading_axes}YX); write it to a .tif"
        )


def _drain(
    run: Generator[TileDone | TileDenoised, None, Prediction | Denoised],
    title: str,
    *,
    quiet: bool,
) -> Prediction | Denoised:
    """Run a prediction behind a progress bar."""
    with bar(1, title, quiet=quiet) as progress:
        while True:
            try:
                event = next(run)
            except StopIteration as finished:
                return cast("Prediction | Denoised", finished.value)
            progress.total = event.total
            progress.update(event.done - progress.n)

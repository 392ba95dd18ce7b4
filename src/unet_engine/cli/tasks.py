"""What ``napari-unet predict`` writes where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images import IMAGE_SUFFIXES, ZARR_SUFFIX, is_zarr, list_images
from unet_engine.writing import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unet_engine.images import Image

TIFF_SUFFIXES = (".tif", ".tiff")
LARGE_SUFFIXES = (*TIFF_SUFFIXES, ZARR_SUFFIX)
LABEL_SUFFIXES = (*LARGE_SUFFIXES, ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An image and where its results go."""

    image: Path
    labels: Path
    probabilities: Path | None


def plan_tasks(
    source: Path,
    out: Path,
    probabilities: Path | None,
    *,
    suffixes: Sequence[str] = LABEL_SUFFIXES,
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
    if source.is_dir() and not is_zarr(source):
        tasks = _folder_tasks(source, out, probabilities, suffixes)
        for folder in filter(None, (out, probabilities)):
            _make_folder(folder)
    else:
        into_folder = out.is_dir() and out.suffix.lower() != ZARR_SUFFIX
        labels = out / source.with_suffix(".tif").name if into_folder else out
        tasks = (Task(image=source, labels=labels, probabilities=probabilities),)
    _check_apart(tasks)
    for task in tasks:
        _check_suffix(task.labels, suffixes)
        _check_place(task.labels)
        if task.probabilities is not None:
            _check_suffix(task.probabilities, LARGE_SUFFIXES)
            _check_place(task.probabilities)
    return tasks


def _check_place(path: Path) -> None:
    check_writable(path, folder=path.suffix.lower() == ZARR_SUFFIX)


def _folder_tasks(
    source: Path, out: Path, probabilities: Path | None, suffixes: Sequence[str]
) -> tuple[Task, ...]:
    tasks = []
    for image in list_images(source):
        # JPEG would change the labels, so these become TIFF.
        keep = image.suffix.lower() in suffixes
        name = image.name if keep else image.with_suffix(".tif").name
        keep_as = ZARR_SUFFIX if image.suffix.lower() == ZARR_SUFFIX else ".tif"
        maps = image.with_suffix(keep_as).name
        tasks.append(
            Task(
                image=image,
                labels=out / name,
                probabilities=probabilities and probabilities / maps,
            )
        )
    return tuple(tasks)


def _make_folder(folder: Path) -> None:
    suffixes = (*IMAGE_SUFFIXES, ZARR_SUFFIX)
    if folder.suffix.lower() in suffixes and not folder.exists():
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
    sources = [t.image.resolve() for t in tasks]
    # An image in a zarr that is deleted is gone as well.
    if images := {s for s in sources if {s, *s.parents} & set(outputs)}:
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


def check_fits(path: Path, image: Image) -> None:
    """Make sure that a result file can hold a stack.

    Raises
    ------
    DataError
        When it holds a plane and the image is a stack.
    """
    if path.suffix.lower() not in LARGE_SUFFIXES and image.leading_shape:
        raise DataError(
            f"{path} holds one plane and the image is a stack "
            f"({image.leading_axes}YX); write it to a .tif or .ome.zarr"
        )

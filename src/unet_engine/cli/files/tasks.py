"""What ``napari-unet predict`` writes where."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unet_engine.cli.files.outputs import (
    check_free,
    check_place,
    check_suffix,
    is_zarr_name,
    make_folder,
)
from unet_engine.errors import DataError
from unet_engine.images import ZARR_SUFFIX, is_zarr
from unet_engine.images.folders import list_inputs, name_in_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unet_engine.files.inputs import Inputs
    from unet_engine.images import Image

TIFF_SUFFIXES = (".tif", ".tiff")
LARGE_SUFFIXES = (*TIFF_SUFFIXES, ZARR_SUFFIX)
LABEL_SUFFIXES = (*LARGE_SUFFIXES, ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An image and where its results go.

    Attributes
    ----------
    image, labels, probabilities
        Files, or zarrs.
    clash
        Another image that has the same result, or None.
    is_renamed
        The results have a longer name, as another image has the same one.
    """

    image: Path
    labels: Path
    probabilities: Path | None
    clash: Path | None = None
    is_renamed: bool = False

    @property
    def outputs(self) -> tuple[Path, ...]:
        """What is written."""
        return tuple(filter(None, (self.labels, self.probabilities)))

    @property
    def is_finished(self) -> bool:
        """Whether all is there; a zarr may be there and unfinished."""
        return all(path.exists() and not is_zarr_name(path) for path in self.outputs)


def plan_tasks(
    sources: Sequence[Path],
    out: Path,
    probabilities: Path | None,
    *,
    suffixes: Sequence[str] = LABEL_SUFFIXES,
) -> tuple[Task, ...]:
    """Decide what is written where.

    Parameters
    ----------
    sources
        Image files, folders of them, patterns.
    out, probabilities
        Files for a file, folders for several; a folder is made when it is missing. A
        name without a suffix is that of a folder.
    suffixes
        That the results may have.

    Raises
    ------
    DataError
        When there is no image, or the folder cannot be made or is that of the images.
    """
    images, several = list_inputs(sources)
    if not several:
        image = images[0]
        for place in filter(None, (out, probabilities)):
            if is_zarr_name(place):
                continue
            if not place.suffix and not os.path.lexists(place):
                make_folder(place, ())
        return (
            Task(
                image=image,
                labels=_file_in(out, image),
                probabilities=probabilities and _file_in(probabilities, image),
            ),
        )
    folders = [path for path in sources if path.is_dir() and path not in images]
    for folder in filter(None, (out, probabilities)):
        make_folder(folder, folders)
    return tuple(_apart([_task(i, out, probabilities, suffixes) for i in images]))


def _file_in(out: Path, image: Path) -> Path:
    into_folder = out.is_dir() and not is_zarr(out)
    if not into_folder:
        return out
    return out / f"{name_in_zarr(image) or image.stem}.tif"


def _task(
    image: Path, out: Path, probabilities: Path | None, suffixes: Sequence[str]
) -> Task:
    if (inside := name_in_zarr(image)) is not None:
        return Task(
            image=image,
            labels=out / f"{inside}.tif",
            probabilities=probabilities and probabilities / f"{inside}.tif",
        )
    # JPEG would change the labels, so these become TIFF.
    keep = image.suffix.lower() in suffixes
    name = image.name if keep else image.with_suffix(".tif").name
    keep_as = ZARR_SUFFIX if image.suffix.lower() == ZARR_SUFFIX else ".tif"
    maps = image.with_suffix(keep_as).name
    return Task(
        image=image,
        labels=out / name,
        probabilities=probabilities and probabilities / maps,
    )


def _apart(tasks: Sequence[Task]) -> Iterator[Task]:
    """Give the results of ``a.tif`` and ``a.jpg`` names of their own.

    The first of those whose name is kept has it; the others get their whole name and a
    suffix, ``a.jpg.tif``.
    """
    taken: dict[Path, Path] = {}
    for task in sorted(tasks, key=lambda t: t.labels.name != t.image.name):
        for path in task.outputs:
            taken.setdefault(path, task.image)
    for task in tasks:
        named = task
        if any(taken[path] != task.image for path in task.outputs):
            named = _with_whole_name(task)
        others = [taken.setdefault(path, task.image) for path in named.outputs]
        clash = next((other for other in others if other != task.image), None)
        yield replace(named, clash=clash)


def _with_whole_name(task: Task) -> Task:
    name = task.image.name
    labels = task.labels
    if labels.name != name:
        labels = labels.with_name(f"{name}{labels.suffix}")
    maps = task.probabilities
    if maps is not None and maps.name != name:
        maps = maps.with_name(f"{name}{maps.suffix}")
    renamed = labels != task.labels
    return replace(task, labels=labels, probabilities=maps, is_renamed=renamed)


def check_task(
    task: Task, inputs: Inputs, suffixes: Sequence[str], *, overwrite: bool
) -> None:
    """Make sure that results can be written and nothing is lost by it.

    Parameters
    ----------
    task
        One image.
    inputs
        All images of the run.
    suffixes
        That the labels may have.
    overwrite
        Whether results that are there may be replaced.

    Raises
    ------
    DataError
        When results would replace an image, each other or what is there, have a suffix
        that cannot be written, or the folder is read-only.
    """
    if task.clash is not None:
        raise DataError(
            f"{task.image} and {task.clash} have the same result {task.labels}; give "
            "one of them another name, or write to two folders"
        )
    outputs = {os.path.realpath(path) for path in task.outputs}
    if len(outputs) < len(task.outputs):
        raise DataError(
            f"2 results would be written to {task.labels}; give them different names"
        )
    for path in task.outputs:
        inputs.check_apart(path)
    check_suffix(task.labels, suffixes)
    if task.probabilities is not None:
        check_suffix(task.probabilities, LARGE_SUFFIXES)
    for path in task.outputs:
        check_place(path)
        # A zarr may be that of an unfinished run, which is resumed.
        if not is_zarr_name(path):
            check_free(path, overwrite=overwrite)


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

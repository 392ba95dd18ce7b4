"""Strokes that belong to what the user works on, though their images are not open.

In the window everything is learned from all images with strokes. Those of another
project must not be among them, even if they have classes of the same names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.folders import by_last_stroke
from unet_engine.annotations.recovery import read_summary
from unet_engine.errors import DataError
from unet_engine.images import open_image
from unet_engine.stopping import never
from unet_engine.training.data.saved_strokes import (
    SavedStrokes,
    has_changed,
    is_of,
    open_painted,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from unet_engine.annotations.snapshot import Header
    from unet_engine.annotations.store import StrokeStore
    from unet_engine.image_list.image_list import Members
    from unet_engine.images import Image
    from unet_engine.models.checkpoint import ModelInfo
    from unet_engine.stopping import Stop
    from unet_engine.training.data.saved_strokes import OpenFile


_MOST = 100
"""Images that are found at most beside those of a list. A file with many strokes stays
open as long as they are used, and macOS allows a program 256 open files by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the user works on, as far as it shows which strokes belong to it.

    Attributes
    ----------
    classes
        Of the model that learns, with those that were added to it.
    channels
        Of the images.
    images
        Files of the images that are open.
    listed
        The images of the list that is worked on; None without one.
    model
        Name of the chosen model.
    models
        All there are.
    """

    classes: tuple[str, ...]
    channels: int
    images: tuple[Path, ...] = ()
    listed: Members | None = None
    model: str = ""
    models: tuple[ModelInfo, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of the images that are open."""
        return tuple(dict.fromkeys(image.resolve().parent for image in self.images))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Strokes that belong to a task and take no part in it.

    Attributes
    ----------
    folder
        Where they lie; None for older ones that were not searched.
    reason
        Why, and what to do, in a line.
    """

    folder: Path | None
    reason: str


def related_strokes(
    task: Task,
    store: StrokeStore,
    *,
    without: Collection[Path] = (),
    open_file: OpenFile | None = None,
    seconds: float = 5.0,
    stop: Stop = never,
) -> Iterator[SavedStrokes | LeftOut]:
    """Find the strokes of a task on images that are not open, the newest first.

    Strokes belong to a task if

    - their image is in the list of images that is worked on; or
    - it lies in the folder of one that is open, or has moved there: images of one
      folder are worked on together; or
    - they were painted for the chosen model or one of its family: those that were tuned
      from one another. A model that came with the package is in no family, since
      everybody begins with it, whatever the images; or
    - a model of the family has learned from the image, and they were painted for it or
      for what it was tuned from.

    Names of classes alone decide nothing. All others are passed over. Of an image no
    pixel is read but a few thousand of one that is opened into memory. After a hundred
    images, or when the time is over, only those of the list are searched for.

    Parameters
    ----------
    task
        What the user works on.
    store
        Where strokes are.
    without
        Folders of strokes that are open.
    open_file
        As of ``find_strokes``; by default ``open_image``.
    seconds
        How long to search; strokes on images of the list are all found.
    stop
        Polled before every folder; True ends it.

    Yields
    ------
    SavedStrokes or LeftOut
        Strokes with their image, as ``optional``, or why they are left out. Each is
        read when it is asked for.
    """
    end = time.monotonic() + seconds
    family = model_family(task.model, task.models)
    skipped = {folder.absolute() for folder in without}
    folders = [f for f in by_last_stroke(store.root) if f.absolute() not in skipped]
    found = passed_over = 0
    for number, folder in enumerate(folders):
        if stop():
            return
        ended = found == _MOST or time.monotonic() >= end
        if ended and not task.listed:
            passed_over = len(folders) - number
            break
        try:
            header = read_summary(folder)
            listed = _is_listed(header, task)
            if not listed and ended:
                passed_over += 1
            elif listed or _belongs(header, task, family):
                yield _read(folder, task, open_file or _open_file)
                found += not listed
        except DataError as error:
            yield LeftOut(folder=folder, reason=str(error))
    if passed_over:
        yield LeftOut(folder=None, reason=_not_searched(passed_over))


def model_family(name: str, models: Sequence[ModelInfo]) -> frozenset[str]:
    """Return the names of the models that were tuned from one another.

    Parameters
    ----------
    name
        Of one of them.
    models
        All there are. Those that came with the package are in no family.
    """
    bundled = {info.name for info in models if info.bundled}
    ties = [
        {*info.known_as, *_parents(info)} - bundled
        for info in models
        if not info.bundled
    ]
    family = {name} - bundled
    while more := {n for tie in ties if tie & family for n in tie} - family:
        family |= more
    return frozenset(family)


def _parents(info: ModelInfo) -> set[str]:
    """Return the names of all models that one was tuned from."""
    return {
        str(entry[key])
        for entry in info.history
        for key in ("parent", "base")
        if entry.get(key)
    }


def _is_listed(header: Header, task: Task) -> bool:
    path = str(header.image_info.get("path") or "")
    return bool(path) and _listed_place(path, task) is not None


def _listed_place(path: str, task: Task) -> Path | None:
    """Return where an image of the list is, which may have moved since."""
    return None if task.listed is None else task.listed.find(Path(path))


def _belongs(header: Header, task: Task, family: Collection[str]) -> bool:
    """Whether strokes belong to a task; see `related_strokes`."""
    path = str(header.image_info.get("path") or "")
    if path and (_place(path, task) or Path(path)).resolve().parent in task.folders:
        return True
    painted_for = str(header.painted.model.get("name") or "")
    if painted_for in family:
        return True
    name = str(header.image_info.get("name") or "")
    return any(
        painted_for in _parents(info) and _learned_from(info.history, name)
        for info in task.models
        if info.name in family
    )


def _learned_from(history: Sequence[Mapping[str, object]], name: str) -> bool:
    """Whether an image is among those that a model was trained on."""
    entries = [entry.get("data") for entry in history]
    names = {str(n) for data in entries if isinstance(data, list) for n in data}
    # Planes of an image have its name, and their index behind it.
    return any(n == name or n.startswith(f"{name} (") for n in names if name)


def _read(folder: Path, task: Task, open_file: OpenFile) -> SavedStrokes:
    """Open strokes and their image.

    Raises
    ------
    DataError
        When they cannot take part.
    """
    strokes = Annotations.read(folder)
    about = strokes.recovery.image_info or {}
    name = str(about.get("name") or folder.name)
    path = _path_of(name, str(about.get("path") or ""), task)
    _check_classes(name, strokes, task)
    image = open_painted(path, strokes, open_file)
    if not is_of(image, strokes.shape, str(about.get("axes") or "")) or has_changed(
        image, path, strokes
    ):
        raise DataError(
            f"{path} has changed since it was painted on; open it, look whether the "
            "strokes still fit, and paint one more"
        )
    if image.channels != task.channels:
        raise DataError(
            f"{path} has {image.channels} channel{'s' * (image.channels > 1)}, and the "
            f"open image {task.channels}; its strokes are learned from when such an "
            "image is open"
        )
    image = replace(image, name=name)
    return SavedStrokes(image=image, strokes=strokes, folder=folder, optional=True)


def _path_of(name: str, path: str, task: Task) -> Path:
    if not path:
        raise DataError(
            f"{name!r}, which was painted on, came from no file; save it as one, and "
            "paint on that"
        )
    if (place := _place(path, task)) is None:
        raise DataError(
            f"{path}, which was painted on, is not there any more; open it from where "
            "it is now"
        )
    return place


def _place(path: str, task: Task) -> Path | None:
    """Return where an image is: where it was, or with an open one to another folder."""
    if (listed := _listed_place(path, task)) is not None and listed.exists():
        return listed
    places = (Path(path), *(folder / Path(path).name for folder in task.folders))
    return next((place for place in places if place.exists()), None)


def _check_classes(name: str, strokes: Annotations, task: Task) -> None:
    names = strokes.painted.names
    if not names:
        raise DataError(
            f"the names of the classes were not saved with the strokes on {name}; open "
            "it, and paint one more"
        )
    painted = [n for value, n in enumerate(names) if value in strokes.classes()]
    missing = [repr(n) for n in painted if n not in task.classes]
    if missing:
        raise DataError(
            f"the strokes on {name} are of the class{'es' * (len(missing) > 1)} "
            f"{', '.join(missing)}, which the model does not have; add "
            f"{'it' if len(missing) == 1 else 'them'} to the classes of the model"
        )


def _not_searched(count: int) -> str:
    return (
        f"the strokes in {count} older folder{'s' * (count > 1)} were not searched, as "
        "there are too many; open an image from which something should be learned"
    )


def _open_file(path: Path, axes: str | None) -> Image:
    return open_image(path, axes=axes)

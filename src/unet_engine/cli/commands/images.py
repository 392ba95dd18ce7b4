"""``napari-unet images``: a list of images, and how far the work on each is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from unet_engine.cli.options.parameters import (
    Flag,
    QuietOption,
    UserPath,
    parse_paths,
)
from unet_engine.cli.progress import report
from unet_engine.errors import DataError
from unet_engine.image_list.checking import (
    begin_anew,
    check_images,
    find_moved,
    keep,
    settle,
)
from unet_engine.image_list.entry import STATES, State
from unet_engine.image_list.fingerprints import fingerprint
from unet_engine.image_list.gathering import gather_images
from unet_engine.image_list.image_list import ImageList
from unet_engine.images.folders import list_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Sized
    from pathlib import Path

    from unet_engine.image_list.checking import Checked
    from unet_engine.image_list.entry import Entry

    Act = Callable[[ImageList, tuple[Path, ...], "ImagesOptions"], str]

Action = Literal["show", "add", "remove", "accept", "reset", "keep", "locate"]

_NAMED = 3
"""Images that a message names before it gives the number of the others."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImagesOptions(QuietOption):
    """What of the list is printed.

    Parameters
    ----------
    state
        Print only images in this state.
    json
        Print one JSON array on stdout.
    """

    state: State | None = None
    json: Flag = False


def run(
    list_file: Annotated[UserPath, Parameter(metavar="LIST.unet")],
    action: Action = "show",
    paths: Annotated[
        tuple[UserPath, ...],
        Parameter(converter=parse_paths, metavar="IMAGE|FOLDER", show_default=False),
    ] = (),
    /,
    *,
    options: ImagesOptions = ImagesOptions(),
) -> int:
    """Make, show and change a list of images.

    The list is a small file that holds where images are and how far the work on each
    is; it moves with its images. The dock in napari opens the same file.

    Parameters
    ----------
    list_file
        The list; add makes it where it is missing.
    action
        Print the images (show), put images in (add) or take them out (remove), state
        that their masks are right (accept), that nothing was done yet (reset), or that
        changed images are still those that were worked on (keep); or find images that
        moved into a folder (locate).
    paths
        Images, folders or patterns; the folder in which to search for locate.
    options
        What is printed.

    Examples
    --------
    napari-unet images plate.unet add images/
    napari-unet images plate.unet
    napari-unet images plate.unet show --state untouched --json
    napari-unet images plate.unet accept images/a.tif
    napari-unet images plate.unet locate /data/moved
    """
    if action == "show":
        return _show(ImageList.open(list_file, write=False), options)
    if not paths:
        raise DataError(f"{action} needs paths; give images, folders or patterns")
    made = action == "add" and not list_file.exists()
    found = gather_images(paths) if action == "add" else None
    images = ImageList.create(list_file) if made else ImageList.open(list_file)
    try:
        if images.read_only:
            raise DataError(f"{images.path} cannot be changed: {images.read_only}")
        if found is not None:
            added = images.add(found.images)
            known = f", {len(added.known)} were in it" if added.known else ""
            line = f"{_number(added.new)} added to {images.path}{known}"
            report([found.note] if found.note else [])
        else:
            line = _ACTS[action](images, paths, options)
        images.save()
    finally:
        images.close()
    report([line], quiet=options.quiet)
    return 0


def _show(images: ImageList, options: ImagesOptions) -> int:
    """Print the images, and on stderr what is not as it was."""
    chosen = [e for e in images.entries if e.matches(options.state)]
    if options.json:
        rows = [{"path": str(images.place_of(e)), **_described(e)} for e in chosen]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        for entry in chosen:
            more = ", ".join((*entry.classes, *([entry.model] if entry.model else [])))
            print(f"{entry.state:<10} {entry.path}{f'  ({more})' if more else ''}")
    counts = ", ".join(f"{n} {state}" for state, n in images.counts().items() if n)
    checked = check_images(images)
    count = f"{_number(images.entries)}: {counts}"
    lines = [count] if len(images) else ["no images yet"]
    report([*lines, *_troubles(checked, images)], quiet=options.quiet)
    return 0


def _number(images: Sized) -> str:
    return f"{len(images)} image{'s' * (len(images) != 1)}"


def _described(entry: Entry) -> dict[str, object]:
    values = asdict(entry)
    return {name: values[name] for name in ("state", "classes", "model")}


def _troubles(checked: Checked, images: ImageList) -> list[str]:
    """Return a line for each trouble, with what to do."""
    command = f"napari-unet images {images.path}"
    advice = {
        "missing": f"find where they are now: {command} locate FOLDER",
        "changed": (
            "look at them, and state that they are the same or begin anew: "
            f"{command} keep IMAGE, or reset IMAGE"
        ),
    }
    lines = []
    for trouble, what in advice.items():
        places = [p.place for p in checked.problems if p.trouble == trouble]
        if places:
            names = ", ".join(str(place) for place in places[:_NAMED])
            more = len(places) - _NAMED
            listed = f"{names} and {more} more" if more > 0 else names
            lines.append(f"{trouble}: {listed}; {what}")
    return lines


def _chosen(images: ImageList, paths: Sequence[Path]) -> list[Entry]:
    """Return the entries of paths; of images that are gone too.

    Raises
    ------
    DataError
        When one is not in the list.
    """
    entries = []
    for path in paths:
        entry = images.get(path.as_posix()) or images.entry_of(path)
        if entry is not None:
            entries.append(entry)
            continue
        inside = [e for p in list_inputs([path])[0] if (e := images.entry_of(p))]
        if not inside:
            raise DataError(
                f"{path} is not in {images.path}; see what is: napari-unet images "
                f"{images.path}"
            )
        entries += inside
    return entries


def _remove(images: ImageList, paths: tuple[Path, ...], _: ImagesOptions) -> str:
    entries = _chosen(images, paths)
    images.remove(entries)
    return f"{_number(entries)} removed from {images.path}; files and strokes stay"


def _accept(images: ImageList, paths: tuple[Path, ...], _: ImagesOptions) -> str:
    entries = _chosen(images, paths)
    settle(images, check_images(images))
    problems = {p.entry.path: p for p in check_images(images).problems}
    for entry in entries:
        if (problem := problems.get(entry.path)) is not None:
            command = f"napari-unet images {images.path}"
            todo = (
                f"{command} locate FOLDER"
                if problem.trouble == "missing"
                else f"{command} keep {problem.place}"
            )
            raise DataError(f"{problem.reason}; first {todo}")
        images.update(entry, state="accepted", **fingerprint(images.place_of(entry)))
    return f"{_number(entries)} accepted"


def _reset(images: ImageList, paths: tuple[Path, ...], _: ImagesOptions) -> str:
    return _decide(images, paths, anew=True)


def _keep(images: ImageList, paths: tuple[Path, ...], _: ImagesOptions) -> str:
    return _decide(images, paths, anew=False)


def _decide(images: ImageList, paths: tuple[Path, ...], *, anew: bool) -> str:
    """Settle what images that changed are; those that did not can be reset too."""
    problems = {p.entry.path: p for p in check_images(images).problems}
    entries = _chosen(images, paths)
    for entry in entries:
        problem = problems.get(entry.path)
        if problem is not None:
            (begin_anew if anew else keep)(images, problem)
        elif anew:
            images.update(entry, state=STATES[0], classes=(), model="")
    return f"{_number(entries)} {'reset' if anew else 'kept'}"


def _locate(images: ImageList, paths: tuple[Path, ...], _: ImagesOptions) -> str:
    checked = check_images(images)
    settle(images, checked)
    found: dict[str, Path] = {}
    for folder in paths:
        left = [p for p in checked.problems if p.entry.path not in found]
        same, other = find_moved(left, folder)
        found.update(same)
        for path, place in other.items():
            report(
                [
                    f"{place} has the name of {path} and is not the same; look at it, "
                    f"remove {path} and add it"
                ]
            )
    images.relocate(found)
    missing = sum(p.trouble == "missing" for p in checked.problems) - len(found)
    left_over = f", {missing} still missing" if missing else ""
    return f"{_number(found)} found again{left_over}"


_ACTS: dict[Action, Act] = {
    "remove": _remove,
    "accept": _accept,
    "reset": _reset,
    "keep": _keep,
    "locate": _locate,
}

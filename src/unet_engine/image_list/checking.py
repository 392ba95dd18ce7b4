"""Which images of a list moved, changed or vanished, and where they are now.

What is certain is settled without a question: an image that is where it was, with the
list or without it, with the same size and time or the same digest. Everything else is
a ``Problem``, for the user to decide.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unet_engine.errors import DataError
from unet_engine.image_list.fingerprints import (
    digest_of,
    fingerprint,
    size_in,
    stamp_of,
)
from unet_engine.image_list.image_list import relative_path
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unet_engine.image_list.entry import Entry
    from unet_engine.image_list.image_list import ImageList
    from unet_engine.stopping import Stop

Trouble = Literal["missing", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An image that is not as the list has it.

    Attributes
    ----------
    entry
        As in the list.
    trouble
        Nothing is there, or something else than what was worked on.
    place
        Where it should be, or a changed one is.
    """

    entry: Entry
    trouble: Trouble
    place: Path

    @property
    def reason(self) -> str:
        """What is wrong, in a line."""
        if self.trouble == "missing":
            return f"{self.place} is not there"
        return f"{self.place} is not the same as when it was worked on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    settled
        What is certain: entries as they should be, by the path in the list.
    problems
        What the user has to decide, in the order of the list.
    """

    settled: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def check_images(images: ImageList, *, stop: Stop = never) -> Checked:
    """Compare the images of a list with what lies on the disk.

    The list is not changed: see ``settle``. Of an image nothing is read but size and
    time, and what its digest needs where these are others than before.

    Parameters
    ----------
    images
        The list.
    stop
        Polled before every image; True ends the check with what was found so far.
    """
    settled: dict[str, Entry] = {}
    problems = []
    for entry in images.entries:
        if stop():
            break
        found = _check(entry, images)
        if isinstance(found, Problem):
            problems.append(found)
        elif found is not None:
            settled[entry.path] = found
    return Checked(settled=settled, problems=tuple(problems))


def _check(entry: Entry, images: ImageList) -> Entry | Problem | None:
    """Return an entry as it should be, why that is unknown, or None if it is right."""
    place = images.place_of(entry)
    stamp = stamp_of(place)
    if stamp is None:
        return _check_left_behind(entry, images, place)
    if stamp == entry.stamp:
        return None
    if is_same(entry, place):
        return replace(entry, stamp=stamp)
    return Problem(entry=entry, trouble="changed", place=place)


def _check_left_behind(
    entry: Entry, images: ImageList, place: Path
) -> Entry | Problem | None:
    """Look for an image where it was when the list lay elsewhere."""
    if images.was_in is not None:
        there = Path(os.path.normpath(images.was_in / entry.path))
        stamp = stamp_of(there)
        if stamp is not None and (stamp == entry.stamp or is_same(entry, there)):
            return replace(entry, path=relative_path(there, images.folder), stamp=stamp)
    return Problem(entry=entry, trouble="missing", place=place)


def is_same(entry: Entry, place: Path) -> bool:
    """Whether a file with another size or time may be taken for an image of a list.

    Where nothing was done with the image there is nothing to be used by mistake.
    """
    if entry.digest:
        try:
            return digest_of(place) == entry.digest
        except DataError:
            return False
    return entry.state == "untouched"


def settle(images: ImageList, checked: Checked) -> None:
    """Change a list to what a check is certain of; a read-only one stays as it is."""
    if images.read_only:
        return
    found = {}
    for path, after in checked.settled.items():
        before = images.get(path)
        if before is not None and images.get(after.path) in (None, before):
            found[path] = replace(before, path=after.path, stamp=after.stamp)
    images.replace(found)
    if not any(problem.trouble == "missing" for problem in checked.problems):
        images.was_in = None


def find_moved(
    problems: Sequence[Problem],
    folder: Path,
    *,
    stop: Stop = never,
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Look for missing images in a folder and all folders in it.

    Parameters
    ----------
    problems
        Of which those with the trouble *missing* are looked for.
    folder
        Where to look.
    stop
        Polled in every folder; True ends the search with what was found so far.

    Returns
    -------
    same, other
        Where the images are, by the path in the list; and where there is a file of the
        name of an image that is not it.

    Raises
    ------
    DataError
        When there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one in which the images are now")
    wanted = [problem.entry for problem in problems if problem.trouble == "missing"]
    candidates = _candidates({entry.name for entry in wanted}, folder, stop)
    same: dict[str, Path] = {}
    other: dict[str, Path] = {}
    taken: set[Path] = set()
    for entry in wanted:
        near = [p for p in candidates.get(entry.name, ()) if p not in taken]
        near.sort(key=lambda place: -_shared_tail(place, entry.path))
        if (place := next((p for p in near if _is_moved(entry, p)), None)) is not None:
            same[entry.path] = place
            taken.add(place)
        elif near:
            other[entry.path] = near[0]
    return same, other


def _candidates(
    names: Iterable[str], folder: Path, stop: Stop
) -> dict[str, list[Path]]:
    """Return the files and folders of these names, in a folder and all in it."""
    found: dict[str, list[Path]] = {name: [] for name in names}
    for root, folders, files in os.walk(folder):
        if stop():
            break
        for name in (*files, *folders):
            if name in found:
                found[name].append(Path(root, name))
        # What is in a zarr is no image of its own.
        folders[:] = [name for name in folders if not name.endswith(".zarr")]
    return found


def _shared_tail(place: Path, path: str) -> int:
    """Return how many names two paths have in common, counted from their ends."""
    pairs = zip(reversed(place.parts), reversed(path.split("/")), strict=False)
    count = 0
    for one, other in pairs:
        if one != other:
            break
        count += 1
    return count


def _is_moved(entry: Entry, place: Path) -> bool:
    """Whether a file of the same name is the image: a move keeps size and time."""
    stamp = stamp_of(place)
    if stamp and stamp == entry.stamp:
        return True
    if entry.digest:
        return is_same(entry, place)
    # Nothing was done with it: the size is enough, a copy has another time.
    return (
        stamp is not None
        and entry.state == "untouched"
        and size_in(stamp) == size_in(entry.stamp)
    )


def keep(images: ImageList, problem: Problem, place: Path | None = None) -> Entry:
    """Go on with a changed image: its state stays. The user has looked at it.

    Parameters
    ----------
    images
        The list.
    problem
        Of one of its images.
    place
        Where the image is now, if it is somewhere else.
    """
    return _accept(images, problem, place, {})


def begin_anew(images: ImageList, problem: Problem, place: Path | None = None) -> Entry:
    """Take a changed image for another one, which was not worked on.

    Strokes on the earlier one stay where they are saved.
    """
    fields: dict[str, object] = {"state": "untouched", "classes": (), "model": ""}
    return _accept(images, problem, place, fields)


def _accept(
    images: ImageList, problem: Problem, place: Path | None, fields: dict[str, object]
) -> Entry:
    entry = problem.entry
    now = images.place_of(entry) if place is None else place
    if stamp_of(now) is None:
        raise DataError(
            f"{now} is not there; find it first, or remove it from the list"
        )
    path = images.entries_for([now])[0].path
    return images.update(entry, path=path, **fingerprint(now), **fields)

"""What is done with a list of images in a thread: find, gather, check, read.

No Qt, layer or widget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_unet.viewer.reading import ReadFile, read_file
from unet_engine.errors import DataError
from unet_engine.image_list.checking import (
    Checked,
    Problem,
    check_images,
    find_moved,
)
from unet_engine.image_list.finding import list_for, lists_of, new_list_path
from unet_engine.image_list.fingerprints import fingerprint
from unet_engine.image_list.gathering import gather_images
from unet_engine.image_list.image_list import ImageList

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from unet_engine.image_list.entry import Entry
    from unet_engine.stopping import Stop


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenedImage:
    """An image of a list that was read.

    Attributes
    ----------
    entry, file
        Which one, and its layers.
    problem
        What the user has to decide before it is taken for what was worked on; None for
        nothing.
    """

    entry: Entry
    file: ReadFile
    problem: Problem | None


def find_run(
    image: Path, make: bool, stop: Stop
) -> Generator[None, None, tuple[ImageList | None, int]]:
    """Open the list of an image, or make one if ``make``; None without any.

    Returns
    -------
    images, others
        The list, and how many other lists the image is in.
    """
    yield
    known = lists_of(image)
    if not known and not make:
        return None, 0
    images = ImageList.open(known[0]) if known else list_for(image)
    return images, max(0, len(known) - 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatheredImages:
    """Images that are to be added to a list.

    Attributes
    ----------
    images
        The list; None when there was nothing to add and none was open.
    entries
        As the list will hold them.
    notes
        What was left out, and why.
    """

    images: ImageList | None
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def gather_run(
    sources: Sequence[Path], images: ImageList | None, stop: Stop
) -> Generator[None, None, GatheredImages]:
    """Find the image files among what was given, and make a list if there is none."""
    yield
    found: list[Path] = []
    notes = []
    for source in sources:
        try:
            gathered = gather_images([source])
        except DataError as error:
            notes.append(str(error))
            continue
        found += gathered.images
        notes += [gathered.note] if gathered.note else []
        yield
    if images is None and found:
        path = new_list_path(*found)
        images = ImageList.open(path) if path.exists() else ImageList.create(path)
    entries = () if images is None else images.entries_for(dict.fromkeys(found))
    return GatheredImages(images=images, entries=entries, notes=tuple(notes))


def check_run(images: ImageList, stop: Stop) -> Generator[None, None, Checked]:
    """Compare the images of a list with what lies on the disk."""
    yield
    return check_images(images, stop=stop)


def locate_run(
    problems: Sequence[Problem], folder: Path, stop: Stop
) -> Generator[None, None, tuple[dict[str, Path], dict[str, Path]]]:
    """Look for missing images in a folder."""
    yield
    return find_moved(problems, folder, stop=stop)


def open_run(
    images: ImageList, entry: Entry, stop: Stop
) -> Generator[None, None, OpenedImage]:
    """Read an image, and compare it with what was worked on."""
    yield
    place = images.place_of(entry)
    file = read_file(place)
    problem = None
    if entry.digest and fingerprint(place)["digest"] != entry.digest:
        problem = Problem(entry=entry, trouble="changed", place=place)
    return OpenedImage(entry=entry, file=file, problem=problem)


def read_run(place: Path, stop: Stop) -> Generator[None, None, ReadFile]:
    """Read an image."""
    yield
    return read_file(place)


def fingerprint_run(place: Path, stop: Stop) -> Generator[None, None, dict[str, str]]:
    """Return what identifies an image that is worked on from now on."""
    yield
    return fingerprint(place)

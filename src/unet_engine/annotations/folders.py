"""The folders of strokes that lie in a folder."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.recovery import newest_file, read_newest_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unet_engine.annotations.snapshot import Header

ASIDE = ".aside-"
"""In the name of a folder whose strokes no image finds."""

CORRECTED_OBJECTS = "objects"
"""Name of the folder, in that of the strokes of an image, with its corrected objects:
``Annotations`` whose values are no classes."""


def stroke_folders(folder: Path) -> tuple[tuple[Path, Header], ...]:
    """Return all folders with strokes in a folder, of a store or a part of one.

    Parameters
    ----------
    folder
        The root of a store, or in it the folder of a file, or of one of its layers.

    Returns
    -------
    tuple
        Each folder with the header of its newest file. Those that were set aside are
        left out.
    """
    if (header := read_newest_header(folder)) is not None:
        return ((folder, header),)
    try:
        groups = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    except OSError:
        return ()
    return tuple(found for group in groups for found in in_group(group))


def by_last_stroke(root: Path) -> list[Path]:
    """Return the folders with strokes in a store, that of the last stroke first.

    None of their files is opened; one that is damaged is among them.
    """
    found: dict[Path, int] = {}
    for group in _entries(root):
        for folder in _entries(group):
            newest = None if ASIDE in folder.name else newest_file(folder)
            if newest is not None:
                with suppress(OSError):
                    found[folder] = newest.stat().st_mtime_ns
    return sorted(found, key=lambda folder: (-found[folder], folder))


def read_corrected_objects(folder: Path) -> Annotations | None:
    """Read what was corrected of objects, from the folder of the strokes of an image.

    Changes of it are not saved. None where nothing was corrected.

    Raises
    ------
    DataError
        When it cannot be read.
    """
    inside = folder / CORRECTED_OBJECTS
    return None if newest_file(inside) is None else Annotations.read(inside)


def in_group(group: Path) -> Iterator[tuple[Path, Header]]:
    """Yield the strokes in a folder of all that comes from one file."""
    for folder in _entries(group):
        if (
            ASIDE not in folder.name
            and folder.name != CORRECTED_OBJECTS
            and (header := read_newest_header(folder)) is not None
        ):
            yield folder, header


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []

"""The folders of strokes that lie in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.annotations.recovery import read_newest_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unet_engine.annotations.snapshot import Header

ASIDE = ".aside-"


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


def in_group(group: Path) -> Iterator[tuple[Path, Header]]:
    """Yield the strokes in a folder of all that comes from one file."""
    try:
        folders = sorted(group.iterdir())
    except OSError:
        return
    for folder in folders:
        if (
            ASIDE not in folder.name
            and (header := read_newest_header(folder)) is not None
        ):
            yield folder, header

"""Image files among what a user gives: files, folders, patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unet_engine.images.folders import list_inputs
from unet_engine.images.formats import read_suffixes
from unet_engine.images.zarr.ome_zarr import is_zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NAMED = 3
"""Files that a message names before it gives the number of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was found.

    Attributes
    ----------
    images
        Files in natural order, each once.
    passed_over
        Files that are missing, or of formats that cannot be read.
    """

    images: tuple[Path, ...]
    passed_over: tuple[Path, ...] = ()

    @property
    def note(self) -> str:
        """A sentence on what was passed over; empty for nothing."""
        if not self.passed_over:
            return ""
        names = ", ".join(path.name for path in self.passed_over[:_NAMED])
        more = len(self.passed_over) - _NAMED
        listed = f"{names} and {more} more" if more > 0 else names
        return f"{listed} not added: missing, or no image that can be read here."


def gather_images(sources: Sequence[Path]) -> Gathered:
    """Return the image files of files, folders and patterns such as ``*.tif``.

    No file is opened. The folders in a folder are not searched; a pattern such as
    ``plate/**/*.tif`` finds what is in them.

    Raises
    ------
    DataError
        When a folder holds no image, or a pattern fits no file.
    """
    files, _ = list_inputs(sources)
    suffixes = set(read_suffixes())
    images: list[Path] = []
    others: list[Path] = []
    for path in files:
        known = path.suffix.lower() in suffixes and path.is_file()
        (images if known or is_zarr(path) else others).append(path)
    return Gathered(images=tuple(images), passed_over=tuple(others))

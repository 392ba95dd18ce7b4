"""Which files are outlines: by the ends of their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    import os

OUTLINE_SUFFIXES = (".zip", ".geojson", ".json")
"""Of files that are written: regions of ImageJ, objects of QuPath, COCO."""

OUTLINE_READ_SUFFIXES = (*OUTLINE_SUFFIXES, ".roi")
"""Of files that are read; what a ``.json`` holds is seen from its content."""


def check_outline_suffix(path: str | os.PathLike[str]) -> str:
    """Make sure that a path is one of outlines; return its suffix.

    Raises
    ------
    DataError
        When it is not.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in OUTLINE_SUFFIXES:
        raise DataError(
            f"{path} is no name for outlines; let it end in .zip (ImageJ), .geojson "
            "(QuPath) or .json (COCO)"
        )
    return suffix

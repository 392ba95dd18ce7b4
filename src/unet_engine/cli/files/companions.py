"""Files that belong to the masks of a run: their images, their probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images import is_zarr, list_images
from unet_engine.images.folders import stem_of

if TYPE_CHECKING:
    from pathlib import Path


class Companions:
    """The image of each mask, or its probabilities.

    Parameters
    ----------
    source
        A file for one mask, a folder of files of the same names for several, or None.
    option
        What it is called.
    several
        Whether there may be several masks.
    """

    def __init__(self, source: Path | None, option: str, *, several: bool) -> None:
        self._source, self._option = source, option
        self._found: dict[str, list[Path]] = {}
        self.paths = [] if source is None else [source]
        if source is not None and source.is_dir() and not is_zarr(source):
            self.paths = list_images(source)
            for path in self.paths:
                self._found.setdefault(stem_of(path), []).append(path)
        elif source is not None and several:
            raise DataError(
                f"--{option} {source} is one file, and the masks are several; give a "
                "folder with a file of the same name for each mask"
            )

    def of(self, mask: Path) -> Path | None:
        """Return the file of a mask.

        Raises
        ------
        DataError
            When there is none, or more than one.
        """
        if self._source is None or not self._found:
            return self._source
        found = self._found.get(stem_of(mask), [])
        if len(found) != 1:
            names = " and ".join(path.name for path in found) or "no file"
            raise DataError(
                f"{mask}: --{self._option} {self._source} holds {names} of its name; "
                "keep one file of the same name"
            )
        return found[0]

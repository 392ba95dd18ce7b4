"""``Inputs``: the files that a run reads, which no result may replace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable


class Inputs:
    """The files that a run reads, which no result may replace.

    Parameters
    ----------
    paths
        Files and zarrs.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._places: set[Path] = set()
        self._identities: set[tuple[int, int]] = set()
        for path in paths:
            # Never fails, not even for a link that leads to itself.
            source = Path(os.path.realpath(path))
            # An image in a zarr that is deleted is gone as well.
            self._places |= {source, *source.parents}
            self._identities |= identity_of(path)

    def check_apart(self, path: Path) -> None:
        """Refuse a result that is an input by any name, or a zarr around one.

        Raises
        ------
        DataError
            When it would replace an input.
        """
        place = Path(os.path.realpath(path))
        if place in self._places or self._identities & identity_of(path):
            raise DataError(
                f"{path} is read by this run, and the result would replace the image; "
                "write it to another place"
            )


def identity_of(path: Path) -> set[tuple[int, int]]:
    """Return device and number of a file, the same for each of its names."""
    try:
        status = path.stat()
    except OSError:
        return set()
    return {(status.st_dev, status.st_ino)}

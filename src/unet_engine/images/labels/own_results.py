"""Recognise a mask that a run wrote and that is unchanged since.

Such a mask can be made again, so a run may replace it without ``--overwrite``. One that
a person corrected cannot: its pixels no longer have the digest written with it.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

import tifffile

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

logger = logging.getLogger(__name__)

_PROGRAM = "napari-unet-finetune"


def software_tag(labels: npt.NDArray[Any]) -> str:
    """Return the ``Software`` tag of a TIFF of labels: the program and their digest.

    Parameters
    ----------
    labels
        ``(*leading, Y, X)`` integers, in the type in which they are written.
    """
    little_endian = labels.astype(labels.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(little_endian.tobytes()).hexdigest()
    return f"{_PROGRAM} sha256:{digest}"


def is_unchanged_result(path: Path) -> bool:
    """Whether a file is a TIFF of labels as this program wrote it; never a link."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with tifffile.TiffFile(path) as file:
            stated = str(file.pages.first.software)
            return stated.startswith(_PROGRAM) and stated == software_tag(
                file.series[0].asarray()
            )
    except Exception:
        # Whatever cannot be read was not written here, or not whole.
        logger.debug("%s is no result of this program", path, exc_info=True)
        return False

"""The size of a pixel in PNG and JPEG: pixels per metre or per inch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image as Picture

from unet_engine.images.pixel_size import PixelSize
from unet_engine.images.tiff.pixel_sizes import resolution_pixel_size

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.images.image import Image

_INCH = 2
"""Value of the TIFF tag ResolutionUnit for inches."""

_INCH_UM = 25400.0
"""Micrometres in an inch."""

_LARGEST_PER_METRE = 2**31 - 1
"""Pixels per metre that the 32 bits of PNG's chunk pHYs can hold."""


def picture_pixel_size(path: Path) -> PixelSize:
    """Return the edges of a pixel, unless they are those of a print.

    Parameters
    ----------
    path
        A picture that was read before; nothing is decoded.
    """
    try:
        with Picture.open(path) as picture:
            across, down = map(float, picture.info.get("dpi", (0, 0)))
    except (OSError, ValueError, TypeError, ZeroDivisionError, SyntaxError):
        return PixelSize()
    return resolution_pixel_size((across, down), _INCH) if across else PixelSize()


def picture_options(image: Image | None) -> dict[str, Any]:
    """Return the options by which the writer of a PNG stores the size of a pixel."""
    edges = None if image is None else image.pixel_size.lengths("XY")
    if edges is None or not all(1 <= 1e6 / e <= _LARGEST_PER_METRE for e in edges):
        return {}
    return {"dpi": tuple(_INCH_UM / edge for edge in edges)}

"""PNG, JPEG, BMP and GIF: read whole, with all their bits, or refused."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import PIL.Image
from PIL.Image import DecompressionBombError

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_GREY = 0
"""Colour type of a PNG with one sample a pixel."""

_ORIENTATION = 274
"""EXIF tag; 1 is upright."""


def read_picture(path: Path, *, indices: bool = False) -> npt.NDArray[Any]:
    """Read a picture whole, ``(Y, X)`` or ``(Y, X, S)``, in the dtype of its file.

    Parameters
    ----------
    path
        The file.
    indices
        It holds ids: of a palette the indices are kept instead of its colours, and of
        grey values below 8 bits the numbers that are stored.

    Raises
    ------
    DataError
        When it cannot be decoded, is too large to be read whole, or holds several
        pictures.
    """
    try:
        bits, colours = _png_kind(path)
        if bits == 16 and colours != _PNG_GREY:
            return _read_deep(path)
        with iio.imopen(path, "r", plugin="pillow") as file:
            mode = file.metadata(exclude_applied=False)["mode"]
            _check_single(path, file)
            wanted = {"P": "P" if indices else None, "CMYK": "RGB"}.get(mode)
            data: npt.NDArray[Any] = np.asarray(file.read(index=0, mode=wanted))
    except (OSError, ValueError, SyntaxError, KeyError) as error:
        reason = error.__cause__ or error
        if isinstance(reason, DecompressionBombError):
            raise _too_large(path) from error
        raise DataError(
            f"{path} cannot be read as a picture ({reason}); it is damaged, truncated "
            "or of another format: export it again"
        ) from error
    if indices and colours == _PNG_GREY and bits in (2, 4) and data.dtype == np.uint8:
        # Decoders stretch few grey values over 0 to 255.
        data = data // (255 // (2**bits - 1))
    return data


def _png_kind(path: Path) -> tuple[int, int]:
    """Return bits of a sample and colour type of a PNG; zeros of another file."""
    with path.open("rb") as file:
        header = file.read(26)
    if len(header) < 26 or not header.startswith(_PNG_START):
        return 0, 0
    return header[24], header[25]


def _read_deep(path: Path) -> npt.NDArray[Any]:
    """Read a PNG of 16 bits with colours or alpha, which Pillow cuts to 8.

    Raises
    ------
    DataError
        When it is too large, or an animation.
    ValueError
        When it is damaged.
    """
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    if width * height > 2 * (PIL.Image.MAX_IMAGE_PIXELS or 2**62):
        raise _too_large(path)
    if b"acTL" in content[: content.find(b"IDAT")]:
        raise _several(path, "several frames")
    # The largest of all packages, and needed for few files.
    import imagecodecs

    try:
        data: npt.NDArray[Any] = imagecodecs.png_decode(content)
    except imagecodecs.PngError as error:
        raise ValueError(str(error)) from error
    return data


def _check_single(path: Path, file: Any) -> None:
    properties = file.properties(index=...)
    frames = int(properties.n_images or 1)
    if frames > 1:
        raise _several(path, f"{frames} frames")
    # Kept as it is stored, as napari shows it; other programs may turn it.
    with PIL.Image.open(path) as picture:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    if orientation != 1:
        logger.warning(
            "%s is marked as turned (EXIF orientation %s); its pixels are read as they "
            "are stored: labels have to lie the same way",
            path,
            orientation,
        )


def _too_large(path: Path) -> DataError:
    return DataError(
        f"{path} is too large to be read as a whole; save it as a tiled TIFF"
    )


def _several(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} holds {what} and a picture is one; save them as a multi-page TIFF"
    )

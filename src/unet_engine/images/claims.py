"""Sizes that a file claims and cannot have: refused before anything is planned."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLAUSIBLE_BYTES = 2**26
"""Up to here a wrong claim does no harm: 64 MiB fit any memory."""

COMPRESSION = 10**5
"""Claimed bytes per stored byte. Deflate reaches 1032, Zstandard some 20 000 for
pixels that are all 0."""

_MOST_PIXELS = 2**44
"""Pixels of one image. The largest slides have 2**37, the largest volumes that a single
machine works on 2**42."""

_SEGMENT_BYTES = 2**32
"""Bytes of one strip, tile or chunk, which is decoded as a whole."""


def check_claim(
    path: Path, shape: Sequence[int], itemsize: int, stored: int | None
) -> None:
    """Refuse an image that claims more than its file can hold.

    Parameters
    ----------
    path
        The file, for the message.
    shape
        Of the image.
    itemsize
        Bytes of a pixel.
    stored
        Bytes that hold the pixels; None when that is not known.

    Raises
    ------
    DataError
        When the claim cannot be true, or no machine could work on it.
    """
    pixels = prod(int(n) for n in shape)
    size = " x ".join(map(str, shape))
    if stored is not None and pixels * itemsize > max(
        _PLAUSIBLE_BYTES, stored * COMPRESSION
    ):
        raise DataError(
            f"{path} claims {size} pixels in {stored} bytes, which cannot be; it is "
            "damaged: copy or export it again"
        )
    if pixels > _MOST_PIXELS:
        raise DataError(
            f"{path} claims {size} pixels, more than can be worked on; if that is "
            "right, save a part of it or a smaller resolution"
        )


def check_segment(path: Path | str, nbytes: int) -> None:
    """Refuse an image whose parts are too large to be decoded one by one.

    Raises
    ------
    DataError
        When a strip, tile or chunk has more than 4 GiB.
    """
    if nbytes > _SEGMENT_BYTES:
        raise DataError(
            f"{path} is stored in strips, tiles or chunks of {nbytes / 2**30:.3g} GiB; "
            "save it in smaller ones, as a tiled TIFF or an OME-Zarr"
        )

"""Tags and metadata of the TIFF files that are written."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from unet_engine.images.tiff.pixel_sizes import size_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.images.image import Image


_OME_AXES = "TZ"
"""Leading axes that OME metadata have names for."""

_BIGTIFF_BYTES = 2**31
"""Bytes of pixels above which BigTIFF is written: offsets of a TIFF have 32 bits, and
compression may make noise a little larger."""


def tiff_options(
    data: Any, axes: str, image: Image | None, channels: Sequence[str] = ()
) -> dict[str, Any]:
    """Return how results are stored in a TIFF: OME metadata, zlib, pixel size.

    Parameters
    ----------
    data
        Array-like of the results.
    axes
        A letter for each of its axes.
    image
        The image they belong to.
    channels
        Names of the channels.
    """
    sizes = size_options(image, axes)
    metadata: dict[str, Any] = {"axes": axes, **sizes["metadata"]}
    if channels:
        metadata["Channel"] = {"Name": list(channels)}
    known = set(axes) <= set(_OME_AXES + "CYX")
    return {
        "ome": known,
        "shaped": not known,
        "bigtiff": prod(data.shape) * data.dtype.itemsize > _BIGTIFF_BYTES,
        "photometric": "minisblack",
        "compression": "zlib",
        **sizes,
        "metadata": metadata,
    }

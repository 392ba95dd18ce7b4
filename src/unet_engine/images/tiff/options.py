"""Tags and metadata of the TIFF files that are written."""

from __future__ import annotations

import hashlib
import json
from math import prod
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np

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
    if known:
        metadata["UUID"] = _uuid(data, metadata, image)
    return {
        "ome": known,
        "shaped": not known,
        "bigtiff": prod(data.shape) * data.dtype.itemsize > _BIGTIFF_BYTES,
        "photometric": "minisblack",
        "compression": "zlib",
        **sizes,
        "metadata": metadata,
    }


def _uuid(data: Any, metadata: dict[str, Any], image: Image | None) -> str:
    """Return an id for OME metadata that is the same for the same results.

    By itself the writer takes the time, so that no two files would be equal. Of what is
    read while it is written, the name of the image stands for the pixels.
    """
    digest = hashlib.blake2b(repr((data.shape, str(data.dtype))).encode())
    digest.update(json.dumps(metadata, sort_keys=True, default=str).encode())
    if isinstance(data, np.ndarray):
        digest.update(np.ascontiguousarray(data).data)
    else:
        digest.update(("" if image is None else image.name).encode())
    return f"urn:uuid:{uuid5(NAMESPACE_OID, digest.hexdigest())}"

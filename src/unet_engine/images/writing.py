"""Label images, probability maps and pixels, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import tifffile

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.images.formats import TIFF_SUFFIXES
from unet_engine.images.labels.own_results import software_tag
from unet_engine.images.pictures.pixel_sizes import picture_options
from unet_engine.images.tiff.options import tiff_options

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images.image import Image


LABEL_SUFFIXES = (*TIFF_SUFFIXES, ".png")
"""Of label images that are written."""

_STACK_AXES = ("", "Z", "TZ")
"""Leading axes of results whose image is not known, by their number."""


def write_labels(
    path: str | os.PathLike[str],
    labels: npt.NDArray[Any],
    *,
    image: Image | None = None,
    replaceable: bool = False,
) -> None:
    """Write a label image, whole or not at all.

    Parameters
    ----------
    path
        ``.tif`` or ``.tiff`` (OME-TIFF, zlib) for any labels; ``.png`` for one plane
        of ids up to 65535.
    labels
        ``(*leading, Y, X)`` bool or integers: ids from 0 to 2**32 - 1.
    image
        The image they belong to: its axes and pixel size are kept.
    replaceable
        Mark a TIFF as the result of a run, which a later run may replace as long as it
        is unchanged; see ``own_results``. Never for what a person drew.

    Raises
    ------
    DataError
        When the suffix is another, the labels do not fit image or format, or the
        folder cannot be written to.
    """
    suffix = _suffix(path, LABEL_SUFFIXES)
    ids = _smallest(np.asarray(labels), Path(path))
    axes = _stack_axes(ids.ndim - 2, image)
    if suffix in TIFF_SUFFIXES:
        software = software_tag(ids) if replaceable else None
        _write_tiff(path, ids, axes + "YX", image, software=software)
        return
    if ids.ndim != 2 or ids.dtype.itemsize > 2:
        raise DataError(
            f"{path}: a PNG holds one plane of labels up to 65535, not "
            f"{ids.shape} {ids.dtype}; write a .tif"
        )
    # Encoded first: a writer that cannot finish its file would warn once more.
    content: bytes = iio.imwrite(
        "<bytes>", ids, extension=".png", **picture_options(image)
    )
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_probabilities(
    path: str | os.PathLike[str],
    probabilities: npt.NDArray[Any],
    *,
    image: Image | None = None,
    classes: Sequence[str] = (),
) -> None:
    """Write the probability of every class, whole or not at all.

    Parameters
    ----------
    path
        ``.tif`` or ``.tiff`` (OME-TIFF, zlib).
    probabilities
        ``(classes, *leading, Y, X)`` float32 in [0, 1].
    image
        The image they belong to: its axes and pixel size are kept.
    classes
        Names of the classes, kept as names of the channels.

    Raises
    ------
    DataError
        When the suffix is another, the shape does not fit the image, or the folder
        cannot be written to.
    """
    _suffix(path, TIFF_SUFFIXES)
    values = np.asarray(probabilities, dtype=np.float32)
    axes = "C" + _stack_axes(values.ndim - 3, image) + "YX"
    _write_tiff(path, values, axes, image, classes)


def write_pixels(
    path: str | os.PathLike[str],
    pixels: npt.NDArray[Any],
    *,
    image: Image | None = None,
) -> None:
    """Write what was made from an image, whole or not at all.

    Parameters
    ----------
    path
        ``.tif`` or ``.tiff`` (OME-TIFF, zlib).
    pixels
        ``(C, *leading, Y, X)`` float32; one channel is written without its axis.
    image
        The image it was made from: its axes and pixel size are kept.

    Raises
    ------
    DataError
        When the suffix is another, the shape does not fit the image, or the folder
        cannot be written to.
    """
    _suffix(path, TIFF_SUFFIXES)
    values = np.asarray(pixels, dtype=np.float32)
    axes = _stack_axes(values.ndim - 3, image) + "YX"
    if len(values) == 1:
        _write_tiff(path, values[0], axes, image)
    else:
        _write_tiff(path, values, "C" + axes, image)


def _suffix(path: str | os.PathLike[str], allowed: Sequence[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in allowed:
        raise DataError(
            f"{path}: results are not written as {suffix or 'a file without suffix'!r};"
            f" use {' or '.join(allowed)}"
        )
    return suffix


def _stack_axes(ndim: int, image: Image | None) -> str:
    """Return the leading axes of a result, those of the image when there is one."""
    if image is not None and len(image.leading_axes) == ndim:
        return image.leading_axes
    if image is None and 0 <= ndim < len(_STACK_AXES):
        return _STACK_AXES[ndim]
    raise DataError(
        f"a result with {ndim} leading axes does not fit "
        f"{'any image' if image is None else repr(image.leading_axes + 'YX')}"
    )


def _smallest(labels: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Return the labels in the smallest type that TIFF readers support."""
    if labels.dtype.kind not in "biu" or labels.size == 0:
        raise DataError(
            f"{path}: labels are whole numbers, not {labels.shape} {labels.dtype}"
        )
    low, high = int(labels.min()), int(labels.max())
    for dtype in (np.uint8, np.uint16, np.uint32):
        if low >= 0 and high <= np.iinfo(dtype).max:
            return labels.astype(dtype, copy=False)
    raise DataError(f"{path}: labels from {low} to {high} fit no image file; renumber")


def _write_tiff(
    path: str | os.PathLike[str],
    data: npt.NDArray[Any],
    axes: str,
    image: Image | None,
    channels: Sequence[str] = (),
    software: str | None = None,
) -> None:
    options = tiff_options(data, axes, image, channels)
    with whole_file(path) as temporary:
        tifffile.imwrite(temporary, data, **options, software=software)

"""Label images and probability maps: written whole, read and checked."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import tifffile

from unet_engine.errors import DataError
from unet_engine.images.files import (
    check_ended,
    existing_file,
    format_of,
    open_image,
)
from unet_engine.images.formats import TIFF_READ_SUFFIXES, TIFF_SUFFIXES
from unet_engine.images.label_tallies import Tally
from unet_engine.images.label_values import decide_labels
from unet_engine.images.ome_zarr import is_zarr
from unet_engine.images.own_results import software_tag
from unet_engine.images.picture_sizes import picture_options
from unet_engine.images.pictures import PICTURE_SUFFIXES, read_picture
from unet_engine.images.tiff_sizes import size_options
from unet_engine.writing import whole_file

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images.chunks import MissingChunks
    from unet_engine.images.image import Image
    from unet_engine.images.label_values import LabelValues, Unlabelled

LABEL_SUFFIXES = (*TIFF_SUFFIXES, ".png")
"""Of label images that are written."""

LABEL_READ_SUFFIXES = (*TIFF_READ_SUFFIXES, ".png", ".bmp", ".gif")

_OME_AXES = "TZ"
_STACK_AXES = ("", "Z", "TZ")
_BIGTIFF_BYTES = 2**31


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
        ``(*leading, Y, X)`` ids.
    image
        The image they belong to: its axes and pixel size are kept.
    replaceable
        Mark a TIFF as made by a run, which a later one may replace while nobody has
        changed it; see ``own_results``. Never for what a person drew.

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
    # Encoded first: a writer that cannot finish its file would complain once more.
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


def read_labels(
    path: str | os.PathLike[str],
    *,
    negative: bool = False,
    axes: str | None = None,
    missing_chunks: MissingChunks | None = None,
    series: int | None = None,
) -> npt.NDArray[np.integer[Any]]:
    """Read class or object ids.

    Parameters
    ----------
    path
        The file.
    negative
        Take numbers below 0, which may stand for pixels that nobody labelled.
    axes, series
        As of ``open_image``.
    missing_chunks
        As of ``open_image``; None: chunks that a zarr lacks are empty, as writers of
        labels leave those out, and a plane that a TIFF lacks is lost.

    Returns
    -------
    ndarray
        ``(Y, X)`` or ``(*leading, Y, X)`` integers; uint8 for a binary mask,
        int32, or int64 of large ones, where the file holds whole numbers as floats.

    Raises
    ------
    DataError
        When the file is no label image: colours, fractions, negative numbers, JPEG.
    """
    if not is_zarr(path := Path(path)):
        path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix in PICTURE_SUFFIXES and (
        suffix not in LABEL_READ_SUFFIXES or format_of(path) == ".jpg"
    ):
        raise DataError(
            f"{path}: JPEG changes the values of labels; export them as PNG or TIFF"
        )
    if suffix in PICTURE_SUFFIXES:
        picture = read_picture(path, indices=True)
        planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
        return _as_ids(_only_channel(_opaque(planes, path), path), path, negative)
    if missing_chunks is None and is_zarr(path):
        check_ended(path)
    image = open_image(
        path,
        labels=True,
        axes=axes,
        missing_chunks=missing_chunks or ("fill" if is_zarr(path) else "refuse"),
        series=series,
    )
    shape = (*image.leading_shape, *image.plane_shape)
    values = np.empty(shape, dtype=image.dtype)
    for index in image.indices():
        values[index] = _only_channel(image.read(index), path)
    return _as_ids(values, path, negative)


def class_ids(
    labels: Sequence[npt.NDArray[Any]],
    *,
    label_values: LabelValues = "auto",
    unlabelled: Unlabelled = "auto",
    classes: int | None = None,
) -> list[npt.NDArray[np.uint8]]:
    """Turn all label images of a run into class ids.

    Parameters
    ----------
    labels
        What ``read_labels`` returned.
    label_values, unlabelled, classes
        As of ``decide_labels``.

    Returns
    -------
    list of ndarray
        uint8 class ids and ``IGNORE``.

    Raises
    ------
    DataError
        When the values fit no meaning, or more than one.
    """
    tallies = [Tally.of(f"label image {i}", a) for i, a in enumerate(labels)]
    rule = decide_labels(
        tallies, values=label_values, unlabelled=unlabelled, classes=classes
    )
    return [rule.apply(array) for array in labels]


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
    """Return the labels in the smallest type that TIFF readers know."""
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


def _opaque(planes: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Return ``(C, Y, X)`` of a picture without its alpha."""
    if len(planes) not in (2, 4):
        return planes
    colours, alpha = planes[:-1], planes[-1]
    if (colours == colours[:, :1, :1]).all() and (alpha != alpha[0, 0]).any():
        raise DataError(
            f"{path} has one colour, and how opaque it is differs; labels are numbers "
            "of pixels: save the alpha channel as a grey picture"
        )
    return colours


def _only_channel(planes: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Return the one channel of ``(C, Y, X)``, also of a grey mask saved as RGB."""
    if np.any(planes[1:] != planes[:1]):
        raise DataError(
            f"{path} holds colours or several channels; labels are one number a pixel "
            "(0 background, 1, 2, ...): convert each colour to its class and save one "
            "channel"
        )
    first: npt.NDArray[Any] = planes[0]
    return first


def _as_ids(
    values: npt.NDArray[Any], path: Path, negative: bool
) -> npt.NDArray[np.integer[Any]]:
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            ids = values.astype(np.int64)
            if np.all(np.abs(values) <= np.iinfo(np.int32).max):
                ids = ids.astype(np.int32)
        if np.any(ids != values):
            raise DataError(
                f"{path} holds fractions, infinities or NaN; labels are whole numbers: "
                "threshold a probability map first"
            )
        values = ids
    if not negative and values.size and values.min() < 0:
        raise DataError(
            f"{path} holds negative numbers down to {values.min()}; labels start at 0"
        )
    return values

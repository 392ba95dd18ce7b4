"""Label images and probability maps: written whole, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images.formats import TIFF_READ_SUFFIXES
from unet_engine.images.labels.tallies import Tally
from unet_engine.images.labels.values import decide_labels
from unet_engine.images.opening import check_ended, existing_file, format_of, open_image
from unet_engine.images.pictures.reading import PICTURE_SUFFIXES, read_picture
from unet_engine.images.zarr.ome_zarr import is_zarr

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images.labels.choices import LabelValues, Unlabelled
    from unet_engine.images.zarr.chunks import MissingChunks


LABEL_READ_SUFFIXES = (*TIFF_READ_SUFFIXES, ".png", ".bmp", ".gif")


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
        Accept numbers below 0, which may stand for pixels that nobody labelled.
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
        Integers of any shape, as ``read_labels`` returns them.
    label_values, unlabelled, classes
        As of ``decide_labels``.

    Returns
    -------
    list of ndarray
        uint8 class ids and ``IGNORE``, each in the shape of its labels.

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


def _opaque(planes: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Return ``(C, Y, X)`` of a picture without its alpha."""
    if len(planes) not in (2, 4):
        return planes
    colours, alpha = planes[:-1], planes[-1]
    if (colours == colours[:, :1, :1]).all() and (alpha != alpha[0, 0]).any():
        raise DataError(
            f"{path} has one colour, and how opaque it is differs; labels are numbers "
            "of pixels: save the alpha channel as a grey image"
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

"""Opening image files: TIFF lazily, pictures whole, others by bioio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.formats import (
    ARCHIVE_SUFFIXES,
    IMAGE_SUFFIXES,
    TIFF_READ_SUFFIXES,
    UNFINISHED,
    VENDOR_SUFFIXES,
)
from unet_engine.images.image import Image
from unet_engine.images.pictures.pixel_sizes import picture_pixel_size
from unet_engine.images.pictures.reading import PICTURE_SUFFIXES, read_picture
from unet_engine.images.pixel_size import reported
from unet_engine.images.source_files import Source
from unet_engine.images.tiff.reading import open_tiff
from unet_engine.images.vendor import open_vendor
from unet_engine.images.zarr.addresses import address_of
from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX, is_zarr, open_zarr

if TYPE_CHECKING:
    import os

    from unet_engine.images.zarr.chunks import MissingChunks


_STARTS = {
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
}
"""How files of a format begin."""


def open_image(
    path: str | os.PathLike[str],
    *,
    axes: str | None = None,
    missing_chunks: MissingChunks = "refuse",
    series: int | None = None,
    labels: bool = False,
) -> Image:
    """Open an image file; of a TIFF or a zarr nothing but the header is read.

    Parameters
    ----------
    path
        TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, BMP or GIF; with bioio the format of a
        vendor; the folder of an OME-Zarr image or of a zarr array, or its address
        (``https://``, ``s3://``).
    axes
        A letter for each axis in the file, when its metadata is missing or wrong.
    missing_chunks
        What a chunk means that a zarr lacks, and a plane that an OME-TIFF lacks: an
        error, or the fill value, as writers have it that leave empty chunks out.
    series
        Which of the images in the file, from 0, when it holds several that differ.
    labels
        The file holds ids: of a palette the indices are read, not the colours.

    Raises
    ------
    DataError
        When there is no such file, it is damaged or of another format, or ``axes``
        does not fit it.

    Examples
    --------
    >>> import numpy as np, tifffile
    >>> from unet_engine import open_image
    >>> stack = np.zeros((5, 64, 48), np.uint16)
    >>> tifffile.imwrite("stack.tif", stack, metadata={"axes": "ZYX"})
    >>> image = open_image("stack.tif")
    >>> image.axes, image.leading_shape, image.plane_shape
    ('ZYX', (5,), (64, 48))
    """
    if (address := address_of(path)) is not None:
        return open_zarr(address, axes, missing_chunks)
    if is_zarr(Path(path)):
        if labels and missing_chunks == "refuse":
            check_ended(Path(path))
        return open_zarr(Path(path), axes, missing_chunks)
    path = existing_file(path)
    suffix = path.suffix.lower()
    if suffix in TIFF_READ_SUFFIXES:
        return open_tiff(
            path, axes, series=series, labels=labels, fill=missing_chunks == "fill"
        )
    if suffix in PICTURE_SUFFIXES:
        data = read_picture(path, indices=labels)
        size = reported(picture_pixel_size(path), path)
        image = Image.from_array(
            data, axes or "YXS"[: data.ndim], name=path.name, pixel_size=size
        )
        return replace(image, source=Source.of_files([path]))
    if suffix in VENDOR_SUFFIXES:
        return open_vendor(path, axes, series)
    if suffix in ARCHIVE_SUFFIXES:
        raise DataError(f"{path} is packed; unpack it and give the image in it")
    raise DataError(
        f"{path} is no image file that can be opened; "
        f"use one of {', '.join((*IMAGE_SUFFIXES, ZARR_SUFFIX))}"
    )


def format_of(path: Path) -> str:
    """Return the suffix that a file should have by what it holds; "" if unknown."""
    with path.open("rb") as file:
        start = file.read(8)
    found = (name for begin, name in _STARTS.items() if start.startswith(begin))
    return next(found, "")


def _check_name(path: Path) -> None:
    """Refuse a file that is named as another format than it has.

    Raises
    ------
    DataError
        When a TIFF is named as a picture, of which other programs lose bits or planes,
        or a picture as a TIFF.
    """
    suffix = path.suffix.lower()
    if suffix not in (*TIFF_READ_SUFFIXES, *PICTURE_SUFFIXES):
        return
    found = format_of(path)
    if found and (found == ".tif") != (suffix in TIFF_READ_SUFFIXES):
        raise DataError(
            f"{path} is no {suffix} file by what it holds; rename it to end in {found}"
        )


def check_ended(path: Path) -> None:
    """Refuse masks of a run that was stopped: what it lacks is not background.

    Raises
    ------
    DataError
        When the run has not ended.
    """
    if (path / UNFINISHED).exists():
        raise DataError(
            f"{path} is of a prediction that was stopped; end it with the command that "
            "began it"
        )


def existing_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there and not empty.

    Raises
    ------
    DataError
        When it is missing, a folder, of zero bytes, or named as another format.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file in it")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened: {error.strerror}; check the path"
        ) from error
    if not path.is_file():
        raise DataError(f"{path} is a device or a pipe; give a file")
    if size == 0:
        raise DataError(f"{path} is an empty file; copy or export it again")
    try:
        _check_name(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}; check its permissions"
        ) from error
    return path

"""What a command may write: nothing that exists, unless the user allows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable
from unet_engine.files.inputs import identity_of
from unet_engine.images import IMAGE_SUFFIXES, ZARR_SUFFIX
from unet_engine.images.labels.own_results import is_unchanged_result
from unet_engine.images.zarr.addresses import address_of
from unet_engine.images.zarr.label_group import image_around, is_zarr_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def is_zarr_name(path: Path | None) -> bool:
    """Whether a result is to be a zarr."""
    return path is not None and is_zarr_place(address_of(path) or path)


def check_place(path: Path) -> None:
    """Make sure that a result can be written.

    Raises
    ------
    DataError
        When the folder around it is missing, read-only or full.
    """
    if address_of(path) is not None:
        # The first object that is written there shows whether it can be.
        return
    image = image_around(path)
    # The group of the labels of an image is made with the first of them.
    has_group = not isinstance(image, Path) or path.parent.exists()
    place = path if has_group else path.parent.with_name(path.name)
    check_writable(place, folder=is_zarr_name(path))


def check_suffix(path: Path, allowed: Sequence[str]) -> None:
    """Make sure that a result has one of the allowed suffixes.

    Raises
    ------
    DataError
        When it has another one.
    """
    inside = ZARR_SUFFIX in allowed and is_zarr_name(path)
    if path.suffix.lower() not in allowed and not inside:
        raise DataError(
            f"{path} is no name for this result; let it end in {' or '.join(allowed)}"
        )


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace what is there: labels drawn by hand are not made again.

    A mask that was written here and is unchanged can be made again, and is replaced.

    Raises
    ------
    DataError
        When something is there and ``overwrite`` does not allow to replace it.
    """
    if overwrite or not os.path.lexists(path):
        return
    if not is_unchanged_result(path):
        raise DataError(
            f"{path} is there already; write to another place, or pass --overwrite to "
            "replace it"
        )


def make_folder(folder: Path, sources: Iterable[Path]) -> None:
    """Make the folder for the results of several files.

    Raises
    ------
    DataError
        When it has the name of a file, is that of the files, or cannot be made.
    """
    suffixes = (*IMAGE_SUFFIXES, ZARR_SUFFIX)
    if folder.suffix.lower() in suffixes and not folder.is_dir():
        raise DataError(
            f"the images are several and {folder} is the name of a file; "
            "give a folder for the results"
        )
    if identity_of(folder) & set().union(*map(identity_of, sources)):
        raise DataError(
            f"{folder} is the folder of the images, which results would replace, or be "
            "taken for in the next run; give another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the folder {folder} cannot be made: {error.strerror}; choose another one"
        ) from error

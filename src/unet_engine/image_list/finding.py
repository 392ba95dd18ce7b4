"""The list that an image is in, and where a new one belongs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable
from unet_engine.image_list.image_list import ImageList
from unet_engine.image_list.list_file import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTS_VARIABLE = "NAPARI_UNET_LISTS"
"""Environment variable that names another folder for lists of images in folders that
cannot be written to."""

_FOLDERS_ABOVE = 2
"""Folders above that of an image in which its list is looked for: a list of a plate or
an experiment lies above the folders of its images."""

_DIGEST_LETTERS = 8
"""Letters of the digest of a folder in the name of its list."""


def user_lists_folder() -> Path:
    """Return the folder of lists that cannot lie with their images."""
    named = os.environ.get(LISTS_VARIABLE)
    if named:
        return Path(named).expanduser()
    return platformdirs.user_data_path("napari-unet-finetune", False) / "lists"


def lists_of(image: Path) -> tuple[Path, ...]:
    """Return the files of the lists that an image is in, that written last first.

    They are looked for in its folder, the two above, and the folder of the user.
    Files that are no lists are passed over.
    """
    found = []
    for path in _lists_near(image):
        try:
            images = ImageList.open(path, write=False)
        except DataError:
            continue
        if images.entry_of(image) is not None:
            found.append(path)
    return tuple(sorted(found, key=_written_at, reverse=True))


def new_list_path(image: Path, *others: Path) -> Path:
    """Return where a list that is made for images belongs.

    In the folder of the image, or that which has the folders of all images where they
    find it there; under the name of that folder. Where that cannot be written to, in
    the user's folder of lists. It is made where it is missing. A list may be there
    already, of other images of the folder.
    """
    folder = _common_folder(image, *others)
    name = folder.name or "images"
    path = folder / f"{name}{SUFFIX}"
    try:
        check_writable(path)
    except DataError:
        pass
    else:
        return path
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:_DIGEST_LETTERS]
    own = user_lists_folder()
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"neither {folder} nor {own} can be written to "
            f"({error.strerror or error}); set {LISTS_VARIABLE} to a folder that can"
        ) from error
    return own / f"{name}-{digest}{SUFFIX}"


def _common_folder(image: Path, *others: Path) -> Path:
    """Return the folder above all images, or that of the first if one is too deep."""
    near = [_folders_near(each) for each in (image, *others)]
    common = set(near[0]).intersection(*near[1:])
    return next((folder for folder in near[0] if folder in common), near[0][0])


def list_for(image: Path) -> ImageList:
    """Open the list of an image, or make one; the image is in it.

    Raises
    ------
    DataError
        When none can be read or made.
    """
    known = lists_of(image)
    if known:
        return ImageList.open(known[0])
    path = new_list_path(image)
    images = ImageList.open(path) if path.exists() else ImageList.create(path)
    if not images.read_only:
        images.add([image])
        images.save()
    return images


def _lists_near(image: Path) -> Iterator[Path]:
    for folder in (*_folders_near(image), user_lists_folder()):
        try:
            yield from sorted(folder.glob(f"*{SUFFIX}"))
        except OSError:
            continue


def _folders_near(image: Path) -> tuple[Path, ...]:
    """Return the folder of an image and those above in which its list is looked for."""
    return tuple(image.absolute().parents[: _FOLDERS_ABOVE + 1])


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

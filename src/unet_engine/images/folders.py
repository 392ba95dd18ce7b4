"""Folders of images and of labels, paired by file name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.files import IMAGE_SUFFIXES
from unet_engine.images.labels import LABEL_SUFFIXES
from unet_engine.images.ome_zarr import ZARR_SUFFIX, is_zarr

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

_NAMED = 3


def pair_folders(
    images: str | os.PathLike[str], labels: str | os.PathLike[str]
) -> list[tuple[Path, Path]]:
    """Pair the images of one folder with the labels of another by their stems.

    Hidden files and files that are no images are left out; ``a.ome.tif`` belongs to
    ``a.png``.

    Returns
    -------
    list of tuple
        Image and labels, in natural order (``z2`` before ``z10``).

    Raises
    ------
    DataError
        When a folder is missing or holds no images, two files share a stem, or a file
        has no partner.
    """
    sources = _by_stem(Path(images), IMAGE_SUFFIXES)
    targets = _by_stem(Path(labels), LABEL_SUFFIXES)
    lonely = [*_missing(sources, targets), *_missing(targets, sources)]
    if lonely:
        raise DataError(
            f"{len(sources)} images in {images} and {len(targets)} labels in {labels} "
            f"do not pair by name: {_name(lonely)} without a partner; give each image "
            "and its labels the same name"
        )
    return [(sources[stem], targets[stem]) for stem in sorted(sources, key=_natural)]


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files of a folder in natural order.

    Raises
    ------
    DataError
        When the folder is missing or holds no images.
    """
    found = _files(Path(folder), IMAGE_SUFFIXES)
    return sorted(found, key=lambda path: _natural(path.name))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    try:
        suffixes = (*suffixes, ZARR_SUFFIX)
        found = [p for p in folder.iterdir() if p.suffix.lower() in suffixes]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read as a folder: {error.strerror}; check the path"
        ) from error
    found = [
        p for p in found if not p.name.startswith(".") and (p.is_file() or is_zarr(p))
    ]
    if not found:
        raise DataError(
            f"{folder} holds no image file; put files of {', '.join(suffixes)} there"
        )
    return found


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    pairs: dict[str, Path] = {}
    for path in _files(folder, suffixes):
        stem = path.stem.removesuffix(".ome")
        if stem in pairs:
            raise DataError(
                f"{folder} holds {pairs[stem].name} and {path.name}; keep one of them"
            )
        pairs[stem] = path
    return pairs


def _missing(these: dict[str, Path], others: dict[str, Path]) -> Iterable[Path]:
    return (these[s] for s in sorted(set(these) - set(others), key=_natural))


def _name(paths: Sequence[Path]) -> str:
    names = ", ".join(f"{p.parent.name}/{p.name}" for p in paths[:_NAMED])
    more = len(paths) - _NAMED
    return f"{names} and {more} more are" if more > 0 else f"{names} {_be(paths)}"


def _be(paths: Sequence[Path]) -> str:
    return "is" if len(paths) == 1 else "are"


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(p), "") if p.isdecimal() else (-1, p.casefold()) for p in parts]

"""Folders of images and of labels, paired by file name."""

from __future__ import annotations

import glob
import logging
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.formats import (
    ARCHIVE_SUFFIXES,
    BIOIO_ADVICE,
    IMAGE_SUFFIXES,
    OTHER_SUFFIXES,
    VENDOR_SUFFIXES,
    read_suffixes,
)
from unet_engine.images.labels.reading import LABEL_READ_SUFFIXES
from unet_engine.images.zarr.addresses import address_of
from unet_engine.images.zarr.ome_zarr import ZARR_SUFFIX, is_zarr

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

logger = logging.getLogger(__name__)

_LOSSY_SUFFIXES = (".jpg", ".jpeg")

_NAMED = 3
"""Files that a message names before it gives the number of the others."""


def pair_folders(
    images: str | os.PathLike[str], labels: str | os.PathLike[str]
) -> list[tuple[Path, Path]]:
    """Pair the images of one folder with the labels of another by their stems.

    Hidden files and files that are no images are left out; ``a.ome.tif`` belongs to
    ``a.png``. An OME-Zarr and labels that are one are a pair, whatever their names.

    Parameters
    ----------
    images, labels
        Folders, or one OME-Zarr each.

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
    paired = match_folders(images, labels)
    if paired.twins:
        first, second, *_ = paired.twins
        raise DataError(
            f"{first.parent} holds {first.name} and {second.name}; keep one of them"
        )
    if paired.lonely:
        raise DataError(
            f"{paired.images} images in {images} and {paired.labels} labels in "
            f"{labels} do not pair by name: {_name(paired.lonely)} without a partner; "
            "give each image and its labels the same name"
        )
    return list(paired.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """What of two folders belongs together.

    Attributes
    ----------
    pairs
        Image and labels, in natural order.
    lonely
        Files without a partner.
    twins
        Files that share a stem with another one of their folder, side by side.
    images, labels
        How many different stems each folder holds.
    """

    pairs: tuple[tuple[Path, Path], ...]
    lonely: tuple[Path, ...]
    twins: tuple[Path, ...]
    images: int
    labels: int

    def reasons(self, images: Path, labels: Path) -> dict[Path, str]:
        """Return why each file that is in no pair is in none, and what to do.

        Parameters
        ----------
        images, labels
            The folders.
        """
        found = {}
        for path in self.lonely:
            of_images = path.parent == images
            what, other = ("labels", labels) if of_images else ("image", images)
            found[path] = (
                f"{path} has no {what} of its name in {other}; give both the same "
                "name, or take it away"
            )
        for path in self.twins:
            alike = [p for p in self.twins if p.parent == path.parent and p != path]
            other_name = next(p.name for p in alike if stem_of(p) == stem_of(path))
            found[path] = (
                f"{path} has the same name as {other_name}; keep one of them in "
                f"{path.parent}"
            )
        return found


def match_folders(
    images: str | os.PathLike[str], labels: str | os.PathLike[str]
) -> Pairing:
    """Pair the files of two folders by their stems, and find those without a pair.

    Raises
    ------
    DataError
        When a folder is missing or holds no images.
    """
    if is_zarr(Path(images)) and is_zarr(Path(labels)):
        pair = (Path(images), Path(labels))
        return Pairing(pairs=(pair,), lonely=(), twins=(), images=1, labels=1)
    sources = _by_stem(Path(images), read_suffixes())
    targets = _without_previews(
        _by_stem(Path(labels), (*LABEL_READ_SUFFIXES, *_LOSSY_SUFFIXES))
    )
    twins = [files for one in (sources, targets) for files in one.values() if files[1:]]
    unclear = {stem_of(files[0]) for files in twins}
    lonely = [*_missing(sources, targets), *_missing(targets, sources)]
    both = sorted((sources.keys() & targets.keys()) - unclear, key=_natural)
    return Pairing(
        pairs=tuple((sources[stem][0], targets[stem][0]) for stem in both),
        lonely=tuple(path for path in lonely if stem_of(path) not in unclear),
        twins=tuple(path for files in twins for path in files),
        images=len(sources),
        labels=len(targets),
    )


def stem_of(path: Path) -> str:
    """Return the name by which an image and its labels belong together.

    Without suffix, also ``.ome.tif``; in one Unicode form, as macOS takes names apart
    that other systems keep composed.
    """
    stem = path.stem
    if stem.lower().endswith(".ome"):
        stem = stem[: -len(".ome")]
    return unicodedata.normalize("NFC", stem)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files of a folder in natural order.

    Files that look like images and cannot be read are named in one warning.

    Parameters
    ----------
    folder
        Its folders are not searched.

    Raises
    ------
    DataError
        When the folder is missing or holds no images.
    """
    found = _files(Path(folder), read_suffixes())
    return sorted(found, key=lambda path: _natural(path.name))


def list_inputs(sources: Sequence[Path]) -> tuple[list[Path], bool]:
    """Return the files that are meant by files, folders and patterns such as ``*.tif``.

    Returns
    -------
    files, several
        Each file once, those of a folder in natural order; and whether more than one
        file may be meant.

    Raises
    ------
    DataError
        When a folder holds no image, or a pattern fits no file.
    """
    files: list[Path] = []
    several = len(sources) > 1
    for source in sources:
        if address_of(source) is not None:
            files.append(source)
        elif source.is_dir() and not is_zarr(source):
            files += list_images(source)
            several = True
        elif glob.has_magic(str(source)) and not source.exists():
            found = sorted(map(Path, glob.glob(str(source), recursive=True)))
            if not found:
                raise DataError(f"no file fits {source}; check the path")
            files += found
            several = True
        else:
            files.append(source)
    return list({path.absolute(): path for path in files}.values()), several


def name_in_zarr(image: Path) -> str | None:
    """Return a name for an image in a zarr: those of a plate are all called 0."""
    around = next((place for place in reversed(image.parents) if is_zarr(place)), None)
    if around is None:
        return None
    name = around.name.removesuffix(ZARR_SUFFIX).removesuffix(".ome")
    return "_".join((name, *image.relative_to(around).parts))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    suffixes = (*suffixes, ZARR_SUFFIX)
    try:
        present = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read as a folder: {error.strerror}; check the path"
        ) from error
    there = [p for p in present if _may_be_image(p)]
    found = [p for p in there if p.suffix.lower() in suffixes]
    kept = set(found)
    passed_over = _passed_over([p for p in there if p not in kept])
    if not found:
        raise DataError(
            f"{folder} holds no image file; "
            + (
                passed_over
                or _in_folders(folder, present, suffixes)
                or f"put files of {', '.join(suffixes)} there"
            )
        )
    if passed_over:
        logger.warning("%s: %s", folder, passed_over)
    return found


def _in_folders(folder: Path, present: Sequence[Path], suffixes: Sequence[str]) -> str:
    """Return a text on folders in a folder that hold images; "" without any."""
    inner = [path for path in present if path.is_dir() and not is_zarr(path)]
    holding = [path for path in inner if _holds_image(path, suffixes)]
    if not holding:
        return ""
    holding.sort(key=lambda path: _natural(path.name))
    some = "its folder" if len(holding) == 1 else "its folders"
    which = "that" if len(holding) == 1 else "those"
    names = ", ".join(path.name for path in holding[:_NAMED])
    more = f" and {len(holding) - _NAMED} more" if len(holding) > _NAMED else ""
    return f"{some} {names}{more} {_do(holding)}: choose {which}"


def _holds_image(folder: Path, suffixes: Sequence[str]) -> bool:
    try:
        return any(
            path.suffix.lower() in suffixes and not path.name.startswith(".")
            for path in folder.iterdir()
        )
    except OSError:
        return False


def _may_be_image(path: Path) -> bool:
    """Whether it is to be opened; links to nothing fail there, and are named."""
    try:
        return not path.is_dir() or is_zarr(path)
    except OSError:
        return True


def _passed_over(paths: Sequence[Path]) -> str:
    """Return a text that names the files which look like images; "" without any."""
    known = (*IMAGE_SUFFIXES, *VENDOR_SUFFIXES, *OTHER_SUFFIXES, *ARCHIVE_SUFFIXES)
    images = [path for path in paths if path.suffix.lower() in known]
    if not images:
        return ""
    images.sort(key=lambda path: _natural(path.name))
    vendor = any(path.suffix.lower() in VENDOR_SUFFIXES for path in images)
    packed = all(path.suffix.lower() in ARCHIVE_SUFFIXES for path in images)
    advice = f"{BIOIO_ADVICE} for formats of vendors, or " if vendor else ""
    return (
        f"{_name(images)} passed over because the format cannot be read here; "
        f"{advice}{'unpack them' if packed else 'export as OME-TIFF'}"
    )


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(_files(folder, suffixes)):
        found.setdefault(stem_of(path), []).append(path)
    return found


def _without_previews(found: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Leave JPEG out beside labels; where it is alone, reading it is refused."""
    return {
        stem: [p for p in paths if p.suffix.lower() not in _LOSSY_SUFFIXES] or paths
        for stem, paths in found.items()
    }


def _missing(
    these: dict[str, list[Path]], others: dict[str, list[Path]]
) -> Iterable[Path]:
    return (these[s][0] for s in sorted(set(these) - set(others), key=_natural))


def _name(paths: Sequence[Path]) -> str:
    names = ", ".join(f"{p.parent.name}/{p.name}" for p in paths[:_NAMED])
    more = len(paths) - _NAMED
    return f"{names} and {more} more are" if more > 0 else f"{names} {_be(paths)}"


def _do(paths: Sequence[Path]) -> str:
    return "does" if len(paths) == 1 else "do"


def _be(paths: Sequence[Path]) -> str:
    return "is" if len(paths) == 1 else "are"


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.findall(r"\d+|\D+", name)
    return [(int(p), "") if p.isdecimal() else (-1, p.casefold()) for p in parts]

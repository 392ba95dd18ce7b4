"""Which images a batch has, and where the results of each go."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.images.folders import list_inputs, name_in_zarr, stem_of
from unet_engine.images.zarr.ome_zarr import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESULTS = {"mask": "_mask.tif", "objects": "_objects.tif"}
"""How the names of results end, by what they are."""

TABLE, SUMMARY = "objects.csv", "summary.csv"
"""Files of the whole batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """An image of a batch.

    Attributes
    ----------
    image
        Its path.
    name
        What it is called in tables: its path below the folder that all images have in
        common, with ``/``.
    condition
        Name of the folder that it lies in, by which a summary groups images.
    stem
        Path of its results below the home of the batch, with ``/`` and without what
        they end in.
    place
        The same as a path of the disk.
    """

    image: Path
    name: str
    condition: str
    stem: str
    place: Path

    def result(self, what: str) -> Path:
        """Return the path of a result, ``"mask"`` or ``"objects"``."""
        return self.place.with_name(self.place.name + RESULTS[what])


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """The images of a batch.

    Attributes
    ----------
    items
        Each image once.
    home
        Folder of the tables and of the records.
    left_out
        Files of folders that are results of batches, and no images.
    """

    items: tuple[BatchItem, ...]
    home: Path
    left_out: tuple[Path, ...] = ()


def plan_batch(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
) -> BatchPlan:
    """Decide which images a batch has, and what is written where.

    Nothing is written.

    Parameters
    ----------
    sources
        Files, folders, patterns such as ``day1/*.tif``. Of folders and patterns results
        of batches are left out.
    out
        Folder for the results, with the folders of the images below it; None: they go
        beside the images, and the tables into the folder that these have in common.

    Raises
    ------
    DataError
        When there is no image, or no place for the tables.
    """
    images, left_out = _images([Path(source) for source in sources])
    around = [_place_of(image)[0] for image in images]
    common = _common(around)
    home = common if out is None else Path(out).absolute()
    if home is None:
        raise DataError(
            "the images lie on different drives, so there is no folder beside all of "
            "them; give one for the results"
        )
    if home.exists() and not home.is_dir():
        raise DataError(
            f"{home} is a file, and a batch writes several; give a folder for the "
            "results"
        )
    items = []
    for image, folder, name in zip(images, around, _names(images), strict=True):
        below = Path(folder.name) if common is None else folder.relative_to(common)
        stem = (below / name).as_posix()
        items.append(
            BatchItem(
                image=image,
                name=(below / _place_of(image)[1]).as_posix(),
                condition=folder.name,
                stem=stem,
                place=home.joinpath(*stem.split("/")),
            )
        )
    return BatchPlan(items=tuple(items), home=home, left_out=left_out)


def _images(sources: Sequence[Path]) -> tuple[list[Path], tuple[Path, ...]]:
    """Return the images, and what is left out as a result."""
    found: dict[Path, Path] = {}
    left_out: list[Path] = []
    for source in sources:
        files, several = list_inputs([source])
        results = _results_among(files) if several else set()
        left_out += [path for path in files if path in results]
        found |= {p.absolute(): p for p in files if p not in results}
    if not found:
        raise DataError("there is no image but results of batches; give other files")
    return [path.absolute() for path in found.values()], tuple(left_out)


def _results_among(files: Iterable[Path]) -> set[Path]:
    """Return the files that are named as results of others of them."""
    files = list(files)
    stems = {(p.parent, name) for p in files for name in (stem_of(p), p.name)}
    return {
        path
        for path in files
        for ending in RESULTS.values()
        if path.name.endswith(ending)
        and (path.parent, path.name.removesuffix(ending)) in stems
    }


def _place_of(image: Path) -> tuple[Path, str]:
    """Return the folder around an image, and its name; a zarr is one thing."""
    inside = name_in_zarr(image)
    if inside is None:
        return image.parent, image.name
    around = next(place for place in reversed(image.parents) if is_zarr(place))
    return around.parent, inside


def _common(folders: Sequence[Path]) -> Path | None:
    """Return the folder that all lie in; None on different drives."""
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:
        return None


def _names(images: Sequence[Path]) -> list[str]:
    """Return names for the results: without suffix, unless two would have the same."""
    places = [_place_of(image) for image in images]
    names = [
        name if name_in_zarr(image) is not None else stem_of(image)
        for image, (_, name) in zip(images, places, strict=True)
    ]
    # A whole name may be that of another without its suffix: a.tif and a.tif.png.
    while True:
        keys = [(folder, name) for (folder, _), name in zip(places, names, strict=True)]
        count = Counter(keys)
        whole = [
            places[n][1] if count[key] > 1 else names[n] for n, key in enumerate(keys)
        ]
        if whole == names:
            return names
        names = whole

"""Opening OME-Zarr images (0.1 to 0.5) and bare zarr arrays, versions 2 and 3."""

from __future__ import annotations

import os
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images.axes import AXES
from unet_engine.images.claims import COMPRESSION, check_claim, check_segment
from unet_engine.images.image import Image
from unet_engine.images.pixel_size import PixelSize, is_size, reported
from unet_engine.images.source_files import Source
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.chunks import MissingChunks, ZarrPixels
from unet_engine.images.zarr.storage import Place, is_there, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import zarr

ZARR_SUFFIX = ".zarr"

_METADATA = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
_FIVE_AXES = "TCZYX"
"""Axes of OME-Zarr 0.1 and 0.2, which do not name them."""

_LETTERS = {
    "t": "T",
    "time": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "p": "P",
    "position": "P",
    "r": "R",
    "z": "Z",
    "y": "Y",
    "x": "X",
}


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr, or is named as one."""
    return path.is_dir() and (
        path.suffix.lower() == ZARR_SUFFIX
        or any((path / name).is_file() for name in _METADATA)
    )


def holds_zarr(path: Place) -> bool:
    """Whether a folder or an address has the metadata of a zarr group or array."""
    names = [name for name in _METADATA if name != ".zattrs"]
    return any(is_there(path / name) for name in names)


def open_zarr(path: Place, axes: str | None, missing: MissingChunks) -> Image:
    """Open an OME-Zarr image at full resolution, or a bare array, lazily.

    Parameters
    ----------
    path
        Folder or address of a multiscale image, of a bioformats2raw series or of an
        array.
    axes
        A letter for each axis of the array, when it does not name them.
    missing
        What a missing chunk means.

    Raises
    ------
    DataError
        When it has no or damaged metadata, is a plate, or its axes are not known.
    """
    return open_levels(path, axes, missing, most=1)[0]


def open_levels(
    path: Place,
    axes: str | None = None,
    missing: MissingChunks = "refuse",
    *,
    most: int | None = None,
) -> tuple[Image, ...]:
    """Open the levels of an OME-Zarr image, the finest first; as ``open_zarr``.

    Parameters
    ----------
    path, axes, missing
        As in ``open_zarr``.
    most
        Number of levels; None for all that the metadata name.

    Raises
    ------
    DataError
        As ``open_zarr``.
    """
    try:
        return _open_node(path, axes, missing, most)
    except DataError:
        raise
    except FileNotFoundError as error:
        if isinstance(path, Address):
            raise DataError(
                f"there is no zarr at {path}; check the address, and that it may be "
                "read without signing in"
            ) from error
        raise DataError(
            f"{path} has no zarr metadata ({', '.join(_METADATA[:3])}); give the "
            "folder that holds it, or export the image again"
        ) from error
    except Exception as error:
        if isinstance(path, Address) and not isinstance(error, ValueError | KeyError):
            raise DataError(
                f"{path} cannot be read ({_describe(error)}); check the address and "
                "the connection, and try again"
            ) from error
        # Damaged metadata make the parsers raise anything.
        raise DataError(
            f"the zarr metadata of {path} cannot be read ({_describe(error)}); they "
            "are damaged or of an unknown version: export the image again"
        ) from error


def _open_node(
    path: Place, axes: str | None, missing: MissingChunks, most: int | None
) -> tuple[Image, ...]:
    # Loads slowly, and most images are something else.
    import zarr

    store = open_store(path, missing) if isinstance(path, Address) else path
    node = zarr.open(store, mode="r")
    if isinstance(node, zarr.Array):
        return (_array_image(path, node, axes or _array_axes(path, node), missing),)
    attributes = _ome(node.attrs)
    if "multiscales" not in attributes and isinstance(path, Path):
        inside = image_paths(path)
        alone = "plate" not in attributes and "well" not in attributes
        if inside != [path] and len(inside) == 1 and alone:
            return _open_node(inside[0], axes, missing, most)
        if inside != [path]:
            raise _holds_several(path, inside)
    if "multiscales" in attributes:
        if len(attributes["multiscales"]) > 1:
            raise DataError(
                f"{path} describes {len(attributes['multiscales'])} images at once; "
                f"give one of its arrays, such as {_example(path, node)}"
            )
        multiscale = attributes["multiscales"][0]
        levels = range(len(multiscale["datasets"]))[:most]
        return tuple(
            _level_image(path, node, multiscale, level, axes, missing)
            for level in levels
        )
    return (_only_array(path, node, axes, missing),)


def image_paths(path: Path) -> list[Path]:
    """Return the images in the folder of a plate, a well, a series or labels.

    Parameters
    ----------
    path
        Folder of a zarr.

    Returns
    -------
    list of Path
        Those that are there; ``[path]`` when it is none of these.

    Raises
    ------
    DataError
        When the metadata are missing or damaged.
    """
    try:
        return _image_paths(path)
    except Exception as error:
        # Damaged metadata make the parsers raise anything.
        raise DataError(
            f"the zarr metadata of {path} cannot be read ({_describe(error)}); they "
            "are missing, damaged or of an unknown version: export the image again"
        ) from error


def _image_paths(path: Path) -> list[Path]:
    import zarr

    node = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return [path]
    attributes = _ome(node.attrs)
    if "plate" in attributes:
        wells = [path / str(w["path"]) for w in attributes["plate"].get("wells", ())]
        return [p for well in wells if is_zarr(well) for p in image_paths(well)]
    if "well" in attributes:
        names = [str(one["path"]) for one in attributes["well"].get("images", ())]
    elif "bioformats2raw.layout" in attributes:
        names = [name for name, _ in node.groups() if name.isdecimal()]
        names.sort(key=int)
    elif isinstance(attributes.get("labels"), list):
        names = [str(name) for name in attributes["labels"]]
    else:
        return [path]
    return [path / name for name in names if is_zarr(path / name)]


def _holds_several(path: Path, inside: Sequence[Path]) -> DataError:
    if not inside:
        return DataError(
            f"{path} describes images and none of them is there; copy or export it "
            "again"
        )
    return DataError(
        f"{path} holds {len(inside)} image{'s' * (len(inside) > 1)}; give one of them, "
        f"such as {inside[0]}"
    )


def _example(path: Place, group: zarr.Group) -> str:
    names = sorted(name for name, _ in group.arrays())
    return str(path / names[0]) if names else str(path)


def _ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME attributes: from 0.5 on they lie under a key of their own."""
    nested: Mapping[str, Any] = attributes.get("ome", attributes)
    return nested


def _level_image(
    path: Place,
    group: zarr.Group,
    multiscale: Mapping[str, Any],
    level: int,
    axes: str | None,
    missing: MissingChunks,
) -> Image:
    inside = str(multiscale["datasets"][level]["path"])
    try:
        array = group[inside]
    except KeyError:
        raise DataError(
            f"{path} has no metadata for its array {inside!r}; copy or export it again"
        ) from None
    named: list[Any] = list(multiscale.get("axes", _FIVE_AXES.lower()))
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in named]
    image = _array_image(path, array, axes or _letters(path, names), missing, inside)
    sizes = _scales(multiscale, level, len(names))
    stated = {
        letter: (size, _unit(axis))
        for letter, axis, size in zip(image.axes, named, sizes, strict=False)
    }
    size = PixelSize.stated(stated)
    return replace(image, pixel_size=size if level else reported(size, path))


def _scales(multiscale: Mapping[str, Any], level: int, count: int) -> list[Any]:
    """Return the size of a pixel of a level along each axis, in its unit.

    Those of the level and of all levels multiply. What is no number is returned as it
    is; nothing is when a list has another length than the axes, or lies in a file.
    """
    sizes: list[Any] = [None] * count
    for holder in (multiscale["datasets"][level], multiscale):
        for transform in holder.get("coordinateTransformations") or ():
            if transform.get("type") != "scale":
                continue
            scale = transform.get("scale")
            if not isinstance(scale, list) or len(scale) != count:
                return [f"{scale!r} for {count} axes"] * count
            sizes = list(map(_times, sizes, scale))
    return sizes


def _times(size: Any, factor: Any) -> Any:
    """Multiply two sizes, the first of which may be unknown; keep what is wrong."""
    if size is None or not is_size(factor):
        return factor
    return size * factor if is_size(size) else size


def _unit(axis: Any) -> str:
    """Return the unit of an axis; before 0.4 they have none."""
    return str((axis.get("unit") if isinstance(axis, dict) else None) or "")


def _only_array(
    path: Place, group: zarr.Group, axes: str | None, missing: MissingChunks
) -> Image:
    arrays = dict(group.arrays())
    if len(arrays) != 1:
        inside = ", ".join(sorted(arrays)) or "none"
        raise DataError(
            f"{path} is a zarr group without the metadata of an OME-Zarr image; "
            f"give one of its arrays (there: {inside})"
        )
    ((name, array),) = arrays.items()
    return _array_image(
        path, array, axes or _array_axes(path / name, array), missing, name
    )


def _array_axes(path: Place, array: zarr.Array) -> str:
    """Return the axes that a bare array names; of two axes they are known."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if names and all(names):
        return _letters(path, list(names))
    if array.ndim == 2:
        return "YX"
    raise UnknownAxesError(
        f"{path} is a zarr array of shape {array.shape} that does not name its axes; "
        f"state them with --axes, one letter of {AXES} for each, such as "
        f"{_FIVE_AXES[-array.ndim :]}"
    )


def _letters(path: Place, names: Sequence[Any]) -> str:
    letters = [_LETTERS.get(str(name).lower()) for name in names]
    if None in letters:
        raise UnknownAxesError(
            f"{path} names its axes {', '.join(map(str, names))}, which are not all "
            f"known; state them with --axes, one letter of {AXES} for each"
        )
    return "".join(letter for letter in letters if letter)


def open_array(place: Place, missing: MissingChunks) -> ZarrPixels:
    """Open an array of a zarr where another process found it.

    Raises
    ------
    Exception
        Whatever zarr and the storage raise.
    """
    import zarr

    store = open_store(place, missing) if isinstance(place, Address) else place
    array = zarr.open_array(store, mode="r")
    return ZarrPixels(array, missing=missing, place=place)


def _array_image(
    path: Place, array: zarr.Array, axes: str, missing: MissingChunks, inside: str = ""
) -> Image:
    place = path / inside if inside else path
    data = ZarrPixels(array, missing=missing, place=place)
    if isinstance(path, Address):
        # What is stored there cannot be counted without asking for every chunk.
        check_segment(path.url, prod(data.chunks) * data.dtype.itemsize)
        return Image.from_array(data, axes, name=path.name)
    folder = path / inside
    files = {base / name for base in (path, folder) for name in _METADATA}
    source = Source.of_files(filter(Path.is_file, files), folder)
    _check_size(path, folder, data, missing)
    image = Image.from_array(data, axes, name=path.name)
    return replace(image, source=source)


def _check_size(
    path: Path, folder: Path, data: ZarrPixels, missing: MissingChunks
) -> None:
    """Refuse a size that the chunks cannot hold, as soon as enough are counted."""
    itemsize = data.dtype.itemsize
    check_segment(path, prod(data.chunks) * itemsize)
    # Writers of sparse label images leave most chunks out.
    allowance = 100 if missing == "fill" else 1
    enough = prod(data.shape) * itemsize / COMPRESSION
    stored = 0
    for size in _sizes(folder):
        stored += size * allowance
        if stored > enough:
            break
    check_claim(path, data.shape, itemsize, stored)


def _sizes(folder: Path) -> Iterator[int]:
    """Return the sizes of the files in a folder, in bytes, one by one."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _sizes(Path(entry.path))
            else:
                yield entry.stat().st_size


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

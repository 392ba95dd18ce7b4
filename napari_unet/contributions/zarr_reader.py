"""The reader of OME-Zarr images and labels: lazy, all levels, with scale and names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import is_zarr
from unet_engine.images.pixel_size import MICROMETRE, SECOND
from unet_engine.images.zarr.addresses import Address, address_of
from unet_engine.images.zarr.label_group import GROUP
from unet_engine.images.zarr.ome_zarr import holds_zarr, image_paths, open_levels
from unet_engine.images.zarr.writing import written_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.types import LayerData

    from unet_engine.images import Image

_MOST_IMAGES = 20
"""Images of one zarr that become layers at once; a plate has hundreds."""

_UNITS = {MICROMETRE: "um", SECOND: "s", "": "pixel"}
"""Units of the engine, and their names in napari."""


def get_reader(
    path: str | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader of OME-Zarr images, or None for anything else."""
    return read_images if all(map(_is_image, _paths(path))) else None


def read_images(path: str | Sequence[str]) -> list[LayerData]:
    """Open OME-Zarr images as lazy layers; channels become layers of their own.

    Images that are marked as labels become Labels layers, those inside an image too.

    Chunks that are not there are shown, and predicted, as the value that the zarr names
    for them: writers leave out empty ones.

    Raises
    ------
    DataError
        When one cannot be opened any more.
    """
    return [
        _layer(open_levels(one, missing="fill"), file, one)
        for file in _paths(path)
        for image in _images(file)
        for one in (image, *_labels_of(image))
    ]


def _images(file: Path | Address) -> list[Path] | list[Address]:
    """Return the images of a series, or the one image."""
    if isinstance(file, Address):
        return [file]
    try:
        open_levels(file, missing="fill", most=1)
    except DataError:
        return image_paths(file)
    return [file]


def _labels_of(image: Path | Address) -> list[Path]:
    """Return the label images inside an image that can be opened; of a folder."""
    if isinstance(image, Address):
        return []
    group = image / GROUP
    if not holds_zarr(group):
        return []
    try:
        found = [one for one in image_paths(group) if one != group][:_MOST_IMAGES]
        for one in found:
            open_levels(one, missing="fill", most=1)
    except DataError:
        return []
    return found


def _layer(
    levels: Sequence[Image], file: Path | Address, inside: Path | Address
) -> LayerData:
    # napari needs it, so it is there; loading it takes a while.
    import dask.array as da

    full = levels[0]
    name = _name(file) if inside == file else f"{_name(file)} {inside.name}"
    arrays = [
        da.from_array(
            level.data,
            chunks=level.data.chunks,
            name=False,
            meta=np.empty((0,) * level.data.ndim, level.data.dtype),
        )
        for level in levels
    ]
    kept = [axis for axis in full.axes if axis != "C"]
    steps = [full.pixel_size.step(axis) for axis in kept]
    options: dict[str, Any] = {
        "name": name,
        "scale": [1.0 if step is None else step.size for step in steps],
        "axis_labels": [axis.lower() for axis in kept],
        "units": ["pixel" if step is None else _UNITS[step.unit] for step in steps],
        "multiscale": len(arrays) > 1,
    }
    if _holds_labels(inside, full):
        return (arrays if len(arrays) > 1 else arrays[0], options, "labels")
    if "C" in full.axes:
        options["channel_axis"] = full.axes.index("C")
        if full.channels > 1:
            options["name"] = [f"{name} C{n}" for n in range(full.channels)]
    return (arrays if len(arrays) > 1 else arrays[0], options, "image")


def _holds_labels(path: Path | Address, image: Image) -> bool:
    """Whether an image is marked as one of labels, and napari can show it as such."""
    if isinstance(path, Address):
        return False
    attributes = written_attributes(path)
    attributes = attributes.get("ome", attributes)
    is_whole = np.dtype(image.data.dtype).kind in "iu" and "C" not in image.axes
    return is_whole and "image-label" in attributes


def _name(file: Path | Address) -> str:
    return file.name.removesuffix(".zarr").removesuffix(".ome")


def _paths(path: str | Sequence[str]) -> list[Path | Address]:
    names = [path] if isinstance(path, str) else path
    return [address_of(name) or Path(name) for name in names]


def _is_image(path: Path | Address) -> bool:
    """Whether a folder is a zarr whose axes are known; others may read the rest."""
    if isinstance(path, Path) and not is_zarr(path):
        return False
    try:
        open_levels(path, missing="fill", most=1)
    except DataError:
        return isinstance(path, Path) and _is_series(path)
    return True


def _is_series(path: Path) -> bool:
    """Whether it holds a few images that can all be opened; a plate is too much."""
    try:
        inside = image_paths(path)
        if not 1 < len(inside) <= _MOST_IMAGES or inside[0].parent != path:
            return False
        for one in inside:
            open_levels(one, missing="fill", most=1)
    except DataError:
        return False
    return True

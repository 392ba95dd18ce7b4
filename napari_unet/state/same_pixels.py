"""Image layers that show the same pixels: they share one mask and its strokes.

The same file opened twice, a duplicated layer, an array that was added under another
name. Copies of a file are images of their own: each has strokes beside its own path.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.state.equal_arrays import equal_values, same_memory
from napari_unet.viewer.conversion import full_data, image_of
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_unet.state.saved_strokes import SavedStrokes
    from napari_unet.state.working_image import WorkingImage
    from napari_unet.viewer.conversion import Layout

_LARGEST_COMPARED = 2**30
"""Bytes compared in the window's thread, 1 GiB: a third of a second of work."""


def same_image_of(
    layer: Any,
    layouts: Sequence[Layout],
    working_images: Mapping[Any, WorkingImage],
    saved: SavedStrokes,
) -> WorkingImage | None:
    """Return the working image of another layer with the same pixels, or None.

    Parameters
    ----------
    layer
        An image layer that is no working image yet.
    layouts
        What its axes may mean.
    working_images
        Those of other layers.
    saved
        Where strokes are. Images with strokes of their own, each in its folder, stay
        apart.
    """
    axes = [layout.axes for layout in layouts]
    for other, working_image in list(working_images.items()):
        if other is layer or working_image.layout.axes not in axes:
            continue
        try:
            image = image_of(layer, working_image.layout)
        except DataError:
            continue
        if (*image.leading_shape, *image.plane_shape) != working_image.mask.shape:
            continue
        own, shared = saved.folder_of(layer, image), working_image.annotations.folder
        if own == shared if own is not None else same_pixels(layer, other):
            return working_image
    return None


def same_pixels(one: Any, other: Any) -> bool:
    """Whether two image layers show the same pixels, as far as that is known at once.

    Pixels in memory are compared. Those of a file are not read for it: lazy arrays are
    the same if they were made in the same way.

    Parameters
    ----------
    one, other
        Image layers.
    """
    a, b = full_data(one), full_data(other)
    if (tuple(a.shape), a.dtype) != (tuple(b.shape), b.dtype):
        return False
    if bool(one.rgb) != bool(other.rgb):
        return False
    paths = one.source.path, other.source.path
    if all(paths) and not _lead_to_one_file(*paths):
        return False
    if a is b:
        return True
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # Images of one value are alike without being the same image.
        return _equal(a, b) and (same_memory(a, b) or all(paths) or not _blank(a))
    return type(a) is type(b) and _made_alike(a, b, one_file=all(paths))


def _lead_to_one_file(one: str, other: str) -> bool:
    try:
        return one == other or Path(one).samefile(other)
    except OSError:
        return False


def _equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if same_memory(a, b):
        return True
    if isinstance(a, np.memmap) or isinstance(b, np.memmap):
        return _same_part_of_a_file(a, b)
    if a.nbytes > _LARGEST_COMPARED:
        return False
    # Along the first axis: another image differs soon.
    return all(map(equal_values, a, b))


def _same_part_of_a_file(a: Any, b: Any) -> bool:
    """Whether two arrays are the same part of a file, without reading it."""
    one, other = _part_of_a_file(a), _part_of_a_file(b)
    return one is not None and one == other


def _part_of_a_file(array: Any) -> tuple[Any, ...] | None:
    """Return file, first byte and strides; None where an array is not of a file."""
    whole = array
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    if not isinstance(whole, np.memmap) or whole.filename is None:
        return None
    # A part has the offset of the whole; where it begins follows from its address.
    inside = array.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return (str(whole.filename), whole.offset + inside, array.strides)


def _blank(a: np.ndarray[Any, Any]) -> bool:
    return not a.size or bool((a == a.flat[0]).all())


def _made_alike(a: Any, b: Any, *, one_file: bool) -> bool:
    """Whether two lazy arrays come from the same place.

    The name of a dask array identifies how it was made; that of an array in HDF5 or
    zarr is its place in the container.
    """
    names = getattr(a, "name", None), getattr(b, "name", None)
    if not isinstance(names[0], str) or names[0] != names[1]:
        return False
    return one_file or hasattr(a, "__dask_graph__")

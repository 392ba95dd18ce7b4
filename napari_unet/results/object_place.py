"""Where an object lies in the viewer; the camera and the sliders that go there."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.viewer.private import camera_of, canvas_size
from napari_unet.viewer.viewport import shown_index
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_unet.results.objects import ObjectsView

Box = list[slice]
"""A part of each axis of the mask."""

_MOST_READ = 2**24
"""Pixels of a bounding box that are read: more would hold the window up."""
_SHARE = 0.8
"""Part of the canvas that an object fills which was larger than that."""


def go_to_object(viewer: ViewerModel, view: ObjectsView, row: int) -> bool:
    """Centre the view on an object, in a slice where it is.

    The zoom stays, unless the object is larger than the canvas.

    Parameters
    ----------
    viewer
        Whose camera and sliders are moved.
    view
        The objects.
    row
        Of their table.

    Returns
    -------
    bool
        False when none of its pixels is left where it was measured.
    """
    layer, dims = view.layer, viewer.dims
    offset = dims.ndim - layer.ndim
    hidden = [axis - offset for axis in dims.not_displayed if axis >= offset]
    stretched = view.working_image.layout.stretched_axis
    own = [axis for axis in range(layer.ndim) if axis != stretched]
    box, found = _shown_box(view, row, {own.index(a) for a in hidden if a in own})
    if stretched is not None:
        box.insert(stretched, slice(0, 1))
    # A pixel reaches half a pixel around its position; a slice is where it is.
    ends = [
        (part.start, part.start)
        if axis in hidden
        else (part.start - 0.5, part.stop - 0.5)
        for axis, part in enumerate(box)
    ]
    corners = np.array([layer.data_to_world(corner) for corner in product(*ends)])
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle = (low + high) / 2
    for axis in set(hidden) - {stretched}:
        dims.set_point(axis + offset, middle[axis])
    shown = [axis - offset for axis in dims.displayed if axis >= offset]
    _aim(viewer, middle[shown], (high - low)[shown])
    return found


def shown_first(
    viewer: ViewerModel, view: ObjectsView, rows: npt.NDArray[np.intp]
) -> int:
    """Return which of the rows, ``(n,)``, of one id is on screen, or else the first.

    An id may occur in several slices or frames, with a row for each.
    """
    if len(rows) > 1:
        index = shown_index(viewer, view.layer, view.working_image.layout)
        here = np.ones(len(rows), bool)
        for letter, at in zip(_letters(view), index, strict=False):
            if letter in view.table:
                here &= view.table[letter][rows] == at
        rows = rows[here] if here.any() else rows
    return int(rows[0])


def _aim(
    viewer: ViewerModel, middle: npt.NDArray[Any], extent: npt.NDArray[Any]
) -> None:
    """Point the camera at a place, and let what lies there fit."""
    camera = camera_of(viewer)
    camera.center = (*camera.center[: 3 - len(middle)], *middle)
    room = np.array(canvas_size(viewer), float)[-len(middle) :]
    if viewer.dims.ndisplay == 3:
        # It may be seen from any side.
        extent, room = np.array([np.linalg.norm(extent)]), room.min(keepdims=True)
    if (extent * camera.zoom > room).any():
        camera.zoom = float(_SHARE * (room / np.maximum(extent, 1e-12)).min())


def _shown_box(
    view: ObjectsView, row: int, hidden: Collection[int]
) -> tuple[Box, bool]:
    """Return where an object is in the one slice of it that is shown.

    Parameters
    ----------
    view, row
        As of `go_to_object`.
    hidden
        Axes of the mask that have sliders.

    Returns
    -------
    box
        One pixel long along the hidden axes.
    found
        False when the object has no pixels there.
    """
    box = _measured_box(view, row)
    centroid = _centroid(view, row, box)
    pixels, found = _pixels(view, row, box)
    if pixels is not None:
        other = tuple(axis for axis in range(len(box)) if axis not in hidden)
        slices = np.argwhere(pixels.any(axis=other, keepdims=True))
        # An object may be hollow or bent: its centroid need not be in a slice of it.
        off = np.array([part.start for part in box]) - centroid
        apart = ((slices + off)[:, list(hidden)] ** 2).sum(axis=1)
        nearest = slices[apart.argmin()]
        for axis in hidden:
            start = box[axis].start + int(nearest[axis])
            box[axis] = slice(start, start + 1)
            pixels = pixels.take([nearest[axis]], axis=axis)
        for axis in other:
            rest = tuple(a for a in range(len(box)) if a != axis)
            at = np.flatnonzero(pixels.any(axis=rest)) + box[axis].start
            box[axis] = slice(int(at[0]), int(at[-1]) + 1)
    for axis in hidden:
        at = int(np.clip(round(centroid[axis]), box[axis].start, box[axis].stop - 1))
        box[axis] = slice(at, at + 1)
    return box, found


def _pixels(
    view: ObjectsView, row: int, box: Box
) -> tuple[npt.NDArray[np.bool_] | None, bool]:
    """Return which pixels of the box are the object; None if that is not known.

    The second is whether it may still be there.
    """
    if prod(part.stop - part.start for part in box) > _MOST_READ:
        return None, True
    try:
        pixels = np.asarray(view.ids[tuple(box)]) == view.table["label"][row]
    except DataError:
        return None, False
    return (pixels, True) if pixels.any() else (None, False)


def _measured_box(view: ObjectsView, row: int) -> Box:
    table = view.table
    box = []
    for letter in _letters(view):
        if letter in table:
            start = int(table[letter][row])
            box.append(slice(start, start + 1))
        else:
            ends = (table[f"{letter} {end} (px)"][row] for end in ("start", "stop"))
            box.append(slice(*map(int, ends)))
    return box


def _centroid(view: ObjectsView, row: int, box: Box) -> npt.NDArray[np.float64]:
    names = (f"centroid {letter} (px)" for letter in _letters(view))
    return np.array(
        [
            view.table[name][row] if name in view.table else part.start
            for name, part in zip(names, box, strict=True)
        ]
    )


def _letters(view: ObjectsView) -> str:
    """Return the letter of each axis of the mask as the columns have it."""
    return view.working_image.layout.leading.lower() + "yx"

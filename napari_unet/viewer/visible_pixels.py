"""Which pixels of a mask are on screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from napari_unet.viewer.conversion import full_data
from napari_unet.viewer.viewport import shown_index
from napari_unet.viewer.visibility import (
    Frame,
    check_plane,
    covers_of,
    leading_index,
    plane_shape,
    shows_slice,
    to_pixels,
    to_world,
)
from unet_engine.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image as ImageLayer
    from napari.layers import Labels

    from napari_unet.viewer.conversion import Layout
    from napari_unet.viewer.visibility import Points
    from unet_engine.places import Index, Region

_BYTES = 8
"""Bytes that a pixel needs to be accepted or cleared: its label before and after, in
the history too."""
_STRIP = 2**8
"""Rows whose place is computed at once: a few megabytes for a wide plane."""


@dataclass(frozen=True, slots=True, eq=False)
class VisiblePixels:
    """Pixels of a plane of a mask.

    Attributes
    ----------
    index, region
        The plane, and rows and columns around all of them.
    where
        ``(h, w)`` bool, which pixels of the region.
    """

    index: Index
    region: Region
    where: npt.NDArray[np.bool_]


def check_visible(source: ImageLayer, mask: Labels) -> None:
    """Check that an image and its mask are shown, and may be changed.

    Raises
    ------
    DataError
        When one is hidden or the mask is locked.
    """
    for layer in (source, mask):
        if not layer.visible or layer.opacity == 0:
            raise DataError(
                f"{layer.name} is hidden, and only what is visible is accepted or "
                "cleared; show it with the eye in the layer list"
            )
    if getattr(mask, "locked", False):
        raise DataError(f"{mask.name} is locked; unlock it in the layer list")
    if not mask.editable and not mask.multiscale:
        raise DataError(
            f"{mask.name} is not editable; set its property editable to True"
        )


def visible_pixels(
    viewer: ViewerModel, source: ImageLayer, mask: Labels, layout: Layout
) -> VisiblePixels:
    """Return which pixels of a mask are on screen and not below another image.

    Raises
    ------
    DataError
        When there are none.
    """
    check_plane(viewer)
    if not shows_slice(viewer, mask):
        raise DataError(
            f"the slice on screen is not one of {source.name}; move the sliders to one "
            "that is"
        )
    frame = Frame.of(viewer)
    region = _region_in(viewer, mask, frame)
    if region is None:
        raise DataError(
            f"no pixel of {source.name} is on screen; move the view to it, or reset it"
        )
    where = _uncovered(viewer, mask, region, frame)
    if not where.any():
        above = ", ".join(layer.name for layer in covers_of(viewer, mask))
        raise DataError(
            f"{source.name} is covered by {above}; hide that, or move it below"
        )
    if mask.show_selected_label:
        plane = full_data(mask)[(*leading_index(viewer, mask), *region)]
        where &= np.asarray(plane).reshape(where.shape) == mask.selected_label
    return VisiblePixels(shown_index(viewer, mask, layout), region, where)


def _region_in(viewer: ViewerModel, mask: Labels, frame: Frame) -> Region | None:
    """Return the rows and columns of which something is in a frame."""
    seen = to_pixels(viewer, mask, frame.corners)
    shape = plane_shape(mask)
    start = np.clip(np.floor(seen.min(axis=0) + 0.5), 0, shape).astype(int)
    stop = np.clip(np.floor(seen.max(axis=0) + 0.5) + 1, 0, shape).astype(int)
    if (start >= stop).any():
        return None
    rows, columns = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    count = int(np.prod(stop - start, dtype=np.int64))
    if count * _BYTES > psutil.virtual_memory().available:
        raise DataError(
            f"{count:,} pixels are on screen, and their labels do not fit in memory; "
            "zoom in, and go on part by part"
        )
    return rows, columns


def _uncovered(
    viewer: ViewerModel, mask: Labels, region: Region, frame: Frame
) -> npt.NDArray[np.bool_]:
    """Return which pixels of a region are in a frame, and below no other image."""
    rows, columns = region
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    where = np.ones(shape, bool)
    world = _Affine.through(lambda points: to_world(viewer, mask, points))
    bounds: list[tuple[_Affine, Points, Points, bool]] = []
    if not world.straight:
        half = np.abs(world.matrix).sum(axis=1) / 2
        bounds.append((world, frame.low - half, frame.high + half, True))
    for cover in covers_of(viewer, mask):
        there = _Affine.through(
            lambda points, cover=cover: to_pixels(
                viewer, cover, to_world(viewer, mask, points)
            )
        )
        most = np.array(plane_shape(cover)) - 0.5
        bounds.append((there, np.array([-0.5, -0.5]), most, False))
    for first in range(0, shape[0] if bounds else 0, _STRIP):
        strip = slice(first, min(first + _STRIP, shape[0]))
        y = np.arange(strip.start, strip.stop)[:, None] + rows.start
        x = np.arange(shape[1])[None] + columns.start
        for transform, low, high, kept in bounds:
            where[strip] &= transform.within(y, x, low, high) == kept
    return where


@dataclass(frozen=True, slots=True, eq=False)
class _Affine:
    """An affine transformation of planes, derived from three points."""

    matrix: Points
    offset: Points

    @classmethod
    def through(cls, transform: Any) -> _Affine:
        """Return the transformation that a function applies to ``(n, 2)`` points."""
        origin, down, right = transform(np.array([[0, 0], [1, 0], [0, 1]], float))
        return cls(np.stack([down - origin, right - origin], axis=1), origin)

    @property
    def straight(self) -> bool:
        """Whether rows stay rows, and columns columns, but for rounding errors."""
        small = 1e-9 * np.abs(self.matrix).max()
        return bool(abs(self.matrix[0, 1]) <= small >= abs(self.matrix[1, 0]))

    def within(
        self, y: npt.NDArray[Any], x: npt.NDArray[Any], low: Points, high: Points
    ) -> npt.NDArray[np.bool_]:
        """Return which pixels come to lie between two corners.

        ``y`` is ``(h, 1)`` and ``x`` is ``(1, w)``, both integers; the result is
        ``(h, w)`` bool.
        """
        result = np.ones(np.broadcast_shapes(y.shape, x.shape), bool)
        for axis in range(2):
            there = (
                self.matrix[axis, 0] * y + self.matrix[axis, 1] * x + self.offset[axis]
            )
            result &= (there >= low[axis]) & (there <= high[axis])
        return result

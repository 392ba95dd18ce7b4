"""What napari's brush and polygon cover, whether they change it or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.draw import polygon2mask

from napari_unet.viewer.private import painted_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from napari.layers import Labels


@dataclass(frozen=True, slots=True, eq=False)
class BrushCoverage:
    """Pixels of a Labels layer.

    Attributes
    ----------
    box
        One slice per axis of the layer's data, with start and stop.
    covered
        Which pixels of the box, in its shape.
    """

    box: tuple[slice, ...]
    covered: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls, start: npt.NDArray[np.intp], covered: npt.NDArray[np.bool_]
    ) -> BrushCoverage:
        """Return the coverage whose box begins at ``start``, ``(ndim,)`` integers."""
        stop = start + covered.shape
        bounds = zip(start.tolist(), stop.tolist(), strict=True)
        return cls(tuple(slice(*bound) for bound in bounds), covered)


def brush_footprint(layer: Labels, coord: Sequence[float]) -> BrushCoverage:
    """Return what the brush covers at ``coord``: an ellipsoid, a disc as a rule.

    ``coord`` is ``(ndim,)`` in pixels of the layer's data.
    """
    centre = np.round(np.asarray(coord)).astype(int)
    axes = painted_axes(layer)
    scale = np.abs(np.asarray(layer.scale)[axes])
    scale = scale / scale.min()
    radius = np.floor(layer.brush_size / 2) + 0.5
    reach = np.zeros(layer.ndim, int)
    reach[axes] = np.floor(radius / scale).astype(int)
    start = np.clip(centre - reach, 0, layer.data.shape)
    stop = np.clip(centre + reach + 1, start, layer.data.shape)
    box = tuple(stop - start)
    grids = np.ogrid[tuple(slice(0, n) for n in box)]
    distance = np.zeros(box)
    for axis, size in zip(axes, scale, strict=True):
        distance = distance + ((grids[axis] + start[axis] - centre[axis]) * size) ** 2
    return BrushCoverage.of(start, distance <= radius**2)


def polygon_footprint(layer: Labels, points: Any) -> BrushCoverage:
    """Return what a polygon covers in its plane.

    ``points`` are its corners, ``(n, ndim)`` in pixels of the layer's data.
    """
    corners = np.asarray(points, dtype=int)
    axes = painted_axes(layer)
    start, stop = corners[0].copy(), corners[0] + 1
    shape = np.asarray(layer.data.shape)[axes]
    start[axes] = np.clip(corners[:, axes].min(axis=0), 0, shape)
    stop[axes] = np.clip(corners[:, axes].max(axis=0) + 1, start[axes], shape)
    box = tuple(stop - start)
    if len(axes) != 2 or 0 in box:
        return BrushCoverage.of(start, np.zeros(box, bool))
    plane = tuple(int(n) for n in np.asarray(box)[axes])
    filled = polygon2mask(plane, corners[:, axes] - start[axes])
    return BrushCoverage.of(start, filled.reshape(box))

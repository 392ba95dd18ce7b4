"""The shapes of objects, by ``skimage.measure.regionprops`` on bounding boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import marching_cubes, mesh_surface_area, regionprops

from unet_engine.errors import Cancelled
from unet_engine.objects.boxes import iter_groups
from unet_engine.objects.perimeter import perimeter

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.objects.block_sums import ObjectSums
    from unet_engine.objects.blocks import BlockGrid
    from unet_engine.stopping import Stop

_LARGEST = 2**24
"""Pixels of the largest bounding box whose shape is measured: 128 MiB of ids."""

_PLANE = {
    "major axis": "axis_major_length",
    "minor axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "orientation": "orientation",
}


def measure_shapes(
    labels: Any,
    grid: BlockGrid,
    index: tuple[int, ...],
    rows: ObjectSums,
    scale: tuple[float, ...] | None,
    unit: str,
    stop: Stop,
) -> dict[str, npt.NDArray[np.float64]]:
    """Measure the shape of every object of a plane or volume.

    Parameters
    ----------
    labels, grid, index
        Array-like, its blocks, and which plane or volume.
    rows
        Ids and bounding boxes.
    scale, unit
        Of the pixels along each axis; pixels when None.
    stop
        Polled before every group of objects.

    Returns
    -------
    dict of ndarray
        ``(n,)`` columns; NaN where a shape is not defined.
    """
    spacing = scale or (1.0,) * grid.ndim
    length = unit if scale else "px"
    names = ["perimeter", *_PLANE] if grid.ndim == 2 else ["surface", "sphericity"]
    columns = {name: np.full(rows.ids.size, np.nan) for name in names}
    groups = iter_groups(labels, grid, index, rows, most=_LARGEST)
    for group, numbers, _ in groups:
        if stop():
            raise Cancelled("stopped before the objects were measured")
        for one in regionprops(numbers, spacing=spacing):
            row = group[one.label - 1]
            for name, value in _measure(one, grid.ndim, spacing).items():
                columns[name][row] = value
    units = dict.fromkeys(("perimeter", "major axis", "minor axis"), length)
    units |= {"surface": f"{length}²", "orientation": "rad"}
    return {
        f"{name} ({units[name]})" if name in units else name: column
        for name, column in columns.items()
    }


def _measure(one: Any, ndim: int, spacing: tuple[float, ...]) -> dict[str, float]:
    if ndim == 3:
        filled = np.pad(one.image, 1).astype(np.float32)
        vertices, faces, _, _ = marching_cubes(filled, 0.5, spacing=spacing)
        surface = float(mesh_surface_area(vertices, faces))
        volume = one.num_pixels * float(np.prod(spacing))
        # Of the ball of the same volume, over the measured one (Wadell 1935, "Volume,
        # shape and roundness of quartz particles", Journal of Geology 43).
        sphericity = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface
        return {"surface": surface, "sphericity": sphericity}
    ellipse = {name: getattr(one, attribute) for name, attribute in _PLANE.items()}
    return {"perimeter": perimeter(one.image, spacing), **ellipse}

"""How large the tiles of a prediction are, and where the first one begins."""

from __future__ import annotations

from math import ceil, floor, isqrt, prod
from typing import TYPE_CHECKING

from unet_engine.models.architectures import SAME_PATH

if TYPE_CHECKING:
    from unet_engine.models.spec import ModelSpec
    from unet_engine.tiling.tiles import Footprint

    Sizes = tuple[int, ...]
    Viewport = tuple[tuple[float, float], tuple[float, float]]

_WORKING_MEMORY = {2: 2**30, 3: 2**31}
"""Bytes that a tile may take inside the network, in a plane and in a volume, where
most of a tile is halo."""

_LARGEST = 1536
"""Edge in pixels beyond which a smaller share of halo no longer pays for the memory."""

_WATCHED = {2: 512, 3: 96}
"""Edge in pixels, by dimensions, of a tile that appears within half a second on a
computer without a GPU; see "A click on Predict" in benchmarks/RESULTS.md."""

_SMOOTHED = 12
"""Maps for each of the input of a U-Net that restores images."""

_STEP = 32
"""Pixels by which an edge that needs too much memory is shortened: all poolings of the
usual networks divide it."""

_LARGEST_VIEW = 2048
"""Edge in pixels of a viewport that is waited for; beyond it the first tiles count, not
the last."""


def choose_tile_size(
    shape: Sizes,
    spec: ModelSpec,
    footprint: Footprint,
    *,
    edge: int = 0,
    watched: bool = False,
    view: Viewport | None = None,
    step: int = 1,
) -> tuple[Sizes, Sizes]:
    """Choose the edges of the tiles and where the first one begins.

    Parameters
    ----------
    shape
        Of the plane or volume, in pixels.
    spec, footprint
        Of the network, the halo being the one that is used.
    edge
        Of a tile in a plane, and of as many voxels in a volume; 0: as large as suits.
    watched
        The tiles are shown as they finish.
    view
        Middle and size, ``(y, x)`` in pixels, of the viewport: tiles begin where it
        does.
    step
        Of a grid on which tiles of planes lie, in pixels; 1: anywhere. One of a watched
        prediction is then a square of the grid, and the viewport moves none.

    Returns
    -------
    tuple
        For ``TilePlan.for_shape``: edges and origin, in pixels per axis.
    """
    origin = (0,) * len(shape)
    if edge:
        return _sizes_for(shape, edge), origin
    largest = _affordable_edge(
        shape, spec, footprint, _WATCHED[len(shape)] if watched else _LARGEST
    )
    if step > 1 and len(shape) == 2:
        squares = 1 if watched else max(1, largest // step)
        return (squares * step,) * len(shape), origin
    if not watched:
        return tuple(ceil(size / ceil(size / largest)) for size in shape), origin
    if view is None or len(shape) == 3 or max(view[1]) > _LARGEST_VIEW:
        return (largest,) * len(shape), origin
    sides = [
        _side(middle, length, size, largest, divisor)
        for middle, length, size, divisor in zip(
            *view, shape, footprint.divisor, strict=True
        )
    ]
    return tuple(size for size, _ in sides), tuple(start for _, start in sides)


def _side(
    middle: float, length: float, size: int, largest: int, divisor: int
) -> tuple[int, int]:
    """Return edge and origin of tiles along one axis, some of which cover the view."""
    low = max(floor(middle - length / 2), 0)
    high = min(ceil(middle + length / 2), size)
    start = low // divisor * divisor
    if high <= low:
        return largest, 0
    # Somewhat larger tiles are better than more of them: each has a halo, and a draw.
    count = max(1, round((high - start) / largest))
    edge = ceil(ceil((high - start) / count) / divisor) * divisor
    # A view of a few pixels is no reason for tiles of a few pixels.
    edge = max(edge, min(largest, size) // 2 // divisor * divisor, divisor)
    return edge, start % edge


def bytes_per_pixel(spec: ModelSpec) -> int:
    """Estimate the memory inside a network for a pixel of its input.

    A network in stages keeps one map of each level; others a few of the finest.
    """
    maps = 5.0
    if spec.architecture in SAME_PATH and not spec.restores:
        maps = sum((2 / 2**spec.ndim) ** level for level in range(spec.depth + 1)) + 0.2
    inputs = spec.input_maps
    if spec.restores:
        # Its Gaussians, twice while they are joined to the input.
        inputs *= _SMOOTHED
    return round(4 * (inputs + maps * spec.width + 2 * spec.out_channels))


def _affordable_edge(
    shape: Sizes, spec: ModelSpec, footprint: Footprint, edge: int
) -> int:
    """Return the edge, or a smaller one whose tiles fit the working memory."""
    pixels = _WORKING_MEMORY[spec.ndim] // bytes_per_pixel(spec)
    while edge > _STEP and pixels < prod(_outer_sizes(shape, footprint, edge)):
        edge -= _STEP
    return edge


def _outer_sizes(shape: Sizes, footprint: Footprint, edge: int) -> Sizes:
    """Return the size of a tile with its halo, in the middle of the image."""
    sizes = [
        min(edge, size) + 2 * halo
        for size, halo in zip(shape, footprint.halo, strict=True)
    ]
    return tuple(map(min, sizes, shape)) if footprint.padded else tuple(sizes)


def _sizes_for(shape: Sizes, edge: int) -> Sizes:
    """Return the edges of a tile: as many voxels in a volume as pixels in a plane."""
    if len(shape) == 2:
        return edge, edge
    depth = min(round(edge ** (2 / 3)), shape[0])
    across = isqrt(edge**2 // depth)
    return depth, across, across

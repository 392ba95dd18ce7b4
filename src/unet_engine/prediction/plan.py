"""The plan of a prediction: which planes, which tiles, in which order."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import partial
from math import dist, hypot, prod
from typing import TYPE_CHECKING

from unet_engine.errors import DataError
from unet_engine.prediction.directions import (
    bytes_of_tile,
    check_directions,
    choose_tile_in_volume,
    footprint_in_volume,
    in_three_directions,
)
from unet_engine.prediction.scale import footprint_on_image, scale_of
from unet_engine.prediction.tile_size import bytes_per_pixel, choose_tile_size
from unet_engine.tiling.resampling import resampled_size
from unet_engine.tiling.tiles import Tile, TilePlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index, Near, Place
    from unet_engine.prediction.config import PredictConfig
    from unet_engine.prediction.tile_size import Viewport
    from unet_engine.tiling.tiles import Footprint


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionPlan:
    """What a prediction is going to do.

    Attributes
    ----------
    shape
        Shape of the labels, ``(*leading, Y, X)``.
    planes
        Positions to predict, along the leading axes that are not spatial axes of the
        network: all of them for a network of planes, all but Z for one of volumes and
        for planes in three directions.
    tiles
        Tiles of each position.
    nbytes
        Rough need of memory: the results and the largest tile inside the network.
    footprint
        Of the network on the grid of the model.
    factors
        How many pixels of the model's grid one of the image becomes, per spatial axis.
    """

    shape: tuple[int, ...]
    planes: tuple[Index, ...]
    tiles: TilePlan
    nbytes: int
    footprint: Footprint
    factors: tuple[float, ...]

    @property
    def is_scaled(self) -> bool:
        """Whether the grid of the model is another one than that of the image."""
        return set(self.factors) != {1.0}

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Pixels of the model's grid, per spatial axis."""
        return tuple(map(resampled_size, self.tiles.shape, self.factors))

    @property
    def network_pixels(self) -> int:
        """Pixels of the model's grid to predict."""
        return len(self.planes) * prod(self.network_shape)

    @property
    def total(self) -> int:
        """Tiles in the run."""
        return len(self.planes) * len(self.tiles)

    @property
    def pixels(self) -> int:
        """Pixels to predict."""
        return len(self.planes) * prod(self.tiles.shape)

    def number(self, index: Index, tile: Tile) -> int:
        """Return the number of a tile among those of all planes, in raster order."""
        number = 0
        for position, size in zip(index, self.shape, strict=False):
            number = number * size + position
        for (start, _), starts in zip(tile.inner, self.tiles.starts, strict=True):
            number = number * len(starts) + bisect_left(starts, start)
        return number

    def at(self, number: int) -> tuple[Index, Tile]:
        """Return the plane and the tile of a number, as ``number`` gives it."""
        plane, tile = divmod(number, len(self.tiles))
        leading = self.shape[: len(self.shape) - len(self.tiles.shape)]
        index = []
        for size in reversed(leading):
            plane, position = divmod(plane, size)
            index.append(position)
        return tuple(reversed(index)), self.tiles[tile]

    def describe(self) -> str:
        """Return one line for people."""
        size = " x ".join(map(str, self.tiles.shape))
        what = "volume" if len(self.tiles.shape) == 3 else "plane"
        return (
            f"{_count(len(self.planes), what)} of {size} pixels, "
            f"{_count(self.total, 'tile')} of up to "
            f"{' x '.join(map(str, self.tiles.tile))}, "
            f"about {_memory(self.nbytes)} of memory"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _memory(nbytes: int) -> str:
    """Return a size in GB, or in MB where GB would be 0.0; 1 MB at least."""
    if nbytes >= 1e9:
        return f"{nbytes / 1e9:.1f} GB"
    return f"{max(1, round(nbytes / 1e6))} MB"


def check_axes(image: Image, spec: ModelSpec) -> None:
    """Check that an image has the axes that a network takes.

    Raises
    ------
    DataError
        When a network of volumes gets no Z axis.
    """
    if spec.ndim == 3 and not image.leading_axes.endswith("Z"):
        raise DataError(
            f"this model works on volumes, and {image.name or 'the image'} has no Z "
            f"before its planes (axes {image.axes!r}); "
            f"{'' if set(image.axes) == {*'YX'} else 'state its axes, or '}use a model "
            "for planes"
        )


def plan_prediction(
    image: Image,
    spec: ModelSpec,
    config: PredictConfig,
    indices: Iterable[Index] | None = None,
    *,
    on_disk: bool = False,
    watched: bool = False,
    place: Place | None = None,
    step: int = 1,
) -> PredictionPlan:
    """Plan a prediction without reading a pixel.

    Parameters
    ----------
    image, spec, config
        What is predicted, by which model, and how.
    indices
        Positions along the leading axes; None for all.
    on_disk
        The results are written as tiles finish and need no memory.
    watched
        The tiles are shown as they finish: smaller ones, unless their size is set.
    place
        Where the viewport is: as few tiles as can be cover it.
    step
        Of a grid, in pixels, on which tiles of planes lie unless their size is set.

    Raises
    ------
    DataError
        When a position is outside the image, or a network of volumes, or one of planes
        in three directions, gets no Z axis.
    """
    check_axes(image, spec)
    three = in_three_directions(spec, config)
    if three:
        check_directions(image)
    split = len(image.leading_shape) - (1 if three else spec.ndim - 2)
    chosen = image.indices() if indices is None else _inside(image, indices)
    spatial = (*image.leading_shape[split:], *image.plane_shape)
    factors = scale_of(image, spec, config)
    tiles, inside, footprint = _plan_tiles(
        spatial,
        spec,
        config,
        factors,
        watched=watched,
        view=None if place is None or len(place) < 3 else place[1:],
        step=step,
    )
    shape = (*image.leading_shape, *image.plane_shape)
    maps = len(spec.classes) * config.probabilities
    maps += len(spec.object_maps) * config.object_maps
    results = prod(shape) * (1 + 4 * maps)
    return PredictionPlan(
        shape=shape,
        planes=tuple(dict.fromkeys(index[:split] for index in chosen)),
        tiles=tiles,
        nbytes=(0 if on_disk else results) + inside,
        footprint=footprint,
        factors=factors,
    )


def _plan_tiles(
    shape: tuple[int, ...],
    spec: ModelSpec,
    config: PredictConfig,
    factors: tuple[float, ...],
    *,
    watched: bool,
    view: Viewport | None,
    step: int,
) -> tuple[TilePlan, int, Footprint]:
    """Plan the tiles of a position, as large as suits the network on its own grid.

    Returns
    -------
    tuple
        The tiles, bytes that the largest takes inside the network, and the footprint
        on the grid of the model.
    """
    footprint = spec.footprint_with(
        spec.measured_halo if config.halo == "measured" else None
    )
    three = in_three_directions(spec, config)
    there = tuple(map(resampled_size, shape, factors))
    origin: tuple[int, ...] = (0,) * len(shape)
    if three:
        footprint = footprint_in_volume(footprint)
        sizes = choose_tile_in_volume(
            there, len(spec.classes), edge=config.tile, watched=watched
        )
    else:
        sizes, origin = choose_tile_size(
            there,
            spec,
            footprint,
            edge=config.tile,
            watched=watched,
            view=None if view is None else _scaled_view(view, factors[-2:]),
            step=step,
        )
    tiles = TilePlan.for_shape(there, tile=sizes, footprint=footprint, origin=origin)
    inside = bytes_per_pixel(spec) * prod(tiles.largest_outer)
    if three:
        inside = bytes_of_tile(tiles, len(spec.classes), bytes_per_pixel(spec))
    if set(factors) == {1.0}:
        return tiles, inside, footprint
    on_image = TilePlan.for_shape(
        shape,
        tile=[max(1, round(n / f)) for n, f in zip(tiles.tile, factors, strict=True)],
        footprint=footprint_on_image(footprint, factors),
        origin=[int(start / f) for start, f in zip(origin, factors, strict=True)],
    )
    return on_image, inside, footprint


def _scaled_view(view: Viewport, factors: tuple[float, ...]) -> Viewport:
    """Return the middle and the size of a viewport on the grid of the model."""
    (y, x), (height, width) = view
    rows, columns = factors
    return (y * rows, x * columns), (height * rows, width * columns)


def _inside(image: Image, indices: Iterable[Index]) -> Iterator[Index]:
    for index in indices:
        if len(index) != len(image.leading_shape) or not all(
            0 <= i < n for i, n in zip(index, image.leading_shape, strict=True)
        ):
            raise DataError(
                f"there is no plane {tuple(index)} in an image with leading axes "
                f"{image.leading_axes!r} of shape {image.leading_shape}"
            )
        yield tuple(index)


def current_place(near: Near) -> Place | None:
    """Return where ``near`` is now."""
    return near() if callable(near) else near


def nearest_first(plan: PredictionPlan, near: Near) -> Iterator[tuple[Index, Tile]]:
    """Yield every tile of every plane, nearest first to where ``near`` is now."""
    jobs = ((index, tile) for index in plan.planes for tile in plan.tiles)
    if near is None:
        # Of a time series larger than memory the list of tiles is large, too.
        yield from jobs
        return
    waiting = list(jobs)[::-1]
    last: Place | None = None
    while waiting:
        place = current_place(near)
        if place is not None and place != last:
            waiting.sort(key=partial(_distance, place), reverse=True)
            last = place
        yield waiting.pop()


def _distance(
    place: Place, job: tuple[Index, Tile]
) -> tuple[tuple[int, ...], float, float]:
    """Order by the distance along each leading axis, the outermost first.

    In a plane first come tiles that meet the viewport, then those that lie nearest
    beyond it.
    """
    (index, tile), (here, point, *extent) = job, place
    steps = tuple(abs(i - h) for i, h in zip(index, here, strict=False))
    # A network of volumes has Z, the last leading axis, among its spatial ones.
    depth = here[len(index) :]
    middle = (*depth, *point)
    sizes = (*(0.0,) * len(depth), *(extent[0] if extent else (0.0, 0.0)))
    beyond = [
        max(start - (m + size / 2), m - size / 2 - stop, 0.0)
        for (start, stop), m, size in zip(tile.inner, middle, sizes, strict=True)
    ]
    centre = [(start + stop) / 2 for start, stop in tile.inner]
    return steps, hypot(*beyond), dist(centre, middle)

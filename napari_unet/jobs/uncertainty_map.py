"""What the uncertainty of what is on screen is computed by, in a thread.

No Qt, layer or widget; torch and scikit-learn are imported in the thread.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.jobs.job import load_torch
from napari_unet.jobs.uncertainty_search import EDGE, predicted_tiles

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy.typing as npt

    from napari_unet.jobs.live_session import LiveSession
    from napari_unet.jobs.orders import LiveOrder
    from napari_unet.state.workspace import Workspace
    from unet_engine.places import Index, Region
    from unet_engine.prediction.events import TileDone
    from unet_engine.stopping import Stop

    Tile = tuple[Index, int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UncertainPart:
    """The uncertainty of a part of a plane.

    Attributes
    ----------
    index, region
        The plane, and rows and columns.
    values
        ``(h, w)`` uint8: 0 where the most probable class is certain, 255 where two are
        equally probable.
    """

    index: Index
    region: Region
    values: npt.NDArray[np.uint8]


def uncertainty(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Return one minus the margin between the two most probable classes.

    Margin sampling (Scheffer et al. 2001, *Active hidden Markov models for information
    extraction*).

    Parameters
    ----------
    probabilities
        ``(classes, *spatial)`` in [0, 1], at least two classes.

    Returns
    -------
    ndarray
        ``(*spatial)`` uint8: 0 is certain, 255 is a margin of 0.
    """
    second, first = np.partition(probabilities, (-2, -1), axis=0)[-2:]
    values: npt.NDArray[np.uint8] = np.rint(
        255 * np.clip(1 - (first - second), 0, 1)
    ).astype(np.uint8)
    return values


def uncertainty_run(
    order: LiveOrder,
    session: LiveSession,
    workspace: Workspace,
    tiles: Sequence[Tile],
    stop: Stop,
) -> Generator[UncertainPart, None, None]:
    """Predict tiles, and yield how uncertain each pixel is.

    By what Live learned if there are strokes of two classes, else by the model.

    Parameters
    ----------
    order
        ``learn`` is whether there are strokes of two classes.
    session
        What Live has learned.
    workspace
        Has the models.
    tiles
        Planes, and rows and columns of the grid of tiles of `EDGE` pixels.
    stop
        Ends it.
    """
    load_torch()
    shape = order.working_image.image.plane_shape
    places = [
        (index, _span(row, shape[0]), _span(column, shape[1]))
        for index, row, column in tiles
    ]
    left = {tile: _area(place) for tile, place in zip(tiles, places, strict=True)}
    with closing(predicted_tiles(order, session, workspace, places, stop)) as run:
        for tile in run:
            for part in _parts(tile):
                yield part
                for cell, area in cells_of(part.index, part.region):
                    if cell in left:
                        left[cell] -= area
            # A model has tiles of its own, and goes on to the whole plane.
            if stop() or not any(area > 0 for area in left.values()):
                return


def _parts(tile: TileDone) -> Iterator[UncertainPart]:
    """Yield the planes of a tile: one, or those of a volume."""
    assert tile.probabilities is not None
    *depths, rows, columns = tile.inner
    values = uncertainty(tile.probabilities)
    for offset in product(*(range(d.stop - d.start) for d in depths)):
        deeper = (d.start + o for d, o in zip(depths, offset, strict=True))
        yield UncertainPart(
            index=(*tile.index, *deeper),
            region=(rows, columns),
            values=values[offset],
        )


def cells_of(index: Index, region: Region) -> Iterator[tuple[Tile, int]]:
    """Yield the tiles of the grid that a region lies in, and its pixels in each."""
    ranges = (range(p.start // EDGE, -(-p.stop // EDGE)) for p in region)
    for row, column in product(*ranges):
        height, width = (
            min(part.stop, (at + 1) * EDGE) - max(part.start, at * EDGE)
            for part, at in zip(region, (row, column), strict=True)
        )
        yield (index, row, column), height * width


def _area(place: tuple[Index, slice, slice]) -> int:
    _, rows, columns = place
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _span(at: int, size: int) -> slice:
    return slice(at * EDGE, min((at + 1) * EDGE, size))

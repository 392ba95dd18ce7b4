"""What is read of a painted image: the regions around the strokes, with context."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.labels import IGNORE
from unet_engine.pixel_classification.feature_cache import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.places import Index
    from unet_engine.training.data.image_source import ImageSource
    from unet_engine.training.data.pairs import TrainingPair
    from unet_engine.training.data.scaled_strokes import ScaledStrokes

    Box = tuple[slice, ...]


def read_planes(
    read: Callable[[Index, Box], npt.NDArray[Any]],
    index: Index,
    box: Box,
    shape: tuple[int, ...],
) -> npt.NDArray[Any]:
    """Read a region of a plane or, plane by plane, of a volume."""
    *depth, rows, columns = box
    if not depth:
        return read(index, (rows, columns))
    slices = range(*depth[0].indices(shape[-3]))
    return np.stack([read((*index, z), (rows, columns)) for z in slices])


def painted_regions(
    strokes: Annotations, source: ImageSource
) -> Iterator[tuple[TrainingPair, Index, Box]]:
    """Read what is around the strokes on planes, or on volumes of them.

    Yields
    ------
    tuple
        The pair, the position of its plane or volume, and its region of that.
    """
    if source.spec.ndim == 3:
        yield from _painted_volumes(strokes, source)
    else:
        yield from painted_planes(strokes, source)


def painted_planes(
    strokes: Annotations | ScaledStrokes, source: ImageSource
) -> Iterator[tuple[TrainingPair, Index, tuple[slice, slice]]]:
    """Read what is around the strokes on planes, as of `painted_regions`."""
    planes = strokes.planes()
    for index in planes:
        target = strokes.target(index)
        painted = target != IGNORE
        # Nothing, where what is on disk of it is damaged.
        if painted.any():
            # In whole blocks, as the features that Live keeps.
            region = _around(painted, source.config.crop, BLOCK)
            pair = source.pair(index, region, target[region], 1 / len(planes))
            yield pair, index, region


def _painted_volumes(
    strokes: Annotations, source: ImageSource
) -> Iterator[tuple[TrainingPair, Index, Box]]:
    """Make one volume of all painted slices, those between them ``IGNORE``."""
    from unet_engine.training.data.crops import with_context

    volumes = [
        (place, list(planes))
        for place, planes in groupby(strokes.planes(), key=lambda index: index[:-1])
    ]
    for place, indices in volumes:
        painted = np.any([strokes.touched(index) for index in indices], axis=0)
        if not painted.any():
            continue
        depth = slice(indices[0][-1], indices[-1][-1] + 1)
        box = with_context(
            (depth, *_around(painted, 0)),
            strokes.shape[-3:],
            source.spec,
            source.config.crop,
        )
        target = np.full([part.stop - part.start for part in box], IGNORE, np.uint8)
        for index in indices:
            target[index[-1] - box[0].start] = strokes.target(index, box[1:])
        yield source.pair(place, box, target, 1 / len(volumes)), place, box


def _around(
    painted: npt.NDArray[np.bool_], margin: int, grid: int = 1
) -> tuple[slice, slice]:
    """Return the box around what was painted, with context for the crops.

    Parameters
    ----------
    painted
        ``(Y, X)`` bool, somewhere True.
    margin
        Context on each side, in pixels.
    grid
        Both ends are multiples of it, or lie at the border.
    """
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    height, width = painted.shape
    return _interval(rows, margin, height, grid), _interval(
        columns, margin, width, grid
    )


def _interval(places: npt.NDArray[np.intp], margin: int, size: int, grid: int) -> slice:
    first = max(0, int(places[0]) - margin) // grid * grid
    return slice(first, min(size, -(-(int(places[-1]) + 1 + margin) // grid) * grid))

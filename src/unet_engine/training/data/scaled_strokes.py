"""Strokes on the grid of a model that knows its objects at another size.

What an image is predicted at, its strokes are learned at: else a training would begin
with a network that has never seen objects as large as these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.labels import IGNORE
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index
    from unet_engine.prediction.config import ObjectSize

    Labels = npt.NDArray[np.uint8]
    Times = npt.NDArray[np.float64]


def learning_scale(
    image: Image, spec: ModelSpec, object_size: ObjectSize
) -> tuple[float, float]:
    """Return how many pixels of the model one of the image becomes, ``(Y, X)``.

    Parameters
    ----------
    image, spec
        What is learned from, by which model of planes.
    object_size
        As of a ``PredictConfig``; ``auto`` that was not estimated is ``off``.

    Returns
    -------
    tuple of float
        As a prediction has it; 1 and 1 for the image's own grid, and where the model
        knows no size that this could be compared with.

    Raises
    ------
    DataError
        As of ``scale_of``.
    """
    if spec.ndim != 2 or (
        isinstance(object_size, float) and spec.object_size_px is None
    ):
        return 1.0, 1.0
    y, x = scale_of(image, spec, PredictConfig(object_size=object_size))
    return y, x


class ScaledStrokes:
    """The strokes on planes, on a grid of another size over the same extent.

    A pixel of a coarser grid has the class that was painted last on it; one of a finer
    grid that of the pixel it lies in.

    Parameters
    ----------
    strokes
        On the image's own grid.
    plane_shape
        ``(Y, X)`` of the other grid.
    """

    def __init__(self, strokes: Annotations, plane_shape: tuple[int, int]) -> None:
        self._strokes = strokes
        self._size = plane_shape
        self._points: tuple[Index, _Points] | None = None

    def planes(self) -> Sequence[Index]:
        """As of ``Annotations``."""
        return self._strokes.planes()

    def target(self, index: Index) -> Labels:
        """Return the class ids of a plane, uint8, ``IGNORE`` where nobody painted."""
        points = self._read(index)
        found = np.full(self._size, IGNORE, np.uint8)
        found[points.rows, points.columns] = points.labels
        return found

    def times(self, index: Index, box: tuple[slice, slice]) -> Times:
        """Return when the pixels of a part of a plane were painted.

        ``(h, w)`` float64, as of ``Annotations``.
        """
        points = self._read(index)
        (top, bottom, _), (left, right, _) = (
            part.indices(size) for part, size in zip(box, self._size, strict=True)
        )
        rows, columns = points.rows - top, points.columns - left
        inside = (rows >= 0) & (columns >= 0)
        inside &= (rows < bottom - top) & (columns < right - left)
        found = np.full((bottom - top, right - left), np.nan)
        found[rows[inside], columns[inside]] = points.times[inside]
        return found

    def _read(self, index: Index) -> _Points:
        if self._points is None or self._points[0] != index:
            self._points = index, _resampled(self._strokes, index, self._size)
        return self._points[1]


@dataclass(frozen=True, slots=True)
class _Points:
    """Painted pixels, each ``(n,)``; of those at the same place the last one counts."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    labels: Labels
    times: Times


def _resampled(strokes: Annotations, index: Index, size: tuple[int, int]) -> _Points:
    target = strokes.target(index)
    painted = target != IGNORE
    if not painted.any():
        none = np.zeros(0, np.intp)
        return _Points(none, none, none.astype(np.uint8), none.astype(np.float64))
    box = tuple(
        slice(int(at[0]), int(at[-1]) + 1)
        for at in (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    )
    pairs = [
        _same_places(part, old, new)
        for part, old, new in zip(box, target.shape, size, strict=True)
    ]
    inside = np.ix_(
        *(old - part.start for (old, _), part in zip(pairs, box, strict=True))
    )
    labels, times = target[box][inside], strokes.times(index, box)[inside]
    rows, columns = np.nonzero(labels != IGNORE)
    labels, times = labels[rows, columns], times[rows, columns]
    order = np.argsort(times, kind="stable")
    return _Points(
        pairs[0][1][rows[order]],
        pairs[1][1][columns[order]],
        labels[order],
        times[order],
    )


def _same_places(
    part: slice, size: int, new_size: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return pixels of an interval of an axis, and those of another grid at the place.

    On a coarser grid each pixel lies in one of the new ones; on a finer one each of the
    new pixels in one of these.
    """
    if new_size <= size:
        old = np.arange(part.start, part.stop)
        return old, (2 * old + 1) * new_size // (2 * size)
    new = np.arange(
        part.start * new_size // size, min(new_size, part.stop * new_size // size + 1)
    )
    old = (2 * new + 1) * size // (2 * new_size)
    inside = (old >= part.start) & (old < part.stop)
    return old[inside], new[inside]

"""The pixels of a line that was drawn in a plane."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.draw import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Points = Sequence[Sequence[float]] | npt.NDArray[Any]


def line_pixels(points: Points, shape: Sequence[int]) -> npt.NDArray[np.intp]:
    """Return the pixels of a polyline that lie in a plane, in their order.

    Each has a side in common with the next one, so that no object goes on across the
    line from corner to corner.

    Parameters
    ----------
    points
        ``(n, 2)`` rows and columns in pixels, of the ends of its segments.
    shape
        Height and width of the plane.

    Returns
    -------
    ndarray
        ``(pixels, 2)`` rows and columns.
    """
    ends = np.rint(np.asarray(points, float)).astype(int).reshape(-1, 2)
    found = [ends[:1]]
    for start, stop in pairwise(ends):
        steps = np.stack(line(*start, *stop), axis=1)
        # The corner between two pixels that only touch at their corners.
        corners = np.stack([steps[1:, 0], steps[:-1, 1]], axis=1)
        found.append(np.stack([corners, steps[1:]], axis=1).reshape(-1, 2))
    pixels = np.concatenate(found)
    inside = ((pixels >= 0) & (pixels < np.asarray(shape))).all(axis=1)
    return pixels[inside].astype(np.intp)


def line_mask(points: Points, shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Return the pixels of a polyline as a mask of a plane, ``(Y, X)`` bool."""
    mask = np.zeros(tuple(shape), bool)
    mask[tuple(line_pixels(points, shape).T)] = True
    return mask

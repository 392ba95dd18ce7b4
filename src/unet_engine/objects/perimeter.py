"""The perimeter of an object in a plane, also of pixels that are not square."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import perimeter as square_perimeter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

LARGEST = 2**24
"""Square pixels of a bounding box whose perimeter is measured."""


def perimeter(mask: npt.NDArray[Any], spacing: Sequence[float]) -> float:
    """Return the length of the line around an object.

    That of ``skimage.measure.perimeter``, which is for square pixels only: an object of
    other pixels is brought to square ones of the shorter edge first, by interpolation
    of the distance from its outline (Raya and Udupa 1990, "Shape-based interpolation of
    multidimensional objects", IEEE TMI 9).

    Parameters
    ----------
    mask
        ``(Y, X)``, true inside.
    spacing
        Distance of rows and of columns.

    Returns
    -------
    float
        In the unit of the spacing; NaN where there would be too many square pixels.
    """
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    edge = min(spacing)
    if max(spacing) == edge:
        return float(square_perimeter(inside)) * edge
    steps = [edge / size for size in spacing]
    counts = [
        round((n - 1) / step) + 1 for n, step in zip(inside.shape, steps, strict=True)
    ]
    if float(counts[0]) * counts[1] > LARGEST:
        return float("nan")
    distance = ndimage.distance_transform_edt(inside, sampling=spacing)
    distance -= ndimage.distance_transform_edt(~inside, sampling=spacing)
    fine = ndimage.affine_transform(
        distance, steps, output_shape=tuple(counts), order=1, mode="nearest"
    )
    return float(square_perimeter(fine > 0)) * edge

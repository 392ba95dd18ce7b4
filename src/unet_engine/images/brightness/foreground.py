"""The brightness of objects and of what lies between them, from the blocks of an image.

Percentiles depend on how much of an image its objects cover: of a field of which they
cover a thousandth, the 99.8th is background. Here the image is cut into blocks, those
with contrast are separated from those without by Otsu's threshold on its logarithm, and
the upper quartile of the brightest pixels of the former is the brightness of an object,
however few they are. A bright speck counts no more than any other block, a smooth haze
has no contrast, and a hot pixel is not as large as what is looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_BLOCK = 32
"""Edge of a block in pixels: about an object, so that few hold objects only."""

_FLOOR = 25
"""Percentile of the darkest pixels of the blocks that is the background."""

_TYPICAL = 75
"""Percentile of the brightest pixels of the blocks with contrast: more of them may be
the rims of a haze than the specks of dust."""


def foreground_limits(planes: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    """Return the brightness of the background and of the objects.

    Parameters
    ----------
    planes
        Each ``(Y, X)``; what is not finite is no data.

    Returns
    -------
    low, high
        In the unit of the image. Equal where no block has contrast.
    """
    # Loaded when it is needed: it takes longer than all the rest of this package.
    from skimage.filters import threshold_otsu

    extremes = [_extremes(plane) for plane in planes]
    darkest, brightest = (
        np.concatenate(parts) for parts in zip(*extremes, strict=True)
    )
    contrast = brightest - darkest
    there = np.isfinite(contrast) & (contrast > 0)
    if not there.any():
        return 0.0, 0.0
    darkest, brightest, contrast = (a[there] for a in (darkest, brightest, contrast))
    logarithm = np.log(contrast)
    if logarithm.min() < logarithm.max():
        brightest = brightest[logarithm > threshold_otsu(logarithm)]
    low = float(np.percentile(darkest, _FLOOR))
    high = float(np.percentile(brightest, _TYPICAL))
    return low, max(low, high)


def _extremes(
    plane: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the darkest and the brightest 2 x 2 pixels of each block.

    A pixel counts with the least favourable of its three neighbours, so that a single
    one that is hot or dead does not. Blocks without data have none.
    """
    pixels = plane.astype(np.float32 if plane.dtype.itemsize <= 2 else np.float64)
    lost = ~np.isfinite(pixels)
    ends = []
    for worse, better, empty in (
        (np.maximum, np.minimum, np.inf),
        (np.minimum, np.maximum, -np.inf),
    ):
        filled = np.where(lost, empty, pixels) if lost.any() else pixels
        if min(filled.shape) > 1:
            filled = worse(filled[:-1], filled[1:])
            filled = worse(filled[:, :-1], filled[:, 1:])
        starts = [np.arange(0, n, _BLOCK) for n in filled.shape]
        rows = better.reduceat(filled, starts[0], axis=0)
        ends.append(better.reduceat(rows, starts[1], axis=1).ravel())
    return ends[0].astype(np.float64), ends[1].astype(np.float64)

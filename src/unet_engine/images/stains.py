"""Bright-field stains: whether a colour image is one, and its haematoxylin.

Dyes absorb light, so that their optical densities add up (Ruifrok and Johnston,
*Analytical and Quantitative Cytology and Histology* 23, 291, 2001). Nuclei are bright
in the density of haematoxylin and dark in the luminance, where other dyes are dark too.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_DARKEST = 1 / 255
"""Part of the full light below which nothing is measured: one step of 8 bits."""

_LEAST_LIGHT = 0.3
"""Median luminance of a bright-field image at least, in parts of its brightest: tissue
lets that much through, and fluorescence is dark between its objects."""

_LEAST_WHITE = 0.5
"""Weakest over strongest colour of its lightest pixels at least: they are glass or pale
tissue, and the brightest ones of a composite have the colour of its channels."""

_LEAST_COLOUR = 0.12
"""Chroma of a stain at least: mean difference of the densest and the lightest colour
of a pixel, in parts of the densest. Grey images in three channels have none."""

_FAINTEST = 0.05
"""Optical density below which a colour is the noise of a camera."""

_MOST_FLAT = 0.75
"""Part of the pixels below white that equal their neighbour, at most: no camera records
so many alike, but windows and drawings on a screen consist of them."""

_LOOKED_AT, _RUNS = 2**18, 64
"""Pixels that decide, in so many runs of neighbours."""

_WHITE = 0.97
"""Part of the brightest pixels from which a pixel is white."""


def haematoxylin(block: npt.NDArray[Any], full: float) -> npt.NDArray[np.float32]:
    """Return the optical density of haematoxylin.

    Parameters
    ----------
    block
        ``(3, ...)`` red, green and blue; NaN stays NaN.
    full
        Value of a pixel that absorbs nothing.

    Returns
    -------
    ndarray
        ``(1, ...)`` float32; negative where other dyes prevail.
    """
    weights = haematoxylin_weights().astype(np.float32)
    found: npt.NDArray[np.float32] = np.tensordot(
        weights, optical_density(block, full), axes=1
    )[None]
    return found


@cache
def haematoxylin_weights() -> npt.NDArray[np.float64]:
    """Return what of the optical densities of red, green and blue is haematoxylin's."""
    # Loaded when a stain is read: it takes longer than all the rest of this package.
    from skimage.color import hed_from_rgb

    weights: npt.NDArray[np.float64] = hed_from_rgb[:, 0]
    return weights


def optical_density(block: npt.NDArray[Any], full: float) -> npt.NDArray[np.float32]:
    """Return the optical density of each colour, ``(3, ...)`` float32."""
    light = block.astype(np.float32) / np.float32(full)
    density: npt.NDArray[np.float32] = -np.log(np.maximum(light, np.float32(_DARKEST)))
    return density


def full_light(pixels: npt.NDArray[Any]) -> float:
    """Return the value of a pixel that absorbs nothing, from ``(3, n)`` pixels."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 1:
        return 255.0
    return float(np.nanpercentile(_some(pixels), 99.9))


def is_stain(
    pixels: npt.NDArray[Any], lost: npt.NDArray[np.bool_] | None = None
) -> bool:
    """Return whether pixels are those of a stained specimen in transmitted light.

    Parameters
    ----------
    pixels
        ``(3, n)`` red, green and blue in the order in which they lie in the image.
    lost
        ``(n,)``: where there are no data.
    """
    values = _some(pixels).astype(np.float32)
    known = np.isfinite(values).all(axis=0)
    if lost is not None:
        known &= ~_some(lost[None])[0]
    values = values[:, known]
    if not values.shape[1]:
        return False
    brightest = float(np.percentile(values.max(axis=0), 99.9))
    light = values.mean(axis=0)
    if brightest <= 0 or np.median(light) < _LEAST_LIGHT * brightest:
        return False
    lightest = values[:, light >= np.percentile(light, 95)]
    whiteness = lightest.min(axis=0) / np.maximum(lightest.max(axis=0), 1e-9)
    if whiteness.mean() < _LEAST_WHITE:
        return False
    stained = light < _WHITE * brightest
    same = (values[:, 1:] == values[:, :-1]).all(axis=0)
    if not stained[1:].any() or same[stained[1:]].mean() > _MOST_FLAT:
        return False
    density = optical_density(values[:, stained], brightest)
    densest = density.max(axis=0)
    chroma = (densest - density.min(axis=0)) / np.maximum(densest, _FAINTEST)
    return bool(chroma.mean() > _LEAST_COLOUR)


def _some(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return evenly spread runs of pixels, ``(samples, n)``; all if they are few."""
    if pixels.shape[1] <= _LOOKED_AT:
        return pixels
    length = _LOOKED_AT // _RUNS
    starts = np.linspace(0, pixels.shape[1] - length, _RUNS).astype(np.intp)
    return pixels[:, (starts[:, None] + np.arange(length)).ravel()]

"""Bright-field stains: whether a colour image is one, and the dye of its nuclei.

Dyes absorb light, so that their optical densities add up (Ruifrok and Johnston,
*Analytical and Quantitative Cytology and Histology* 23, 291, 2001). Nuclei are bright
in the density of haematoxylin and dark in the luminance, where other dyes are dark too.
Violet dyes (Giemsa, cresyl violet, crystal violet) absorb green light, which counts
next to nothing in the density of haematoxylin, and there is no other dye beside them to
be left out: the luminance of their densities shows the nuclei best.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

LUMINANCE = (0.2125, 0.7154, 0.0721)
"""Weights of red, green and blue in the luminance (ITU-R BT.709)."""

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

_UNRELATED = 0.03
"""Variance of densities that no dye explains, in parts of the squared density of the
nuclei: without it the weights of colours would follow the noise of a camera."""

_LOOKED_AT, _RUNS = 2**18, 64
"""Pixels that decide, in so many runs of neighbours."""

_WHITE = 0.97
"""Part of the brightest pixels from which a pixel is white."""


Dye = Literal["haematoxylin", "violet"]
"""The dye of nuclei; the second for any that absorbs more green than red."""


@dataclass(frozen=True, slots=True)
class Stain:
    """How the dye of nuclei is measured in the colours of a bright-field image.

    Attributes
    ----------
    full_light
        Value of a pixel that absorbs nothing.
    dye
        What the optical density is of.
    """

    full_light: float
    dye: Dye = "haematoxylin"

    def density(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the optical density of the dye.

        Parameters
        ----------
        block
            ``(3, ...)`` red, green and blue; NaN stays NaN.

        Returns
        -------
        ndarray
            ``(1, ...)`` float32; negative where other dyes than haematoxylin prevail.
        """
        weights = dye_weights(self.dye).astype(np.float32)
        density = optical_density(block, self.full_light)
        found: npt.NDArray[np.float32] = np.tensordot(weights, density, axes=1)[None]
        return found


def dye_weights(dye: Dye) -> npt.NDArray[np.float64]:
    """Return what of the optical densities of red, green and blue is a dye's."""
    return haematoxylin_weights() if dye == "haematoxylin" else np.array(LUMINANCE)


def dye_of_nuclei(
    pixels: npt.NDArray[Any],
    full: float,
    lost: npt.NDArray[np.bool_] | None = None,
) -> Dye:
    """Return the dye by which nuclei differ from the rest of a stain.

    Where haematoxylin would be densest there are nuclei, whatever their dye. The linear
    weights of colours that separate them best from the rest are largest for red where
    the dye is blue, as haematoxylin, and for green where it is violet.

    Parameters
    ----------
    pixels
        ``(3, n)`` red, green and blue.
    full
        Value of a pixel that absorbs nothing.
    lost
        ``(n,)``: where there are no data.
    """
    # Loaded when it is needed: it takes longer than all the rest of this package.
    from skimage.filters import threshold_otsu

    values = _known(pixels, lost)
    if not values.shape[1]:
        return "haematoxylin"
    density = optical_density(values, full).astype(np.float64)
    blue = haematoxylin_weights() @ density
    if blue.min() == blue.max():
        return "haematoxylin"
    nuclei = blue > threshold_otsu(blue)
    colour, rest = density[:, nuclei].mean(axis=1), density[:, ~nuclei]
    moments = rest @ rest.T / rest.shape[1]
    moments += _UNRELATED * (colour @ colour) * np.eye(3)
    weights = np.linalg.solve(moments, colour)
    return "haematoxylin" if weights[0] > weights[1] else "violet"


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
    values = _known(pixels, lost)
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


def _known(
    pixels: npt.NDArray[Any], lost: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float32]:
    """Return evenly spread pixels that are data, ``(3, samples)``."""
    values = _some(pixels).astype(np.float32)
    known = np.isfinite(values).all(axis=0)
    if lost is not None:
        known &= ~_some(lost[None])[0]
    found: npt.NDArray[np.float32] = values[:, known]
    return found


def _some(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return evenly spread runs of pixels, ``(samples, n)``; all if they are few."""
    if pixels.shape[1] <= _LOOKED_AT:
        return pixels
    length = _LOOKED_AT // _RUNS
    starts = np.linspace(0, pixels.shape[1] - length, _RUNS).astype(np.intp)
    return pixels[:, (starts[:, None] + np.arange(length)).ravel()]

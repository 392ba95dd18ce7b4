"""A part of an image as a picture for the eye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image

_DARKEST, _BRIGHTEST = 1.0, 99.8
"""Percentiles that become black and white."""


def picture_of(part: Image, *, colour: bool) -> npt.NDArray[np.uint8]:
    """Return a part as red, green and blue.

    Parameters
    ----------
    part
        A plane.
    colour
        Whether its channels are red, green and blue; else their mean is grey, each in
        a range of its own.

    Returns
    -------
    ndarray
        ``(Y, X, 3)`` uint8; black where a pixel is not a finite number.
    """
    everything = tuple(slice(0, size) for size in part.plane_shape)
    pixels = part.read((), everything).astype(np.float64)
    if colour:
        grey = _stretched(pixels[:3])
    else:
        channels = np.stack([_stretched(channel) for channel in pixels])
        grey = np.repeat(channels.mean(axis=0)[None], 3, axis=0)
    return np.round(255 * np.moveaxis(grey, 0, -1)).astype(np.uint8)


def _stretched(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bring pixels to 0 to 1."""
    finite = np.isfinite(pixels)
    if not finite.any():
        return np.zeros_like(pixels)
    low, high = np.percentile(pixels[finite], (_DARKEST, _BRIGHTEST))
    if low == high:
        low, high = low - 0.5, high + 0.5
    known = np.where(finite, pixels, low)
    stretched: npt.NDArray[np.float64] = np.clip((known - low) / (high - low), 0, 1)
    return stretched

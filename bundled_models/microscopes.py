"""Fluorescent images as another microscope might have taken them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


def retake(pixels: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Take a fluorescent image again: less sharp, less even and with fewer photons.

    Parameters
    ----------
    pixels
        ``(Y, X)``, bright objects on a dark ground.
    rng
        Source of chance.

    Returns
    -------
    ndarray
        ``(Y, X)`` uint16, above an offset.
    """
    low, bright = np.percentile(pixels, (1, 99.8))
    light = np.clip((pixels - low) / max(bright - low, 1), 0, 1.5)
    if rng.random() < 0.5:
        light = ndimage.gaussian_filter(light, rng.uniform(0.4, 2.0))
    if rng.random() < 0.5:
        # What lies above and below the plane shines into it.
        light += rng.uniform(0, 0.8) * ndimage.gaussian_filter(
            light, rng.uniform(6, 24)
        )
    if rng.random() < 0.5:
        light = light * _shading(light.shape, rng) + _haze(light.shape, rng)
    photons = math.exp(rng.uniform(math.log(3), math.log(300)))
    counted = rng.poisson(photons * light + rng.uniform(0, 1.5))
    gain, read_noise = rng.uniform(2, 50), rng.uniform(0.1, 1.2)
    taken = rng.uniform(100, 2000) + gain * (
        counted + rng.normal(0, read_noise, light.shape)
    )
    return np.clip(taken, 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _shading(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return the light of a lamp that is brightest somewhere in the middle."""
    y, x = (np.linspace(-1, 1, n) - rng.uniform(-0.3, 0.3) for n in shape)
    return 1 - rng.uniform(0, 0.3) * (y[:, None] ** 2 + x**2)


def _haze(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return a ground that is bright at one side, and in clouds."""
    slope = ramp(shape, rng)
    clouds = ndimage.gaussian_filter(rng.normal(size=shape), max(shape) / 8)
    clouds /= max(float(np.abs(clouds).max()), 1e-12)
    return rng.uniform(0, 0.5) * slope + rng.uniform(0, 0.2) * (1 + clouds)


def ramp(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return ``(size, size)`` values that grow from 0 to 1 at most in one direction."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    angle = rng.uniform(0, 2 * math.pi)
    slope = (y[:, None] * math.sin(angle) + x * math.cos(angle)) / math.sqrt(2)
    return (1 + slope) / 2

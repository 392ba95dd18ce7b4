"""Normalised images as other microscopes, stainings and specimens would show them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bundled_models.microscopes import ramp

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int32]
    Random = np.random.Generator


def vary_specimen(pixels: Floats, ids: Ids, rng: Random) -> Floats:
    """Change what shines: dim objects, haze, debris, objects out of focus.

    Parameters
    ----------
    pixels
        ``(Y, X)``: bright objects, about 1, on a ground of about 0.
    ids
        ``(Y, X)`` of the objects; -1 where nothing is known.
    rng
        Source of chance.
    """
    if rng.random() < 0.35:
        pixels = _dim_objects(pixels, ids, rng)
    light = np.clip(pixels, 0, 1.5)
    if rng.random() < 0.35:
        # Cytoplasm and what lies above and below the plane.
        pixels = pixels + rng.uniform(0, 0.7) * _blurred(light, rng.uniform(4, 16))
    if rng.random() < 0.2:
        far = _blurred(np.roll(light, rng.integers(0, len(light), 2), (0, 1)), 4.0)
        pixels = pixels + rng.uniform(0.1, 0.7) * far
    if rng.random() < 0.3:
        pixels = pixels + rng.uniform(0, 0.6) * ramp(pixels.shape, rng)
    if rng.random() < 0.25:
        pixels = pixels + rng.uniform(0, 0.15) * clouds(len(pixels), rng)
    if rng.random() < 0.15:
        pixels = pixels + debris(pixels.shape, rng)
    return pixels.astype(np.float32)


def expose(pixels: Floats, rng: Random) -> Floats:
    """Take the picture: contrast, blur, photons, noise that is alike in neighbours.

    ``pixels`` is ``(Y, X)``, of any polarity.
    """
    if rng.random() < 0.5:
        gamma = math.exp(rng.uniform(-0.6, 0.6))
        pixels = np.sign(pixels) * np.abs(pixels) ** gamma
    if rng.random() < 0.35:
        pixels = ndimage.gaussian_filter(pixels, rng.uniform(0.3, 1.8))
    if rng.random() < 0.45:
        photons = math.exp(rng.uniform(math.log(4), math.log(300)))
        pixels = rng.poisson(photons * np.clip(pixels + 0.03, 0, None)) / photons
    if rng.random() < 0.4:
        level = math.exp(rng.uniform(math.log(0.005), math.log(0.15)))
        pixels = pixels + level * camera_noise(pixels.shape, rng)
    if rng.random() < 0.15:
        # Speckle, as of confocal microscopes with few photons.
        grains = ndimage.gaussian_filter(
            rng.standard_normal(pixels.shape), rng.uniform(0.5, 1.6)
        )
        pixels = pixels * np.exp(rng.uniform(0.1, 0.6) * _unit(grains))
    if rng.random() < 0.08:
        hot = rng.integers(0, pixels.size, rng.integers(1, 9))
        pixels = np.array(pixels)
        pixels.flat[hot] = rng.uniform(1, 5, hot.size)
    # The brightness of an image is measured with some error.
    pixels = pixels * rng.lognormal(0, 0.3) + rng.normal(0, 0.06)
    return np.clip(pixels, -1, 5).astype(np.float32)


def _dim_objects(pixels: Floats, ids: Ids, rng: Random) -> Floats:
    """Give each object a brightness of its own, on the ground that it lies on."""
    gains = np.exp(rng.normal(-0.15, 0.55, int(ids.max(initial=0)) + 1))
    gains[0] = 1.0
    gain = ndimage.gaussian_filter(gains[np.maximum(ids, 0)], 1.0)
    ground = np.percentile(pixels, 10)
    return (ground + (pixels - ground) * gain).astype(np.float32)


def debris(shape: tuple[int, ...], rng: Random) -> npt.NDArray[np.float64]:
    """Return specks up to 5 times as bright as an object, some out of focus."""
    specks = np.zeros(shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for _ in range(rng.integers(1, 6)):
        centre = rng.uniform(0, shape)
        radius = np.exp(rng.uniform(np.log(1.0), np.log(7.0), 2))
        inside = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2
        specks += rng.uniform(1, 5) * (inside < 1)
    return ndimage.gaussian_filter(specks, rng.uniform(0.3, 2.5))


def clouds(size: int, rng: Random) -> npt.NDArray[np.float64]:
    """Return ``(size, size)`` smooth noise of unit deviation, uneven light."""
    waves = ndimage.zoom(rng.standard_normal((6, 6)), size / 6, order=3)
    cut: npt.NDArray[np.float64] = waves[:size, :size]
    return cut


def camera_noise(shape: tuple[int, ...], rng: Random) -> npt.NDArray[np.float64]:
    """Return noise of unit deviation, half of the time alike in neighbours."""
    noise = rng.standard_normal(shape)
    if rng.random() < 0.5:
        noise = _unit(ndimage.gaussian_filter(noise, rng.uniform(0.4, 1.5)))
    return noise


def _blurred(pixels: Floats, sigma: float) -> npt.NDArray[np.float64]:
    """Blur on a grid that is coarse enough for the blur."""
    step = max(1, int(sigma / 2))
    coarse = ndimage.gaussian_filter(
        ndimage.uniform_filter(pixels, step)[::step, ::step], sigma / step
    )
    back = ndimage.zoom(coarse, step, order=1)
    blurred: npt.NDArray[np.float64] = back[: pixels.shape[0], : pixels.shape[1]]
    return blurred


def _unit(noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return noise / max(float(noise.std()), 1e-9)

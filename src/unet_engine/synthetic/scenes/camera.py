"""Blur, noise and contrast of a microscope and camera, and the normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.images import Image, Normalisation, Preparation
from unet_engine.synthetic.scenes.fields import between, chance, noise, scale_between

if TYPE_CHECKING:
    from unet_engine.synthetic.scenes.fields import Floats, Rng


def degrade(
    pixels: Floats, rng: Rng, *, percentiles: tuple[float, float] = (1.0, 99.8)
) -> tuple[Floats, Floats]:
    """Blur and degrade a scene as a microscope does, and normalise it.

    Parameters
    ----------
    pixels
        ``(C, Y, X)`` float32 of 1 or 3 channels.
    rng
        Random numbers.
    percentiles
        Of the degraded image that become 0 and 1, as for prediction.

    Returns
    -------
    picture, clean
        ``(3, Y, X)`` float32, a grey one three times the same; and ``(Y, X)`` float32,
        its brightness without noise and blur.
    """
    clean = _tint(rng, _tones(rng, pixels))
    picture = _expose(rng, _blur(rng, clean))
    limits = Normalisation.measure(
        Image.from_array(picture, "CYX", rgb=len(picture) == 3),
        Preparation(low=percentiles[0], high=percentiles[1]),
    )
    picture, clean = limits.apply(picture), limits.apply(clean)
    picture, clean = _part_of_range(rng, picture, clean)
    if len(picture) == 1:
        picture = np.repeat(picture, 3, axis=0)
    return picture, np.clip(clean.mean(axis=0), -0.5, 1.5)


def _part_of_range(rng: Rng, picture: Floats, clean: Floats) -> tuple[Floats, Floats]:
    """Compress the range: few crops hold the darkest and the brightest of an image."""
    gain, shift = float(rng.lognormal(0, 0.12)), float(rng.normal(0, 0.05))
    if chance(rng, 0.35):
        gain = scale_between(rng, 0.2, 1.0)
        shift = between(rng, 0, 1 - gain)
    # Python's floats leave an array of float32 what it is.
    return gain * picture + shift, gain * clean + shift


def _tones(rng: Rng, pixels: Floats) -> Floats:
    """Change the range: grey, inverted, gamma, shading."""
    low, high = np.percentile(pixels, (0.2, 99.9))
    tones = np.clip((pixels - low) / (high - low + 1e-6), 0, 1.2)
    if len(tones) == 3 and chance(rng, 0.25):
        tones = np.tensordot(rng.dirichlet((2, 2, 2)), tones, axes=1)[None]
    if chance(rng, 0.3 if len(tones) == 1 else 0.08):
        tones = 1.2 - tones
    if chance(rng, 0.5):
        tones = np.clip(tones, 0, None) ** scale_between(rng, 0.6, 1.6)
    if chance(rng, 0.5):
        size = tones.shape[-1]
        tones = tones * (1 + between(rng, 0, 0.25) * noise(rng, size, size / 2))
    toned: Floats = tones.astype(np.float32)
    return toned


def _tint(rng: Rng, tones: Floats) -> Floats:
    """Give some grey pictures two colours, and some coloured ones another balance."""
    if len(tones) == 3:
        if chance(rng, 0.5):
            tones = tones * rng.uniform(0.6, 1.1, (3, 1, 1)).astype(np.float32)
        return tones[rng.permutation(3)] if chance(rng, 0.1) else tones
    if chance(rng, 0.85):
        return tones
    dark, bright = rng.uniform(0, 0.5, (3, 1, 1)), rng.uniform(0.4, 1, (3, 1, 1))
    tinted: Floats = (dark + (bright - dark) * tones).astype(np.float32)
    return tinted


def _blur(rng: Rng, clean: Floats) -> Floats:
    if chance(rng, 0.3):
        return clean
    sigma = scale_between(rng, 0.4, 1.8)
    blurred: Floats = ndimage.gaussian_filter(clean, (0, sigma, sigma))
    return blurred


def _expose(rng: Rng, picture: Floats) -> Floats:
    """Count photons, add the camera's noise, sometimes resample or coarsen."""
    level = scale_between(rng, 0.003, 0.16)
    if chance(rng, 0.85):
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        if chance(rng, 0.3):
            # Scaled or compressed pictures have noise of more than one pixel.
            sigma = between(rng, 0.4, 1.0)
            grain = ndimage.gaussian_filter(grain, (0, sigma, sigma))
            grain /= grain.std() + 1e-6
        shot = np.sqrt(np.clip(picture, 0.02, None)) if chance(rng, 0.5) else 0.7
        picture = picture + (level * shot * grain).astype(np.float32)
    if chance(rng, 0.15):
        # As of a camera of a few bits.
        np.round(picture * 40, out=picture)
        picture /= 40
    return picture

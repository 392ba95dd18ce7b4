"""What scenes are made of: random numbers, smooth noise, divisions of the plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from unet_engine.synthetic.nuclei import clouds

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]
    Points = npt.NDArray[np.float64]
    Rng = np.random.Generator

_MOST_CELLS = 260
"""Cells of a plane: memory and time grow with their number times the pixels."""


def between(rng: Rng, low: float, high: float) -> float:
    """Draw a number, uniform."""
    return float(rng.uniform(low, high))


def scale_between(rng: Rng, low: float, high: float) -> float:
    """Draw a length, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: Rng, probability: float) -> bool:
    """Return True with a probability."""
    return bool(rng.random() < probability)


def noise(rng: Rng, size: int, scale: float) -> Floats:
    """Return smooth noise ``(size, size)`` of mean 0 and variance 1."""
    return clouds(rng, (size, size), (scale, scale))


def fibres(rng: Rng, size: int, scale: float, elongation: float) -> Floats:
    """Return ``(size, size)`` noise stretched along one direction, variance 1."""
    reach = int(size * 1.5)
    straight = clouds(rng, (reach, reach), (scale, scale * elongation))
    angle = rng.uniform(0, np.pi)
    y, x = warped_grid(rng, size, 8 * scale, 1.5 * scale)
    y, x = y - size / 2, x - size / 2
    rows = np.cos(angle) * y - np.sin(angle) * x + reach / 2
    columns = np.sin(angle) * y + np.cos(angle) * x + reach / 2
    turned: Floats = ndimage.map_coordinates(
        straight, (rows, columns), order=1, mode="reflect"
    )
    turned /= turned.std() + 1e-6
    return turned


def warped_grid(
    rng: Rng, size: int, scale: float, strength: float
) -> tuple[Floats, Floats]:
    """Return row and column of each pixel, ``(size, size)``, displaced by noise."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return (
        y + strength * noise(rng, size, scale),
        x + strength * noise(rng, size, scale),
    )


def soft_step(depth: Floats, width: float = 1.0) -> Floats:
    """Return 0 outside (``depth`` < 0) and 1 inside, with a ramp of ``width`` pixels.

    Of any shape, float32.
    """
    step: Floats = np.clip(depth / width + 0.5, 0, 1)
    return step


def partition(
    rng: Rng,
    size: int,
    diameter: float,
    *,
    unequal: tuple[float, float],
    waves: tuple[float, float],
) -> tuple[Ids, Floats]:
    """Divide the plane into cells of unequal size and elongation.

    A Voronoi diagram in which every site has a metric of its own, on warped ground.

    Parameters
    ----------
    rng
        Random numbers.
    size
        Edge of the plane in pixels.
    diameter
        Of a cell of mean size in pixels.
    unequal
        Least and largest spread of size and elongation; 0 is plain Voronoi.
    waves
        How wavy borders are at least and at most, about 0 to 1.

    Returns
    -------
    ids, depth
        ``(size, size)`` int32 from 1, and the distance to the next border in pixels.
    """
    margin = diameter
    count = int(np.clip(((size + 2 * margin) / diameter) ** 2, 3, _MOST_CELLS))
    wavy = between(rng, *waves) * diameter
    y, x = warped_grid(rng, size, 0.7 * diameter, 0.4 * wavy)
    ripple = 0.1 * wavy
    y = y + ripple * noise(rng, size, max(3.0, 0.25 * diameter))
    x = x + ripple * noise(rng, size, max(3.0, 0.25 * diameter))
    sites = rng.uniform(-margin, size + margin, (count, 2))
    forms = np.stack([y * y, y * x, x * x, y, x, np.ones_like(y)], axis=-1)
    metrics = _metrics(rng, sites, between(rng, *unequal))
    distance = forms.reshape(-1, 6) @ metrics.astype(np.float32)
    ids = (distance.argmin(axis=1) + 1).astype(np.int32).reshape(size, size)
    return ids, border_distance(ids)


def _metrics(rng: Rng, sites: Points, unequal: float) -> Points:
    """Write each site's squared distance as a polynomial of y and x, ``(6, sites)``."""
    turn = rng.uniform(0, np.pi, len(sites))
    stretch = np.exp(rng.normal(0, 0.7 * unequal, len(sites)))
    size = np.exp(rng.normal(0, 0.8 * unequal, len(sites)))
    long, short = 1 / (size * stretch), stretch / size
    c, s = np.cos(turn), np.sin(turn)
    yy = c * c * long + s * s * short
    yx = 2 * c * s * (long - short)
    xx = s * s * long + c * c * short
    y, x = sites.T
    constant = yy * y * y + yx * y * x + xx * x * x
    return np.stack([yy, yx, xx, -2 * yy * y - yx * x, -2 * xx * x - yx * y, constant])


def border_distance(ids: npt.NDArray[np.integer]) -> Floats:
    """Return the distance of each pixel to the next border between two ids.

    ``(Y, X)`` integers become ``(Y, X)`` float32, in pixels.
    """
    border = np.zeros(ids.shape, bool)
    border[1:] |= ids[1:] != ids[:-1]
    border[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    if not border.any():
        return np.full(ids.shape, max(ids.shape), np.float32)
    distance: Floats = ndimage.distance_transform_edt(~border).astype(np.float32)
    return distance

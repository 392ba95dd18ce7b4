"""Generated microscopy with ground truth: sample data, demonstration, tests.

An image is made as a microscope makes it: objects with a brightness of their own, light
from everywhere, an optical blur, and a camera that counts photons. A family of images
gives the objects (``_place``, ``_grow``); the optics (``_expose``) are common to all.
"""

from __future__ import annotations

from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.measure import label as connected_components

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Scale = Sequence[float] | npt.NDArray[np.float64]

_ROUGHNESS = 0.16
"""Standard deviation of an outline from an ellipse, in radii; chosen by eye."""

_OFFSET = 100.0
"""Counts of the camera without light, as usual of scientific cameras."""

_READ_NOISE = 4.0
"""Standard deviation of the camera's own noise, in counts."""

_FRAGMENT = 12
"""Pixels below which a piece of a nucleus is left out as a speck."""


def nuclei(
    shape: Sequence[int],
    *,
    seed: int,
    count: int | None = None,
    diameter: float = 26.0,
    z_step: float = 3.0,
    photons: float = 400.0,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
    """Generate stained nuclei as a fluorescence microscope shows them.

    Parameters
    ----------
    shape
        ``(Y, X)``, or ``(Z, Y, X)`` for a stack of true three-dimensional nuclei.
    seed
        Same seed, same image.
    count
        Nuclei to place; by default about a fifth of the image is covered.
    diameter
        Mean diameter in pixels.
    z_step
        Distance of two slices in pixels.
    photons
        Counted in the middle of a nucleus of mean brightness: less is noisier.

    Returns
    -------
    image, labels
        ``shape`` uint16 camera counts, and ``shape`` int32 ids of the nuclei from 1;
        nuclei may touch and never overlap.

    Raises
    ------
    DataError
        When the shape is neither a plane nor a stack.
    """
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise DataError(f"nuclei of shape {shape} are neither (Y, X) nor (Z, Y, X)")
    rng = np.random.default_rng(seed)
    step = np.array([z_step, 1.0, 1.0][-len(shape) :])
    if count is None:
        volume = prod(shape) * prod(step)
        nucleus = (np.pi / 6) ** (len(shape) - 2) * np.pi / 4 * diameter ** len(shape)
        count = max(1, round(0.22 * volume / nucleus))
    centres = _place(rng, np.array(shape) * step, count, 0.8 * diameter)
    labels, radius = _grow(rng, shape, step, centres, diameter / 2)
    light = _stain(rng, labels, radius, step, diameter)
    return _expose(rng, light, step, photons), labels


def _place(
    rng: np.random.Generator, extent: npt.NDArray[np.float64], count: int, gap: float
) -> npt.NDArray[np.float64]:
    """Draw centres in pixels: in loose groups, seldom closer than ``gap``."""
    centres = np.empty((0, len(extent)))
    hubs = rng.uniform(0, extent, (max(1, count // 6), len(extent)))
    for _ in range(count):
        near = hubs[rng.integers(len(hubs), size=12)]
        near = (near + rng.normal(0, 2.2 * gap, near.shape)) % extent
        anywhere = rng.uniform(0, extent, near.shape)
        tries = np.where(rng.random((12, 1)) < 0.5, near, anywhere)
        distance = np.linalg.norm(tries[:, None] - centres[None], axis=-1)
        # The first that keeps its distance; argmax takes the farthest if none does.
        room = np.minimum(distance.min(axis=1, initial=np.inf), gap)
        centres = np.vstack([centres, tries[room.argmax()]])
    return centres


def _grow(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    step: npt.NDArray[np.float64],
    centres: npt.NDArray[np.float64],
    size: float,
) -> tuple[npt.NDArray[np.int32], Floats]:
    """Grow an irregular ellipsoid at each centre; neighbours meet in the middle.

    Returns
    -------
    labels, radius
        Ids, and the distance from the centre: 0 there, 1 at the border.
    """
    rough = _ROUGHNESS * clouds(rng, shape, 0.7 * size / step)
    labels = np.zeros(shape, dtype=np.int32)
    radius = np.full(shape, np.inf, dtype=np.float32)
    for number, centre in enumerate(centres, start=1):
        axes = size * rng.lognormal(0, 0.13) * rng.lognormal(0, 0.16, len(shape))
        turn = np.linalg.qr(rng.normal(size=(len(shape), len(shape))))[0]
        reach = 1.5 * axes.max()
        box = tuple(
            slice(max(0, int((c - reach) / s)), max(0, ceil((c + reach) / s)))
            for c, s in zip(centre, step, strict=True)
        )
        ticks = [
            np.arange(n)[part] * s - c
            for n, part, s, c in zip(shape, box, step, centre, strict=True)
        ]
        points = np.stack(np.meshgrid(*ticks, indexing="ij"))
        turned = np.tensordot((turn / axes).T, points, axes=1)
        distance = np.linalg.norm(turned, axis=0) + rough[box]
        closer = (distance < 1) & (distance < radius[box])
        labels[box][closer] = number
        radius[box][closer] = distance[closer]
    return _tidy(labels), radius


def _tidy(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Keep one piece of each object, drop specks, number from 1."""
    pieces = connected_components(labels, connectivity=1)
    sizes = np.bincount(pieces.ravel())
    owner = np.zeros(len(sizes), dtype=np.intp)
    owner[pieces.ravel()] = labels.ravel()
    ids = np.zeros(len(sizes), dtype=np.int32)
    largest: dict[int, int] = {}
    for piece in range(1, len(sizes)):
        rival = largest.get(int(owner[piece]), 0)
        if sizes[piece] >= _FRAGMENT and (not rival or sizes[piece] > sizes[rival]):
            largest[int(owner[piece])] = piece
    for number, piece in enumerate(sorted(largest.values()), start=1):
        ids[piece] = number
    tidy: npt.NDArray[np.int32] = ids[pieces]
    return tidy


def _stain(
    rng: np.random.Generator,
    labels: npt.NDArray[np.int32],
    radius: Floats,
    step: npt.NDArray[np.float64],
    diameter: float,
) -> Floats:
    """Give each nucleus its brightness, dome, chromatin and nucleoli."""
    inside = labels > 0
    brightness = rng.lognormal(-0.06, 0.35, int(labels.max(initial=0)) + 1)
    fine = clouds(rng, labels.shape, np.clip(diameter / 18, 1.0, 1.8) / step)
    coarse = clouds(rng, labels.shape, diameter / 7 / step)
    chromatin = 1 + 0.16 * fine + 0.14 * coarse + 0.25 * np.maximum(fine - 1.4, 0)
    nucleoli = 1 - 0.4 * np.clip(3 * (coarse * -1 - 1.25), 0, 1)
    dome = 0.72 + 0.28 * np.sqrt(np.clip(1 - np.where(inside, radius, 1) ** 2, 0, 1))
    light = brightness[labels] * dome * np.clip(chromatin, 0.3, None) * nucleoli
    return np.where(inside, light, 0).astype(np.float32)


def _expose(
    rng: np.random.Generator,
    light: Floats,
    step: npt.NDArray[np.float64],
    photons: float,
) -> npt.NDArray[np.uint16]:
    """Expose the image: haze, blur, uneven field, photons, camera."""
    spread = np.where(step > 1, 2.5, 1.1) / step
    sharp = ndimage.gaussian_filter(light, spread)
    haze = _soften(light, 14 / step)
    plane = light.shape[-2:]
    field = 1 + 0.08 * clouds(rng, plane, (max(plane) / 2,) * 2)
    floor = 0.035 + 0.012 * clouds(rng, plane, (max(plane) / 5,) * 2)
    expected = (sharp + 0.16 * haze + np.clip(floor, 0.01, None)) * np.clip(
        field, 0.7, None
    )
    counted = rng.poisson(photons * expected).astype(np.float32)
    counts = 2.2 * counted + _OFFSET + rng.normal(0, _READ_NOISE, light.shape)
    image: npt.NDArray[np.uint16] = counts.clip(0, 65535).round().astype(np.uint16)
    return image


def clouds(rng: np.random.Generator, shape: Sequence[int], scale: Scale) -> Floats:
    """Return smooth noise of mean 0 and variance 1.

    Parameters
    ----------
    rng
        Random numbers.
    shape
        Of the result, one size per axis.
    scale
        Standard deviation of its Gaussian filter per axis, in voxels.

    Returns
    -------
    ndarray
        ``shape`` float32.
    """
    coarse = [max(1, int(s / 1.5)) for s in scale]
    small = tuple(ceil(n / c) + 1 for n, c in zip(shape, coarse, strict=True))
    noise = rng.standard_normal(small, dtype=np.float32)
    sigma = [s / c for s, c in zip(scale, coarse, strict=True)]
    noise = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    noise = (noise - noise.mean()) / (noise.std() + 1e-6)
    return _enlarge(noise, shape, coarse)


def _soften(light: Floats, scale: Scale) -> Floats:
    """Blur strongly, on a coarser grid."""
    coarse = [
        min(n, max(1, int(s / 2))) for n, s in zip(light.shape, scale, strict=True)
    ]
    small = ndimage.uniform_filter(light, coarse)
    small = small[tuple(slice(c // 2, None, c) for c in coarse)]
    sigma = [s / c for s, c in zip(scale, coarse, strict=True)]
    return _enlarge(ndimage.gaussian_filter(small, sigma), light.shape, coarse)


def _enlarge(small: Floats, shape: Sequence[int], factors: Sequence[int]) -> Floats:
    """Interpolate linearly by whole factors, axis by axis, and cut to ``shape``."""
    for axis, (n, factor) in enumerate(zip(shape, factors, strict=True)):
        position = np.arange(n) / factor
        low = np.minimum(position.astype(np.intp), small.shape[axis] - 1)
        high = np.minimum(low + 1, small.shape[axis] - 1)
        along = [-1 if i == axis else 1 for i in range(small.ndim)]
        weight = (position - low).astype(np.float32).reshape(along)
        lower, upper = np.take(small, low, axis), np.take(small, high, axis)
        small = lower + (upper - lower) * weight
    return small

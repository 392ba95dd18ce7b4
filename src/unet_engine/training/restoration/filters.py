"""Filters that restore an image without learning: what a network has to be better than.

Each takes a slice with its neighbours, in which NaN marks hidden pixels, and never uses
what is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Stack = npt.NDArray[np.float32]
    Restorer = Callable[[Stack], Stack]

SIGMAS = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Standard deviations of the Gaussians in pixels: from nearly nothing to a blur that
leaves few structures, in steps of about a half."""

_SIGMAS_ALONG_Z = (0.5, 0.7, 1.0, 1.5)
"""The same along Z, in slices, beside none."""

_STRENGTHS = (0.6, 0.8, 1.0, 1.3, 1.7)
"""How different patches of non-local means may be, in standard deviations of the
noise."""

_PATCH, _DISTANCE = 5, 6
"""Edge of a patch and how far others are searched, in pixels: a search of 13 by 13."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter with its setting.

    Attributes
    ----------
    name
        For people, such as ``"a Gaussian filter of 1.5 px"``.
    restore
        ``(slices, C, Y, X)`` float32, NaN where hidden, becomes the restored middle
        slice ``(C, Y, X)``.
    """

    name: str
    restore: Restorer


def candidates(slices: int) -> Iterator[Filter]:
    """Yield all filters that a network of so many slices is compared with."""
    for sigma in SIGMAS:
        name = f"a Gaussian filter of {sigma:g} px"
        yield Filter(name, partial(gaussian, sigma=sigma))
        for along in _SIGMAS_ALONG_Z if slices > 1 else ():
            if along <= sigma:
                across = partial(gaussian, sigma=sigma, along_z=along)
                yield Filter(f"{name} and {along:g} slices", across)
    for strength in _STRENGTHS:
        name = f"non-local means of strength {strength:g}"
        yield Filter(name, partial(non_local_means, strength=strength))


def gaussian(stack: Stack, *, sigma: float, along_z: float = 0.0) -> Stack:
    """Take the mean of what is known, by a Gaussian weight of the distance.

    Parameters
    ----------
    stack
        ``(slices, C, Y, X)`` float32, NaN where hidden.
    sigma, along_z
        Standard deviations within the slice in pixels and across slices; 0: the slice
        alone.
    """
    middle = len(stack) // 2
    steps = np.arange(len(stack)) - middle
    weights = np.where(steps == 0, 1.0, 0.0)
    if along_z:
        weights = np.exp(-0.5 * (steps / along_z) ** 2)
    smooth = partial(ndimage.gaussian_filter, sigma=(0, sigma, sigma), mode="mirror")
    total = share = 0.0
    for weight, pixels in zip(weights, stack, strict=True):
        if weight:
            known = np.isfinite(pixels)
            total = total + weight * smooth(np.where(known, pixels, 0))
            share = share + weight * smooth(known.astype(np.float32))
    found = np.divide(total, share, out=np.zeros_like(stack[0]), where=share > 0)
    return np.asarray(found, dtype=np.float32)


def non_local_means(stack: Stack, *, strength: float) -> Stack:
    """Take the mean of pixels whose surroundings are alike (Buades et al. 2005).

    Parameters
    ----------
    stack
        As of ``gaussian``; the middle slice alone is used. A hidden pixel is first the
        mean of its known neighbours.
    strength
        How different patches may be, in standard deviations of the noise.
    """
    from skimage.restoration import denoise_nl_means

    filled = fill_hidden(stack[len(stack) // 2])
    restored = [
        denoise_nl_means(
            channel,
            patch_size=_PATCH,
            patch_distance=_DISTANCE,
            h=max(strength * noise_of(channel), 1e-6),
            fast_mode=True,
        )
        for channel in filled
    ]
    return np.stack(restored).astype(np.float32)


def fill_hidden(pixels: Stack) -> Stack:
    """Replace NaN by the mean of the known pixels nearby, ``(C, Y, X)``."""
    near = gaussian(pixels[None], sigma=1.0)
    return np.where(np.isfinite(pixels), pixels, near).astype(np.float32)


def noise_of(pixels: Stack) -> float:
    """Estimate the standard deviation of the noise of ``(Y, X)`` pixels.

    From what a 3 by 3 kernel leaves that no smooth image passes (Immerkær 1996).
    """
    kernel = np.outer([1, -2, 1], [1, -2, 1]) / 6
    left = ndimage.convolve(pixels.astype(np.float64), kernel, mode="mirror")
    # Of a normal distribution: its median deviation is 0.6745 standard deviations.
    return float(np.median(np.abs(left)) / 0.6745)

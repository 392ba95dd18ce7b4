"""Whether the noise of a pixel shows in its neighbours as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from unet_engine.training.restoration.blind_spots import middle_slice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unet_engine.models.spec import ModelSpec
    from unet_engine.training.data.pairs import TrainingPair

_MARGIN = 1
"""Pixels around a blind spot that are hidden where neighbours share their noise: beyond
them little of it is shared, and what a structure looks like is still known."""


def hidden_margin(
    pairs: Sequence[TrainingPair],
    spec: ModelSpec,
    shared: Literal["auto", "yes", "no"],
) -> int:
    """Return how many pixels around a blind spot are hidden with it.

    Parameters
    ----------
    pairs
        ``(input_maps, Y, X)`` images.
    spec
        Of the network.
    shared
        Whether neighbours share their noise; auto: as the images look.
    """
    if shared == "auto":
        planes = [pair.image[middle_slice(spec)] for pair in pairs]
        return _MARGIN if neighbours_share_noise(planes) else 0
    return _MARGIN if shared == "yes" else 0


def neighbours_share_noise(images: Sequence[npt.NDArray[np.float32]]) -> bool:
    """Whether pixels differ less from their neighbours than these from the next ones.

    Noise of its own makes a pixel stand out from all others alike: the mean square
    difference is then nearly as large to a neighbour as to the pixel after it. Where
    the microscope, the detector or a change of scale has blurred the pixels together
    with their noise, it more than doubles.

    Parameters
    ----------
    images
        ``(C, Y, X)`` float32.
    """
    near = far = 0.0
    for image in images:
        for axis in (1, 2):
            near += _mean_square_step(image, axis, 1)
            far += _mean_square_step(image, axis, 2)
    return near * 2 < far


def _mean_square_step(image: npt.NDArray[np.float32], axis: int, step: int) -> float:
    length = image.shape[axis]
    if length <= step:
        return 0.0
    first, second = np.arange(length - step), np.arange(step, length)
    differences = image.take(second, axis) - image.take(first, axis)
    return float(np.square(differences).mean(dtype=np.float64))

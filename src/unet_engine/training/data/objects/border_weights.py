"""Pixel weights that make a network learn the gaps between neighbouring objects.

Ronneberger, Fischer, Brox 2015, section 3, equation 2:
``w(x) = w_c(x) + w_0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2))`` with ``w_0 = 10`` and
``sigma`` about 5 pixels. No torch.

The weights of a volume are those of its slices. Distances across them would need the
distance of two slices, which seldom is that of two pixels, and one object on slices
that are annotated apart from each other would count as two.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.pairs import class_counts

if TYPE_CHECKING:
    from unet_engine.training.data.pairs import TrainingPair

Ids = npt.NDArray[np.integer[Any]]
Weights = npt.NDArray[np.float32]

SIGMA = 5.0
"""Reach of the extra weight in pixels, as published."""
_REACH = 6
"""Sigmas beyond which the extra weight is 0 in float32."""

_MOST_BALANCE = 10.0
"""Largest weight of a rare class, lest a few pixels dominate all others."""


def border_weights(
    instances: Ids, *, strength: float = 10.0, sigma: float = SIGMA
) -> Weights:
    """Weigh the background between neighbouring objects.

    The second term of the equation. It is 0 on objects, as in Fig. 3d of the paper,
    and with fewer than two of them in a plane. Beyond 6 sigma, where it is 0 in
    float32, no distance is measured, so each object costs its bounding box with that
    margin and memory does not grow with the number of objects.

    Parameters
    ----------
    instances
        ``(..., Y, X)`` object ids, each plane for itself; 0 and below are background.
    strength
        ``w_0``, the weight where two objects all but touch.
    sigma
        In pixels.

    Returns
    -------
    ndarray
        float32 of the same shape, in [0, ``strength``].
    """
    if instances.ndim > 2:
        planes = [border_weights(p, strength=strength, sigma=sigma) for p in instances]
        return np.stack(planes)
    # Dense ids: one id of a few billions must not make a list of as many boxes.
    values, dense = np.unique(np.maximum(instances, 0), return_inverse=True)
    ids = dense.reshape(instances.shape) + (values[0] != 0)
    margin = math.ceil(_REACH * sigma)
    nearest = np.full(ids.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        region = tuple(
            slice(max(0, s.start - margin), min(n, s.stop + margin))
            for s, n in zip(box, ids.shape, strict=True)
        )
        distance = ndimage.distance_transform_edt(ids[region] != number)
        one, two = nearest[region], second[region]
        np.minimum(two, np.maximum(one, distance), out=two)
        np.minimum(one, distance, out=one)
    with np.errstate(under="ignore"):
        weights = strength * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where(ids > 0, 0, weights).astype(np.float32)


def balance_weights(target: npt.NDArray[np.uint8]) -> Weights:
    """Weigh each pixel by how rare its class is: ``w_c``.

    Parameters
    ----------
    target
        uint8 class ids of any shape; ``IGNORE`` where nobody labelled.

    Returns
    -------
    ndarray
        float32 of the same shape: pixels / (classes * pixels of the class), so 1 on
        the average, and at most 10, lest a few pixels dominate all others. 1 where
        nobody labelled.
    """
    counts = class_counts(target)
    rarity = np.ones(256, np.float32)
    present = np.flatnonzero(counts)
    rarity[present] = counts.sum() / (max(1, present.size) * counts[present])
    weights: Weights = np.minimum(rarity, _MOST_BALANCE)[target]
    return weights


def separate_objects(instances: Ids) -> Ids:
    """Put background between objects that touch, one pixel wide.

    Only so a network of classes can learn where one object ends; of two neighbours,
    in a volume also of two slices, the one with the higher id gives the pixel.

    Parameters
    ----------
    instances
        ``(..., Y, X)`` object ids; 0 and below are background.

    Returns
    -------
    ndarray
        The ids in the same shape and dtype, 0 in the gaps.
    """
    highest = np.iinfo(instances.dtype).max
    lowest = ndimage.minimum_filter(np.where(instances > 0, instances, highest), size=3)
    separated: Ids = np.where((instances > 0) & (lowest < instances), 0, instances)
    return separated


def weigh_instances(
    pair: TrainingPair, instances: Ids, strength: float
) -> TrainingPair:
    """Give a pair the published weights of its objects, with gaps between them.

    Parameters
    ----------
    pair
        What was labelled; its target becomes background where objects touch.
    instances
        ``(Y, X)`` or ``(Z, Y, X)`` object ids; 0 and below are background.
    strength
        Extra weight of the gaps.
    """
    separated = separate_objects(instances)
    gaps = (separated != instances) & (pair.target != IGNORE)
    target = np.where(gaps, 0, pair.target).astype(np.uint8)
    weights = balance_weights(target) + border_weights(separated, strength=strength)
    return replace(pair, target=target, pixel_weights=weights)


def weigh_pieces(pair: TrainingPair, strength: float) -> TrainingPair:
    """Give a pair the published weights, taking each piece of foreground for an object.

    Parameters
    ----------
    pair
        What was labelled; returned as it is when it has ``pixel_weights``.
    strength
        Extra weight of the gaps.
    """
    if pair.pixel_weights is not None:
        return pair
    foreground = (pair.target > 0) & (pair.target < HELD_OUT)
    # Of a volume the pieces of each slice, which may be annotated alone.
    joined = np.zeros((3,) * foreground.ndim, dtype=bool)
    joined[(1,) * (foreground.ndim - 2)] = ndimage.generate_binary_structure(2, 1)
    pieces, _ = ndimage.label(foreground, joined)
    weights = balance_weights(pair.target) + border_weights(pieces, strength=strength)
    return replace(pair, pixel_weights=weights)

"""Which stroke each labelled pixel belongs to: connected pixels of a class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    Labels = npt.NDArray[np.uint8]
    Numbers = npt.NDArray[np.intp]


def stroke_map(target: Labels, ignore: int) -> Numbers:
    """Number the strokes of a target: connected pixels of a class.

    Parameters
    ----------
    target
        Class ids, ``ignore`` or more where nothing counts.
    ignore
        Least value that is no class.

    Returns
    -------
    ndarray
        In the shape of the target: the number of the stroke of each pixel, from 0; -1
        where nothing counts.
    """
    numbers = np.full(target.shape, -1, np.intp)
    first = 0
    for label in np.unique(target[target < ignore]):
        parts, count = ndimage.label(target == label, np.ones((3,) * target.ndim))
        inside = parts > 0
        numbers[inside] = parts[inside] - 1 + first
        first += count
    return numbers


def mean_of_strokes(
    values: npt.NDArray[np.bool_], strokes: Numbers
) -> tuple[Numbers, npt.NDArray[np.float64]]:
    """Average values over the pixels of each stroke, so that each counts once.

    Parameters
    ----------
    values
        ``(n,)`` of pixels.
    strokes
        ``(n,)`` number of the stroke of each, from 0.

    Returns
    -------
    firsts
        Where the first pixel of each stroke is, in the order of their numbers.
    means
        The mean of each stroke, in the same order.
    """
    _, firsts, places = np.unique(strokes, return_index=True, return_inverse=True)
    means: npt.NDArray[np.float64] = np.bincount(places, values) / np.bincount(places)
    return firsts, means


def number_strokes(targets: Sequence[Labels], ignore: int) -> Numbers:
    """Number the strokes of several targets.

    Parameters
    ----------
    targets, ignore
        As of `stroke_map`.

    Returns
    -------
    ndarray
        ``(n,)`` the number of the stroke of each pixel that counts, from 0, in the
        order of the targets and of their rows.
    """
    found, first = [np.empty(0, np.intp)], 0
    for target in targets:
        numbers = stroke_map(target, ignore)
        found.append(numbers[numbers >= 0] + first)
        first += int(numbers.max(initial=-1)) + 1
    return np.concatenate(found)

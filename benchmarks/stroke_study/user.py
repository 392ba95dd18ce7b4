"""A user who paints a few strokes where the mask is wrong; the same by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.morphology import disk

from unet_engine.interactive.where_to_look import Survey, entropy, rank_suggestions
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.uint8]

STEPS = 25
"""Pixels that a stroke walks at most: a short scribble."""
BRUSH = disk(3)
"""Reaches 3 pixels around its middle."""
_MOVES = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x])
"""Steps to the eight neighbours of a pixel, ``(y, x)``."""
_TURN = 0.3
"""Probability of a new direction at each step."""


class SimulatedUser:
    """Paints inside the largest mistakes of each class.

    Parameters
    ----------
    seed
        Same seed, same strokes on the same predictions.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def paint(
        self, truth: Mask, found: Mask, target: Mask, *, count: int
    ) -> list[Mask]:
        """Paint strokes of both classes into ``target``, in place.

        Parameters
        ----------
        truth, found
            ``(Y, X)`` uint8, what is there and what was predicted.
        target
            ``(Y, X)`` uint8, ``IGNORE`` where nothing was painted.
        count
            Strokes of each class.

        Returns
        -------
        list of ndarray
            ``target`` after each stroke.
        """
        painted = []
        for label in (1, 0):
            true = truth == label
            starts = self._starts(true, true & (found != truth), count)
            for start in starts:
                target[self._stroke(true, start)] = label
                painted.append(target.copy())
        return painted

    def _starts(
        self, true: npt.NDArray[np.bool_], wrong: npt.NDArray[np.bool_], count: int
    ) -> list[npt.NDArray[np.intp]]:
        """Return where strokes begin: in the largest mistakes, else anywhere."""
        numbers, found = ndimage.label(wrong)
        sizes = ndimage.sum_labels(wrong, numbers, range(1, found + 1))
        largest = 1 + np.argsort(sizes, kind="stable")[::-1][:count]
        places = [np.argwhere(numbers == number) for number in largest]
        places = places or [np.argwhere(true)]
        # Some images have nothing of a class.
        places = [place for place in places if len(place)]
        return [
            place[self._random.integers(len(place))]
            for place in (places[i % len(places)] for i in range(count) if places)
        ]

    def _stroke(
        self, true: npt.NDArray[np.bool_], start: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.bool_]:
        """Walk at random within the class, mostly straight on."""
        path = np.zeros_like(true)
        at, move = start, _MOVES[self._random.integers(len(_MOVES))]
        path[tuple(at)] = True
        for _ in range(STEPS):
            if self._random.random() < _TURN:
                move = _MOVES[self._random.integers(len(_MOVES))]
            there = at + move
            inside = (there >= 0).all() and (there < true.shape).all()
            if inside and true[tuple(there)]:
                at = there
                path[tuple(at)] = True
            else:
                move = _MOVES[self._random.integers(len(_MOVES))]
        stroke: npt.NDArray[np.bool_] = ndimage.binary_dilation(path, BRUSH) & true
        return stroke


def suggested(
    probability: npt.NDArray[np.float32], target: Mask, *, count: int
) -> npt.NDArray[np.bool_]:
    """Return the places that the button Next would show, ``(Y, X)``.

    Everything where nothing is uncertain enough, as before the first stroke.
    """
    survey = Survey(target.shape)
    everything = tuple(slice(0, n) for n in target.shape)
    classes = np.stack([1 - probability, probability])
    survey.add((), everything, entropy(classes), target != IGNORE)
    where = np.zeros(target.shape, dtype=bool)
    for region in rank_suggestions(survey, count):
        where[region.rows, region.columns] = True
    return where if where.any() else ~where


def nothing_painted(truth: Mask) -> Mask:
    """Return the target of an untouched image: all ``IGNORE``, ``(Y, X)`` uint8."""
    return np.full_like(truth, IGNORE)

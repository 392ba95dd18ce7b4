"""Strokes are learned or held out as a whole: blocks of an image cut them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import HELD_OUT
from unet_engine.training.data.pairs import class_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    Labels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_AREAS = 0.5
"""Share of a plane's pixels from which labels are areas that meet, and no strokes."""


def keep_strokes_whole(
    targets: Sequence[Labels], held: Sequence[Mask], longest: int
) -> list[Mask]:
    """Give each stroke that is held out in part to the side that has most of it.

    How well one part of a stroke is recognised is no measure for the image, when
    another part was learned. What stays cut: areas, which are longer than ``longest``
    or in a plane with half its pixels labelled, and a stroke without which a class
    would be missing on a side.

    Parameters
    ----------
    targets
        Class ids, ``HELD_OUT`` or more where nobody labelled.
    held
        In the shape of each target, which labelled pixels are held out.
    longest
        In pixels along an axis.

    Returns
    -------
    list of ndarray
        ``held``, with strokes moved; half and half is learned.
    """
    found = [mask.copy() for mask in held]
    learned, kept = (
        np.sum(
            [class_counts(t[m == side]) for t, m in zip(targets, held, strict=True)],
            axis=0,
        )
        for side in (False, True)
    )
    for target, mask in zip(targets, found, strict=True):
        strokes = stroke_map(target, HELD_OUT)
        strokes[(target < HELD_OUT).mean(axis=(-2, -1)) >= _AREAS] = -1
        for number in np.intersect1d(strokes[mask], strokes[~mask]).tolist():
            where = np.nonzero(strokes == number)
            if number < 0 or max(np.ptp(places) for places in where) >= longest:
                continue
            label, out = target[where][0], np.count_nonzero(mask[where])
            inside = len(where[0]) - out
            side = out > inside
            loser, winner, moved = (
                (learned, kept, inside) if side else (kept, learned, out)
            )
            if loser[label] > moved:
                mask[where] = side
                loser[label] -= moved
                winner[label] += moved
    return found

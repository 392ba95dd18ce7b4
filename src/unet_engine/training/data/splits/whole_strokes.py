"""Strokes are learned or held out as a whole: blocks of an image cut them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import HELD_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    Labels = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

_AREAS = 0.5
"""Share of a plane's pixels from which labels are areas that meet, and no strokes."""


def keep_strokes_whole(
    targets: Sequence[Labels],
    held: Sequence[Mask],
    longest: int,
    strata: Sequence[npt.NDArray[np.integer[Any]]] | None = None,
) -> list[Mask]:
    """Give each stroke that is held out in part to the side that has most of it.

    How well one part of a stroke is recognised is no measure for the image, when
    another part was learned. What stays cut: areas, which are longer than ``longest``
    or in a plane with half its pixels labelled, and a stroke that is more than half of
    what a side has of a class, or of what the model does wrong.

    Parameters
    ----------
    targets
        Class ids, ``HELD_OUT`` or more where nobody labelled.
    held
        In the shape of each target, which labelled pixels are held out.
    longest
        In pixels along an axis.
    strata
        In the shape of each target, small numbers of what neither side may lack, below
        0 where nobody labelled; None: the classes.

    Returns
    -------
    list of ndarray
        ``held``, with strokes moved; half and half is learned.
    """
    if strata is None:
        strata = [np.where(t < HELD_OUT, t.astype(np.int16), -1) for t in targets]
    count = 1 + max((int(one.max(initial=-1)) for one in strata), default=-1)
    found = [mask.copy() for mask in held]
    learned, kept = (
        sum(
            _counts(one[mask == side], count)
            for one, mask in zip(strata, held, strict=True)
        )
        for side in (False, True)
    )
    for target, kinds, mask in zip(targets, strata, found, strict=True):
        strokes = stroke_map(target, HELD_OUT)
        strokes[(target < HELD_OUT).mean(axis=(-2, -1)) >= _AREAS] = -1
        for number in np.intersect1d(strokes[mask], strokes[~mask]).tolist():
            where = np.nonzero(strokes == number)
            if number < 0 or max(np.ptp(places) for places in where) >= longest:
                continue
            inside = mask[where]
            side = bool(2 * np.count_nonzero(inside) > len(inside))
            moved = _counts(kinds[where][inside != side], count)
            loser, winner = (learned, kept) if side else (kept, learned)
            if (2 * moved <= loser).all():
                mask[where] = side
                loser -= moved
                winner += moved
    return found


def _counts(kinds: npt.NDArray[np.integer[Any]], count: int) -> npt.NDArray[np.intp]:
    return np.bincount(kinds[kinds >= 0], minlength=count)

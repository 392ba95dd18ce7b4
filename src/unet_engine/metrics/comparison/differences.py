"""``difference_map``: which pixels of two masks differ, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    Ids = npt.NDArray[np.integer[Any]]

EQUAL, ONLY_FIRST, ONLY_SECOND, OTHER = range(4)
"""Values of a map: the same, foreground of one of both only, or of another kind."""


def difference_map(
    first: Ids, second: Ids, *, objects: tuple[bool, bool] = (False, False)
) -> npt.NDArray[np.uint8]:
    """Return where two masks differ.

    Parameters
    ----------
    first, second
        Ids of one shape, 0 for the background; class ids with `IGNORE` where nobody
        labelled, which differs from nothing.
    objects
        Which of both have object ids. Of two with object ids a pixel is `OTHER` where
        the two objects on it do not have most of their common pixels with each other:
        their numbers do not count. Where one has object ids and the other classes,
        foreground is all that counts.

    Returns
    -------
    ndarray
        Of that shape, uint8: `EQUAL`, `ONLY_FIRST`, `ONLY_SECOND`, or `OTHER` where
        both have foreground of another class or object.
    """
    found = np.zeros(first.shape, np.uint8)
    found[(first > 0) & (second == 0)] = ONLY_FIRST
    found[(first == 0) & (second > 0)] = ONLY_SECOND
    both = (first > 0) & (second > 0)
    if objects == (True, True):
        found[both] = np.where(_are_partners(first[both], second[both]), EQUAL, OTHER)
    elif objects == (False, False):
        found[both & (first != second)] = OTHER
    for ids, has_objects in zip((first, second), objects, strict=True):
        if not has_objects:
            found[ids == IGNORE] = EQUAL
    return found


def _are_partners(first: Ids, second: Ids) -> npt.NDArray[np.bool_]:
    """Return which pairs of ids, ``(n,)``, are those with most pixels for both ids."""
    if not first.size:
        return np.zeros(0, bool)
    pairs, at, counts = np.unique(
        np.stack([first, second]), axis=1, return_inverse=True, return_counts=True
    )
    best = np.ones(len(counts), bool)
    for ids in pairs:
        # The largest of each id comes first; of equal ones the lowest other id.
        order = np.lexsort((-counts, ids))
        largest = np.zeros(len(counts), bool)
        largest[order[np.unique(ids[order], return_index=True)[1]]] = True
        best &= largest
    partners: npt.NDArray[np.bool_] = best[at.ravel()]
    return partners

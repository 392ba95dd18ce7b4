"""What an edit of objects shows of the classes of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    Ids = npt.NDArray[np.integer[Any]]
    Mask = npt.NDArray[np.bool_]
    Classes = npt.NDArray[np.uint8]

_NEAR_CUT = 3
"""Pixels on both sides of where two objects meet that are certainly of their class. The
outer border is not: the user has not drawn it."""

_RING = 2
"""Pixels around an object that was painted that are certainly background."""


def classes_after(before: Ids, after: Ids, mask: Classes, *, new_class: int) -> Classes:
    """Return the classes that are certain after an edit, ``IGNORE`` elsewhere.

    Those are what became background, what became an object and a ring around it, and
    both sides of where two objects meet now, or met before.

    Parameters
    ----------
    before, after
        ``(Y, X)`` or ``(Z, Y, X)`` object ids, of all of a plane or volume or of a part
        of it with some pixels around what was edited.
    mask
        Class ids in the same shape, which the classes of objects are taken from.
    new_class
        Class of an object where the mask has none.

    Returns
    -------
    ndarray
        uint8 in the same shape.
    """
    found = np.full(after.shape, IGNORE, np.uint8)
    changed = before != after
    painted = changed & (before == 0)
    if painted.any():
        ring = _within(painted, _RING) & (after == 0) & (before == 0)
        found[ring] = 0
    found[changed & (after == 0)] = 0
    numbers = set(np.unique(after[changed]).tolist()) - {0}
    edited = np.isin(after, list(numbers | set(np.unique(before[changed]).tolist())))
    meet = _interfaces(before, edited) ^ _interfaces(after, edited)
    inside = painted | (_within(meet, _NEAR_CUT) & edited)
    for number in np.unique(after[inside & (after > 0)]).tolist():
        here = after == number
        found[here & inside] = _class_of(mask[here], new_class)
    return found


def _class_of(values: Classes, new_class: int) -> int:
    """Return the class that most pixels of an object have in the mask."""
    counts = np.bincount(values[values > 0], minlength=1)
    return int(counts.argmax()) if counts.any() else new_class


def _interfaces(ids: Ids, edited: Mask) -> Mask:
    """Return the pixels of edited objects that touch another object."""
    inside = np.where(edited | (ids > 0), ids, 0)
    # Where there is no object the other one cannot be one either.
    empty = np.iinfo(ids.dtype).max
    around = ndimage.generate_binary_structure(ids.ndim, ids.ndim)
    lowest = ndimage.minimum_filter(
        np.where(inside == 0, empty, inside), footprint=around, mode="nearest"
    )
    highest = ndimage.maximum_filter(inside, footprint=around, mode="nearest")
    found: Mask = (ids > 0) & (lowest != highest)
    return found


def _within(mask: Mask, distance: int) -> Mask:
    """Return the pixels of a plane that are so near, in each slice of its own."""
    if not mask.any():
        return mask
    across = ndimage.generate_binary_structure(2, 1)
    around = across if mask.ndim == 2 else across[None]
    found: Mask = ndimage.binary_dilation(mask, around, iterations=distance)
    return found

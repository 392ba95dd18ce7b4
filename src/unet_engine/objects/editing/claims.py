"""What is known of objects that were corrected, as values of ``Annotations``.

A pixel that was in a corrected object has a small number, or 0 where there is none any
more; all others are ``IGNORE``. Connected pixels of one number are one object: objects
that touch have different ones, as neighbouring countries have different colours on a
map. So everything about a corrected object is kept, its interior, its boundary and how
far from it each pixel lies, in a byte per pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import label

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Ids = npt.NDArray[np.integer[Any]]
    Claims = npt.NDArray[np.uint8]

_COVERED = 0.5
"""Share of an object that corrected ones cover above which nothing of it is left: it is
one of them, found with a somewhat different border."""


def claims_after(
    claims: Claims,
    ids: Ids,
    changed: npt.NDArray[np.bool_],
    numbers: Iterable[int],
) -> Claims:
    """Return claims after an edit: the objects that it touched are known as they are.

    Parameters
    ----------
    claims
        Before the edit, uint8, ``IGNORE`` where no object was corrected.
    ids
        After the edit, in the same shape: all of a plane or volume, or a part of it
        that has one pixel around every object of ``numbers``.
    changed
        Which pixels got another id, bool.
    numbers
        The ids that objects lost or gained pixels of. 0, the background, is left out.

    Returns
    -------
    ndarray
        uint8 in the same shape.

    Raises
    ------
    DataError
        When an object touches more corrected ones than there are values.
    """
    after = claims.copy()
    after[changed & (ids == 0)] = 0
    objects = sorted({int(n) for n in numbers} - {0})
    after[np.isin(ids, objects)] = IGNORE
    around = ndimage.generate_binary_structure(ids.ndim, ids.ndim)
    for number in objects:
        inside = ids == number
        if not inside.any():
            continue
        (found,) = ndimage.find_objects(inside.astype(np.uint8))
        box = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in found)
        near = ndimage.binary_dilation(inside[box], around)
        used = set(np.unique(after[box][near]).tolist())
        value = next((v for v in range(1, IGNORE) if v not in used), None)
        if value is None:
            raise DataError(
                f"object {number} touches more than {IGNORE - 1} corrected ones; merge "
                "it with some of them"
            )
        after[box][inside[box]] = value
    return after


def claimed_ids(claims: Claims) -> npt.NDArray[np.int32]:
    """Return ids of the corrected objects, 0 where none is known to be.

    Parameters
    ----------
    claims
        uint8, of a plane or volume, or a part of it.

    Returns
    -------
    ndarray
        int32 in the same shape, numbered from 1.
    """
    numbers = np.where(claims == IGNORE, 0, claims)
    found: npt.NDArray[np.int32] = label(numbers, connectivity=claims.ndim).astype(
        np.int32
    )
    return found


def with_claimed_objects(ids: Ids, claims: Claims, first_new: int) -> Ids:
    """Return ids in which the corrected objects are as they were corrected.

    Parameters
    ----------
    ids
        Of objects that were found anew, of all of a plane or volume.
    claims
        uint8 in the same shape.
    first_new
        Id of the first corrected object, the next one for the second and so on.

    Returns
    -------
    ndarray
        In the type of ``ids``, or a larger one where they need it.
    """
    corrected = claimed_ids(claims)
    highest = first_new + int(corrected.max(initial=0))
    after = ids.astype(np.promote_types(ids.dtype, np.min_scalar_type(highest)))
    known = claims != IGNORE
    numbers, before = np.unique(ids[known], return_counts=True)
    places = np.isin(ids, numbers[numbers > 0])
    sizes = dict(zip(*np.unique(ids[places], return_counts=True), strict=True))
    covered = [
        n
        for n, count in zip(numbers.tolist(), before.tolist(), strict=True)
        if n and count > _COVERED * sizes[n]
    ]
    after[np.isin(ids, covered)] = 0
    after[known] = 0
    there = corrected > 0
    after[there] = corrected[there] + (first_new - 1)
    return after

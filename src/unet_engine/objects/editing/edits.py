"""Edits of object ids: split, merge, delete and add. Nothing is changed in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.objects.editing.lines import line_mask, line_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from unet_engine.objects.editing.lines import Points

    Ids = npt.NDArray[np.integer[Any]]
    Mask = npt.NDArray[np.bool_]

_CRUMB_SHARE = 0.02
"""Share of an object below which a part that a line cuts off is none: the line ran
along its border, or crossed itself."""

_CRUMB_PIXELS = 9
"""Pixels below which a part is none either, 3 x 3, ..."""

_SMALLEST_SHARE = 0.125
"""... unless it is as large a share of a tiny object."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edit:
    """Other ids for some pixels.

    Attributes
    ----------
    where
        An index array for each axis, ``(n,)`` each, of the pixels that change.
    ids
        ``(n,)`` what they become, in the type of the ids that were edited.
    """

    where: tuple[npt.NDArray[np.intp], ...]
    ids: Ids

    @classmethod
    def between(cls, before: Ids, after: Ids) -> Edit | None:
        """Return what differs between ids of one shape; None where nothing does."""
        where = np.nonzero(before != after)
        if not where[0].size:
            return None
        return cls(where=where, ids=after[where])

    def apply_to(self, ids: Ids) -> Ids:
        """Return a copy of the ids with the edit made."""
        after = ids.copy()
        after[self.where] = self.ids
        return after


def split_objects(
    ids: Ids, points: Points, *, at: int = 0, first_new: int | None = None
) -> Edit | None:
    """Split every object that a line divides.

    The pixels of the line go to the nearest part, and so do crumbs: parts of less than
    a fiftieth of the object, or of a few pixels. The largest part keeps the id.

    Parameters
    ----------
    ids
        ``(Y, X)`` or ``(Z, Y, X)`` object ids, 0 is background. In a volume an object
        is cut along the line in all its slices.
    points
        ``(n, 2)`` rows and columns of the line.
    at
        The slice of a volume that the line was drawn in.
    first_new
        Id of the first new part, the next one for the second and so on; by default
        those above the highest.

    Returns
    -------
    Edit or None
        None where no object is divided.

    Raises
    ------
    DataError
        When the type of the ids has no room for more.
    """
    cut = np.broadcast_to(line_mask(points, ids.shape[-2:]), ids.shape)
    after = ids.copy()
    free = _free_ids(ids, first_new)
    for number in _crossed(ids, points, at).tolist():
        box = _box_of(ids == number)
        pieces, count = ndimage.label(ids[box] == number, _full(ids.ndim))
        for piece in range(1, count + 1):
            parts = _parts(pieces == piece, cut[box])
            for part in range(2, int(parts.max(initial=0)) + 1):
                after[box][parts == part] = next(free)
    return Edit.between(ids, after)


def merge_objects(ids: Ids, points: Points, *, at: int = 0) -> Edit | None:
    """Make one object of all those that a line crosses, touching or not.

    It has the id of the largest of them. Where they do not touch, the line between them
    becomes a bridge of three pixels, so that it is in one piece.

    Parameters
    ----------
    ids, points, at
        As of ``split_objects``.

    Returns
    -------
    Edit or None
        None where it crosses fewer than two.
    """
    numbers = _crossed(ids, points, at)
    if numbers.size < 2:
        return None
    chosen = np.isin(ids, numbers)
    sizes = [np.count_nonzero(ids == number) for number in numbers]
    largest = numbers[int(np.argmax(sizes))]
    after = np.where(chosen, largest, ids).astype(ids.dtype)
    if _pieces(chosen) > 1:
        plane = ids if ids.ndim == 2 else ids[at]
        filled = after if ids.ndim == 2 else after[at]
        filled[_bridge(plane, points) & (plane == 0)] = largest
    return Edit.between(ids, after)


def delete_objects(ids: Ids, points: Points, *, at: int = 0) -> Edit | None:
    """Delete every object that a line crosses, or that lies under a point.

    Parameters
    ----------
    ids, points, at
        As of ``split_objects``.

    Returns
    -------
    Edit or None
        None where there is no object.
    """
    numbers = _crossed(ids, points, at)
    after = np.where(np.isin(ids, numbers), 0, ids).astype(ids.dtype)
    return Edit.between(ids, after)


def add_object(
    ids: Ids, where: Mask, *, over_others: bool = False, number: int | None = None
) -> Edit | None:
    """Add an object.

    Parameters
    ----------
    ids
        As of ``split_objects``.
    where
        Its pixels, bool in the shape of the ids.
    over_others
        Whether it takes pixels of other objects; else it gets those of the background.
    number
        Its id; by default the one above the highest.

    Returns
    -------
    Edit or None
        None where it gets no pixel.

    Raises
    ------
    DataError
        When the type of the ids has no room for more.
    """
    after = ids.copy()
    after[where if over_others else where & (ids == 0)] = next(_free_ids(ids, number))
    return Edit.between(ids, after)


def _crossed(ids: Ids, points: Points, at: int) -> Ids:
    """Return the ids under a line, in order, without the background."""
    plane = ids if ids.ndim == 2 else ids[at]
    under = np.unique(plane[tuple(line_pixels(points, plane.shape).T)])
    return under[under > 0]


def _bridge(plane: Ids, points: Points) -> Mask:
    """Return a line from the first to the last object that it crosses, widened."""
    pixels = line_pixels(points, plane.shape)
    inside = np.flatnonzero(plane[tuple(pixels.T)] > 0)
    bridge = np.zeros(plane.shape, bool)
    bridge[tuple(pixels[inside[0] : inside[-1] + 1].T)] = True
    widened: Mask = ndimage.binary_dilation(bridge, _full(2))
    return widened


def _free_ids(ids: Ids, first: int | None) -> Iterator[int]:
    """Yield ids that are not used yet."""
    number = int(ids.max(initial=0)) + 1 if first is None else first
    most = np.iinfo(ids.dtype).max
    while True:
        if number > most:
            raise DataError(
                f"object ids of the type {ids.dtype} end at {most}; separate the "
                "objects again, or give ids of a larger type"
            )
        yield number
        number += 1


def _parts(piece: Mask, cut: Mask) -> npt.NDArray[np.int32]:
    """Number the parts that a cut leaves of a piece, the largest first; 0 outside."""
    found, count = ndimage.label(piece & ~cut, _full(piece.ndim))
    sizes = np.bincount(found.ravel(), minlength=count + 1)[1:]
    total = int(np.count_nonzero(piece))
    least = min(_CRUMB_PIXELS, _SMALLEST_SHARE * total)
    kept = np.flatnonzero(sizes >= max(least, _CRUMB_SHARE * total))
    if kept.size < 2:
        return np.zeros(piece.shape, np.int32)
    order = kept[np.argsort(-sizes[kept], kind="stable")]
    numbers = np.zeros(count + 1, np.int32)
    numbers[order + 1] = np.arange(1, order.size + 1)
    parts = numbers[found]
    nearest = ndimage.distance_transform_edt(
        parts == 0, return_distances=False, return_indices=True
    )
    filled: npt.NDArray[np.int32] = np.where(piece, parts[tuple(nearest)], 0)
    return filled


def _pieces(mask: Mask) -> int:
    return int(ndimage.label(mask, _full(mask.ndim))[1])


def _full(ndim: int) -> Any:
    """Return the neighbourhood of a pixel with its corners."""
    return ndimage.generate_binary_structure(ndim, ndim)


def _box_of(mask: Mask) -> tuple[slice, ...]:
    box: tuple[slice, ...] = ndimage.find_objects(mask.astype(np.uint8))[0]
    return box

"""What strokes consist of: pixels and their classes, as items of napari's history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.viewer.conversion import mask_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_unet.state.working_image import Values
    from napari_unet.viewer.conversion import Layout
    from unet_engine.places import Index, Region


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Pixels of a box of a plane: which of them, and the class that each has now."""

    index: Index
    region: Region
    where: npt.NDArray[np.bool_]
    labels: Values


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """The label that the user gave to pixels in a box of one plane.

    Attributes
    ----------
    where
        ``(h, w)`` bool, the pixels of the box.
    label
        A class id or ``IGNORE``; one for all, or ``(h, w)``.
    old
        ``(h, w)`` values of the mask before, or None if they did not change.
    """

    index: Index
    region: Region
    where: npt.NDArray[np.bool_]
    label: int | Values
    old: npt.NDArray[Any] | None = None


class MarksAtom(tuple[Any, Any, Any]):
    """An atom for napari's history that changes nothing and carries marks.

    napari repeats atoms as ``data[indices] = values``; here both are empty.
    """

    marks: tuple[Mark, ...]

    @classmethod
    def of(cls, marks: Sequence[Mark], ndim: int) -> MarksAtom:
        no_pixels = (np.zeros(0, np.intp),) * ndim
        self = cls((no_pixels, np.zeros(0, np.uint8), np.zeros(0, np.uint8)))
        self.marks = tuple(marks)
        return self

    def take_marks(self) -> tuple[Mark, ...]:
        """Return the marks and drop them: the history keeps atoms for long."""
        marks, self.marks = self.marks, ()
        return marks


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Labels of a box of one plane before and after: ``(h, w)`` ids, or ``IGNORE``."""

    index: Index
    region: Region
    before: Values
    after: Values


@dataclass(frozen=True, slots=True, eq=False)
class Stroke:
    """One item of napari's history, and what it changed in the annotations.

    Attributes
    ----------
    item
        napari's list of atoms. Undo and redo reverse the list but keep the atoms.
    changes
        In the order they were made.
    """

    item: Sequence[Any]
    changes: tuple[Change, ...]

    def is_of(self, item: Sequence[Any]) -> bool:
        """Whether this is the stroke of a history item."""
        return any(self.item[0] is atom for atom in (item[0], item[-1]))


def read_marks(atom: Any, layout: Layout) -> Sequence[Mark]:
    """Return the marks of an atom of napari's history."""
    if isinstance(atom, MarksAtom):
        return atom.take_marks()
    if not hasattr(atom, "slice_key"):
        return marks_in(*boxed(*atom), layout=layout)
    box = atom.slice_key
    shape = tuple(part.stop - part.start for part in box)
    where = np.ones(shape, bool) if atom.mask is None else atom.mask
    old = np.zeros(shape, np.asarray(atom.old_values).dtype)
    old[where] = np.ravel(atom.old_values)
    return marks_in(box, where, atom.new_value, old, layout=layout)


def marks_in(
    box: tuple[slice, ...],
    where: npt.NDArray[np.bool_],
    label: Any,
    old: npt.NDArray[Any] | None = None,
    *,
    layout: Layout,
) -> list[Mark]:
    """Divide a box of the layer into boxes of the planes of the mask."""
    *leading, rows, columns = mask_indices(box, layout)
    shape = (*(part.stop - part.start for part in leading), *where.shape[-2:])
    where, old = where.reshape(shape), None if old is None else old.reshape(shape)
    labels = np.reshape(label, shape) if np.ndim(label) else None
    marks = []
    for offset in np.ndindex(*shape[:-2]):
        if where[offset].any():
            index = tuple(p.start + o for p, o in zip(leading, offset, strict=True))
            marks.append(
                Mark(
                    index,
                    (rows, columns),
                    where[offset].copy(),
                    int(label) if labels is None else labels[offset],
                    None if old is None else old[offset],
                )
            )
    return marks


def boxed(
    indices: Sequence[Any], old: npt.NDArray[Any], new: Any
) -> tuple[
    tuple[slice, ...], npt.NDArray[np.bool_], npt.NDArray[Any], npt.NDArray[Any]
]:
    """Return an atom of single pixels as a box: slices, pixels, new and old values.

    Parameters
    ----------
    indices
        ``(n,)`` integers for each axis of the layer.
    old, new
        ``(n,)`` values of the pixels, or one for all.
    """
    arrays = [np.ravel(part) for part in indices]
    starts = [int(part.min()) for part in arrays]
    box = tuple(
        slice(start, int(part.max()) + 1)
        for start, part in zip(starts, arrays, strict=True)
    )
    inside = tuple(part - start for start, part in zip(starts, arrays, strict=True))
    where = np.zeros([part.stop - part.start for part in box], bool)
    values, before = np.zeros(where.shape, int), np.zeros(where.shape, int)
    where[inside], values[inside], before[inside] = True, new, old
    return box, where, values, before

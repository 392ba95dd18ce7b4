"""Between label images and outlines: plane by plane, in the blocks of the objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from unet_engine.errors import Cancelled, DataError
from unet_engine.objects.block_sums import ObjectSums
from unet_engine.objects.blocks import BlockGrid, release_pages
from unet_engine.objects.boxes import iter_groups
from unet_engine.outlines.outline import Outline, extent_of, mask_of, polygons_of
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.stopping import Stop

    Table = Mapping[str, npt.NDArray[Any]]

_AXES = ("YX", "ZYX", "TYX", "TZYX", "ZTYX")
"""Of labels whose outlines other programs can place."""

_NO_MEASUREMENTS = ("label", "class", "t", "z")
"""Columns of a table that state what is measured, and where."""


def iter_outlines(
    labels: Any,
    axes: str = "YX",
    *,
    table: Table | None = None,
    stop: Stop = never,
) -> Iterator[Outline]:
    """Yield every object of every plane, in the order of planes and ids.

    Parameters
    ----------
    labels
        Array-like of object ids, 0 where there is none; only parts are read.
    axes
        A letter for each axis: YX, with T or Z or both before it.
    table
        ``(n,)`` columns as ``measure_objects`` returns them: the column ``class`` names
        the objects, other numbers become measurements.
    stop
        Polled before every block.

    Yields
    ------
    Outline

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When there are other axes.
    """
    _check_axes(axes, tuple(labels.shape))
    grid = BlockGrid.for_array(labels, 2)
    rows_of = _Rows(table or {}, axes)
    for index in np.ndindex(*grid.leading):
        place = dict(zip(axes.lower(), index, strict=False))
        found: dict[int, tuple[Any, ...]] = {}
        sums = ObjectSums(2, 0)
        for block in grid.blocks_at(index):
            if stop():
                raise Cancelled("stopped before the outlines were found")
            sums.add(block, np.asarray(labels[block.core_slices]), None)
        rows = sums.finish()
        if rows.ids.size and rows.ids[0] < 0:
            raise DataError(
                f"there is an object {rows.ids[0]}; ids start at 1: renumber"
            )
        for group, numbers, (y, x) in iter_groups(labels, grid, index, rows):
            if stop():
                raise Cancelled("stopped before the outlines were found")
            for number, box in enumerate(ndimage.find_objects(numbers), start=1):
                corner = (int(x + box[1].start), int(y + box[0].start))
                polygons = polygons_of(numbers[box] == number, *corner)
                found[int(rows.ids[group[number - 1]])] = polygons
            release_pages(labels)
        for label in sorted(found):
            yield Outline(
                label=label,
                polygons=found.pop(label),
                **place,
                **rows_of.find(label, index),
            )


def paint(
    outlines: Iterable[Outline], shape: Sequence[int], axes: str = "YX"
) -> tuple[npt.NDArray[Any], int]:
    """Draw outlines as a label image.

    Parameters
    ----------
    outlines
        Where objects overlap, the smaller one lies above the larger one.
    shape
        Of the label image.
    axes
        A letter for each axis: YX, with T or Z or both before it.

    Returns
    -------
    labels
        ``shape``, ids in the smallest of uint8, uint16 and uint32.
    overlapping
        How many pixels lie in more than one object.

    Raises
    ------
    DataError
        When an object lies outside, or the axes are others.
    """
    _check_axes(axes, shape)
    every = list(outlines)
    labels = np.zeros(shape, _smallest(max((o.label for o in every), default=0)))
    overlapping = 0
    drawn = [(*mask_of(outline), outline) for outline in every]
    for mask, x, y, outline in sorted(drawn, key=lambda d: -int(d[0].sum())):
        index = _index(outline, shape, axes)
        top, left = max(-y, 0), max(-x, 0)
        part = mask[top : max(shape[-2] - y, 0), left : max(shape[-1] - x, 0)]
        if part.sum() < mask.sum():
            low, high = extent_of(outline)
            raise DataError(
                f"object {outline.label} reaches from ({low[1]}, {low[0]}) to "
                f"({high[1]}, {high[0]}) in Y and X, and the image has "
                f"{shape[-2]} x {shape[-1]} pixels; give the image that the outlines "
                "were drawn on"
            )
        top, left = y + top, x + left
        rows = slice(top, top + part.shape[0])
        region = labels[index][rows, left : left + part.shape[1]]
        overlapping += int(((region > 0) & (region != outline.label) & part).sum())
        region[part] = outline.label
    return labels, overlapping


def shape_of(outlines: Iterable[Outline]) -> tuple[tuple[int, ...], str]:
    """Return the smallest shape that holds all outlines, and its axes.

    Axes T and Z are left out where all lie in the first frame and slice.
    """
    every = list(outlines)
    if not every:
        return (1, 1), "YX"
    right, bottom = np.max([extent_of(one)[1] for one in every], axis=0).tolist()
    deepest = {"T": max(o.t for o in every), "Z": max(o.z for o in every)}
    kept = {axis: last + 1 for axis, last in deepest.items() if last}
    return (*kept.values(), bottom, right), "".join(kept) + "YX"


class _Rows:
    """Rows of a table, found by object and place."""

    def __init__(self, table: Table, axes: str) -> None:
        columns = {name: np.asarray(column) for name, column in table.items()}
        ids = columns.get("label", np.zeros(0, np.int64)).tolist()
        letters = [a for a in axes[:-2].lower() if a in columns]
        places = zip(*(columns[a].tolist() for a in letters), strict=True)
        every = list(places) if letters else [()] * len(ids)
        self._axes = [axes.lower().index(a) for a in letters]
        self._row = {key: n for n, key in enumerate(zip(ids, every, strict=True))}
        self._classes = columns.get("class")
        self._numbers = {
            name: column
            for name, column in columns.items()
            if column.dtype.kind in "biuf" and name not in _NO_MEASUREMENTS
        }

    def find(self, label: int, index: tuple[int, ...]) -> dict[str, Any]:
        """Return what is known of an object, as attributes of its outline."""
        row = self._row.get((label, tuple(index[a] for a in self._axes)))
        if row is None:
            return {}
        known: dict[str, Any] = {
            "measurements": {
                name: column[row].item()
                for name, column in self._numbers.items()
                if np.isfinite(column[row])
            }
        }
        if self._classes is not None:
            value = self._classes[row]
            named = isinstance(value, str)
            known["class_name"] = str(value) if named else f"class {int(value)}"
        return known


def _check_axes(axes: str, shape: Sequence[int]) -> None:
    if axes not in _AXES or len(axes) != len(shape):
        raise DataError(
            f"outlines lie in the planes of {', '.join(_AXES)}, not of {axes} "
            f"({len(shape)} axes); write a .tif or .ome.zarr, or the planes one by one"
        )


def _index(outline: Outline, shape: Sequence[int], axes: str) -> tuple[int, ...]:
    place = {"T": outline.t, "Z": outline.z}
    index = tuple(place[axis] for axis in axes[:-2])
    fits = all(i < n for i, n in zip(index, shape, strict=False))
    if not fits or any(place[axis] for axis in "TZ" if axis not in axes):
        raise DataError(
            f"object {outline.label} lies in frame {outline.t} and slice {outline.z}, "
            f"which an image of {axes} {tuple(shape)} does not have; give the image "
            "that the outlines were drawn on"
        )
    return index


def _smallest(largest: int) -> npt.DTypeLike:
    for dtype in (np.uint8, np.uint16):
        if largest <= np.iinfo(dtype).max:
            return dtype
    return np.uint32

"""A table of the objects: where they are, how large, of what shape and how bright.

Sizes, places and brightness are sums over blocks and exact for objects of any size.
Shapes come from ``skimage.measure.regionprops`` on the bounding boxes, read a group of
neighbours at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.objects.block_sums import LEFT_OUT, ObjectSums
from unet_engine.objects.blocks import BlockDone, BlockGrid, release_pages
from unet_engine.objects.intensities import Intensities
from unet_engine.objects.shapes import measure_shapes
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from unet_engine.objects.labelling import Objects
    from unet_engine.stopping import Stop

    Column = npt.NDArray[Any]
    Table = dict[str, Column]


def measure_objects(
    objects: Objects,
    image: Any = None,
    *,
    scale: float | Sequence[float] | None = None,
    unit: str = "µm",
    axes: str | None = None,
    class_names: Sequence[str] = (),
    stop: Stop = never,
) -> Table:
    """Measure every object.

    It runs ``iter_measure_objects`` to its end.

    Parameters
    ----------
    objects
        Labels and classes; only blocks are read. An id that occurs in several planes
        (volumes) has a row in each.
    image
        An ``Image``, or an array-like of the shape of the labels or with an axis of
        channels before it, for the brightness.
    scale
        Length of a pixel along each spatial axis, or along all of them, in ``unit``.
    unit
        Of the scale.
    axes
        A letter for each axis of the labels; the last of ``"TZYX"`` when None.
    class_names
        Of all classes, background first: written instead of their numbers.
    stop
        Polled before every block.

    Returns
    -------
    dict of ndarray
        A column for each measurement, a row for each object, units in the names.
        ``iter_measure_objects`` lists them.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When image, scale or axes do not fit the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from unet_engine import SemanticMask, label_objects, measure_objects
    >>> mask = np.zeros((20, 20), np.uint8)
    >>> mask[4:10, 5:15] = 1
    >>> objects = label_objects(SemanticMask(classes=mask))
    >>> table = measure_objects(objects, scale=0.5)
    >>> table["area (µm²)"].tolist()
    [15.0]
    """
    run = iter_measure_objects(
        objects,
        image,
        scale=scale,
        unit=unit,
        axes=axes,
        class_names=class_names,
        stop=stop,
    )
    return drain(run)


def iter_measure_objects(
    objects: Objects,
    image: Any = None,
    *,
    scale: float | Sequence[float] | None = None,
    unit: str = "µm",
    axes: str | None = None,
    class_names: Sequence[str] = (),
    stop: Stop = never,
) -> Generator[BlockDone, None, Table]:
    """Measure every object and yield after every block.

    Parameters are those of ``measure_objects``.

    Yields
    ------
    BlockDone

    Returns
    -------
    dict of ndarray
        A column for each measurement, a row for each object, units in the names:
        label, class, place along the leading axes, centroid, bounding box (``stop`` is
        the first pixel outside), area or volume, equivalent diameter; in a plane
        perimeter, eccentricity, solidity, axes of the ellipse and its orientation (as
        skimage has it: between the first axis and the longest diameter); in a volume
        the surface of the mesh at half height and the sphericity; mean, standard
        deviation, minimum and maximum of every channel, of finite pixels, and where an
        object has others, how many. NaN where a shape is not defined: shapes of
        bounding boxes of more than 2^24 pixels.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When image, scale or axes do not fit the labels.
    """
    grid = BlockGrid.for_array(objects.labels, objects.ndim)
    letters = _axes(axes, grid)
    sizes = _scale(scale, grid.ndim)
    intensities = None if image is None else Intensities.of(image, grid)
    steps = len(grid) + int(np.prod(grid.leading))
    parts: list[Table] = []
    done = 0
    for index in np.ndindex(*grid.leading):
        sums = ObjectSums(grid.ndim, 0 if intensities is None else intensities.channels)
        for block in grid.blocks_at(index):
            if stop():
                raise Cancelled("stopped before the objects were measured")
            ids = np.asarray(objects.labels[block.core_slices])
            pixels = None if intensities is None else intensities.read(block)
            sums.add(block, ids, pixels)
            release_pages(objects.labels)
            done += 1
            yield BlockDone(done=done, total=steps)
        rows = sums.finish()
        part = _places(rows, index, letters, sizes, unit)
        part |= _sizes(rows, sizes, unit)
        part |= measure_shapes(objects.labels, grid, index, rows, sizes, unit, stop)
        part |= rows.intensities()
        parts.append(part)
        done += 1
        yield BlockDone(done=done, total=steps)
    table = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    table = {n: c for n, c in table.items() if not n.startswith(LEFT_OUT) or c.any()}
    return _with_classes(table, objects.classes, class_names)


def describe_left_out(table: Table) -> str:
    """Return how many pixels have no intensity, as a text; "" when all have one.

    Parameters
    ----------
    table
        As ``measure_objects`` returns it.
    """
    columns = [column for name, column in table.items() if name.startswith(LEFT_OUT)]
    if not columns:
        return ""
    # A pixel that is lost in several channels counts once.
    lost = np.max(columns, axis=0)
    pixels, objects = int(lost.sum()), int(np.count_nonzero(lost))
    return (
        f"{pixels} NaN or infinite pixel{'s' * (pixels != 1)} of {objects} "
        f"object{'s' * (objects != 1)} left out of the intensities"
    )


def _axes(axes: str | None, grid: BlockGrid) -> str:
    count = len(grid.shape)
    if axes is None and count <= len("TZYX"):
        return "TZYX"[-count:].lower()
    if axes is None or len(axes) != count or len(set(axes)) < count:
        raise DataError(
            f"axes {axes!r} do not fit labels of {count} axes; give a letter for each"
        )
    return axes.lower()


def _scale(
    scale: float | Sequence[float] | None, ndim: int
) -> tuple[float, ...] | None:
    if scale is None:
        return None
    sizes = (scale,) * ndim if isinstance(scale, (int, float)) else tuple(scale)
    if len(sizes) != ndim or not all(0 < s < float("inf") for s in sizes):
        raise DataError(
            f"the scale {scale} does not fit {ndim} dimensions; give one number above "
            f"0, or {ndim}"
        )
    return tuple(map(float, sizes))


def _places(
    rows: ObjectSums,
    index: tuple[int, ...],
    letters: str,
    scale: tuple[float, ...] | None,
    unit: str,
) -> Table:
    spatial = letters[len(index) :]
    table: Table = {"label": rows.ids}
    for letter, place in zip(letters, index, strict=False):
        table[letter] = np.full(rows.ids.size, place)
    centroids = rows.positions / rows.sizes[:, None]
    for letter, column in zip(spatial, centroids.T, strict=True):
        table[f"centroid {letter} (px)"] = column
    for axis, letter in enumerate(spatial if scale else ""):
        size = scale[axis] if scale else 1.0
        table[f"centroid {letter} ({unit})"] = centroids[:, axis] * size
    for axis, letter in enumerate(spatial):
        table[f"{letter} start (px)"] = rows.lowest[:, axis]
        table[f"{letter} stop (px)"] = rows.highest[:, axis] + 1
    return table


def _sizes(rows: ObjectSums, scale: tuple[float, ...] | None, unit: str) -> Table:
    ndim = rows.lowest.shape[1]
    word, power = ("area", "²") if ndim == 2 else ("volume", "³")
    table: Table = {f"{word} ({'px' if ndim == 2 else 'voxels'})": rows.sizes}
    amount = rows.sizes * float(np.prod(scale or 1.0))
    if scale:
        table[f"{word} ({unit}{power})"] = amount
    # Of the circle or the ball of the same size.
    diameter = 2 * np.sqrt(amount / np.pi) if ndim == 2 else np.cbrt(6 * amount / np.pi)
    table[f"equivalent diameter ({unit if scale else 'px'})"] = diameter
    return table


def _with_classes(
    table: Table, classes: npt.NDArray[np.uint8], names: Sequence[str]
) -> Table:
    if not classes.size and table["label"].size:
        return table
    column: Column = classes[table["label"] - 1]
    if names:
        known = np.array([*names], np.str_)
        if column.size and column.max() >= known.size:
            raise DataError(
                f"there are {known.size} names of classes and class {column.max()}; "
                "name all of them, the background first"
            )
        column = known[column]
    return {"label": table["label"], "class": column, **table}

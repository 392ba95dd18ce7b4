"""Files of outlines, by their suffix: ImageJ, QuPath, COCO."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError
from unet_engine.files.atomic import whole_file
from unet_engine.outlines.coco import image_names, outlines_of_coco, write_coco
from unet_engine.outlines.geojson import outlines_of_geojson, write_geojson
from unet_engine.outlines.imagej import outlines_of_rois, write_rois
from unet_engine.outlines.labels import iter_outlines, paint, shape_of
from unet_engine.outlines.suffixes import (
    OUTLINE_READ_SUFFIXES,
    check_outline_suffix,
)
from unet_engine.stopping import never

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.outlines.outline import Outline
    from unet_engine.stopping import Stop

_MOST_PIXELS = 2**34
"""Of labels that a file without an image is read as: more is a wrong coordinate."""


_LOOK = 2**16
"""Bytes at the beginning of a file of which one of its words is expected."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlineFile:
    """What a file of outlines holds.

    Attributes
    ----------
    path
        The file.
    outlines
        Of every object and plane.
    plane_shape
        Height and width of the image, where the file states them.
    notes
        What was left out.
    """

    path: Path
    outlines: tuple[Outline, ...]
    plane_shape: tuple[int, int] | None
    notes: tuple[str, ...]

    def labels(
        self, shape: Sequence[int] | None = None, axes: str | None = None
    ) -> tuple[npt.NDArray[Any], str, int]:
        """Draw the objects as a label image.

        Parameters
        ----------
        shape, axes
            Of the image that they belong to. The smallest ones that hold all objects
            when None.

        Returns
        -------
        labels, axes, overlapping
            Ids in the smallest of uint8, uint16 and uint32, where the smaller of two
            objects lies above the larger one; and how many pixels both have.

        Raises
        ------
        DataError
            When an object lies outside of the image.
        """
        if shape is None or axes is None:
            shape, axes = shape_of(self.outlines)
            shape = (*shape[:-2], *(self.plane_shape or shape[-2:]))
            if prod(shape) > _MOST_PIXELS:
                raise DataError(
                    f"{self.path} has corners in an image of {tuple(shape)}; give the "
                    "image that the outlines were drawn on"
                )
        try:
            labels, overlapping = paint(self.outlines, shape, axes)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error
        return labels, axes, overlapping


def write_outlines(
    path: str | os.PathLike[str],
    labels: Any,
    axes: str = "YX",
    *,
    table: Mapping[str, npt.NDArray[Any]] | None = None,
    image_name: str = "",
    stop: Stop = never,
) -> int:
    """Write the outlines of objects for another program, whole or not at all.

    They go along the edges of pixels, with holes, so that their insides are the pixels
    of the objects. The same objects give the same bytes.

    Parameters
    ----------
    path
        ``.zip`` for regions of ImageJ, ``.geojson`` for QuPath, ``.json`` for COCO.
    labels
        Array-like of object ids, 0 where there is none; only parts are read.
    axes
        A letter for each axis: YX, with T or Z or both before it.
    table
        ``(n,)`` columns as ``measure_objects`` returns them: the column ``class`` names
        the objects, and QuPath gets the other numbers as measurements.
    image_name
        Of the image file, for COCO.
    stop
        Polled before every block.

    Returns
    -------
    int
        How many outlines there are: an object has one in each of its planes.

    Raises
    ------
    Cancelled
        When ``stop`` returns True.
    DataError
        When the suffix is another, the axes are not those of planes in time and depth,
        or the folder cannot be written to.

    Examples
    --------
    >>> import numpy as np
    >>> from unet_engine import write_outlines
    >>> labels = np.zeros((20, 20), np.uint8)
    >>> labels[4:10, 5:15] = 1
    >>> write_outlines("cells.geojson", labels)
    1
    """
    suffix = check_outline_suffix(path)
    found = _Counted(iter_outlines(labels, axes, table=table, stop=stop))
    with whole_file(path) as temporary:
        if suffix == ".zip":
            write_rois(temporary, found, axes)
        else:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                if suffix == ".geojson":
                    write_geojson(file, found)
                else:
                    shape = (int(labels.shape[-2]), int(labels.shape[-1]))
                    write_coco(file, found, image_name, shape)
    return found.count


def read_outlines(
    path: str | os.PathLike[str], *, image: str | None = None, axes: str | None = None
) -> OutlineFile:
    """Read outlines that ImageJ, QuPath or another program wrote.

    Parameters
    ----------
    path
        Regions of ImageJ (``.zip``, ``.roi``), GeoJSON (``.geojson``, ``.json``) or
        COCO (``.json``).
    image
        Name of the image, where a file of COCO has several.
    axes
        Of the image, for positions in a stack in ImageJ.

    Raises
    ------
    DataError
        When there is no such file, it is damaged, of another kind, or holds regions
        without an inside only.
    """
    path = Path(path)
    shape = None
    try:
        if path.suffix.lower() in (".zip", ".roi"):
            outlines, notes = outlines_of_rois(path, axes)
        else:
            content = json.loads(path.read_bytes())
            if isinstance(content, dict) and "annotations" in content:
                outlines, shape, notes = outlines_of_coco(content, image)
            else:
                outlines, notes = outlines_of_geojson(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened: {error.strerror or error}; check the path"
        ) from error
    except (MemoryError, RecursionError) as error:
        raise DataError(
            f"{path} is too large to be read; split it into several files"
        ) from error
    except Exception as error:  # of whatever a damaged file leads to in a library
        raise DataError(
            f"{path} holds no outlines that can be read ({_first_line(error)}); export "
            "them again as ImageJ regions in a .zip, GeoJSON or COCO"
        ) from error
    if notes and not outlines:
        raise DataError(
            f"{path} holds no areas ({notes[0]}); export polygons, rectangles or ovals"
        )
    return OutlineFile(path, tuple(outlines), shape, tuple(notes))


def images_in(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the images that a file of COCO is of; none of another file.

    Raises
    ------
    DataError
        When it cannot be opened.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        return []
    try:
        content = json.loads(path.read_bytes())
        return image_names(content) if "annotations" in content else []
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened: {error.strerror or error}; check the path"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError):
        # The reader has the message.
        return []


def holds_outlines(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of outlines, by a look at its beginning."""
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
            return any(name.lower().endswith(".roi") for name in names)
        if suffix not in OUTLINE_READ_SUFFIXES:
            return False
        with path.open("rb") as file:
            start = file.read(_LOOK)
    except (OSError, zipfile.BadZipFile):
        return False
    if suffix == ".roi":
        return start.startswith(b"Iout")
    words = (b"FeatureCollection", b'"Feature"', b'"annotations"', b'"images"')
    return suffix == ".geojson" or any(word in start for word in words)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:80]


class _Counted:
    """An iterable that counts what it yields."""

    def __init__(self, items: Any) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Any:
        for item in self._items:
            self.count += 1
            yield item

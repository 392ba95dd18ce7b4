"""Outlines as regions of interest of ImageJ, many in a zip, read and written."""

from __future__ import annotations

import re
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.outlines.identities import label_of, name_of, numbered
from unet_engine.outlines.outline import Outline, extent_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from roifile import ImagejRoi

_HIGHEST = 60535
"""Largest coordinate of ImageJ in pixels: larger 16-bit numbers are negative ones."""

_MOST_CORNERS = 65535
"""Of a polygon of whole numbers, whose count has 16 bits."""

_DIGITS = 5
"""Of the number of an object in its name, so that names are in its order."""

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every entry, the first that a zip knows: the same objects give the same bytes."""

_LARGEST = 2**28
"""Bytes of an entry that are read: 256 MiB, more than any outline has."""

_MOVE, _LINE, _CLOSE = 0, 1, 4
"""Parts of a path, as Java numbers them."""

_AREAS = ("POLYGON", "RECT", "OVAL", "FREEHAND", "TRACED")
"""Kinds of regions that have an inside."""


def write_rois(path: Path, outlines: Iterable[Outline], axes: str) -> None:
    """Write objects as a zip of ImageJ's regions, one for each object and plane.

    The group of a region is the number of its class in the order of their names, up to
    255, and its property ``class`` the name. An object with holes or in several pieces
    is a composite region.

    Parameters
    ----------
    path
        A file that nothing reads yet.
    outlines
        Written one by one.
    axes
        Of the image: with one of T and Z the position is that in the stack, with both
        frame and slice.

    Raises
    ------
    DataError
        When an object lies farther out than ImageJ counts.
    """
    every = list(outlines)
    names = sorted({outline.class_name for outline in every} - {""})
    groups = {name: min(number, 255) for number, name in enumerate(names, start=1)}
    with zipfile.ZipFile(path, "w") as archive:
        for outline in every:
            roi = _region(outline, axes)
            roi.group = groups.get(outline.class_name, 0)
            if outline.class_name:
                roi.properties = {"class": _plain(outline.class_name)}
            entry = zipfile.ZipInfo(f"{roi.name}.roi", _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            archive.writestr(entry, roi.tobytes())


def outlines_of_rois(
    path: Path, axes: str | None = None
) -> tuple[list[Outline], list[str]]:
    """Return the regions of a ``.zip`` or ``.roi`` file.

    Parameters
    ----------
    path
        The file.
    axes
        Of the image, where it is known: which axis a position in the stack is along;
        Z when None.

    Returns
    -------
    outlines, notes
        Regions that have an inside; and what was left out.

    Raises
    ------
    ValueError and others
        When it is no such file.
    """
    regions = list(_regions(path))
    outlines = []
    others = 0
    for name, roi in regions:
        rings = _rings(roi)
        if not rings:
            others += 1
            continue
        t, z = _place(roi, axes)
        outlines.append(
            Outline(
                label=label_of(name),
                polygons=(tuple(rings),),
                t=t,
                z=z,
                class_name=str(roi.properties.get("class", "")),
            )
        )
    notes = [f"{others} regions that are no areas were left out"] if others else []
    return numbered(outlines), notes


def _region(outline: Outline, axes: str) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    low, high = extent_of(outline)
    if high.max() > _HIGHEST:
        raise DataError(
            f"object {outline.label} reaches to pixel {int(high.max())}, and ImageJ "
            f"counts to {_HIGHEST}; write a .geojson"
        )
    rings = outline.rings
    where: dict[str, Any] = {"t": outline.t, "z": outline.z}
    if len(axes) < len("TZYX"):
        where = {"position": outline.t + outline.z} if axes != "YX" else {}
    name = name_of(outline, _DIGITS)
    if len(rings) == 1 and len(rings[0]) <= _MOST_CORNERS:
        roi = ImagejRoi.frompoints(rings[0], name=name, **where)
        roi.roitype = ROI_TYPE.POLYGON
    else:
        roi = ImagejRoi.frompoints([low, high - 1], name=name, **where)
        roi.roitype, roi.n_coordinates = ROI_TYPE.RECT, 0
        roi.integer_coordinates = None
        roi.multi_coordinates = _path(rings)
        roi.shape_roi_size = len(roi.multi_coordinates)
    # frompoints counts a pixel beyond the last corner, which is an edge here.
    roi.left, roi.top = map(int, low)
    roi.right, roi.bottom = map(int, high)
    return roi


def _path(rings: Sequence[Any]) -> Any:
    """Return rings as a path of moves and lines."""
    parts: list[Any] = []
    for ring in rings:
        steps = np.full((len(ring), 3), _LINE, np.float32)
        steps[0, 0] = _MOVE
        steps[:, 1:] = ring
        parts += [steps.ravel(), [_CLOSE]]
    return np.concatenate(parts).astype(np.float32)


def _regions(path: Path) -> Iterable[tuple[str, ImagejRoi]]:
    from roifile import ImagejRoi

    if path.suffix.lower() != ".zip":
        yield path.stem, ImagejRoi.frombytes(path.read_bytes())
        return
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.lower().endswith(".roi"):
                if entry.file_size > _LARGEST:
                    raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
                name = re.split(r"[/\\]", entry.filename)[-1][:-4]
                yield name, ImagejRoi.frombytes(archive.read(entry))


def _rings(roi: ImagejRoi) -> list[Any]:
    """Return the rings of a region; none of a line, a point or a text."""
    from roifile import ROI_SUBTYPE

    if roi.roitype.name not in _AREAS or roi.subtype not in (
        ROI_SUBTYPE.UNDEFINED,
        ROI_SUBTYPE.UNKNOWN,
    ):
        return []
    coordinates = roi.coordinates(multi=True)
    rings = [np.asarray(ring, np.float64) for ring in coordinates]
    return [ring for ring in rings if len(ring) > 2]


def _place(roi: ImagejRoi, axes: str | None) -> tuple[int, int]:
    """Return frame and slice from 0; ImageJ counts from 1, and 0 is everywhere."""
    t, z = (max(at - 1, 0) for at in (roi.t_position, roi.z_position))
    if roi.position > 0 and not t and not z:
        return (roi.position - 1, 0) if axes == "TYX" else (0, roi.position - 1)
    return t, z


def _plain(text: str) -> str:
    """Return one line of characters that take two bytes each in ImageJ."""
    return re.sub(r"[^ -\uffff]", " ", text)

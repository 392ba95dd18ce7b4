"""Whether a TIFF holds all that its metadata describe; what is absurd is refused."""

from __future__ import annotations

import logging
import struct
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

import tifffile

from unet_engine.errors import DataError
from unet_engine.images.claims import check_claim, check_segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_PLANES = 10**7
"""Planes of one file; a plane needs at least some hundred bytes of its own."""

_SLIDE_KINDS = ("svs", "ndpi", "scn", "bif", "qpi", "philips", "avs", "indica")
"""Whole-slide formats, whose pages are levels, tiles and pictures of the label."""

_LOST = (
    "missing",
    "incomplete",
    "series metadata invalid",
    "shaped series",
    "stitched",
)
"""What tifffile's warnings name when it reads less than a file should hold."""


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def noted_losses(path: Path, *, fill: bool = False) -> Iterator[None]:
    """Refuse a file of which tifffile warns that data are missing.

    Parameters
    ----------
    path
        The file, for the message.
    fill
        Missing planes are read as 0.

    Raises
    ------
    DataError
        After the block, with the first such warning.
    """
    logger, handler = logging.getLogger("tifffile"), _Warnings()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    lost = [text for text in handler.texts if any(word in text for word in _LOST)]
    if fill:
        lost = [text for text in lost if "zeroed" not in text]
    if lost:
        reason = lost[0].split("> ")[-1].splitlines()[0]
        raise DataError(
            f"{path} is incomplete or contradicts its own metadata ({reason}); copy "
            "or export it again"
        )


def check_promises(tif: tifffile.TiffFile, path: Path) -> None:
    """Refuse what cannot be before tifffile makes a list of all planes.

    Raises
    ------
    DataError
        When the metadata describe millions of planes, or other files.
    """
    if not tif.is_ome:
        return
    ome = tifffile.xml2dict(tif.ome_metadata).get("OME", {})
    binary = ome.get("BinaryOnly")
    if isinstance(binary, dict):
        companion = str(binary.get("MetadataFile", "its metadata file"))
        if not (path.parent / companion).is_file():
            raise DataError(
                f"{path} is part of a set that {companion} describes, which is "
                f"missing; put {companion} beside it, or export the image again"
            )
    planes = sum(_ome_planes(image) for image in _listed(ome.get("Image")))
    if planes > _MOST_PLANES:
        raise DataError(
            f"{path} promises {planes} planes, which cannot be; its metadata are "
            "damaged: export it again"
        )


def check_images(tif: tifffile.TiffFile, path: Path) -> None:
    """Make sure that every image and every page that is there is read.

    Raises
    ------
    DataError
        When the metadata describe more images or planes than there are, or pages
        belong to none.
    """
    if tif.is_ome and tif.series and tif.series[0].kind == "ome":
        images = _listed(tifffile.xml2dict(tif.ome_metadata)["OME"].get("Image"))
        if len(images) > len(tif.series):
            raise DataError(
                f"{path} promises {len(images)} images and {len(tif.series)} are "
                "there; copy or export it again, with the files that belong to it"
            )
    if any(series.kind in _SLIDE_KINDS for series in tif.series):
        return
    # Pages of other files count for those.
    own = [s for s in tif.series if not s.is_multifile]
    covered = sum(_planes(level) for series in own for level in series.levels)
    pages = len(tif.pages)
    if len(own) == len(tif.series) and pages > covered:
        raise DataError(
            f"{path} holds {pages} pages and its metadata describe {covered}; save "
            "the pages that belong together as a file of their own"
        )


def check_chain(tif: tifffile.TiffFile, path: Path) -> None:
    """Make sure that no page is lost: tifffile stops at a broken link with a log entry.

    LSM and NDPI files have links of their own kind.
    """
    if tif.is_lsm or tif.is_ndpi:
        return
    layout, file = tif.tiff, tif.filehandle
    position, seen = tif.pages.first.offset, set[int]()
    while position:
        if position in seen or position >= file.size:
            raise DataError(
                f"{path} is truncated: the list of its pages breaks off after "
                f"{len(seen)}; copy or export it again"
            )
        file.seek(position)
        (count,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
        tags = file.read(count * layout.tagsize)
        if not seen:
            _check_description(tif, tags, path)
        seen.add(position)
        (position,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize))


def check_complete(
    series: tifffile.TiffPageSeries, path: Path, *, fill: bool = False
) -> None:
    """Make sure that a series has all its planes, and the file all their bytes.

    Parameters
    ----------
    series
        Of the file.
    path
        The file.
    fill
        Planes that are missing are read as 0.

    Raises
    ------
    DataError
        When planes or bytes are missing, or the size that is claimed cannot be.
    """
    _check_planes(series, path, fill=fill)
    size = path.stat().st_size
    end = 0
    stored = size
    for page in series.pages:
        if page is None:
            continue
        if page.parent.filehandle.path != str(path.resolve()):
            stored += sum(page.databytecounts)
            continue
        ends = map(int.__add__, page.dataoffsets, page.databytecounts)
        end = max(end, *ends, 0)
    nbytes = prod(series.shape) * series.dtype.itemsize
    if series.dataoffset is not None:
        end = max(end, series.dataoffset + nbytes)
    if end > size:
        raise DataError(
            f"{path} is truncated: it has {size} bytes where its header promises "
            f"{end}; copy or export it again"
        )
    check_claim(path, series.shape, series.dtype.itemsize, stored)
    if series.dataoffset is None:
        page = series.keyframe
        rows = page.tilelength if page.is_tiled else page.rowsperstrip
        width = page.tilewidth if page.is_tiled else page.imagewidth
        rows = rows if page.is_tiled else min(rows, page.imagelength)
        check_segment(path, rows * width * page.dtype.itemsize)


def _check_planes(series: tifffile.TiffPageSeries, path: Path, *, fill: bool) -> None:
    promised, there = _promised(series), _planes(series)
    if series.dataoffset is None:
        there = min(there, sum(page is not None for page in series.pages))
        promised = max(promised, _planes(series))
    if there < promised and not (fill and _planes(series) == promised):
        more = (
            ", or pass --missing-chunks fill to read the missing ones as 0"
            if _planes(series) == promised == len(series.pages)
            else ", or save the planes that are there as a file of their own"
        )
        raise DataError(
            f"{path} is incomplete: {there} of the {promised} planes that its metadata "
            f"promise are there; copy or export it again{more}"
        )


def _promised(series: tifffile.TiffPageSeries) -> int:
    """Return how many planes the description of a file names; 0 when it names none."""
    tif, page = series.keyframe.parent, series.keyframe
    if tif.is_imagej:
        metadata = tif.imagej_metadata or {}
        channels = int(metadata.get("channels", 1))
        planes = int(metadata.get("frames", 1)) * int(metadata.get("slices", 1))
        if channels in (page.samplesperpixel, 1):
            return planes
        return planes * channels
    if page.is_shaped and series.kind == "shaped":
        shape = tifffile.tifffile.shaped_description_metadata(page.shaped_description)
        return int(prod(shape["shape"]) // page.size)
    return 0


def _planes(series: tifffile.TiffPageSeries) -> int:
    return max(int(prod(series.shape) // series.keyframe.size), 1)


def _check_description(tif: tifffile.TiffFile, tags: bytes, path: Path) -> None:
    """Make sure that the text with the axes is there: writers put it at the end."""
    image_description = 270
    size, order = tif.tiff.tagsize, tif.byteorder
    codes = [
        struct.unpack_from(order + "H", tags, start)[0]
        for start in range(0, len(tags), size)
    ]
    if image_description in codes and image_description not in tif.pages.first.tags:
        raise DataError(
            f"{path} is truncated: its description is missing; copy or export it again"
        )


def _ome_planes(image: dict[str, Any]) -> int:
    pixels = image.get("Pixels", {})
    return prod(int(pixels.get(f"Size{axis}", 1)) for axis in "ZCT")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

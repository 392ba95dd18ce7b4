"""Opening TIFF, OME-TIFF and ImageJ stacks: axes, pixel size, completeness."""

from __future__ import annotations

import logging
import struct
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import tifffile

from unet_engine.errors import DataError
from unet_engine.images.image import AXES, Image
from unet_engine.images.pages import READ_ERRORS, MappedPixels, TiffPages
from unet_engine.images.source import Source

logger = logging.getLogger(__name__)

# What tifffile has to say of damaged files is said by our errors; without a handler
# Python would print it beside them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_SPARE_AXES = "ZTPR"
_COLOURS = (2, 5, 6, 8)
"""PhotometricInterpretation of RGB, CMYK, YCbCr and CIE Lab."""

_RGB, _SEPARATE = 2, 2
_MICROMETRES = {
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
}


def open_tiff(path: Path, axes: str | None, *, colours: bool = True) -> Image:
    """Open the first image series of a TIFF lazily.

    Parameters
    ----------
    path
        The file.
    axes
        A letter for each axis, when its metadata is missing or wrong.
    colours
        It may show colours; planes of what cannot, as of labels, are a stack.

    Raises
    ------
    DataError
        When the file is no TIFF, is truncated, has axes that do not fit, or does not
        say what they are.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            if not axes and _has_guessed_colours(tif):
                axes = _stack_axes(tif, path, colours=colours)
            return _open_series(tif, path, axes)
    except READ_ERRORS as error:
        raise DataError(
            f"{path} cannot be read as a TIFF ({error}); it is damaged, truncated or "
            "of another format: export it again"
        ) from error


def _open_series(tif: tifffile.TiffFile, path: Path, axes: str | None) -> Image:
    if not tif.series:
        raise DataError(f"{path} holds no image; export it again")
    series = tif.series[0]
    if len(tif.series) > 1:
        logger.warning("%s holds %d images; the first is opened", path, len(tif.series))
    if missing := sum(page is None for page in series.pages):
        logger.warning("%s: %d planes are missing and read as 0", path, missing)
    _check_chain(tif, path)
    _check_complete(series, path)
    if len(_unknown_axes(series)) > 1 and not axes:
        raise DataError(
            f"{path} does not name its axes, of lengths {tuple(series.shape)}; state "
            f"them with --axes, one letter of {AXES} for each, such as TZYX"
        )
    known = _known_axes(series)
    shape = tuple(series.shape)
    if (
        axes
        and len(axes) > len(known)
        and known == "".join(a for a in axes if a in known)
    ):
        # tifffile drops axes of length 1, which the caller names.
        lengths = dict(zip(known, shape, strict=True))
        shape = tuple(lengths.get(axis, 1) for axis in axes)
    data: Any
    files = {Path(p.parent.filehandle.path) for p in series.pages if p is not None}
    if series.transform is not None or not TiffPages.can_hold(series, shape):
        data = series.asarray().reshape(shape)
    elif series.dataoffset is not None:
        data = MappedPixels(
            path, series.dataoffset, shape, series.dtype.newbyteorder(tif.byteorder)
        )
    else:
        data = TiffPages.of_series(series, shape)
    if not axes:
        _report_guess(series, path)
    image = Image.from_array(
        data,
        axes or known,
        name=path.name,
        pixel_size_um=_pixel_size(tif, series),
        slice_step_um=_slice_step(tif),
    )
    return replace(image, source=Source.of_files(files))


def _has_guessed_colours(tif: tifffile.TiffFile) -> bool:
    """Tell whether planes are stored as colours because nobody said what they are.

    tifffile, and what writes by it, takes the axis of three or four planes for colours
    when it is told nothing.
    """
    if not tif.series or tif.is_ome or tif.is_imagej:
        return False
    page = tif.series[0].keyframe
    return bool(
        page.software == "tifffile.py"
        and page.photometric == _RGB
        and page.planarconfig == _SEPARATE
        and "S" in tif.series[0].axes
    )


def _stack_axes(tif: tifffile.TiffFile, path: Path, *, colours: bool) -> str:
    """Return the axes of a stack that was stored as colours.

    Raises
    ------
    DataError
        When it may show colours.
    """
    series = tif.series[0]
    stack = series.axes.replace("S", "Z", "Z" not in series.axes)
    if colours:
        size = series.shape[series.axes.index("S")]
        others = "".join(axis if axis in AXES else "T" for axis in series.axes)
        choices = [others.replace("S", letter) for letter in "ZCS"]
        raise DataError(
            f"{path} does not say whether its {size} planes are slices, channels or "
            f"colours; state it with --axes: {choices[0]}, {choices[1]} or {choices[2]}"
        )
    return "".join(axis if axis in AXES else "T" for axis in stack)


def _report_guess(series: tifffile.TiffPageSeries, path: Path) -> None:
    if unknown := _unknown_axes(series):
        size = series.shape[series.axes.index(unknown)]
        logger.warning(
            "%s does not say what its %d planes are; they are taken for depth (Z): "
            "state the axes if they are not",
            path,
            size,
        )


def _unknown_axes(series: tifffile.TiffPageSeries) -> str:
    return "".join(a for a in series.axes if a not in AXES)


def _known_axes(series: tifffile.TiffPageSeries) -> str:
    """Return the axes in our letters: an unknown one of a stack is taken for depth."""
    given: str = series.axes
    if series.keyframe.photometric not in _COLOURS:
        # Samples that are no colour are channels.
        given = given.replace("S", "C", "C" not in given)
    spare = next(letter for letter in _SPARE_AXES if letter not in given)
    return "".join(a if a in AXES else spare for a in given)


def _check_chain(tif: tifffile.TiffFile, path: Path) -> None:
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


def _check_complete(series: tifffile.TiffPageSeries, path: Path) -> None:
    size = path.stat().st_size
    end = 0
    for page in series.pages:
        if page is None or page.parent.filehandle.path != str(path.resolve()):
            continue
        ends = map(int.__add__, page.dataoffsets, page.databytecounts)
        end = max(end, *ends, 0)
    if series.dataoffset is not None:
        end = max(end, series.dataoffset + prod(series.shape) * series.dtype.itemsize)
    if end > size:
        raise DataError(
            f"{path} is truncated: it has {size} bytes where its header promises "
            f"{end}; copy or export it again"
        )


def _pixel_size(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries
) -> float | None:
    """Return the width of a pixel in µm where the file states it in a unit."""
    if tif.is_ome:
        pixels = _first_pixels(tifffile.xml2dict(tif.ome_metadata))
        unit = str(pixels.get("PhysicalSizeXUnit", "µm"))
        return _scaled(pixels.get("PhysicalSizeX"), _MICROMETRES.get(unit))
    resolution = series.keyframe.resolution[0]
    if not resolution or resolution <= 0:
        return None
    if tif.is_imagej:
        unit = str((tif.imagej_metadata or {}).get("unit", "")).strip().lower()
        return _scaled(1 / resolution, _MICROMETRES.get(unit))
    # An inch is what cameras and editors write when they know nothing.
    centimetre, millimetre, micrometre = 3, 4, 5
    factors = {centimetre: 1e4, millimetre: 1e3, micrometre: 1.0}
    return _scaled(1 / resolution, factors.get(int(series.keyframe.resolutionunit)))


def _slice_step(tif: tifffile.TiffFile) -> float | None:
    """Return the distance of two slices in µm where the file states it in a unit."""
    if tif.is_ome:
        pixels = _first_pixels(tifffile.xml2dict(tif.ome_metadata))
        unit = str(pixels.get("PhysicalSizeZUnit", "µm"))
        return _scaled(pixels.get("PhysicalSizeZ"), _MICROMETRES.get(unit))
    if tif.is_imagej:
        metadata = tif.imagej_metadata or {}
        unit = str(metadata.get("unit", "")).strip().lower()
        return _scaled(metadata.get("spacing"), _MICROMETRES.get(unit))
    return None


def _first_pixels(ome: dict[str, Any]) -> dict[str, Any]:
    image = ome.get("OME", {}).get("Image", {})
    if isinstance(image, list):
        image = image[0]
    pixels: dict[str, Any] = image.get("Pixels", {})
    return pixels


def _scaled(value: Any, factor: float | None) -> float | None:
    if factor is None or not isinstance(value, (int, float)):
        return None
    size = float(value) * factor
    return size if 0 < size < float("inf") else None

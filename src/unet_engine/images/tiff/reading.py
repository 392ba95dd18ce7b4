"""Opening TIFF, OME-TIFF and ImageJ stacks: axes, completeness."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images.axes import AXES
from unet_engine.images.colours import as_colours, has_alpha
from unet_engine.images.image import Image
from unet_engine.images.pixel_size import reported
from unet_engine.images.source_files import Source
from unet_engine.images.tiff.completeness import (
    check_chain,
    check_complete,
    check_images,
    check_promises,
    noted_losses,
)
from unet_engine.images.tiff.pages import READ_ERRORS, MappedPixels, TiffPages
from unet_engine.images.tiff.pixel_sizes import tiff_pixel_size
from unet_engine.images.tiff.series import choose_series

logger = logging.getLogger(__name__)

# What tifffile logs about damaged files is in the errors of this package; without a
# handler Python would print it beside them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_SPARE_AXES = "ZTPR"
"""What an unknown axis is taken for, in this order."""

_COLOURS = (2, 5, 6, 8)
"""PhotometricInterpretation of RGB, CMYK, YCbCr and CIE Lab."""

# Values of the tags PhotometricInterpretation and PlanarConfiguration.
_RGB, _SEPARATE = 2, 2


def open_tiff(
    path: Path,
    axes: str | None,
    *,
    series: int | None = None,
    labels: bool = False,
    fill: bool = False,
) -> Image:
    """Open a TIFF lazily: its image, or all of its images that are alike as positions.

    Parameters
    ----------
    path
        The file.
    axes
        A letter for each axis, when its metadata is missing or wrong.
    series
        Which of the images in the file, from 0, when it holds several.
    labels
        It holds ids: a palette means its indices, and planes without a name are a
        stack, because labels have no colours.
    fill
        Planes that are missing are read as 0.

    Raises
    ------
    DataError
        When the file is no TIFF, is truncated or incomplete, holds several different
        images, has axes that do not fit, or does not record what they are.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            check_promises(tif, path)
            if not axes and _has_assumed_colours(tif):
                axes = _stack_axes(tif, path, colours=not labels)
            with noted_losses(path, fill=fill):
                check_chain(tif, path)
                chosen = choose_series(tif, path, series)
                for one in chosen:
                    check_complete(one, path, fill=fill)
                check_images(tif, path)
            return _open_series(tif, chosen, path, axes, labels=labels)
    except READ_ERRORS as error:
        raise DataError(
            f"{path} cannot be read as a TIFF ({error}); it is damaged, truncated or "
            "of another format: export it again"
        ) from error


def _open_series(
    tif: tifffile.TiffFile,
    chosen: list[tifffile.TiffPageSeries],
    path: Path,
    axes: str | None,
    *,
    labels: bool,
) -> Image:
    series = chosen[0]
    recorded: str = series.axes
    if int(series.keyframe.photometric) not in _COLOURS and not has_alpha(
        series.keyframe
    ):
        # Samples that are no colour are channels.
        recorded = recorded.replace("S", "C", "C" not in recorded)
    if len([a for a in recorded if a not in AXES]) > 1 and not axes:
        raise UnknownAxesError(
            f"{path} does not name its axes, of lengths {tuple(series.shape)}; state "
            f"them with --axes, one letter of {AXES} for each, such as TZYX"
        )
    known = _known_axes(recorded)
    shape = tuple(series.shape)
    if len(chosen) > 1:
        known = next(letter for letter in "PRTZ" if letter not in known) + known
        shape = (len(chosen), *shape)
    if (
        axes
        and len(axes) > len(known)
        and known == "".join(a for a in axes if a in known)
    ):
        # tifffile drops axes of length 1, which the caller names.
        lengths = dict(zip(known, shape, strict=True))
        shape = tuple(lengths.get(axis, 1) for axis in axes)
    data: Any
    pages = [page for one in chosen for page in one.pages]
    files = {Path(p.parent.filehandle.path) for p in pages if p is not None}
    if series.transform is not None or not TiffPages.can_hold(series, shape):
        data = np.stack([one.asarray() for one in chosen]).reshape(shape)
    elif series.dataoffset is not None and len(chosen) == 1:
        data = MappedPixels(
            path, series.dataoffset, shape, series.dtype.newbyteorder(tif.byteorder)
        )
    else:
        data = TiffPages.of_series(series, shape, pages)
    if not axes:
        _report_assumed_depth(series, path)
    data, axes = as_colours(data, axes or known, series.keyframe, path, labels=labels)
    image = Image.from_array(
        data,
        axes,
        name=path.name,
        pixel_size=reported(tiff_pixel_size(tif, series), path),
    )
    return replace(image, source=Source.of_files(files))


def _has_assumed_colours(tif: tifffile.TiffFile) -> bool:
    """Whether planes are stored as colours because the writer named no axes.

    tifffile, and what writes by it, takes the axis of three or four planes for colours
    by default.
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
        raise UnknownAxesError(
            f"{path} does not record whether its {size} planes are slices, channels "
            f"or colours; state it with --axes: {choices[0]}, {choices[1]} or "
            f"{choices[2]}"
        )
    return "".join(axis if axis in AXES else "T" for axis in stack)


def _report_assumed_depth(series: tifffile.TiffPageSeries, path: Path) -> None:
    if unknown := _unknown_axes(series):
        size = series.shape[series.axes.index(unknown)]
        logger.warning(
            "%s does not record what its %d planes are; they are taken for depth (Z): "
            "state --axes if they are not",
            path,
            size,
        )


def _unknown_axes(series: tifffile.TiffPageSeries) -> str:
    return "".join(a for a in series.axes if a not in AXES)


def _known_axes(recorded: str) -> str:
    """Return axes in letters of ``AXES``: an unknown one is taken for depth."""
    spare = next(letter for letter in _SPARE_AXES if letter not in recorded)
    return "".join(a if a in AXES else spare for a in recorded)

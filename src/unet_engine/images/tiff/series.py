"""Which of the images in a TIFF are opened: all that are alike, as positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import tifffile

_ACCESSORIES = ("thumbnail", "label", "macro", "overview", "map")
"""Names of the small pictures beside the image of a slide."""

_SHOWN = 4
"""Images that a message describes."""


def choose_series(
    tif: tifffile.TiffFile, path: Path, number: int | None
) -> list[tifffile.TiffPageSeries]:
    """Return the image of a file, or its images when they differ in nothing but place.

    Thumbnails and pictures of the label of a slide are no images.

    Parameters
    ----------
    tif
        The open file.
    path
        Its path, for messages.
    number
        Which image, from 0.

    Raises
    ------
    DataError
        When there is none, none of that number, or several that differ.
    """
    found = [series for series in _images(tif) if not _is_accessory(series)]
    found = found or list(tif.series[:1])
    if not found:
        raise DataError(f"{path} holds no image; export it again")
    if number is not None:
        if not 0 <= number < len(found):
            raise DataError(
                f"{path} has no image {number}; choose one with --series, from 0 to "
                f"{len(found) - 1}"
            )
        return [found[number]]
    if len({_kind(series) for series in found}) == 1 and (
        len(found) == 1 or not any(map(_is_one_block, found))
    ):
        return found
    shown = "; ".join(f"{n}: {_describe(s)}" for n, s in enumerate(found[:_SHOWN]))
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise DataError(
        f"{path} holds {len(found)} different images ({shown}{more}); choose one with "
        "--series 0, or save each as a file of its own"
    )


def _images(tif: tifffile.TiffFile) -> Iterator[tifffile.TiffPageSeries]:
    """Yield the images of a file, also pages that are levels by their size alone.

    A page of half the edges is a level where the file marks it as reduced, or keeps it
    beneath another page; elsewhere it may show anything.
    """
    for series in tif.series:
        yield series
        if series.kind == "generic":
            for level in series.levels[1:]:
                if len(level.keyframe.treeindex) == 1:
                    yield level


def _is_accessory(series: tifffile.TiffPageSeries) -> bool:
    name = series.name.lower()
    page = series.keyframe
    return bool(
        page.is_reduced or page.is_mask or any(word in name for word in _ACCESSORIES)
    )


def _is_one_block(series: tifffile.TiffPageSeries) -> bool:
    """Whether planes lie behind one page that stands for all of them."""
    return series.dataoffset is not None and len(series.pages) * int(
        series.keyframe.size
    ) < int(series.size)


def _kind(series: tifffile.TiffPageSeries) -> tuple[Any, ...]:
    """Return all that images have in common which are read as one."""
    page = series.keyframe
    return (
        tuple(series.shape),
        series.axes,
        series.dtype,
        page.shaped,
        page.photometric,
        page.planarconfig,
        page.compression,
        page.predictor,
        page.bitspersample,
        tuple(map(int, page.extrasamples)),
        page.is_tiled and page.tile,
        page.rowsperstrip,
    )


def _describe(series: tifffile.TiffPageSeries) -> str:
    return f"{' x '.join(map(str, series.shape))} {series.axes} {series.dtype}"

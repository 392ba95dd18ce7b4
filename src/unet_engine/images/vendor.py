"""Formats of microscope vendors, through the optional package bioio."""

from __future__ import annotations

from dataclasses import replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from unet_engine.errors import DataError, UnknownAxesError
from unet_engine.images.axes import AXES
from unet_engine.images.claims import check_claim
from unet_engine.images.formats import BIOIO_ADVICE
from unet_engine.images.image import Image
from unet_engine.images.pixel_size import PixelSize
from unet_engine.images.source_files import Source

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST_REASON = 80
"""Characters of another library's message that leave room for what to do."""


def open_vendor(path: Path, axes: str | None, series: int | None) -> Image:
    """Open a file of a vendor's format lazily.

    Parameters
    ----------
    path
        The file.
    axes
        A letter for each axis, when its metadata is wrong.
    series
        Which scene, from 0, when there are several.

    Raises
    ------
    DataError
        When bioio or its plugin for the format is not installed, the file cannot be
        read, or it holds several scenes and none was chosen.
    """
    try:
        from bioio import BioImage
    except ImportError as error:
        raise DataError(
            f"{path} needs bioio to be read; {BIOIO_ADVICE}, or export it as OME-TIFF"
        ) from error
    try:
        opened = BioImage(path)
        scenes = tuple(opened.scenes)
        number = _scene(path, len(scenes), series)
        opened.set_scene(scenes[number])
        data, order = opened.dask_data, str(opened.dims.order)
        sizes = opened.physical_pixel_sizes
    except (DataError, MemoryError):
        raise
    except Exception as error:
        # Every reader of bioio has errors of its own.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        # Some list every reader that was tried, with the path of the file in each.
        reason = shorten(reason.replace(str(path), path.name), _LONGEST_REASON)
        raise DataError(
            f"{path} cannot be read by bioio ({reason}); install a plugin for "
            f"{path.suffix}, such as bioio-bioformats, or export it as OME-TIFF"
        ) from error
    if axes is None:
        data, order = _without_mosaic(path, data, order)
    check_claim(path, data.shape, data.dtype.itemsize, None)
    image = Image.from_array(
        data,
        axes or order,
        name=path.name,
        pixel_size=PixelSize.of_micrometres(
            x=_positive(getattr(sizes, "X", None)),
            y=_positive(getattr(sizes, "Y", None)),
            z=_positive(getattr(sizes, "Z", None)),
        ),
    )
    return replace(image, source=Source.of_files([path]))


def _scene(path: Path, count: int, series: int | None) -> int:
    if series is None and count > 1:
        raise DataError(
            f"{path} holds {count} scenes; choose one with --series, from 0 to "
            f"{count - 1}"
        )
    number = series or 0
    if not 0 <= number < count:
        raise DataError(
            f"{path} has no scene {number}; choose one with --series, from 0 to "
            f"{count - 1}"
        )
    return number


def _without_mosaic(path: Path, data: Any, order: str) -> tuple[Any, str]:
    """Return data with axes of ``AXES`` only; tiles of a mosaic are positions."""
    order = order.replace("M", "P", "P" not in order)
    # bioio fills up to five axes; colour pixels have their samples beside one channel.
    if "S" in order and "C" in order and data.shape[order.index("C")] == 1:
        data = data[(slice(None),) * order.index("C") + (0,)]
        order = order.replace("C", "")
    if unknown := sorted(set(order) - set(AXES)):
        raise UnknownAxesError(
            f"{path} has the axes {order}, of which {', '.join(unknown)} is not known; "
            f"state them with --axes, one letter of {AXES} for each"
        )
    return data, order


def _positive(value: Any) -> float | None:
    return float(value) if value and 0 < value < float("inf") else None

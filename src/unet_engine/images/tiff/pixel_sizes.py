"""The size of a pixel in TIFF files: OME, ImageJ, LSM, SVS and resolution tags."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tifffile

from unet_engine.images.pixel_size import MICROMETRE, SECOND, PixelSize
from unet_engine.images.units import is_no_unit, micrometres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unet_engine.images.image import Image

_RESOLUTION_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: MICROMETRE}
"""Values of the tag ResolutionUnit; the last two are those of tifffile."""

_INCH = 2
"""Value of the tag ResolutionUnit for inches."""

_PRINT_RESOLUTIONS = frozenset(
    (1, 72, 90, 96, 100, 120, 144, 150, 180, 192, 200, 220, 240, 250, 300, 350, 360,
     400, 480, 600, 720, 800, 1200, 1440, 2400, 4800)
)  # fmt: skip
"""Pixels per inch that cameras, scanners and editors write, whatever is shown."""

_FEWEST_PER_INCH = 25.4
"""Pixels of 1 mm and more are no specimen under a microscope but a print."""

_CENTIMETRE_UM = 1e4
"""Micrometres in a centimetre."""

_LARGEST_RATIONAL = 2**32 - 1
"""Pixels per centimetre that the 32-bit numerator of a tag can hold."""


def tiff_pixel_size(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries
) -> PixelSize:
    """Return the steps that a TIFF states along T, Z, Y and X.

    Parameters
    ----------
    tif, series
        The open file and the series of its pages that is read.
    """
    if tif.is_ome:
        number = list(map(id, tif.series)).index(id(series))
        return _ome(_pixels(tifffile.xml2dict(tif.ome_metadata), number))
    if tif.is_lsm:
        return _lsm(tif.lsm_metadata or {})
    resolution = tuple(series.keyframe.resolution[:2])
    unit = int(series.keyframe.resolutionunit)
    if tif.is_imagej:
        return _imagej(tif.imagej_metadata or {}, resolution, unit)
    if tif.is_svs and (microns := _svs_microns(series)) is not None:
        return PixelSize.stated(dict.fromkeys("YX", (microns, MICROMETRE)))
    for stated in tif.shaped_metadata or ():
        # A stack with axes that OME lacks, as this program writes it.
        if any(f"PhysicalSize{axis}" in stated for axis in "XYZ"):
            return _ome(stated)
    return resolution_pixel_size(resolution, unit)


def resolution_pixel_size(resolution: tuple[float, ...], unit: int) -> PixelSize:
    """Return the size of pixels that follows from the resolution of an image.

    Parameters
    ----------
    resolution
        Pixels per unit along X and Y.
    unit
        As in the TIFF tag ResolutionUnit: 1 none, 2 inch, 3 centimetre.
    """
    across, down = resolution
    if unit not in _RESOLUTION_UNITS:
        # It shows no more than whether pixels are square.
        square = across == down
        return PixelSize() if square else _edges(across, down, "")
    if unit == _INCH and _is_print(across, down):
        # One pixel per inch is what writers put where the tag has to be.
        return PixelSize() if across == down == 1 else PixelSize(printed=_print(across))
    return _edges(across, down, _RESOLUTION_UNITS[unit])


def size_options(image: Image | None, axes: str) -> dict[str, Any]:
    """Return the options by which ``tifffile.imwrite`` stores the size of a pixel.

    Parameters
    ----------
    image
        Whose size it is.
    axes
        Of the array that is written.

    Returns
    -------
    dict
        ``resolution``, ``resolutionunit`` and ``metadata``, the attributes of OME.
    """
    size = PixelSize() if image is None else image.pixel_size
    metadata: dict[str, Any] = {}
    for axis in "XYZ":
        if (step := size.step(axis)) is not None:
            metadata[f"PhysicalSize{axis}"] = step.size
            metadata[f"PhysicalSize{axis}Unit"] = step.unit or "pixel"
    if size.t is not None and size.t.unit and "T" in axes:
        metadata["TimeIncrement"] = size.t.size
        metadata["TimeIncrementUnit"] = size.t.unit
    edges = size.lengths("XY")
    rates = tuple(_CENTIMETRE_UM / edge for edge in edges or ())
    # A tag is a fraction of 32-bit integers.
    fits = bool(rates) and all(1e-4 < rate < _LARGEST_RATIONAL for rate in rates)
    return {
        "resolution": rates if fits else None,
        "resolutionunit": "CENTIMETER" if fits else None,
        "metadata": metadata,
    }


def _ome(pixels: Mapping[str, Any]) -> PixelSize:
    stated = {
        axis: (
            pixels.get(f"PhysicalSize{axis}"),
            str(pixels.get(f"PhysicalSize{axis}Unit", MICROMETRE)),
        )
        for axis in "XYZ"
    }
    stated["T"] = (
        pixels.get("TimeIncrement"),
        str(pixels.get("TimeIncrementUnit", SECOND)),
    )
    size = PixelSize.stated(stated)
    if size.note or "PhysicalSizeXUnit" not in pixels:
        return size
    # By the schema what has no unit is in µm; beside another unit that may be an
    # oversight of the writer.
    bare = [
        a
        for a in "YZ"
        if stated[a][0] is not None and f"PhysicalSize{a}Unit" not in pixels
    ]
    if bare and micrometres(str(pixels["PhysicalSizeXUnit"])) != 1:
        note = (
            f"the size of a pixel along X is in {pixels['PhysicalSizeXUnit']} and that "
            f"along {' and '.join(bare)} without a unit, which OME takes for µm"
        )
        return replace(size, note=note)
    return size


def _pixels(ome: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the attributes of the pixels of an image; of the first one if need be."""
    image = ome.get("OME", {}).get("Image", {})
    if isinstance(image, list):
        image = image[number if number < len(image) else 0]
    pixels: dict[str, Any] = image.get("Pixels", {})
    return pixels


def _lsm(metadata: Mapping[str, Any]) -> PixelSize:
    # 0 is what the microscope writes along axes that there are none of.
    steps = {axis: metadata.get(f"VoxelSize{axis}") or None for axis in "XYZ"}
    stated = {axis: (step, "m") for axis, step in steps.items()}
    stated["T"] = (metadata.get("TimeIntervall") or None, SECOND)
    return PixelSize.stated(stated)


def _imagej(
    metadata: Mapping[str, Any], resolution: tuple[float, ...], tag: int
) -> PixelSize:
    """Return what ImageJ reads: tags along X and Y, its description for the rest."""
    unit = str(metadata.get("unit", ""))
    if "unit" not in metadata and tag != _INCH:
        unit = _RESOLUTION_UNITS.get(tag, "")
    across, down = resolution
    if is_no_unit(unit) and across == down and metadata.get("spacing") in (None, 1):
        return PixelSize.stated({"T": _frames(metadata)})
    return PixelSize.stated(
        {
            "X": (_inverse(across), unit),
            "Y": (_inverse(down), str(metadata.get("yunit", unit))),
            "Z": (metadata.get("spacing"), str(metadata.get("zunit", unit))),
            "T": _frames(metadata),
        }
    )


def _frames(metadata: Mapping[str, Any]) -> tuple[Any, str]:
    # ImageJ writes an interval of 0 where it has none.
    return metadata.get("finterval") or None, str(metadata.get("tunit", SECOND))


def _svs_microns(series: tifffile.TiffPageSeries) -> Any:
    """Return the edge of a pixel of a slide scanner's file in µm, if it is there."""
    try:
        fields = tifffile.tifffile.svs_description_metadata(series.keyframe.description)
    except ValueError:
        return None
    return fields.get("MPP")


def _edges(across: float, down: float, unit: str) -> PixelSize:
    return PixelSize.stated(
        {"X": (_inverse(across), unit), "Y": (_inverse(down), unit)}
    )


def _inverse(rate: float) -> float:
    return 1 / rate if rate else 0.0


def _print(rate: float) -> str:
    return f"{rate:g} pixels per inch are a resolution for prints"


def _is_print(across: float, down: float) -> bool:
    """Whether pixels per inch are those of a print rather than a specimen."""
    square = round(across, 1) == round(down, 1)
    usual = square and round(across, 1) in _PRINT_RESOLUTIONS
    return usual or min(across, down) < _FEWEST_PER_INCH

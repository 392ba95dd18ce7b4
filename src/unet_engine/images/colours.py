"""``ColourPixels``: pixels of other colour spaces, read as red, green and blue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    import tifffile

    _Convert = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

# Values of the tag PhotometricInterpretation (TIFF 6.0 and its supplements).
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = 0, 1, 2, 3
_CMYK, _YCBCR, _LAB, _ICC_LAB = 5, 6, 8, 9
_UNKNOWN_COLOURS = {
    10: "ITU L*a*b*",
    32803: "a raw colour mosaic",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
"""Values of the same tag that are not converted to RGB."""

_JPEG = (6, 7, 34892, 33007)
"""Compressions whose decoder turns YCbCr into RGB."""

# Values of the tag ExtraSamples.
_PREMULTIPLIED, _ALPHA = 1, 2
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue when a file names none (TIFF 6.0, section 21)."""


class ColourPixels:
    """An array-like that converts what is read of another one.

    Takes a full key of integers and slices.

    Parameters
    ----------
    data
        Array-like of the stored pixels.
    convert
        Takes and returns blocks whose last axis are the samples; of a palette it takes
        indices and adds that axis.
    dtype
        Of the converted pixels.
    samples
        Position of the samples among the axes of ``data``; None where there are none.
    count
        Number of samples after the conversion; None where there are none.
    """

    def __init__(
        self,
        data: Any,
        convert: _Convert,
        dtype: np.dtype[Any],
        samples: int | None,
        count: int | None,
    ) -> None:
        shape = list(data.shape)
        if samples is not None:
            shape[samples] = count
        elif count is not None:
            shape.append(count)
        self.shape = tuple(shape)
        self.dtype = dtype
        self._data = data
        self._convert = convert
        self._samples = samples
        self._adds = samples is None and count is not None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read and convert a hyper-rectangle."""
        if self._adds:
            return self._convert(np.asarray(self._data[key[:-1]]))[..., key[-1]]
        if self._samples is None:
            return self._convert(np.asarray(self._data[key]))
        at = self._samples
        block = np.asarray(self._data[(*key[:at], slice(None), *key[at + 1 :])])
        place = sum(isinstance(k, slice) for k in key[:at])
        turned = self._convert(np.moveaxis(block, place, -1))[..., key[at]]
        return np.moveaxis(turned, -1, place) if isinstance(key[at], slice) else turned


def as_colours(
    data: Any, axes: str, page: tifffile.TiffPage, path: Path, *, labels: bool = False
) -> tuple[Any, str]:
    """Return the pixels of a TIFF as grey values or RGB, and their axes.

    Parameters
    ----------
    data
        Array-like of the stored pixels.
    axes
        Of ``data``.
    page
        Has the tags that describe the pixels.
    path
        The file, for messages.
    labels
        They are ids: of a palette the indices.

    Raises
    ------
    DataError
        When the colours cannot be converted, or labels are changed by compression.
    """
    kind = int(page.photometric)
    if labels and page.compression in _JPEG:
        raise DataError(
            f"{path}: JPEG changes the values of labels; export them as PNG, or as "
            "TIFF of another compression"
        )
    if kind in _UNKNOWN_COLOURS:
        raise DataError(
            f"{path} holds {_UNKNOWN_COLOURS[kind]}, which is not converted to RGB; "
            "export it as RGB"
        )
    if kind == _PALETTE:
        return _palette(data, axes, page, labels=labels)
    if kind == _MINISWHITE:
        return _white_is_zero(data, axes, page, path, labels=labels)
    if kind in (_CMYK, _LAB, _ICC_LAB) or (
        kind == _YCBCR and page.compression not in _JPEG
    ):
        return _converted(data, axes, page, path)
    _check_fourth(page, axes, path)
    if (
        kind in (_MINISBLACK, _RGB)
        and page.extrasamples[:1] == (_PREMULTIPLIED,)
        and "S" in axes
    ):
        at = axes.index("S")
        return ColourPixels(data, _unmultiply, data.dtype, at, data.shape[at]), axes
    return data, axes


def has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the last sample of a pixel is its opacity."""
    return bool(page.extrasamples) and int(page.extrasamples[-1]) in (
        _PREMULTIPLIED,
        _ALPHA,
    )


def _check_fourth(page: tifffile.TiffPage, axes: str, path: Path) -> None:
    """Refuse a sample beside red, green and blue whose meaning is not recorded."""
    if (
        int(page.photometric) == _RGB
        and page.samplesperpixel == 4
        and tuple(map(int, page.extrasamples)) == (0,)
        and "S" in axes
    ):
        raise DataError(
            f"{path} has a fourth sample beside red, green and blue and no record of "
            f"what it is; state --axes {axes.replace('S', 'C')} to take all four for "
            "channels, or save it as RGB"
        )


def _palette(
    data: Any, axes: str, page: tifffile.TiffPage, *, labels: bool
) -> tuple[Any, str]:
    # ImageJ and OME keep measured values and a table of how to show them.
    shown_only = page.parent.is_imagej or page.parent.is_ome
    if labels or shown_only or set(axes) & set("CS") or page.colormap is None:
        return data, axes
    table = np.asarray(page.colormap).T
    # Some writers put 8 bits where the format has 16.
    table = (table if table.max() < 256 else table >> 8).astype(np.uint8)

    def convert(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return table[np.minimum(block.astype(np.intp), len(table) - 1)]

    return ColourPixels(data, convert, np.dtype(np.uint8), None, 3), axes + "S"


def _white_is_zero(
    data: Any, axes: str, page: tifffile.TiffPage, path: Path, *, labels: bool
) -> tuple[Any, str]:
    dtype = np.dtype(data.dtype)
    # ImageJ keeps measured values and inverts how they are shown; tifffile stores
    # arrays of bool as they are and marks them so.
    as_array = dtype.kind == "b" and page.software == "tifffile.py"
    if page.parent.is_imagej or as_array:
        return data, axes
    if labels and page.bitspersample != 1:
        raise DataError(
            f"{path} is marked with 0 as white, so it may be inverted; save the labels "
            "with 0 as black"
        )
    if dtype.kind not in "bu":
        raise DataError(
            f"{path} is marked with 0 as white, of {dtype} pixels, which has no "
            "meaning; export it with 0 as black"
        )
    if dtype.kind == "b":
        return ColourPixels(data, np.logical_not, dtype, None, None), axes
    white = dtype.type(2 ** int(page.bitspersample) - 1)
    return ColourPixels(data, lambda block: white - block, dtype, None, None), axes


def _converted(
    data: Any, axes: str, page: tifffile.TiffPage, path: Path
) -> tuple[Any, str]:
    kind, dtype = int(page.photometric), np.dtype(data.dtype)
    name = {_CMYK: "CMYK", _YCBCR: "YCbCr"}.get(kind, "CIE L*a*b*")
    wanted = 4 if kind == _CMYK else 3
    inks = page.tags.valueof(332, 1)
    if (
        "S" not in axes
        or data.shape[axes.index("S")] < wanted
        or dtype.kind != "u"
        or page.bitspersample not in (8, 16)
        or (kind == _CMYK and (inks != 1 or page.compression in _JPEG))
        or (kind == _YCBCR and tuple(page.subsampling or (1, 1)) != (1, 1))
    ):
        raise DataError(
            f"{path} holds {name} colours of a kind that is not converted to RGB; "
            "export it as RGB"
        )
    highest = float(np.iinfo(dtype).max)
    luma = _fractions(page.tags.valueof(529)) or _LUMA
    to_unit: _Convert = {
        _CMYK: lambda block: (
            (1 - block[..., :3] / highest) * (1 - block[..., 3:4] / highest)
        ),
        _YCBCR: lambda block: _ycbcr(block / highest, luma, highest),
        _LAB: lambda block: _lab(block, signed=True),
        _ICC_LAB: lambda block: _lab(block, signed=False),
    }[kind]

    def convert(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
        scaled = np.rint(np.clip(to_unit(block), 0, 1) * highest)
        return scaled.astype(dtype.newbyteorder("="))

    return ColourPixels(data, convert, dtype, axes.index("S"), 3), axes


def _ycbcr(
    block: npt.NDArray[Any], luma: tuple[float, ...], highest: float
) -> npt.NDArray[Any]:
    y = block[..., 0]
    middle = (highest + 1) / 2 / highest
    blue_difference, red_difference = block[..., 1] - middle, block[..., 2] - middle
    red = y + 2 * (1 - luma[0]) * red_difference
    blue = y + 2 * (1 - luma[2]) * blue_difference
    green = (y - luma[0] * red - luma[2] * blue) / luma[1]
    return np.stack([red, green, blue], axis=-1)


def _lab(block: npt.NDArray[Any], *, signed: bool) -> npt.NDArray[Any]:
    from skimage.color import lab2rgb

    highest = float(np.iinfo(block.dtype).max)
    step = (highest + 1) / 256
    native = block.astype(block.dtype.newbyteorder("="))
    ab = native[..., 1:3].astype(np.float64)
    if signed:
        ab = native[..., 1:3].view(f"i{block.dtype.itemsize}") / step
    else:
        ab = ab / step - 128
    lab = np.concatenate([block[..., :1] * (100 / highest), ab], axis=-1)
    rgb: npt.NDArray[Any] = lab2rgb(lab)
    return rgb


def _unmultiply(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Undo the multiplication of colours by alpha; what is invisible stays 0."""
    alpha = block[..., -1:]
    highest = np.iinfo(block.dtype).max if block.dtype.kind in "iu" else 1
    if (alpha == highest).all():
        return block
    with np.errstate(divide="ignore", invalid="ignore"):
        colours = np.where(alpha > 0, block[..., :-1] * (highest / alpha), 0)
    colours = np.clip(colours, 0, highest)
    if block.dtype.kind in "iu":
        colours = np.rint(colours)
    return np.concatenate([colours.astype(block.dtype), alpha], axis=-1)


def _fractions(value: Any) -> tuple[float, ...] | None:
    """Return pairs of numerators and denominators as numbers."""
    if value is None or len(value) != 6:
        return None
    numbers = tuple(
        a / b if b else 0.0 for a, b in zip(value[::2], value[1::2], strict=True)
    )
    return numbers if all(n > 0 for n in numbers) else None

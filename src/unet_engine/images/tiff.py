"""TIFF, OME-TIFF and ImageJ stacks read page by page, strip by strip, tile by tile."""

from __future__ import annotations

import logging
import struct
import threading
from collections import OrderedDict
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from unet_engine.errors import DataError
from unet_engine.images.image import AXES, Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

logger = logging.getLogger(__name__)

_CACHE_BYTES = 2**27
_SPARE_AXES = "ZTPR"
_COLOURS = (2, 5, 6, 8)
"""PhotometricInterpretation of RGB, CMYK, YCbCr and CIE Lab."""

_SEPARATE = 2
_READ_ERRORS = (
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)
"""What damaged or exotic files make the decoders raise."""

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


def open_tiff(path: Path, axes: str | None) -> Image:
    """Open the first image series of a TIFF lazily.

    Raises
    ------
    DataError
        When the file is no TIFF, is truncated, or has axes that do not fit.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            return _open_series(tif, path, axes)
    except _READ_ERRORS as error:
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
    _check_complete(series, path)
    # Axes of length 1 are dropped, unless the caller names them too.
    dropped = axes is None or len(axes) != len(series.get_shape(squeeze=False))
    shape = series.get_shape(squeeze=dropped)
    data: Any
    if series.transform is not None or series.keyframe.imagedepth > 1:
        data = series.asarray().reshape(shape)
    elif series.dataoffset is not None:
        data = np.memmap(
            path,
            dtype=series.dtype.newbyteorder(tif.byteorder),
            mode="r",
            offset=series.dataoffset,
            shape=shape,
        )
    else:
        data = TiffPages.of_series(series, shape)
    return Image.from_array(
        data,
        _known_axes(series) if axes is None else axes,
        name=path.name,
        pixel_size_um=_pixel_size(tif, series),
    )


def _known_axes(series: tifffile.TiffPageSeries) -> str:
    """Return the axes in our letters: unknown ones of a stack are taken for depth."""
    given: str = series.axes
    page = series.keyframe
    if page.photometric not in _COLOURS or (
        page.planarconfig == _SEPARATE and page.dtype != np.uint8
    ):
        # Samples that are no colour are channels; and writers that guess store three
        # planes of a stack as "RGB, separate".
        given = given.replace("S", "C", "C" not in given)
    spare = iter(letter for letter in _SPARE_AXES if letter not in given)
    try:
        return "".join(a if a in AXES else next(spare) for a in given)
    except (StopIteration, RuntimeError):
        raise DataError(
            f"the axes {given!r} of {series.parent} are too many to guess; "
            f"state them, one letter of {AXES} for each"
        ) from None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    path: str
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    jpegtables: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How a page is cut into strips or tiles; the same for all pages of a series."""

    axes: str
    height: int
    width: int
    planes: int
    samples: int
    segment: tuple[int, int]
    dtype: np.dtype[Any]
    fill: float
    decode: Callable[..., Any]
    jpeg: dict[str, Any] | None

    @classmethod
    def of_page(cls, page: tifffile.TiffPage) -> _Layout:
        planes, _, height, width, samples = page.shaped
        tiled = page.is_tiled
        return cls(
            axes=page.axes,
            height=height,
            width=width,
            planes=planes,
            samples=samples,
            segment=(
                (page.tilelength, page.tilewidth)
                if tiled
                else (min(page.rowsperstrip, height), width)
            ),
            dtype=page.dtype,
            fill=page.nodata,
            decode=page.decode,
            jpeg=(
                {"jpegheader": page.jpegheader}
                if page.compression in (6, 7, 34892, 33007)
                else None
            ),
        )

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.height // self.segment[0]), -(-self.width // self.segment[1])


class TiffPages:
    """The pages of a TIFF series as one array that decodes only what is sliced.

    Takes basic slicing with a full key of integers and slices. The file is opened for
    each read and not held; decoded segments are kept up to 128 MiB, because tiles of
    a prediction share them.
    """

    def __init__(
        self, pages: Sequence[_Page | None], layout: _Layout, shape: tuple[int, ...]
    ) -> None:
        self.shape = shape
        self.dtype = layout.dtype
        self._pages = pages
        self._layout = layout
        self._cache: OrderedDict[tuple[int, int], npt.NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of_series(
        cls, series: tifffile.TiffPageSeries, shape: tuple[int, ...]
    ) -> TiffPages:
        """Note where the segments of a series lie; its file may be closed then."""
        pages = [
            None
            if page is None
            else _Page(
                path=page.parent.filehandle.path,
                offsets=tuple(page.dataoffsets),
                lengths=tuple(page.databytecounts),
                jpegtables=page.jpegtables,
            )
            for page in series.pages
        ]
        return cls(pages, _Layout.of_page(series.keyframe), tuple(shape))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Decode a hyper-rectangle; steps are not supported in the plane.

        Raises
        ------
        DataError
            When the file has vanished or a segment cannot be decoded.
        """
        split = self.ndim - len(self._layout.axes)
        numbers = np.arange(len(self._pages)).reshape(self.shape[:split])[key[:split]]
        inner = dict(zip(self._layout.axes, key[split:], strict=True))
        rows, columns = (
            range(*inner[axis].indices(size))  # type: ignore[union-attr]
            for axis, size in (("Y", self._layout.height), ("X", self._layout.width))
        )
        numbers = np.asarray(numbers)
        blocks = [self._read(int(n), rows, columns) for n in numbers.flat]
        block = np.stack(blocks).reshape(*numbers.shape, *blocks[0].shape)
        sample = inner.get("S", slice(None))
        axis = numbers.ndim + self._layout.axes.find("S")
        return block[(slice(None),) * axis + (sample,)] if "S" in inner else block

    def _read(self, number: int, rows: range, columns: range) -> npt.NDArray[Any]:
        """Decode a region of one page, in the order of the page's axes."""
        layout = self._layout
        out = np.full(
            (layout.planes, len(rows), len(columns), layout.samples),
            layout.fill,
            dtype=layout.dtype,
        )
        height, width = layout.segment
        across = layout.grid[1]
        for plane, r, c in product(
            range(layout.planes),
            range(rows.start // height, -(-rows.stop // height)),
            range(columns.start // width, -(-columns.stop // width)),
        ):
            segment = self._segment(number, plane * prod(layout.grid) + r * across + c)
            if segment is None:
                continue
            y, x = r * height, c * width
            top, left = max(y, rows.start), max(x, columns.start)
            part = segment[top - y : rows.stop - y, left - x : columns.stop - x]
            out[
                plane,
                top - rows.start : top - rows.start + part.shape[0],
                left - columns.start : left - columns.start + part.shape[1],
            ] = part
        if layout.axes == "SYX":
            return out[..., 0]
        return out[0] if layout.axes == "YXS" else out[0, :, :, 0]

    def _segment(self, number: int, index: int) -> npt.NDArray[Any] | None:
        """Return a strip or tile, ``(h, w, samples)``, decoded or from the cache."""
        page = self._pages[number]
        if page is None or not page.lengths[index]:
            return None
        with self._lock:
            if (number, index) in self._cache:
                self._cache.move_to_end((number, index))
                return self._cache[number, index]
        segment = self._decode(page, index)
        with self._lock:
            self._cache[number, index] = segment
            while sum(s.nbytes for s in self._cache.values()) > _CACHE_BYTES:
                self._cache.popitem(last=False)
        return segment

    def _decode(self, page: _Page, index: int) -> npt.NDArray[Any]:
        options = dict(self._layout.jpeg or {})
        if self._layout.jpeg is not None:
            options["jpegtables"] = page.jpegtables
        try:
            with open(page.path, "rb") as file:
                file.seek(page.offsets[index])
                data = file.read(page.lengths[index])
            segment, _, _ = self._layout.decode(data, index, **options)
        except OSError as error:
            raise DataError(f"{page.path} cannot be read: {error}") from error
        except _READ_ERRORS as error:
            raise DataError(
                f"{page.path} cannot be decoded ({error}); it is damaged, or its "
                "compression is not supported: export it again, uncompressed"
            ) from error
        block: npt.NDArray[Any] = segment[0]
        return block

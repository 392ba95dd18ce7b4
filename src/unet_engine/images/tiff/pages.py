"""``TiffPages``: a TIFF series read strip by strip and tile by tile."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from unet_engine.errors import DataError
from unet_engine.images.zarr.chunks import RecentBlocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

READ_ERRORS = (
    tifffile.TiffFileError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    AttributeError,
    AssertionError,
    SyntaxError,
    MemoryError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What damaged or exotic files make the decoders raise."""


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
        self._cache = RecentBlocks()

    @staticmethod
    def can_hold(series: tifffile.TiffPageSeries, shape: tuple[int, ...]) -> bool:
        """Whether the pages are planes that make up ``shape``."""
        page = series.keyframe
        return bool(page.imagedepth == 1 and shape[-len(page.shape) :] == page.shape)

    @classmethod
    def of_series(
        cls,
        series: tifffile.TiffPageSeries,
        shape: tuple[int, ...],
        found: Sequence[tifffile.TiffPage | tifffile.TiffFrame | None],
    ) -> TiffPages:
        """Record where the segments of pages lie; their file may be closed then.

        Parameters
        ----------
        series
            How its pages are cut is that of all.
        shape
            Of all pages together.
        found
            The pages, perhaps of several such series.
        """
        pages = [
            None
            if page is None
            else _Page(
                path=page.parent.filehandle.path,
                offsets=tuple(page.dataoffsets),
                lengths=tuple(page.databytecounts),
                jpegtables=page.jpegtables,
            )
            for page in found
        ]
        layout = _Layout.of_page(series.keyframe)
        segments = layout.planes * prod(layout.grid)
        if any(p and min(len(p.offsets), len(p.lengths)) < segments for p in pages):
            raise ValueError(f"a page has fewer than its {segments} strips or tiles")
        return cls(pages, layout, tuple(shape))

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
        return self._cache.get((number, index), lambda: self._decode(page, index))

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
        except READ_ERRORS as error:
            raise DataError(
                f"{page.path} cannot be decoded ({error}); it is damaged, or its "
                "compression is not supported: export it again, uncompressed"
            ) from error
        block: npt.NDArray[Any] = segment[0]
        return block


class MappedPixels:
    """Pixels that lie in a file as they do in an array, mapped for each read.

    A mapping that is kept would count all that was ever read as used memory, and kill
    the process when another one cuts the file short.
    """

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self._path = path
        self._offset = offset

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Copy a part; takes what numpy takes.

        Raises
        ------
        DataError
            When the file has vanished or become shorter.
        """
        try:
            mapped = np.memmap(self._path, self.dtype, "r", self._offset, self.shape)
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self._path} cannot be read any more ({error}); it was removed or "
                "cut short: copy or export it again"
            ) from error
        return np.array(mapped[key])

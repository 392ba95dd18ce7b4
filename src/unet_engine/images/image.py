"""``Image``: an array-like with named axes that is read region by region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError, EngineError
from unet_engine.images.axes import (
    channels_first,
    check_dtype,
    check_letters,
    count_channels,
    title_of,
)
from unet_engine.images.no_data import RUN, missing
from unet_engine.images.pixel_size import PixelSize
from unet_engine.images.stains import LUMINANCE, Stain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from unet_engine.images.no_data import Fill
    from unet_engine.images.source_files import Source


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A lazy image with named axes. Make one with ``from_array`` or ``open_image``.

    Attributes
    ----------
    data
        The array-like; nothing of it is read before ``read`` is called.
    axes
        A letter of ``AXES`` for each axis of ``data``.
    name
        What to call the image in messages.
    rgb
        True when the channels are red, green and blue.
    pixel_size
        Steps along T, Z, Y and X with their units, as far as they are known.
    selection
        Channels of the file that ``read`` returns; an alpha channel is not among them,
        and one that is there three times is a grey image for a model of colour.
    grey
        True when ``read`` returns one channel made of the three selected ones.
    source
        The files that the pixels are read from, if there are any.
    fills
        Values that fill the border and are no data, for each selected channel, of a
        colour image for all of them at once; see ``no_data``. Where there are any,
        ``read`` returns floats with NaN in their place.
    stain
        How ``grey`` is the optical density of the dye of nuclei in place of the
        luminance, where it is; see ``images.stains``.
    """

    data: Any
    axes: str
    name: str
    rgb: bool
    pixel_size: PixelSize
    selection: tuple[int, ...]
    grey: bool = False
    source: Source | None = None
    fills: tuple[Fill, ...] = ()
    stain: Stain | None = None

    @classmethod
    def from_array(
        cls,
        data: Any,
        axes: str,
        *,
        name: str = "",
        rgb: bool = False,
        pixel_size: PixelSize | None = None,
        pixel_size_um: float | None = None,
        slice_step_um: float | None = None,
    ) -> Image:
        """Wrap an array-like without reading it.

        Parameters
        ----------
        data
            Has ``shape``, ``dtype`` and basic slicing: numpy, dask, zarr, ...
        axes
            A letter for each axis, such as ``"YX"``, ``"TZCYX"`` or ``"YXS"``.
        name
            What to call the image in messages.
        rgb
            The channels are red, green, blue and perhaps alpha. Implied by an axis
            ``S`` of 3 or 4.
        pixel_size
            Steps along T, Z, Y and X with their units.
        pixel_size_um, slice_step_um
            Edge of a square pixel and distance of two slices along Z in micrometres,
            where no ``pixel_size`` is given.

        Raises
        ------
        DataError
            When axes and array do not fit, or pixels are no real numbers.
        """
        shape = tuple(int(n) for n in data.shape)
        check_letters(axes, shape, name)
        check_dtype(data.dtype, name)
        count, rgb = count_channels(axes, shape, rgb, name)
        if pixel_size is None:
            pixel_size = PixelSize.of_micrometres(
                x=pixel_size_um, y=pixel_size_um, z=slice_step_um
            )
        return cls(data, axes, name, rgb, pixel_size, tuple(range(count)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the blocks that ``read`` returns."""
        dtype = np.dtype(self.data.dtype).newbyteorder("=")
        if any(self.fills) and dtype.kind != "f":
            dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
        return np.dtype(np.float32) if self.grey else dtype

    @property
    def leading_axes(self) -> str:
        """All axes but the channels and the plane, in the order of the data."""
        return "".join(a for a in self.axes if a not in "YXCS")

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Lengths of ``leading_axes``."""
        return tuple(self._length(axis) for axis in self.leading_axes)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._length("Y"), self._length("X")

    @property
    def elongation(self) -> float | None:
        """Distance of two slices over that of two pixels, if both are known."""
        return self.pixel_size.elongation

    @property
    def pixel_size_um(self) -> float | None:
        """Edge of a pixel in micrometres, if it is known and pixels are square."""
        edges = self.pixel_size.lengths("YX")
        return edges[0] if edges is not None and edges[0] == edges[1] else None

    @property
    def slice_step_um(self) -> float | None:
        """Distance of two slices along Z in micrometres, if it is known."""
        return self.pixel_size.micrometres("Z")

    @property
    def channels(self) -> int:
        """Number of channels that ``read`` returns."""
        return 1 if self.grey else len(self.selection)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Iterate over all planes; a single plane has the index ``()``."""
        return np.ndindex(*self.leading_shape)

    def read(
        self,
        index: Sequence[int] = (),
        region: Sequence[slice] = (slice(None), slice(None)),
    ) -> npt.NDArray[Any]:
        """Read a region of one plane, and nothing else.

        Parameters
        ----------
        index
            Position along ``leading_axes``.
        region
            Slices of height and width inside the image.

        Returns
        -------
        ndarray
            ``(channels, h, w)`` in the dtype of the file, native byte order; float32
            for one channel of colours, floats where ``fills`` become NaN.

        Raises
        ------
        DataError
            When the index does not fit the axes or the data cannot be read.
        """
        if len(index) != len(self.leading_axes):
            raise DataError(
                f"{self._title} has the leading axes {self.leading_axes!r}; "
                f"the index {tuple(index)} does not fit them"
            )
        if any(self.fills):
            return self._read_without_fill(index, region)
        block = self._read_samples(index, region)
        return self._one_channel(block) if self.grey else block

    def luminance(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the luminance of a colour block.

        Parameters
        ----------
        block
            ``(3, h, w)`` red, green and blue of any dtype.

        Returns
        -------
        ndarray
            ``(1, h, w)`` float32.
        """
        weights = np.asarray(LUMINANCE, dtype=np.float32)
        grey: npt.NDArray[np.float32] = np.tensordot(
            weights, block.astype(np.float32), axes=1
        )[None]
        return grey

    def _one_channel(self, block: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what a model of one channel reads of ``(3, h, w)`` colours."""
        if self.stain is None:
            return self.luminance(block)
        return self.stain.density(block)

    def _read_samples(
        self, index: Sequence[int], region: Sequence[slice]
    ) -> npt.NDArray[Any]:
        """Read the selected channels, of a colour image its colours."""
        key = self.key((*map(int, index), *region))
        block = channels_first(self.read_raw(key), self.axes)
        if self.selection != tuple(range(block.shape[0])):
            block = block[list(self.selection)]
        return block.astype(block.dtype.newbyteorder("="), copy=False)

    def _read_without_fill(
        self, index: Sequence[int], region: Sequence[slice]
    ) -> npt.NDArray[Any]:
        """Read with NaN in place of the fill, which is found by its neighbourhood."""
        spans = [
            part.indices(size)[:2]
            for part, size in zip(region, self.plane_shape, strict=True)
        ]
        outer = [
            (max(0, start - RUN), min(size, stop + RUN))
            for (start, stop), size in zip(spans, self.plane_shape, strict=True)
        ]
        block = self._read_samples(index, [slice(*span) for span in outer])
        sides = [
            at == limit
            for span, size in zip(outer, self.plane_shape, strict=True)
            for at, limit in zip(span, (0, size), strict=True)
        ]
        inner = tuple(
            slice(start - low, stop - low)
            for (start, stop), (low, _) in zip(spans, outer, strict=True)
        )
        found = block[:, *inner]
        pixels = (self._one_channel(found) if self.grey else found).astype(self.dtype)
        step = len(block) // len(self.fills)
        for number, fill in enumerate(self.fills):
            if not fill:
                continue
            samples = slice(number * step, (number + 1) * step)
            lost = missing(block[samples], fill, sides)[inner]
            pixels[slice(None) if self.grey else samples, lost] = np.nan
        return pixels

    def read_raw(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a part of the data as it is stored.

        Parameters
        ----------
        key
            For each axis of the data, as ``key`` returns it.

        Raises
        ------
        DataError
            When it cannot be read.
        """
        try:
            return np.asarray(self.data[key])
        except (EngineError, MemoryError):
            raise
        except Exception as error:
            # What a lazy array has to compute first may fail in any way.
            raise DataError(
                f"{self._title} cannot be read any more: {_describe(error)}"
            ) from error

    def key(self, where: Sequence[int | slice]) -> tuple[int | slice, ...]:
        """Return the key into ``data`` of a place along ``leading_axes``, Y and X."""
        places = dict(zip(self.leading_axes + "YX", where, strict=True))
        return tuple(places.get(axis, slice(None)) for axis in self.axes)

    def read_volume(
        self, index: Sequence[int], region: Sequence[slice]
    ) -> npt.NDArray[Any]:
        """Read a region of slices that follow each other, and nothing else.

        Parameters
        ----------
        index
            Position along ``leading_axes`` but the last one, which is Z.
        region
            Slices of Z, height and width inside the image, with start and stop.

        Returns
        -------
        ndarray
            ``(channels, d, h, w)`` in the dtype of ``read``.

        Raises
        ------
        DataError
            When the index does not fit the axes or the data cannot be read.
        """
        depth, *plane = region
        return np.stack(
            [self.read((*index, z), plane) for z in range(depth.start, depth.stop)],
            axis=1,
        )

    def select_channel(self, channel: int) -> Image:
        """Return a view of one channel.

        Raises
        ------
        DataError
            When there is no such channel.
        """
        if self.grey or not 0 <= channel < self.channels:
            raise DataError(
                f"{self._title} has no channel {channel}; "
                f"choose one from 0 to {self.channels - 1}"
            )
        return replace(self, selection=(self.selection[channel],), rgb=False)

    def to_grey(self) -> Image:
        """Return a view of the luminance of a colour image.

        Raises
        ------
        DataError
            When the image is not RGB.
        """
        if not self.rgb:
            raise DataError(f"{self._title} is not a colour image; choose a channel")
        return replace(self, grey=True, rgb=False)

    def to_colour(self) -> Image:
        """Return a view of a single channel as red, green and blue, all alike.

        Raises
        ------
        DataError
            When the image has several channels.
        """
        if self.grey or self.channels != 1:
            raise DataError(f"{self._title} is not a single channel; choose one")
        return replace(self, selection=3 * self.selection, rgb=True)

    def _length(self, axis: str) -> int:
        return int(self.data.shape[self.axes.index(axis)])

    @property
    def _title(self) -> str:
        return title_of(self.name)


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__

"""Tile geometry without pixels: inner, halo, outer.

::

    outer.start   inner.start        inner.stop   outer.stop
        |-- halo --|====== inner ======|-- halo --|
                   disjoint, cover the
                   image exactly

Every outer region starts ``halo`` before its inner one, and every inner one starts on
the pooling grid (a multiple of ``divisor``). All tiles, and the image taken as one
tile, therefore have the pooling grid in the same phase, which makes the result of
tiles equal to that of the whole (the overlap-tile strategy of Ronneberger, Fischer,
Brox 2015, Fig. 2). A network that pads itself gets nothing from beyond the image, as
in training; for one that does not the outer region is filled by mirroring.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from unet_engine.places import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What input a network needs, per spatial axis, in pixels.

    Attributes
    ----------
    halo
        Context that an output pixel needs on each side (radius of the receptive field).
    divisor, remainder
        An input size ``n`` is allowed when ``n % divisor == remainder``.
    padded
        The network pads itself: an outer region ends where the image does, and else
        on the pooling grid, so that its phase is the same in all tiles.
    """

    halo: tuple[int, ...]
    divisor: tuple[int, ...]
    remainder: tuple[int, ...]
    padded: bool = False

    @classmethod
    def isotropic(
        cls,
        ndim: int,
        *,
        halo: int,
        divisor: int,
        remainder: int = 0,
        padded: bool = False,
    ) -> Footprint:
        """Give the same figures to each of ``ndim`` axes."""
        return cls(
            halo=(halo,) * ndim,
            divisor=(divisor,) * ndim,
            remainder=(remainder % divisor,) * ndim,
            padded=padded,
        )

    def allowed_size(self, size: int, axis: int) -> int:
        """Return the smallest allowed input size that is at least ``size``."""
        return size + (self.remainder[axis] - size) % self.divisor[axis]

    def around(
        self, inner: Sequence[Interval], shape: Sequence[int] | None = None
    ) -> tuple[Interval, ...]:
        """Return the outer region of an inner one.

        Parameters
        ----------
        inner
            Interval per axis.
        shape
            Of the image; None where nothing is known of its border.
        """
        outer = []
        for axis, ((start, stop), halo) in enumerate(
            zip(inner, self.halo, strict=True)
        ):
            low = start - halo
            if self.padded:
                low -= low % self.divisor[axis]
            high = low + self.allowed_size(stop + halo - low, axis)
            if self.padded and shape is not None:
                low = max(low, 0)
                high = min(high, self.allowed_size(shape[axis], axis))
            outer.append((low, high))
        return tuple(outer)


@dataclass(frozen=True, slots=True)
class Tile:
    """One step of a plan; intervals are ``(start, stop)`` per axis in image pixels."""

    inner: tuple[Interval, ...]
    outer: tuple[Interval, ...]

    @property
    def inner_slices(self) -> tuple[slice, ...]:
        """Slices of the inner region in the image."""
        return tuple(slice(*interval) for interval in self.inner)

    @property
    def outer_shape(self) -> tuple[int, ...]:
        """Size of the network's input."""
        return tuple(stop - start for start, stop in self.outer)

    def local_slices(self, output_shape: Sequence[int]) -> tuple[slice, ...]:
        """Slices of the inner region in the network's output.

        A network without padding returns less than its input; what is missing is
        missing on both sides alike.
        """
        slices = []
        for (start, stop), (low, high), out in zip(
            self.inner, self.outer, output_shape, strict=True
        ):
            offset = start - low - (high - low - out) // 2
            slices.append(slice(offset, offset + stop - start))
        return tuple(slices)


@dataclass(frozen=True, kw_only=True)
class TilePlan:
    """All tiles of one plane or volume: disjoint inner regions that cover ``shape``."""

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    footprint: Footprint
    origin: tuple[int, ...]

    @classmethod
    def for_shape(
        cls,
        shape: Sequence[int],
        *,
        tile: int | Sequence[int],
        footprint: Footprint,
        origin: Sequence[int] | None = None,
    ) -> TilePlan:
        """Plan ``shape`` in tiles of about ``tile`` pixels.

        Parameters
        ----------
        shape
            Spatial shape, ``(Y, X)`` or ``(Z, Y, X)``.
        tile
            Edge of the inner region, for all axes or per axis; rounded up to the
            pooling grid and cut to the image.
        footprint
            What the network needs, for the same axes.
        origin
            Where a tile begins, per axis, rounded down to the pooling grid; those
            before and after it follow. None: at the first pixel.

        Raises
        ------
        SpecError
            When a size is below 1, or axes and footprint do not match.
        """
        shape = tuple(int(n) for n in shape)
        sizes = (tile,) * len(shape) if isinstance(tile, int) else tuple(tile)
        if len(sizes) != len(shape) or len(footprint.halo) != len(shape):
            raise SpecError(
                f"a plan for shape {shape} needs {len(shape)} tile sizes and a "
                f"footprint of {len(shape)} axes, got {sizes} and {footprint.halo}"
            )
        if min((*shape, *sizes), default=0) < 1:
            raise SpecError(
                f"an image of shape {shape} in tiles of {sizes} has no pixels; "
                "use sizes of at least 1"
            )
        aligned = tuple(
            -(-min(size, n) // d) * d
            for size, n, d in zip(sizes, shape, footprint.divisor, strict=True)
        )
        first = tuple(
            start // d * d % edge
            for start, d, edge in zip(
                origin or (0,) * len(shape), footprint.divisor, aligned, strict=True
            )
        )
        return cls(shape=shape, tile=aligned, footprint=footprint, origin=first)

    @cached_property
    def starts(self) -> tuple[tuple[int, ...], ...]:
        """Where the inner regions begin, per axis."""
        return tuple(
            (0,) * (first > 0) + tuple(range(first, n, size))
            for n, size, first in zip(self.shape, self.tile, self.origin, strict=True)
        )

    @cached_property
    def intervals(self) -> tuple[tuple[Interval, ...], ...]:
        """The inner regions, per axis."""
        return tuple(
            tuple(pairwise((*starts, n)))
            for starts, n in zip(self.starts, self.shape, strict=True)
        )

    def nearest_first(self, point: Sequence[float]) -> tuple[Tile, ...]:
        """Order the tiles by the distance of their centre from ``point`` (pixels)."""

        def distance(tile: Tile) -> float:
            return sum(
                ((start + stop) / 2 - p) ** 2
                for (start, stop), p in zip(tile.inner, point, strict=True)
            )

        return tuple(sorted(self, key=distance))

    @property
    def largest_outer(self) -> tuple[int, ...]:
        """Largest network input of the plan: what has to fit the memory."""
        ends = max(map(len, self.intervals))
        # Outer regions are per axis: the n-th of each, or its last, are all of them.
        rows = ([i[min(n, len(i) - 1)] for i in self.intervals] for n in range(ends))
        shapes = (self._tile(row).outer_shape for row in rows)
        return tuple(map(max, zip(*shapes, strict=True)))

    def _tile(self, inner: Iterable[Interval]) -> Tile:
        inner = tuple(inner)
        return Tile(inner, self.footprint.around(inner, self.shape))

    def __len__(self) -> int:
        return prod(map(len, self.intervals))

    def __iter__(self) -> Iterator[Tile]:
        # One by one: of a volume of a petabyte they would fill the memory.
        return map(self._tile, product(*self.intervals))

    def __getitem__(self, number: int) -> Tile:
        """Return the tile of a number in raster order."""
        inner = []
        for intervals in reversed(self.intervals):
            number, place = divmod(number, len(intervals))
            inner.append(intervals[place])
        if number:
            raise IndexError("there is no such tile")
        return self._tile(reversed(inner))


def spanning(regions: Iterable[tuple[Interval, ...]]) -> tuple[Interval, ...]:
    """Return the smallest region that holds all regions."""
    return tuple(
        (min(start for start, _ in axis), max(stop for _, stop in axis))
        for axis in zip(*regions, strict=True)
    )


def reflect_indices(start: int, stop: int, size: int) -> npt.NDArray[np.intp]:
    """Map positions ``start..stop`` onto an axis of ``size`` pixels by mirroring.

    The border pixel is not repeated (numpy's ``reflect``), and the mirror image is
    mirrored again as often as needed, so any halo fits any image; an axis of one
    pixel repeats it.

    Returns
    -------
    ndarray
        ``(stop - start,)`` intp, each in ``[0, size)``.
    """
    if size == 1:
        return np.zeros(stop - start, dtype=np.intp)
    period = 2 * (size - 1)
    folded = np.abs(np.arange(start, stop)) % period
    return np.where(folded < size, folded, period - folded).astype(np.intp)


def read_reflected(
    read: Callable[[tuple[slice, ...]], npt.NDArray[np.generic]],
    outer: Sequence[Interval],
    shape: Sequence[int],
) -> npt.NDArray[np.generic]:
    """Read an outer region, mirrored where it leaves the image.

    Parameters
    ----------
    read
        Gives the pixels of slices inside the image, ``(C, *spatial)``; called once.
    outer
        Interval per spatial axis, which may reach beyond the image.
    shape
        Spatial shape of the image.

    Returns
    -------
    ndarray
        ``(C, *outer)``, in the dtype of the image.
    """
    indices = [
        reflect_indices(start, stop, size)
        for (start, stop), size in zip(outer, shape, strict=True)
    ]
    lows = [int(i.min()) for i in indices]
    block = read(
        tuple(slice(lo, int(i.max()) + 1) for lo, i in zip(lows, indices, strict=True))
    )
    for axis, (low, index) in enumerate(zip(lows, indices, strict=True), start=1):
        if len(index) != block.shape[axis] or np.any(np.diff(index) != 1):
            block = np.take(block, index - low, axis=axis)
    return block

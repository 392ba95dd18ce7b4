"""A view of an image on a grid of another size, resampled as it is read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.images.image import Image
from unet_engine.tiling.resampling import AxisWeights, resampled_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from unet_engine.places import Interval


def resampled_image(image: Image, factors: Mapping[str, float]) -> Image:
    """Return a lazy view of an image at another scale.

    A pixel of the view depends on its place alone, so that any block that is read is
    that part of the whole. Pixels that are NaN stay out of their neighbours.

    Parameters
    ----------
    image
        As a model takes it: with its channels, and its fill as NaN.
    factors
        By axis, of ``ZYX``: how many pixels become of one. Linear interpolation above
        1, a mean with linearly falling weights below.

    Returns
    -------
    Image
        Of floats, with the leading axes of the image; no colour image, whose channels
        it has, as its brightness was measured before.
    """
    pixels = ResampledPixels(image, factors)
    view = Image.from_array(pixels, pixels.axes, name=image.name)
    return replace(view, source=image.source)


class ResampledPixels:
    """The array-like of a resampled image.

    Parameters
    ----------
    image, factors
        As of `resampled_image`.

    Attributes
    ----------
    axes
        Leading axes of the image, C, Y and X.
    shape, dtype
        Of the new grid; float32, and float64 where that could not hold the values.
    """

    def __init__(self, image: Image, factors: Mapping[str, float]) -> None:
        self._image = image
        self.axes = f"{image.leading_axes}CYX"
        self._old = (*image.leading_shape, image.channels, *image.plane_shape)
        self.shape = tuple(
            resampled_size(size, factors.get(axis, 1.0))
            for axis, size in zip(self.axes, self._old, strict=True)
        )
        wide = image.dtype.itemsize > 2 and image.dtype != np.float32
        self.dtype = np.dtype(np.float64 if wide else np.float32)
        self._planes: OrderedDict[Any, npt.NDArray[Any]] = OrderedDict()
        self._kept = self._planes_of_a_step()
        self._lock = threading.Lock()

    def _planes_of_a_step(self) -> int:
        """Return how many planes one of a resampled stack is made from."""
        if "Z" not in self.axes:
            return 1
        z = self.axes.index("Z")
        return ceil(2 * max(1.0, self._old[z] / self.shape[z])) + 1

    def __getitem__(self, key: Sequence[int | slice]) -> npt.NDArray[Any]:
        """Read a part, a full key of integers and slices."""
        wanted = [
            part.indices(size)[:2] if isinstance(part, slice) else (part, part + 1)
            for part, size in zip(key, self.shape, strict=True)
        ]
        weights = [
            AxisWeights.of(old, new, part) if old != new else None
            for old, new, part in zip(self._old, self.shape, wanted, strict=True)
        ]
        needed = [
            part if axis is None else axis.needed
            for part, axis in zip(wanted, weights, strict=True)
        ]
        leading = len(self.axes) - 3
        planes = np.stack(
            [
                self._plane(index, wanted[leading:], weights[leading:])
                for index in _places(needed[:leading])
            ]
        )
        counts = [stop - start for start, stop in needed[:leading]]
        block = planes.reshape(*counts, *planes.shape[1:])
        for number, axis in enumerate(weights[:leading]):
            if axis is not None:
                block = axis.apply(block, number)
        single = tuple(slice(None) if isinstance(part, slice) else 0 for part in key)
        return block[single]

    def _plane(
        self,
        index: tuple[int, ...],
        wanted: Sequence[Interval],
        weights: Sequence[AxisWeights | None],
    ) -> npt.NDArray[Any]:
        """Return ``(C, h, w)`` of a plane of the image, resampled along Y and X."""
        place = (index, *wanted)
        with self._lock:
            kept = self._planes.get(place)
            if kept is not None:
                self._planes.move_to_end(place)
                return kept
        channels, *region = wanted
        for number, axis in enumerate(weights[1:]):
            if axis is not None:
                region[number] = axis.needed
        block = self._image.read(index, [slice(*part) for part in region])
        block = block[slice(*channels)].astype(self.dtype)
        for number, axis in enumerate(weights[1:]):
            if axis is not None:
                block = axis.apply(block, 1 + number)
        with self._lock:
            self._planes[place] = block
            while len(self._planes) > self._kept:
                self._planes.popitem(last=False)
        return block


def _places(intervals: Sequence[Interval]) -> list[tuple[int, ...]]:
    """Return all positions in intervals, in raster order; ``[()]`` of none."""
    starts = [start for start, _ in intervals]
    counts = [stop - start for start, stop in intervals]
    return [
        tuple(start + step for start, step in zip(starts, steps, strict=True))
        for steps in np.ndindex(*counts)
    ]

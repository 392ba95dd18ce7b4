"""``EmptyTiles``: tiles that are background without being predicted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError, SpecError
from unet_engine.images import open_image
from unet_engine.images.zarr.storage import place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.places import Index
    from unet_engine.tiling.tiles import Tile


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyRule:
    """Which tiles hold nothing that is to be found.

    Attributes
    ----------
    below
        Those of which every pixel is below this in every channel; None for none.
    mask
        Zarr, its address, or file: those where it holds nothing but 0; ``""`` for none.
        It is made of the image, or of it at a smaller scale; axes that it lacks, such
        as Z, are taken for all.
    """

    below: float | None = None
    mask: str = ""

    def __post_init__(self) -> None:
        if self.below is not None and not isfinite(self.below):
            raise SpecError(
                f"tiles below {self.below} cannot be skipped; give a value of pixels"
            )

    def absolute(self) -> EmptyRule:
        """Return it with a path that does not depend on the current folder."""
        mask = str(place_of(self.mask)) if self.mask else ""
        return EmptyRule(below=self.below, mask=mask)


class EmptyTiles:
    """Finds tiles in which nothing is to be found.

    Parameters
    ----------
    image
        That is predicted.
    rule
        Which tiles are empty.
    channels
        Of a predicted tile: classes, and object maps where they are wanted.

    Attributes
    ----------
    found
        Number of tiles that were counted as empty.

    Raises
    ------
    DataError
        When the mask cannot be opened, or is of another image.
    """

    def __init__(self, image: Image, rule: EmptyRule, channels: int) -> None:
        self._image = image
        self.rule = rule
        self.channels = channels
        self.found = 0
        self._below = rule.below
        self._mask = _Mask(image, rule.mask) if rule.mask else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        if not self.found:
            return ()
        tiles = "1 tile was" if self.found == 1 else f"{self.found} tiles were"
        return (f"{tiles} taken for background without a prediction.",)

    def identity(self) -> dict[str, Any]:
        """Return what decides which tiles are empty, as JSON types."""
        mask = None if self._mask is None else self._mask.identity()
        return {"below": self._below, "mask": mask}

    def holds(self, index: Index, tile: Tile) -> bool:
        """Whether a tile is empty.

        Raises
        ------
        DataError
            When image or mask cannot be read.
        """
        if self._mask is not None:
            where: tuple[int | slice, ...] = (*index, *tile.inner_slices)
            if not self._mask.covers(where):
                return True
        return self._below is not None and not self._reaches(index, tile)

    def values(self, tile: Tile) -> npt.NDArray[np.float32]:
        """Return the ``(channels, *inner)`` values of an empty tile: background."""
        shape = [part.stop - part.start for part in tile.inner_slices]
        found = np.zeros((self.channels, *shape), np.float32)
        found[0] = 1
        return found

    def _reaches(self, index: Index, tile: Tile) -> bool:
        *depth, rows, columns = tile.inner_slices
        places = product(*(range(part.start, part.stop) for part in depth))
        # What is not a number is no data, and reaches nothing.
        return any(
            (self._image.read((*index, *place), (rows, columns)) >= self._below).any()
            for place in places
        )


class _Mask:
    """A mask of an image, perhaps at a smaller scale."""

    def __init__(self, image: Image, path: str) -> None:
        mask = open_image(path, missing_chunks="fill", labels=True)
        axes = image.leading_axes + "YX"
        sizes = dict(zip(axes, (*image.leading_shape, *image.plane_shape), strict=True))
        self._path, self._mask, self._axes = path, mask, axes
        shape = (*mask.leading_shape, *mask.plane_shape)
        self._sizes = dict(zip(mask.leading_axes + "YX", shape, strict=True))
        if mask.channels != 1 or not _is_of(self._sizes, sizes):
            raise DataError(
                f"the mask {path} has axes {mask.axes!r} and the shape "
                f"{tuple(mask.data.shape)}; give one that was made of "
                f"{image.name or 'the image'} ({axes!r}, {tuple(sizes.values())}), at "
                "its scale or a smaller one"
            )
        self._whole = sizes

    def identity(self) -> str:
        """Return what it is: of files of this computer, their state."""
        source = self._mask.source
        return self._path if source is None else source.fingerprint()

    def covers(self, where: Sequence[int | slice]) -> bool:
        """Whether anything but 0 lies in a region of the image."""
        region = {
            axis: self._scaled(axis, place)
            for axis, place in zip(self._axes, where, strict=True)
            if axis in self._sizes
        }
        leading = (
            range(region[axis].start, region[axis].stop)
            for axis in self._mask.leading_axes
        )
        plane = (region["Y"], region["X"])
        return any(self._mask.read(index, plane).any() for index in product(*leading))

    def _scaled(self, axis: str, place: int | slice) -> slice:
        """Return the pixels of the mask that touch those of the image."""
        start, stop = (
            (place.start, place.stop)
            if isinstance(place, slice)
            else (place, place + 1)
        )
        size, whole = self._sizes[axis], self._whole[axis]
        # By whole numbers, so that no pixel is lost to rounding.
        return slice(start * size // whole, -(-stop * size // whole))


def _is_of(mask: dict[str, int], image: dict[str, int]) -> bool:
    """Whether a mask has axes of an image, and its shape at one scale of the plane."""
    if not mask.keys() <= image.keys():
        return False
    if any(mask[axis] > image[axis] for axis in mask):
        return False
    # Each edge was rounded up or down when the image was made smaller, by a factor that
    # both allow.
    least = max(image[axis] / (mask[axis] + 1) for axis in "YX")
    most = min(image[axis] / max(mask[axis] - 1, 1e-9) for axis in "YX")
    return least <= most

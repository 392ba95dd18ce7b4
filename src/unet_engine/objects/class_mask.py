"""``SemanticMask``: an array of class ids, and what its axes and classes mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images.labels.tallies import whole_numbers
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.objects.blocks import ImageBlock

    Ints = npt.NDArray[np.integer[Any]]
    Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class SemanticMask:
    """A mask that is read block by block.

    Attributes
    ----------
    classes
        Array-like (numpy, dask, zarr, ...) of class ids, ``(*leading, Y, X)`` or
        ``(*leading, Z, Y, X)``; 0 is the background, 255 not labelled, or the
        foreground where there is no other value.
    ndim
        In how many dimensions an object extends, 2 or 3: the last axes.
    spacing
        Of the pixels along these axes in any unit, when they differ.
    boundary
        Class of the boundaries between objects, if there is one.
    probabilities
        Array-like of the probability of every class, ``(classes, *classes.shape)``; of
        use with a boundary.
    object_maps
        Array-like of what a network gave to separate objects, ``(maps,
        *classes.shape)``: uint8, 255 for 1, or floating in [0, 1]. None without.
    map_names
        Of these maps, of ``OBJECT_MAPS``.

    Raises
    ------
    DataError
        When these do not fit each other.
    """

    classes: Any
    ndim: int = 2
    spacing: tuple[float, ...] | None = None
    boundary: int | None = None
    probabilities: Any = None
    object_maps: Any = None
    map_names: tuple[str, ...] = ("distance", "boundary")

    def __post_init__(self) -> None:
        if self.spacing is not None and (
            len(self.spacing) != self.ndim or not min(self.spacing) > 0
        ):
            raise DataError(
                f"the spacing {self.spacing} does not fit {self.ndim} dimensions; give "
                f"{self.ndim} numbers above 0"
            )
        if self.boundary is not None and self.boundary < 1:
            raise DataError(
                f"class {self.boundary} cannot be the boundary; give one from 1"
            )
        if self.probabilities is not None:
            self._check_probabilities()
        if self.object_maps is not None:
            self._check_maps()

    def _check_probabilities(self) -> None:
        shape = tuple(self.probabilities.shape)
        if self.boundary is None:
            raise DataError(
                "probabilities help where a class is the boundary between objects; "
                "name that class, or leave them out"
            )
        if shape[1:] != tuple(self.classes.shape) or self.boundary >= shape[0]:
            raise DataError(
                f"probabilities of shape {shape} do not fit a mask of shape "
                f"{tuple(self.classes.shape)} with boundary class {self.boundary}; "
                "give (classes, ...) of the same image"
            )

    def _check_maps(self) -> None:
        expected = (len(self.map_names), *self.classes.shape)
        if tuple(self.object_maps.shape) != expected or not self.map_names:
            raise DataError(
                f"object maps of shape {tuple(self.object_maps.shape)} do not fit a "
                f"mask of shape {tuple(self.classes.shape)} and the maps "
                f"{', '.join(self.map_names) or 'none'}; give those predicted with it"
            )

    def with_classes(self, classes: Any) -> SemanticMask:
        """Return the same with other class ids of the same shape."""
        return replace(self, classes=classes)

    def read(self, block: ImageBlock) -> npt.NDArray[np.uint8]:
        """Read the class ids of the outer region of a block.

        Returns
        -------
        ndarray
            uint8 of the shape of ``block.outer``.

        Raises
        ------
        DataError
            When they are fractions, negative or above 255.
        """
        values = read_ids(self.classes, block.outer_slices)
        if values.size and values.max() > IGNORE:
            raise DataError(
                f"the mask goes up to {values.max()}, class ids to {IGNORE}; if these "
                "are object ids, keep them (method keep) or threshold the mask"
            )
        return values.astype(np.uint8)

    def read_maps(self, block: ImageBlock) -> dict[str, npt.NDArray[np.uint8]]:
        """Read the object maps in the outer region of a block.

        Returns
        -------
        dict
            uint8 of the shape of ``block.outer`` by the names of the maps, 255 for 1.
        """
        values = np.asarray(self.object_maps[:, *block.outer_slices])
        return dict(zip(self.map_names, quantised(values), strict=True))

    def read_interior(self, block: ImageBlock) -> tuple[Floats, Floats]:
        """Read probabilities of interior and boundary in the outer region of a block.

        Without probabilities they are 0 and 1, by the class ids of the mask.

        Returns
        -------
        interior, boundary
            float32 in [0, 1] of the shape of ``block.outer``.
        """
        if self.probabilities is None:
            classes = self.read(block)
            boundary = classes == self.boundary
            inside = (classes > 0) & ~boundary
            return inside.astype(np.float32), boundary.astype(np.float32)
        values = np.asarray(self.probabilities[:, *block.outer_slices], np.float32)
        boundary = values[self.boundary or 0]
        interior: Floats = values[1:].sum(axis=0) - boundary
        return interior, boundary


def quantised(maps: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return object maps as uint8, 255 for 1; as they are if they are that already.

    Parameters
    ----------
    maps
        uint8, or floating in [0, 1]; of any shape.
    """
    if maps.dtype == np.uint8:
        return maps
    steps: npt.NDArray[np.uint8]
    steps = np.rint(np.clip(maps, 0, 1) * np.float32(255)).astype(np.uint8)
    return steps


def read_ids(array: Any, where: tuple[int | slice, ...]) -> Ints:
    """Read a region of an array-like of class or object ids.

    Returns
    -------
    ndarray
        Integers, in the shape that ``where`` leaves of the array.

    Raises
    ------
    DataError
        When the values are no whole numbers from 0.
    """
    values = whole_numbers(np.asarray(array[where]), "the mask")
    if values.size and values.min() < 0:
        raise DataError(
            f"the mask holds negative numbers down to {values.min()}; ids start at 0"
        )
    return values

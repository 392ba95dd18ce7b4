"""An ``Image`` as an array whose axes are those of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.images import Image, LabelRule


@dataclass(frozen=True, slots=True, eq=False)
class ChannelPlanes:
    """``(channels, *leading, Y, X)``, read region by region."""

    image: Image

    @property
    def shape(self) -> tuple[int, ...]:
        """With the channels first."""
        return (self.image.channels, *self.image.leading_shape, *self.image.plane_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the image."""
        return self.image.dtype

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a region in the dtype of the image.

        The key names every axis and has slices for the plane.
        """
        channels, *leading, rows, columns = key
        positions = [
            [place] if isinstance(place, int) else list(range(*place.indices(size)))
            for place, size in zip(leading, self.image.leading_shape, strict=True)
        ]
        planes = [
            self.image.read(index, (rows, columns))[channels]  # type: ignore[arg-type]
            for index in product(*positions)
        ]
        kept = [
            len(places)
            for places, place in zip(positions, leading, strict=True)
            if isinstance(place, slice)
        ]
        stacked = np.stack(planes)
        return np.moveaxis(stacked.reshape(*kept, *stacked.shape[1:]), len(kept), 0)


@dataclass(frozen=True, slots=True, eq=False)
class LabelPlanes:
    """``(*leading, Y, X)`` of an image of ids, also of a grey one saved as colours."""

    image: Image

    @property
    def shape(self) -> tuple[int, ...]:
        """Without channels."""
        return (*self.image.leading_shape, *self.image.plane_shape)

    @property
    def chunks(self) -> tuple[Any, ...] | None:
        """Those of the image's data, if they come in any."""
        chunks = getattr(self.image.data, "chunks", None)
        if not isinstance(chunks, tuple):
            return None
        of_axis = dict(zip(self.image.axes, chunks, strict=True))
        return tuple(of_axis[axis] for axis in self.image.leading_axes + "YX")

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the image."""
        return self.image.dtype

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a region.

        Raises
        ------
        DataError
            When the channels differ.
        """
        channels = ChannelPlanes(self.image)[(slice(None), *key)]
        if np.any(channels[1:] != channels[:1]):
            raise DataError(
                f"{self.image.name} holds colours or several channels; a mask is one "
                "number a pixel (0 background, 1, 2, ...): convert each colour to "
                "its class and save one channel"
            )
        first: npt.NDArray[Any] = channels[0]
        return first


@dataclass(frozen=True, slots=True, eq=False)
class ClassPlanes:
    """An array-like of label values as class ids, read region by region.

    Attributes
    ----------
    labels
        Array-like of label values, ``(*leading, Y, X)``.
    rule
        What they mean.
    """

    labels: Any
    rule: LabelRule

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the labels."""
        return tuple(self.labels.shape)

    @property
    def chunks(self) -> Any:
        """Those of the labels, if they come in any."""
        return getattr(self.labels, "chunks", None)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of class ids: uint8."""
        return np.dtype(np.uint8)

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[np.uint8]:
        """Read a region as class ids, ``IGNORE`` where nobody labelled."""
        return self.rule.apply(np.asarray(self.labels[key]))


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPlanes(ClassPlanes):
    """An array-like of object ids of which one value means "not labelled"."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the labels."""
        dtype: np.dtype[Any] = self.labels.dtype
        return dtype

    def __getitem__(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Read a region as object ids, 0 where nobody labelled."""
        values = np.asarray(self.labels[key])
        return np.where(values == self.rule.unlabelled, 0, values)

"""The pixels of an image under the blocks of its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.images import Image
from unet_engine.objects.image_planes import ChannelPlanes

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.objects.blocks import BlockGrid, ImageBlock


@dataclass(frozen=True, slots=True, eq=False)
class Intensities:
    """An image that fits labels. Make one with ``of``.

    Attributes
    ----------
    data
        Array-like of the shape of the labels, perhaps with channels before it.
    channels
        How many there are.
    """

    data: Any
    channels: int

    @classmethod
    def of(cls, image: Any, grid: BlockGrid) -> Intensities:
        """Wrap an ``Image`` or an array-like without reading it.

        Raises
        ------
        DataError
            When its shape is not that of the labels.
        """
        data = ChannelPlanes(image) if isinstance(image, Image) else image
        shape, channels = tuple(data.shape), 1
        if len(shape) == len(grid.shape) + 1:
            channels, shape = int(shape[0]), shape[1:]
        if shape != grid.shape:
            raise DataError(
                f"the image is {_size(shape)} pixels and the objects are "
                f"{_size(grid.shape)}; give the image that they were found in"
            )
        return cls(data, channels)

    def read(self, block: ImageBlock) -> npt.NDArray[Any]:
        """Read ``(channels, *core)`` in the dtype of the image.

        ``core`` is the shape of the core of the block.
        """
        where = block.core_slices
        if len(self.data.shape) > len(where):
            where = (slice(None), *where)
        sizes = (s.stop - s.start for s in block.core)
        return np.asarray(self.data[where]).reshape(self.channels, *sizes)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))

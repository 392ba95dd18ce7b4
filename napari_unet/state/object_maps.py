"""What a prediction showed of single objects, kept beside its mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.errors import DataError
from unet_engine.models.object_maps import gives_object_maps
from unet_engine.objects.blocks import release_pages, scratch_array
from unet_engine.objects.class_mask import quantised

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.places import Index


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectMaps:
    """The object maps of an image, as they are predicted.

    Attributes
    ----------
    model
        Whose they are.
    names
        Of ``OBJECT_MAPS``.
    values
        ``(maps, *leading, Y, X)`` uint8, 255 for 1, 0 where nothing was predicted; in a
        temporary file where they are large.
    """

    model: Any
    names: tuple[str, ...]
    values: npt.NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        model: Any,
        checkpoint: Checkpoint,
        shape: tuple[int, ...],
        earlier: ObjectMaps | None,
    ) -> ObjectMaps | None:
        """Return where a prediction puts its maps; None without any, or without room.

        Parameters
        ----------
        model, checkpoint
            What predicts.
        shape
            Of the mask.
        earlier
            Go on with these if they are of the same model.
        """
        if not gives_object_maps(checkpoint):
            return None
        if earlier is not None and earlier.model == model:
            return earlier
        names = checkpoint.spec.object_maps
        try:
            values = scratch_array((len(names), *shape), np.uint8)
        except DataError:
            # A mask without them is worth more than none.
            return None
        return cls(model=model, names=names, values=values)

    def write(
        self, index: Index, inner: tuple[slice, ...], maps: npt.NDArray[np.float32]
    ) -> None:
        """Keep the ``(maps, *inner)`` maps of a tile."""
        where: tuple[int | slice, ...] = (slice(None), *index, *inner)
        self.values[where] = quantised(maps)
        release_pages(self.values)

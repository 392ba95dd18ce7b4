"""Strokes in the blocks of features: what was painted since the last time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from unet_engine.interactive.remote.orders import StrokeBlock
from unet_engine.labels import IGNORE
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.remote.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region

    Key = tuple[Index, int, int]


class StrokeSender:
    """Finds the blocks of an image that were painted on since the last time."""

    def __init__(self) -> None:
        self._sent: dict[Key, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}

    @property
    def blocks(self) -> tuple[Key, ...]:
        """Those with strokes."""
        return tuple(
            key for key, (target, _) in self._sent.items() if (target != IGNORE).any()
        )

    def changes(
        self, cache: FeatureCache, annotations: Annotations
    ) -> tuple[StrokeBlock, ...]:
        """Return what was painted, or taken back, since this was last called.

        Parameters
        ----------
        cache
            Has the blocks of the image; no features are computed.
        annotations
            All that is painted on it.
        """
        current = {
            (index, row, column)
            for index in annotations.planes()
            for region in annotations.regions(index)
            for row, column in cache.blocks(region)
        }
        changed = []
        for key in sorted(current | set(self._sent)):
            index, row, column = key
            inner = cache.inner(row, column)
            target, times = (
                annotations.target(index, inner),
                annotations.times(index, inner),
            )
            known = self._sent.get(key)
            if known is not None and (
                np.array_equal(known[0], target)
                and np.array_equal(known[1], times, equal_nan=True)
            ):
                continue
            self._sent[key] = target.copy(), times.copy()
            changed.append(
                StrokeBlock(
                    index=index,
                    row=row,
                    column=column,
                    target=pack(target),
                    times=pack(times),
                )
            )
        return tuple(changed)


class ReceivedStrokes:
    """The strokes on an image as ``LabelledBlocks`` reads them, block by block.

    Parameters
    ----------
    shape
        Of the labels, leading axes included.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self._blocks: dict[Key, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {}

    def take(self, block: StrokeBlock) -> None:
        """Replace what is known of a block."""
        key = (block.index, block.row, block.column)
        self._blocks[key] = unpack(block.target), unpack(block.times)

    def planes(self) -> tuple[Index, ...]:
        """Return the planes with strokes, in order."""
        painted = (
            index
            for (index, _, _), (target, _) in self._blocks.items()
            if (target != IGNORE).any()
        )
        return tuple(sorted(set(painted)))

    def regions(self, index: Index) -> tuple[Region, ...]:
        """Return the blocks of a plane with strokes."""
        height, width = self.shape[-2:]
        return tuple(
            (
                slice(row * BLOCK, min((row + 1) * BLOCK, height)),
                slice(column * BLOCK, min((column + 1) * BLOCK, width)),
            )
            for (at, row, column), (target, _) in sorted(self._blocks.items())
            if at == index and (target != IGNORE).any()
        )

    def target(self, index: Index, inner: Region) -> npt.NDArray[np.uint8]:
        """Return the class ids of a block."""
        return self._blocks[self._key(index, inner)][0]

    def times(self, index: Index, inner: Region) -> npt.NDArray[np.float64]:
        """Return when the pixels of a block were painted."""
        return self._blocks[self._key(index, inner)][1]

    def _key(self, index: Index, inner: Region) -> Key:
        row, column = (side.start // BLOCK for side in inner)
        return index, row, column

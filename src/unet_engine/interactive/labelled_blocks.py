"""``LabelledBlocks``: what is learned from the strokes on an image, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.errors import Cancelled, DataError
from unet_engine.interactive.stages import BLOCK_SAMPLE, NEVER
from unet_engine.labels import IGNORE
from unet_engine.stopping import never

if TYPE_CHECKING:
    from unet_engine.annotations.annotations import Annotations
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index
    from unet_engine.stopping import Stop

    Key = tuple[Index, int, int]
    Halves = npt.NDArray[np.float16]
    Ids = npt.NDArray[np.uint8]
    Times = npt.NDArray[np.float64]

_BLOCK_PIXELS = 8192
"""Most touched pixels of a block that are learned from: an accepted view must neither
fill the memory nor outweigh the strokes beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledBlock:
    """The strokes on a block, and what is learned from them.

    Attributes
    ----------
    target
        ``(h, w)`` class ids, ``IGNORE`` where nobody painted.
    all_times
        ``(h, w)`` when they were painted.
    features, labels, times
        Of touched pixels, ``(n, features)``, ``(n,)`` and ``(n,)``: when each was
        painted, in seconds.
    sample, sample_times
        ``(m, features)`` of some pixels of the block, the same ones whatever is
        painted, and when each was, ``(m,)``; ``NEVER`` where nobody did.
    unrecorded
        How many touched pixels were left out because the image has no data there.
    """

    target: Ids
    all_times: Times
    features: Halves
    labels: Ids
    times: Times
    sample: Halves
    sample_times: Times
    unrecorded: int


_NO_FEATURES = np.zeros((0, 0, 1), np.float16)
"""Of a block without strokes."""


class LabelledBlocks:
    """The labelled pixels of an image that is painted on, with their features.

    A block is read again only when something in it was painted.

    Parameters
    ----------
    cache
        Of the image.

    Attributes
    ----------
    cache
        See there.
    """

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self._blocks: dict[Key, LabelledBlock] = {}

    @property
    def unrecorded(self) -> int:
        """Number of touched pixels without data, which are not learned from."""
        return sum(touched.unrecorded for touched in self._blocks.values())

    def take(self, annotations: Annotations, stop: Stop = never) -> list[LabelledBlock]:
        """Return what is learned from the blocks with touched pixels.

        Parameters
        ----------
        annotations
            What was painted on the image.
        stop
            Polled before every block.

        Raises
        ------
        DataError
            When the annotations are of an image of another size.
        Cancelled
            When ``stop`` returned True; the blocks so far are kept.
        """
        shape = (*self.cache.image.leading_shape, *self.cache.image.plane_shape)
        if annotations.shape != shape:
            raise DataError(
                f"the strokes are of an image of {annotations.shape}, and this one is "
                f"{shape}; was it replaced? Predict it, and paint on the new mask"
            )
        current = set()
        for index in annotations.planes():
            for region in annotations.regions(index):
                for row, column in self.cache.blocks(region):
                    if stop():
                        raise Cancelled("learning was stopped")
                    current.add((index, row, column))
                    self._take(annotations, (index, row, column))
        # In order, so that the same strokes give the same classifier.
        self._blocks = {key: self._blocks[key] for key in sorted(current)}
        return [t for t in self._blocks.values() if len(t.labels)]

    def _take(self, annotations: Annotations, key: Key) -> None:
        """Read the strokes on a block, unless they are the same as before."""
        index, row, column = key
        inner = self.cache.inner(row, column)
        target = annotations.target(index, inner)
        known = self._blocks.get(key)
        times = np.nan_to_num(annotations.times(index, inner), nan=NEVER)
        if (
            known is not None
            and np.array_equal(known.target, target)
            and np.array_equal(known.all_times, times)
        ):
            return
        touched = target.ravel() != IGNORE
        found = (
            self.cache.features(index, row, column) if touched.any() else _NO_FEATURES
        )
        recorded = np.ones_like(touched)
        if (lost := self.cache.lost(index, row, column)) is not None:
            recorded = ~lost.ravel()
        random = np.random.default_rng((*index, row, column))
        order = random.permutation(len(touched))
        where = _some(np.flatnonzero(touched & recorded), _BLOCK_PIXELS, random)
        sample = np.sort(order[recorded[order]][:BLOCK_SAMPLE])
        rows = found.reshape(-1, found.shape[-1])
        when = times.ravel()
        self._blocks[key] = LabelledBlock(
            target,
            times,
            rows[where],
            target.ravel()[where],
            when[where],
            rows[sample] if touched.any() else rows,
            when[sample] if touched.any() else when[:0],
            unrecorded=int(np.count_nonzero(touched & ~recorded)),
        )


def _some(
    places: npt.NDArray[np.intp], most: int, random: np.random.Generator
) -> npt.NDArray[np.intp]:
    if len(places) <= most:
        return places
    return np.sort(random.choice(places, most, replace=False))

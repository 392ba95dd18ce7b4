"""``TileClassifier``: the pixel classifiers of a model on an image, tile by tile."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from unet_engine.compute.interruption import poll
from unet_engine.errors import CheckpointError
from unet_engine.pixel_classification.feature_cache import BLOCK

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.pixel_classification.classifier_runner import ClassifierRunner
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region

    Floats = npt.NDArray[np.float32]


class TileClassifier:
    """Gives the probabilities of any part of an image.

    They are computed on the tiles of the image's ``FeatureCache``, whatever part is
    wanted: so a part has the same bits in every prediction, Live or not.

    Parameters
    ----------
    runner
        The classifiers.
    cache
        Of the image; its first features are those that the classifiers take.
    kept_bytes
        About the most memory for probabilities of blocks, which are then computed as a
        whole and kept; 0: only the tiles that are wanted, and none is kept.

    Raises
    ------
    CheckpointError
        When the classifiers take other features.
    """

    def __init__(
        self, runner: ClassifierRunner, cache: FeatureCache, *, kept_bytes: int = 0
    ) -> None:
        self._runner = runner
        self._cache = cache
        there = cache.extractor.count(cache.image.channels)
        if runner.part.n_features != there:
            raise CheckpointError(
                f"the pixel classifiers of the model take {runner.part.n_features} "
                f"features of a pixel, and there are {there}; they were fitted by "
                "another version, or on another network: fit them again"
            )
        blocks = kept_bytes // (4 * BLOCK**2 * runner.classes)
        self._kept = lru_cache(blocks)(self._block) if kept_bytes else None

    def __call__(self, index: Index, part: Region) -> Floats:
        """Return the probabilities of a part of a plane, ``(classes, h, w)`` float32.

        Where the image has no data, class 0 has probability 1.

        Parameters
        ----------
        index
            Position along the leading axes.
        part
            Rows and columns.

        Raises
        ------
        Cancelled
            When a ``stop`` of an ``interruptible`` around it returned True.
        """
        size = [side.stop - side.start for side in part]
        found = np.empty((self._runner.classes, *size), np.float32)
        if self._kept is None:
            for tile in self._cache.tiles(part):
                _paste(found, part, self._tile(index, tile), tile)
            return found
        for row, column in self._cache.blocks(part):
            block = self._kept(index, row, column)
            _paste(found, part, block, self._cache.inner(row, column))
        return found

    def _block(self, index: Index, row: int, column: int) -> Floats:
        inner = self._cache.inner(row, column)
        size = [side.stop - side.start for side in inner]
        found = np.empty((self._runner.classes, *size), np.float32)
        for tile in self._cache.tiles(inner):
            _paste(found, inner, self._tile(index, tile), tile)
        return found

    def _tile(self, index: Index, tile: Region) -> Floats:
        poll()
        row, column = (side.start // BLOCK for side in tile)
        within = tuple(
            slice(side.start % BLOCK, side.start % BLOCK + side.stop - side.start)
            for side in tile
        )
        features = self._cache.features(index, row, column)[within]
        rows = features.reshape(-1, features.shape[-1])
        known = self._runner(rows[:, : self._runner.part.n_features])
        found = known.T.reshape(-1, *features.shape[:2])
        lost = self._cache.lost(index, row, column)
        if lost is not None:
            found[:, lost[within]] = 0
            found[0, lost[within]] = 1
        return found


def _paste(found: Floats, part: Region, values: Floats, place: Region) -> None:
    """Copy the values of a place into those of a part where the two overlap."""
    both = [
        (max(one.start, other.start), min(one.stop, other.stop))
        for one, other in zip(part, place, strict=True)
    ]
    into, source = (
        tuple(
            slice(start - side.start, stop - side.start)
            for (start, stop), side in zip(both, region, strict=True)
        )
        for region in (part, place)
    )
    found[:, *into] = values[:, *source]

"""``TileClassifier``: the pixel classifiers of a model on an image, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unet_engine.errors import Cancelled, CheckpointError
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.stopping import never

if TYPE_CHECKING:
    import numpy.typing as npt

    from unet_engine.pixel_classification.classifier_runner import ClassifierRunner
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

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

    Raises
    ------
    CheckpointError
        When the classifiers take other features.
    """

    def __init__(self, runner: ClassifierRunner, cache: FeatureCache) -> None:
        self._runner = runner
        self._cache = cache
        there = cache.extractor.count(cache.image.channels)
        if runner.part.n_features != there:
            raise CheckpointError(
                f"the pixel classifiers of the model take {runner.part.n_features} "
                f"features of a pixel, and there are {there}; they were fitted by "
                "another version, or on another network: fit them again"
            )

    def __call__(self, index: Index, part: Region, stop: Stop = never) -> Floats:
        """Return the probabilities of a part of a plane, ``(classes, h, w)`` float32.

        Where the image has no data, class 0 has probability 1.

        Parameters
        ----------
        index
            Position along the leading axes.
        part
            Rows and columns.
        stop
            Polled before every tile.

        Raises
        ------
        Cancelled
            When ``stop`` returned True.
        """
        size = [side.stop - side.start for side in part]
        found = np.empty((self._runner.classes, *size), np.float32)
        for tile in self._cache.tiles(part):
            if stop():
                raise Cancelled("the prediction was stopped")
            both = [
                (max(t.start, p.start), min(t.stop, p.stop))
                for t, p in zip(tile, part, strict=True)
            ]
            here = _relative(both, [p.start for p in part])
            there = _relative(both, [t.start for t in tile])
            found[:, *here] = self._tile(index, tile)[:, *there]
        return found

    def _tile(self, index: Index, tile: Region) -> Floats:
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


def _relative(both: list[tuple[int, int]], origin: list[int]) -> tuple[slice, ...]:
    return tuple(
        slice(start - first, stop - first)
        for (start, stop), first in zip(both, origin, strict=True)
    )

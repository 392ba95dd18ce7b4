"""The instant learner: a classifier that is fitted anew after every stroke.

What takes time, the features of the pixels, is computed once per block and kept; a
stroke needs a fit of well under a second on the touched pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from unet_engine.errors import DataError
from unet_engine.images.no_data import describe_unrecorded
from unet_engine.interactive.pixel_classifier import (
    TUNED_SHARE,
    PixelClassifier,
)
from unet_engine.interactive.stages import (
    LabelledRows,
    StageMemory,
    fit_in_stages,
    join_images,
)
from unet_engine.labels import most_probable_class
from unet_engine.pixel_classification.classifier_runner import (
    ClassifierRunner,
    combine,
)
from unet_engine.pixel_classification.feature_cache import BLOCK
from unet_engine.pixel_classification.tile_classifier import TileClassifier
from unet_engine.prediction.events import TileDone
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.interactive.labelled_blocks import LabelledBlock, LabelledBlocks
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop

    Floats = npt.NDArray[np.float32]
    Halves = npt.NDArray[np.float16]

__all__ = ["InstantLearner", "PixelClassifier"]


class InstantLearner:
    """Learns from the strokes on one or several images and predicts the viewport.

    Parameters
    ----------
    classes
        How many classes there are; those without a stroke are never predicted.
    seed
        Same seed, same result.
    network_share
        Weight of a tuned model's probabilities in the mean, in [0, 1].
    memory
        Keeps the classifiers of earlier strokes from one learner to the next, which
        saves time and changes no result.

    Attributes
    ----------
    note
        What was left out when it learned, as a text; empty for nothing.
    tuned
        The model whose probabilities are in the mean; None for the classifier alone.
    at_once
        How many tiles are predicted before it may be asked for others.
    """

    at_once = (1,)

    def __init__(
        self,
        classes: int,
        *,
        seed: int = 0,
        network_share: float = TUNED_SHARE,
        memory: StageMemory | None = None,
    ) -> None:
        self._count = classes
        self._seed = seed
        self._memory = memory or StageMemory()
        self._network_share = network_share
        self._runner: ClassifierRunner | None = None
        self.tuned: Checkpoint | None = None
        self.note = ""

    @property
    def part(self) -> ClassifierPart:
        """What it learned, as the part of a model.

        Raises
        ------
        DataError
            When it has learned nothing yet.
        """
        if self._runner is None:
            raise DataError("nothing is learned yet; paint a stroke of two classes")
        return self._runner.part

    def learn(
        self, painted: Sequence[tuple[LabelledBlocks, Annotations]], stop: Stop = never
    ) -> int:
        """Fit to all strokes; the newest of a pixel counts.

        Parameters
        ----------
        painted
            Images that give the same features, and what was painted on them.
        stop
            Polled before the features of a block are computed.

        Returns
        -------
        int
            Touched pixels that were learned from.

        Raises
        ------
        DataError
            Without strokes of two classes, or when strokes do not fit their image.
        Cancelled
            When ``stop`` returned True; what was learned before stays.
        """
        taken = [blocks.take(strokes, stop) for blocks, strokes in painted]
        note = describe_unrecorded(sum(blocks.unrecorded for blocks, _ in painted))
        source = painted[0][0].cache if painted else None
        if source is None or not any(taken):
            raise DataError(
                f"{note}, and nothing else is painted; paint where the image has data"
                if note
                else "nothing is painted yet; paint a stroke of two classes"
            )
        own = source.extractor.count(source.image.channels)
        rows = join_images([_rows(blocks, own) for blocks in taken if blocks])
        classes = rows.labels
        if note and (classes == classes[0]).all():
            raise DataError(
                f"{note}, and all others are of one class; paint another class where "
                "the image has data"
            )
        classifier = fit_in_stages(
            rows, source.fine, seed=self._seed, memory=self._memory
        )
        self._count = max(self._count, int(classifier.classes[-1]) + 1)
        tuned = source.extractor.tuned
        share = self._network_share if tuned else 0.0
        if tuned is not None and len(tuned.spec.classes) > self._count:
            share = 0.0
        part = replace(
            classifier.part,
            network=source.extractor.network,
            averaged=source.extractor.averaged,
            network_share=share,
        )
        self._runner = ClassifierRunner(part, self._count)
        self.tuned = tuned if share else None
        self.note = note
        return len(classes)

    def probabilities(
        self, source: FeatureCache, index: Index, inner: Region
    ) -> Floats:
        """Return the probabilities of a part of a block, ``(classes, h, w)`` float32.

        Where the image has no data, class 0 has probability 1.
        """
        assert self._runner is not None
        found = TileClassifier(self._runner, source)(index, inner)
        row, column = (side.start // BLOCK for side in inner)
        tuned = source.tuned_probabilities(index, row, column)
        if tuned is None or tuned.shape[-1] > len(found):
            return found
        within = tuple(
            slice(side.start - k * BLOCK, side.stop - k * BLOCK)
            for side, k in zip(inner, (row, column), strict=True)
        )
        known = np.zeros_like(found)
        known[: tuned.shape[-1]] = tuned[within].transpose(2, 0, 1)
        lost = source.lost(index, row, column)
        if lost is not None:
            known[:, lost[within]] = found[:, lost[within]]
        return combine(found, known, self._runner.part.network_share)

    def iter_predict(
        self,
        source: FeatureCache,
        index: Index,
        region: Sequence[slice],
        *,
        near: tuple[float, float] | None = None,
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict the tiles that meet a region, the nearest to a point first.

        Parameters
        ----------
        source
            The image.
        index
            Position along its leading axes.
        region
            Slices of the plane, such as what the camera shows.
        near
            ``(y, x)`` in pixels; the middle of the region when it is None.
        stop
            Polled before every tile.

        Yields
        ------
        TileDone
            With probabilities.

        Returns
        -------
        bool
            False when it was stopped before the end.
        """
        return (
            yield from self.iter_tiles(source, index, source.tiles(region, near), stop)
        )

    def iter_tiles(
        self,
        source: FeatureCache,
        index: Index,
        tiles: Sequence[Region],
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict tiles of a plane in the order in which they are given.

        See `iter_predict`; ``tiles`` are some of those that `FeatureCache.tiles` gives.
        """
        for done, inner in enumerate(tiles, start=1):
            if stop():
                return False
            probabilities = self.probabilities(source, index, inner)
            yield TileDone(
                index=index,
                inner=inner,
                labels=most_probable_class(probabilities),
                probabilities=probabilities,
                done=done,
                total=len(tiles),
            )
        return True


def _rows(blocks: Sequence[LabelledBlock], own: int) -> LabelledRows:
    """Join the blocks of an image, without probabilities of a tuned model."""
    return LabelledRows(
        features=np.concatenate([block.features[:, :own] for block in blocks]),
        labels=np.concatenate([block.labels for block in blocks]),
        times=np.concatenate([block.times for block in blocks]),
        sample=np.concatenate([block.sample[:, :own] for block in blocks]),
        sample_times=np.concatenate([block.sample_times for block in blocks]),
    )

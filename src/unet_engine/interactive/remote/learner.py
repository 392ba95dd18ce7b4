"""``RemoteLearner``: the instant learner, by a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from unet_engine.errors import Cancelled, DataError
from unet_engine.prediction.events import TileDone
from unet_engine.remote.packing import unpack
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from unet_engine.annotations.annotations import Annotations
    from unet_engine.interactive.labelled_blocks import LabelledBlocks
    from unet_engine.interactive.remote.orders import LearnedThere, LiveTile
    from unet_engine.interactive.remote.session import RemoteLive
    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.models.classifier_part import ClassifierPart
    from unet_engine.pixel_classification.feature_cache import FeatureCache
    from unet_engine.places import Index, Region
    from unet_engine.stopping import Stop


class RemoteLearner:
    """Learns from strokes and predicts a view as an ``InstantLearner``, by a worker.

    Parameters
    ----------
    live
        The line to it.
    classes, network_share
        As of an ``InstantLearner``.

    Attributes
    ----------
    note, tuned
        As of an ``InstantLearner``.
    at_once
        How many tiles are ordered at once: one first, which is seen soon; then more, as
        each order takes a round trip. The last number holds for all that follow.
    """

    at_once = (1, 3, 8)

    def __init__(self, live: RemoteLive, classes: int, *, network_share: float) -> None:
        self._live = live
        self._classes = classes
        self._share = network_share
        self._source: FeatureCache | None = None
        self.note = ""
        self.tuned: Checkpoint | None = None

    @property
    def part(self) -> ClassifierPart:
        """What it learned, as the part of a model.

        Raises
        ------
        DataError
            When it has learned nothing yet.
        EngineError
            When the worker does not answer.
        """
        if self._source is None:
            raise DataError("nothing is learned yet; paint a stroke of two classes")
        part: ClassifierPart = self._live.ask("part", [self._source], stop=never)
        return replace(part, network=self._live.extractor.network)

    def learn(
        self, painted: Sequence[tuple[LabelledBlocks, Annotations]], stop: Stop = never
    ) -> int:
        """Fit to all strokes, as of an ``InstantLearner``.

        Raises
        ------
        DataError
            As of an ``InstantLearner``.
        LineLostError
            When the line breaks.
        Cancelled
            When ``stop`` returned True.
        """
        caches = [blocks.cache for blocks, _ in painted]
        for blocks, strokes in painted:
            self._live.strokes(blocks.cache, strokes)
        keys = [self._live.key(cache) for cache in caches]
        found: LearnedThere = self._live.ask(
            "learn", caches, keys, self._classes, self._share, stop=stop
        )
        self._source = caches[0]
        self.note = found.note
        self.tuned = self._live.extractor.tuned if found.uses_tuned else None
        return found.pixels

    def iter_predict(
        self,
        source: FeatureCache,
        index: Index,
        region: Sequence[slice],
        *,
        near: tuple[float, float] | None = None,
        stop: Stop = never,
    ) -> Generator[TileDone, None, bool]:
        """Predict the tiles that meet a region, as of an ``InstantLearner``."""
        tiles = source.tiles(region, near)
        return (
            yield from self.iter_tiles(source, index, tiles, stop, probabilities=True)
        )

    def iter_tiles(
        self,
        source: FeatureCache,
        index: Index,
        tiles: Sequence[Region],
        stop: Stop = never,
        *,
        probabilities: bool = False,
    ) -> Generator[TileDone, None, bool]:
        """Predict tiles of a plane in the order in which they are given.

        Their probabilities come where they are wanted: they take most of the line.
        """
        most = self.at_once[-1]
        for first in range(0, len(tiles), most):
            group = tiles[first : first + most]
            try:
                found: Sequence[LiveTile] = self._live.ask(
                    "predict",
                    [source],
                    self._live.key(source),
                    index,
                    group,
                    probabilities,
                    stop=stop,
                    around=(index, _around(group)),
                )
            except Cancelled:
                return False
            for done, (inner, tile) in enumerate(
                zip(group, found, strict=True), start=first + 1
            ):
                kept = tile.probabilities
                yield TileDone(
                    index=index,
                    inner=inner,
                    labels=unpack(tile.labels),
                    probabilities=None if kept is None else unpack(kept),
                    done=done,
                    total=len(tiles),
                )
        return True


def _around(tiles: Sequence[Region]) -> Region:
    rows, columns = zip(*tiles, strict=True)
    return (
        slice(min(r.start for r in rows), max(r.stop for r in rows)),
        slice(min(c.start for c in columns), max(c.stop for c in columns)),
    )

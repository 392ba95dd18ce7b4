"""``TileLoop``: the tiles of a plan through a network, in their order."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Normalisation
from unet_engine.prediction.plan import nearest_first
from unet_engine.prediction.remote.predictor import RemotePredictor
from unet_engine.prediction.tile_errors import named_tile
from unet_engine.prediction.tile_predictor import read_tile
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from concurrent.futures import Future

    import numpy as np
    import numpy.typing as npt

    from unet_engine.images import Image
    from unet_engine.models.spec import ModelSpec
    from unet_engine.places import Index, Near
    from unet_engine.prediction.any_predictor import AnyPredictor
    from unet_engine.prediction.empty_tiles import EmptyTiles
    from unet_engine.prediction.plan import PredictionPlan
    from unet_engine.prediction.remote.orders import SegmentedTile
    from unet_engine.prediction.remote.storage import WrittenMark
    from unet_engine.stopping import Stop
    from unet_engine.tiling.tiles import Tile

    Floats = npt.NDArray[np.float32]
    Found = Floats | SegmentedTile | WrittenMark

_SEARCHED_PIXELS = 2**26
"""Pixels of an image up to which the tile that cannot be read is searched for, which
takes seconds."""


class TileLoop:
    """Predicts the tiles of a plan that are not finished yet, until it is stopped.

    Parameters
    ----------
    predictor
        Of the image and the model that the plan is for.
    plan
        Which tiles there are.
    stop
        Polled before every tile, and by the predictor within it.
    near
        ``(index, (y, x))``: planes and tiles nearest to it come first. A callable is
        called again before every tile. None: raster order.
    finished
        Numbers of the tiles that are there from an earlier run.
    empty
        Finds tiles that are background without being predicted.

    Attributes
    ----------
    done
        Tiles that are finished, those of the earlier run included.
    complete
        All tiles are finished; False while the loop runs, and when it was stopped.
    """

    def __init__(
        self,
        predictor: AnyPredictor | RemotePredictor,
        plan: PredictionPlan,
        *,
        stop: Stop,
        near: Near = None,
        finished: AbstractSet[int] = frozenset(),
        empty: EmptyTiles | None = None,
    ) -> None:
        self._predictor = predictor
        self._plan = plan
        self._stop = stop
        self._near = near
        self._finished = finished
        self.done = len(finished)
        self.complete = False
        self._stopped = False
        self._empty = empty
        self._skipped: deque[tuple[Index, Tile]] = deque()

    def __iter__(
        self,
    ) -> Iterator[tuple[Index, Tile, Found] | Reconnecting]:
        """Yield plane, tile and ``(classes, *inner)`` probabilities, or the image.

        A remote predictor yields its tiles as they arrive, as segmented there, or a
        mark for those that workers wrote themselves; and in between what is done about
        a line that was lost.

        Raises
        ------
        DataError
            When a tile cannot be read; names it.
        CheckpointError
            When the model gives NaN or infinite numbers.
        OutOfMemoryError
            When even the smallest tile does not fit the CPU's memory.
        """
        predicted: Iterator[tuple[Index, Tile, Found] | Reconnecting]
        if isinstance(self._predictor, RemotePredictor):
            predictor = self._predictor
            if predictor.stores:
                predicted = predictor.predict_stored(self._finished)
            else:
                predicted = predictor.predict_each(self._not_empty())
        else:
            predicted = self._here(self._predictor)
        try:
            for one in predicted:
                if isinstance(one, Reconnecting):
                    yield replace(one, done=self.done)
                    continue
                yield from self._empty_ones()
                self.done += 1
                yield one
        except Cancelled:
            return
        yield from self._empty_ones()
        self.complete = not self._stopped

    def _here(self, predictor: AnyPredictor) -> Iterator[tuple[Index, Tile, Floats]]:
        predicted = (
            self._one_by_one(predictor)
            if predictor.threads == 1
            else self._ahead(predictor)
        )
        for index, tile, values in predicted:
            if values is None:
                assert self._empty is not None
                self._empty.found += 1
                values = self._empty.values(tile)
            yield index, tile, values

    def _one_by_one(
        self, predictor: AnyPredictor
    ) -> Iterator[tuple[Index, Tile, Floats | None]]:
        for index, tile in self._waiting():
            yield index, tile, self._predicted(predictor, index, tile)

    def _ahead(
        self, predictor: AnyPredictor
    ) -> Iterator[tuple[Index, Tile, Floats | None]]:
        """Predict the next tiles by threads while this one is used, in their order."""
        begun: deque[tuple[Index, Tile, Future[Floats | None]]] = deque()
        with ThreadPoolExecutor(predictor.threads) as pool:
            try:
                for index, tile in self._waiting():
                    # Whatever else interrupts this thread interrupts the others.
                    call = copy_context().run
                    future = pool.submit(call, self._predicted, predictor, index, tile)
                    begun.append((index, tile, future))
                    if len(begun) > predictor.threads:
                        yield _finished(begun)
                while begun:
                    yield _finished(begun)
            finally:
                for _, _, future in begun:
                    future.cancel()

    def _predicted(
        self, predictor: AnyPredictor, index: Index, tile: Tile
    ) -> Floats | None:
        """Return the values of a tile; None when it is empty."""
        with named_tile(index, tile):
            if self._empty is not None and self._empty.holds(index, tile):
                return None
            return predictor.predict(index, tile)

    def _not_empty(self) -> Iterator[tuple[Index, Tile]]:
        """Yield the tiles to predict, and keep the others."""
        for index, tile in self._waiting():
            if self._empty is not None:
                with named_tile(index, tile):
                    if self._empty.holds(index, tile):
                        self._skipped.append((index, tile))
                        continue
            yield index, tile

    def _empty_ones(self) -> Iterator[tuple[Index, Tile, Floats]]:
        """Yield the empty tiles that were kept."""
        while self._skipped and self._empty is not None:
            index, tile = self._skipped.popleft()
            self.done += 1
            self._empty.found += 1
            yield index, tile, self._empty.values(tile)

    def _waiting(self) -> Iterator[tuple[Index, Tile]]:
        """Yield the tiles that are not finished, the next one first."""
        for index, tile in nearest_first(self._plan, self._near):
            if self._finished and self._plan.number(index, tile) in self._finished:
                continue
            if self._stop():
                self._stopped = True
                return
            yield index, tile


def _finished(
    begun: deque[tuple[Index, Tile, Future[Floats | None]]],
) -> tuple[Index, Tile, Floats | None]:
    """Take the first of the tiles that threads predict, and wait for it."""
    index, tile, future = begun.popleft()
    return index, tile, future.result()


def measure_normalisation(
    image: Image, spec: ModelSpec, plan: PredictionPlan
) -> Normalisation:
    """Measure the brightness of an image as a model states it.

    Raises
    ------
    DataError
        When the image cannot be read; names the first tile of a small image.
    """
    try:
        return Normalisation.measure(image, spec.preparation)
    except DataError:
        if prod(plan.shape) <= _SEARCHED_PIXELS:
            for index, tile in nearest_first(plan, None):
                with named_tile(index, tile):
                    read_tile(image, index, tile)
        raise

"""Tests of the loop that segmentation and denoising share."""

from __future__ import annotations

import threading
from contextlib import closing

import numpy as np
import pytest

from unet_engine.compute.interruption import interruptible, poll
from unet_engine.errors import Cancelled, DataError
from unet_engine.prediction.plan import PredictionPlan
from unet_engine.prediction.tile_loop import TileLoop
from unet_engine.stopping import never
from unet_engine.tiling.tiles import Footprint, Tile, TilePlan

PLAN = PredictionPlan(
    shape=(2, 8, 8),
    planes=((0,), (1,)),
    tiles=TilePlan.for_shape(
        (8, 8), tile=4, footprint=Footprint.isotropic(2, halo=0, divisor=1)
    ),
    nbytes=0,
    footprint=Footprint.isotropic(2, halo=0, divisor=1),
    factors=(1.0, 1.0),
)


class Predictor:
    """Returns the number of each tile as its only pixel."""

    def __init__(
        self, error: Exception | None = None, at: int = -1, threads: int = 1
    ) -> None:
        self.error, self.at, self.threads = error, at, threads

    def predict(self, index: tuple[int, ...], tile: Tile) -> np.ndarray:
        number = PLAN.number(index, tile)
        if number == self.at and self.error is not None:
            raise self.error
        return np.full((1, 1), number, np.float32)


def numbers(loop: TileLoop) -> list[int]:
    return [int(values[0, 0]) for _, _, values in loop]


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> int:
    """Threads in which tiles are predicted."""
    return request.param


def test_all_tiles_come_in_raster_order(threads: int):
    loop = TileLoop(Predictor(threads=threads), PLAN, stop=never)
    assert not loop.complete
    assert numbers(loop) == list(range(8))
    assert loop.done == 8
    assert loop.complete


def test_tiles_of_an_earlier_run_count_and_are_not_predicted(threads: int):
    loop = TileLoop(Predictor(threads=threads), PLAN, stop=never, finished={0, 5})
    assert loop.done == 2
    assert numbers(loop) == [1, 2, 3, 4, 6, 7]
    assert (loop.done, loop.complete) == (8, True)


def test_the_nearest_tile_comes_first(threads: int):
    loop = TileLoop(
        Predictor(threads=threads), PLAN, stop=never, near=((1,), (7.0, 7.0))
    )
    assert numbers(loop)[0] == 7


def test_a_stop_between_two_tiles_keeps_those_before():
    taken: list[int] = []
    loop = TileLoop(Predictor(), PLAN, stop=lambda: len(taken) == 3)
    for _, _, values in loop:
        taken.append(int(values[0, 0]))
    assert taken == [0, 1, 2]
    assert (loop.done, loop.complete) == (3, False)


def test_a_stop_within_a_tile_keeps_those_before(threads: int):
    loop = TileLoop(Predictor(Cancelled("stopped"), 2, threads), PLAN, stop=never)
    assert numbers(loop) == [0, 1]
    assert (loop.done, loop.complete) == (2, False)


def test_the_tile_that_cannot_be_read_is_named(threads: int):
    loop = TileLoop(Predictor(DataError("broken"), 7, threads), PLAN, stop=never)
    with pytest.raises(DataError, match=r"^tile \[4:8, 4:8\] of plane 1: broken$"):
        numbers(loop)
    assert (loop.done, loop.complete) == (7, False)


def test_a_tile_that_is_finished_early_waits_for_those_before():
    second = threading.Event()

    class Slow(Predictor):
        def predict(self, index: tuple[int, ...], tile: Tile) -> np.ndarray:
            found = super().predict(index, tile)
            if found == 0:
                assert second.wait(timeout=60)
            if found == 1:
                second.set()
            return found

    loop = TileLoop(Slow(threads=2), PLAN, stop=never)
    assert numbers(loop) == list(range(8))


def test_no_more_tiles_are_begun_than_are_taken_soon():
    begun: list[int] = []

    class Counting(Predictor):
        def predict(self, index: tuple[int, ...], tile: Tile) -> np.ndarray:
            begun.append(PLAN.number(index, tile))
            return super().predict(index, tile)

    loop = TileLoop(Counting(threads=2), PLAN, stop=never)
    for taken, _ in enumerate(loop, start=1):
        # Two that wait, and this one: what is predicted takes memory.
        assert len(begun) <= taken + 2
    assert sorted(begun) == list(range(8))


def test_a_stop_keeps_what_threads_had_begun():
    taken: list[int] = []
    loop = TileLoop(Predictor(threads=2), PLAN, stop=lambda: len(taken) == 3)
    for _, _, values in loop:
        taken.append(int(values[0, 0]))
    assert taken == list(range(len(taken)))
    assert 3 <= loop.done == len(taken) < 8
    assert not loop.complete


def test_whoever_ends_the_loop_early_waits_for_its_threads():
    active: set[int] = set()

    class Entered(Predictor):
        def predict(self, index: tuple[int, ...], tile: Tile) -> np.ndarray:
            number = PLAN.number(index, tile)
            active.add(number)
            found = super().predict(index, tile)
            active.remove(number)
            return found

    before = threading.active_count()
    with closing(iter(TileLoop(Entered(threads=2), PLAN, stop=never))) as tiles:
        next(tiles)
    assert not active
    assert threading.active_count() == before


def test_what_stops_the_caller_stops_its_threads():
    class Polling(Predictor):
        def predict(self, index: tuple[int, ...], tile: Tile) -> np.ndarray:
            poll()
            return super().predict(index, tile)

    loop = TileLoop(Polling(threads=2), PLAN, stop=never)
    with interruptible(lambda: True):
        assert numbers(loop) == []
    assert not loop.complete

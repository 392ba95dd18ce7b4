"""Batches hold every tile once, and those that lie together."""

from __future__ import annotations

from itertools import product
from math import prod
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.prediction.plan import PredictionPlan
from unet_engine.prediction.remote.storage import tiles_of_batch
from unet_engine.prediction.remote.tile_batches import box_of_tiles, iter_batches
from unet_engine.tiling.tiles import Footprint, TilePlan


def plan_of(shape: tuple[int, ...], tile: int, leading: tuple[int, ...] = ()):
    footprint = Footprint.isotropic(len(shape), halo=8, divisor=4, padded=True)
    planes = tuple(product(*map(range, leading)))
    return PredictionPlan(
        shape=(*leading, *shape),
        planes=planes,
        tiles=TilePlan.for_shape(shape, tile=tile, footprint=footprint),
        nbytes=0,
        footprint=footprint,
        factors=(1.0,) * len(shape),
    )


plans = st.builds(
    plan_of,
    st.sampled_from([(40, 70), (300, 33), (9, 20, 50), (1, 1)]),
    st.sampled_from([8, 32, 400]),
    st.sampled_from([(), (3,), (2, 3)]),
)


@settings(deadline=None, max_examples=60)
@given(
    plans,
    st.integers(1, 40),
    st.sampled_from([1, 16, 100]),
    st.sets(st.integers(0, 90)),
)
def test_every_tile_is_in_one_batch(plan, most, chunk, finished):
    chunks = (chunk,) * len(plan.tiles.shape)
    batches = list(iter_batches(plan, most=most, chunks=chunks, finished=finished))
    numbers = [number for batch in batches for number in batch]
    assert sorted(numbers) == sorted({*range(plan.total)} - finished)
    assert all(0 < len(batch) <= most for batch in batches)
    for number in numbers[:20]:
        assert plan.number(*plan.at(number)) == number


def test_planes_of_few_tiles_go_together():
    plan = plan_of((32, 64), 32, leading=(4, 5))
    batches = list(iter_batches(plan, most=8))
    assert batches == [tuple(range(n, n + 8)) for n in range(0, 40, 8)]


def test_batches_read_fewer_chunks_than_rows_would():
    plan = plan_of((4096, 4096), 256)
    batches = list(iter_batches(plan, most=16, chunks=(512, 512)))
    rows = [range(n, n + 16) for n in range(0, plan.total, 16)]

    def chunks_read(groups) -> int:
        read = 0
        for group in groups:
            seen = set()
            for number in group:
                outer = plan.at(number)[1].outer
                spans = (range(max(0, a) // 512, -(-b // 512)) for a, b in outer)
                seen |= set(product(*spans))
            read += len(seen)
        return read

    assert box_of_tiles(plan.tiles, 16, (512, 512)) == (4, 4)
    # 4 chunks and their neighbours, in place of 8 and those above and below.
    assert chunks_read(batches) < 0.85 * chunks_read(rows)


def test_batches_are_as_long_as_chunks():
    plan = plan_of((4096, 4096), 256)
    assert box_of_tiles(plan.tiles, 16, (256, 4096)) == (1, 16)
    assert box_of_tiles(plan.tiles, 16, (4096, 256)) == (16, 1)


def test_small_images_keep_all_workers_busy():
    for plan in (plan_of((64, 64), 32), plan_of((5120, 5120), 512)):
        for workers in (1, 2, 7):
            most = tiles_of_batch(plan, workers, "cpu")
            batches = list(iter_batches(plan, most=most))
            assert len(batches) >= min(plan.total, 4 * workers)
    large = SimpleNamespace(total=10**6, tiles=SimpleNamespace(tile=(1024, 1024)))
    assert tiles_of_batch(large, 8, "cpu") * prod(large.tiles.tile) == 2**24
    assert tiles_of_batch(large, 8, "cuda") * prod(large.tiles.tile) == 2**26

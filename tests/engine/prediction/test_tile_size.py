"""Tests of how large tiles are and where their grid lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.outputs import ArrayOutput
from unet_engine.prediction.segmentation import iter_predict, plan_prediction, predict
from unet_engine.prediction.tile_size import choose_tile_size
from unet_engine.tiling.tiles import TilePlan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SPEC = ModelSpec()
SMALL = ModelSpec(depth=2, width=4)
edges = st.integers(1, 5000)
view_sizes = st.floats(1, 6000)


def image(edge: int) -> Image:
    pixels = np.random.default_rng(0).random((edge, edge), dtype=np.float32)
    return Image.from_array(pixels, "YX", name="noise")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(edges, edges),
    middle=st.tuples(st.floats(-500, 5500), st.floats(-500, 5500)),
    size=st.tuples(view_sizes, view_sizes),
)
def test_tiles_that_begin_at_the_view_cover_every_pixel_once(shape, middle, size):
    sizes, origin = choose_tile_size(
        shape, SPEC, SPEC.footprint, watched=True, view=(middle, size)
    )
    plan = TilePlan.for_shape(
        shape, tile=sizes, footprint=SPEC.footprint, origin=origin
    )
    for axis, (starts, n) in enumerate(zip(plan.starts, shape, strict=True)):
        assert starts[0] == 0
        assert list(starts) == sorted(set(starts))
        assert all(start % SPEC.footprint.divisor[axis] == 0 for start in starts)
        ends = [*starts[1:], n]
        spans = [stop - start for start, stop in zip(starts, ends, strict=True)]
        assert min(spans) > 0
        assert max(spans) <= plan.tile[axis] <= 1.5 * 512 + 16
    assert sum(
        (y[1] - y[0]) * (x[1] - x[0]) for y, x in (tile.inner for tile in plan)
    ) == (shape[0] * shape[1])


@settings(max_examples=60, deadline=None)
@given(middle=st.tuples(st.floats(600, 3400), st.floats(600, 3400)))
def test_four_tiles_cover_a_view_of_1024_pixels_wherever_it_is(middle):
    place = ((), middle, (1024.0, 1024.0))
    big = Image.from_array(np.broadcast_to(np.uint8(0), (4096, 4096)), "YX")
    plan = plan_prediction(big, SPEC, PredictConfig(), watched=True, place=place)
    seen = [
        tile
        for tile in plan.tiles
        if all(
            start < m + 512 and m - 512 < stop
            for (start, stop), m in zip(tile.inner, middle, strict=True)
        )
    ]
    assert len(seen) == 4
    assert len({plan.number((), tile) for tile in plan.tiles}) == plan.total
    assert all(plan.at(plan.number((), tile)) == ((), tile) for tile in plan.tiles)


def test_a_grid_that_follows_the_view_changes_no_result(make_checkpoint: Callable):
    checkpoint = make_checkpoint(SMALL)
    config = PredictConfig(device="cpu", probabilities=True)
    whole = predict(image(700), checkpoint, config).probabilities
    place = ((), (333.0, 290.0), (300.0, 260.0))
    results = ArrayOutput(
        np.zeros((700, 700), np.uint8), np.zeros((2, 700, 700), np.float32)
    )
    run = iter_predict(image(700), checkpoint, config, near=lambda: place, into=results)
    first = next(run)
    assert (first.inner[0].start, first.inner[1].start) == (180, 160)
    assert first.inner[0].stop >= 483, "one tile covers the view"
    result = drain(run)
    assert result.complete
    np.testing.assert_allclose(result.probabilities, whole, atol=1e-4)


def test_the_tiles_of_a_run_to_disk_do_not_depend_on_the_view(
    make_checkpoint: Callable, tmp_path: Path
):
    place = ((), (30.0, 35.0), (20.0, 20.0))
    results = DiskOutput(tmp_path / "labels.ome.zarr")
    run = iter_predict(
        image(96),
        make_checkpoint(SMALL),
        PredictConfig(device="cpu"),
        near=lambda: place,
        into=results,
    )
    assert next(run).inner == (slice(0, 96), slice(0, 96))
    run.close()


def test_tiles_are_as_large_as_the_memory_allows():
    (edge, _), _ = choose_tile_size((8192, 9000), SPEC, SPEC.footprint)
    assert 1300 < edge <= 1536
    wide = ModelSpec(width=64)
    (edge, _), _ = choose_tile_size((8192, 8192), wide, wide.footprint)
    assert 512 < edge < 1200
    volume = ModelSpec.for_architecture("unet", ndim=3)
    sizes, _ = choose_tile_size((200, 2000, 2000), volume, volume.footprint)
    assert min(sizes) > 64
    assert max(sizes) < 250


def test_tiles_are_alike_in_size():
    sizes, _ = choose_tile_size((2100, 100), SPEC, SPEC.footprint)
    assert sizes == (1050, 100)

"""Tiles cover an image exactly once, with the context that the whole image gives."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import SpecError
from unet_engine.prediction.plan import PredictionPlan, nearest_first
from unet_engine.tiling.tiles import (
    Footprint,
    TilePlan,
    read_reflected,
    reflect_indices,
)

few = settings(deadline=None, max_examples=80)


@st.composite
def plans(draw, ndim=2):
    """Any shape, tile and footprint of a sensible size."""
    divisor = draw(st.sampled_from([1, 2, 4, 8]))
    footprint = Footprint.isotropic(
        ndim,
        halo=draw(st.integers(0, 20)),
        divisor=divisor,
        remainder=draw(st.integers(0, divisor - 1)),
    )
    if draw(st.booleans()):
        footprint = replace(footprint, remainder=(0,) * ndim, padded=True)
    most = {2: 60, 3: 12}[ndim]
    shape = draw(st.tuples(*[st.integers(1, most)] * ndim))
    tile = draw(st.one_of(st.integers(2, 40), st.tuples(*[st.integers(2, 40)] * ndim)))
    origin = draw(st.none() | st.tuples(*[st.integers(0, most)] * ndim))
    return TilePlan.for_shape(shape, tile=tile, footprint=footprint, origin=origin)


@few
@given(st.one_of(plans(), plans(ndim=3)))
def test_inner_regions_cover_the_image_exactly_once(plan):
    seen = np.zeros(plan.shape, dtype=int)
    for tile in plan:
        seen[tile.inner_slices] += 1
    assert (seen == 1).all()
    assert [plan[number] for number in range(len(plan))] == list(plan)
    with pytest.raises(IndexError):
        plan[len(plan)]
    largest = max((tile.outer_shape for tile in plan), key=prod)
    assert plan.largest_outer == largest


@few
@given(plans())
def test_outer_regions_hold_the_halo_and_fit_the_network(plan):
    foot = plan.footprint
    for tile in plan:
        for axis, ((start, stop), (low, high)) in enumerate(
            zip(tile.inner, tile.outer, strict=True)
        ):
            if foot.padded:
                divisor, size = foot.divisor[axis], plan.shape[axis]
                assert low == 0 or start - foot.halo[axis] - divisor < low
                assert 0 <= low <= max(0, start - foot.halo[axis])
                assert low % divisor == high % divisor == 0
                end = -(-size // divisor) * divisor
                assert min(stop + foot.halo[axis], end) <= high <= end
                continue
            assert start - low == foot.halo[axis]
            assert high - stop >= foot.halo[axis]
            assert (high - low) % foot.divisor[axis] == foot.remainder[axis]
            assert (high - low) - (stop - start + 2 * foot.halo[axis]) < foot.divisor[
                axis
            ]


@few
@given(plans())
def test_tiles_start_on_the_pooling_grid(plan):
    for tile in plan:
        for (start, _), divisor in zip(tile.inner, plan.footprint.divisor, strict=True):
            assert start % divisor == 0


@few
@given(plans(), st.integers(0, 6))
def test_local_slices_find_the_inner_region_in_the_output(plan, lost):
    """Also in an output that lost ``lost`` pixels on each side."""
    lost = 0 if plan.footprint.padded else min(lost, *plan.footprint.halo)
    image = np.arange(np.prod(plan.shape)).reshape(plan.shape)
    for tile in plan:
        outer = read_reflected(lambda s: image[None][:, *s], tile.outer, plan.shape)[0]
        output = outer[tuple(slice(lost, n - lost) for n in outer.shape)]
        found = output[tile.local_slices(output.shape)]
        assert np.array_equal(found, image[tile.inner_slices])


@few
@given(plans(), st.tuples(st.floats(-50, 150), st.floats(-50, 150)))
def test_nearest_first_starts_near_and_forgets_no_tile(plan, point):
    ordered = plan.nearest_first(point)
    assert sorted(t.inner for t in ordered) == sorted(t.inner for t in plan)

    def distance(tile):
        centre = [(start + stop) / 2 for start, stop in tile.inner]
        return np.linalg.norm(np.subtract(centre, point))

    distances = [distance(tile) for tile in ordered]
    assert np.all(np.diff(distances) >= -1e-6)


@few
@given(plans())
def test_the_largest_outer_is_the_largest(plan):
    most = max(np.prod(tile.outer_shape) for tile in plan)
    assert np.prod(plan.largest_outer) == most


def test_an_image_smaller_than_a_tile_is_one_tile():
    footprint = Footprint.isotropic(2, halo=10, divisor=16)
    plan = TilePlan.for_shape((1, 30), tile=512, footprint=footprint)
    [tile] = plan
    assert tile.inner == ((0, 1), (0, 30))
    assert tile.outer == ((-10, 22), (-10, 54))


@pytest.mark.parametrize(
    ("shape", "tile"), [((0, 5), 8), ((5, 5), 0), ((5, 5), (8, -1)), ((), 8)]
)
def test_plans_without_pixels_are_refused(shape, tile):
    footprint = Footprint.isotropic(len(shape), halo=1, divisor=2)
    with pytest.raises(SpecError, match="has no pixels"):
        TilePlan.for_shape(shape, tile=tile, footprint=footprint)


@pytest.mark.parametrize(("ndim", "tile"), [(3, 8), (2, (8, 8, 8))])
def test_axes_must_match(ndim, tile):
    footprint = Footprint.isotropic(ndim, halo=1, divisor=2)
    with pytest.raises(SpecError, match="2 tile sizes"):
        TilePlan.for_shape((5, 5), tile=tile, footprint=footprint)


@few
@given(
    st.integers(1, 40),
    st.integers(-200, 200),
    st.integers(1, 200),
)
def test_reflection_is_that_of_numpy_repeated(size, start, length):
    values = np.arange(size)
    found = values[reflect_indices(start, start + length, size)]
    before, after = max(0, -start), max(0, start + length - size)
    mode = "reflect" if size > 1 else "edge"
    padded = np.pad(values, (before, after), mode=mode)
    assert np.array_equal(found, padded[start + before : start + before + length])


@few
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(-70, 70), st.integers(-70, 70)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_reading_beyond_the_image_mirrors_it(shape, low, size):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (2, *shape), dtype=np.uint8)
    outer = [(start, start + n) for start, n in zip(low, size, strict=True)]
    calls = []

    def read(slices):
        calls.append(slices)
        for part, n in zip(slices, shape, strict=True):
            assert 0 <= part.start < part.stop <= n, "only inside the image"
        return image[:, *slices]

    block = read_reflected(read, outer, shape)
    rows, columns = (
        reflect_indices(*interval, n) for interval, n in zip(outer, shape, strict=True)
    )
    assert len(calls) == 1
    assert block.dtype == np.uint8
    assert np.array_equal(block, image[:, rows][:, :, columns])


def test_what_lies_inside_the_image_is_not_copied():
    image = np.zeros((1, 9, 9), np.uint8)
    inside = read_reflected(lambda at: image[:, *at], [(2, 8), (0, 9)], (9, 9))
    assert np.shares_memory(inside, image)
    beyond = read_reflected(lambda at: image[:, *at], [(2, 8), (-1, 9)], (9, 9))
    assert not np.shares_memory(beyond, image)


def test_a_footprint_shrinks_its_input_unless_it_is_padded():
    footprint = Footprint(halo=(4,), divisor=(2,), remainder=(0,))
    assert not footprint.padded
    assert footprint.around([(0, 2)], (2,)) == ((-4, 6),)


def test_tiles_that_are_seen_come_before_nearer_ones():
    footprint = Footprint.isotropic(2, halo=4, divisor=4)
    tiles = TilePlan.for_shape((100, 100), tile=20, footprint=footprint)
    plan = PredictionPlan(
        shape=(3, 100, 100),
        planes=((0,), (2,)),
        tiles=tiles,
        nbytes=0,
        footprint=footprint,
        factors=(1.0, 1.0),
    )
    near = ((2,), (50.0, 50.0), (10.0, 90.0))
    order = list(nearest_first(plan, near))
    assert [index for index, _ in order] == [(2,)] * 25 + [(0,)] * 25
    assert [tile.inner[0] for _, tile in order[:5]] == [(40, 60)] * 5
    assert order[0][1].inner == ((40, 60), (40, 60))


def test_a_cut_tile_is_not_taken_for_the_one_under_the_point():
    footprint = Footprint.isotropic(2, halo=4, divisor=4)
    tiles = TilePlan.for_shape((60, 44), tile=40, footprint=footprint)
    plan = PredictionPlan(
        shape=(60, 44),
        planes=((),),
        tiles=tiles,
        nbytes=0,
        footprint=tiles.footprint,
        factors=(1.0, 1.0),
    )
    _, first = next(nearest_first(plan, ((), (20.0, 38.0))))
    assert first.inner == ((0, 40), (0, 40))

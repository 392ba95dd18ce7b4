"""Annotations against a plain dense array, and their size on a huge plane."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE

SHAPE = (3, 300, 520)


@st.composite
def strokes(draw):
    """A list of (index arrays, values) inside ``SHAPE``, doubles included."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        n = draw(st.integers(0, 200))
        indices = tuple(rng.integers(0, size, n) for size in SHAPE)
        values = draw(st.one_of(st.integers(0, 5), st.just(IGNORE), st.none()))
        found.append((indices, rng.integers(0, 5, n) if values is None else values))
    return found


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(strokes())
def test_strokes_equal_a_dense_array(painted):
    sparse, dense = Annotations(SHAPE), np.full(SHAPE, IGNORE, dtype=np.uint8)
    for indices, values in painted:
        sparse.set(indices, values)
        dense[indices] = values
        assert np.array_equal(sparse.get(indices), dense[indices])
    for z in range(SHAPE[0]):
        assert np.array_equal(sparse.target((z,)), dense[z])
        assert np.array_equal(sparse.touched((z,)), dense[z] != IGNORE)
    planes = np.flatnonzero(np.any(dense != IGNORE, axis=(1, 2)))
    assert sparse.planes() == tuple((int(z),) for z in planes)
    ids, counts = np.unique(dense[dense != IGNORE], return_counts=True)
    assert sparse.classes() == dict(zip(ids.tolist(), counts.tolist(), strict=True))
    assert sparse.count() == counts.sum()


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(0, 299), st.integers(0, 519)),
    st.tuples(st.integers(1, 300), st.integers(1, 520)),
    st.integers(0, 2**16),
)
def test_accept_and_apply_meet_every_block(corner, size, seed):
    rng = np.random.default_rng(seed)
    region = tuple(
        slice(start, min(start + n, full))
        for start, n, full in zip(corner, size, SHAPE[1:], strict=True)
    )
    dense = np.full(SHAPE[1:], IGNORE, dtype=np.uint8)
    labels = rng.integers(0, 4, dense[region].shape, dtype=np.uint8)
    dense[region] = labels
    sparse = Annotations(SHAPE)
    sparse.accept((1,), region, labels)
    assert np.array_equal(sparse.target((1,)), dense)
    assert np.array_equal(sparse.target((1,), region), labels)

    fresh = np.full(SHAPE[1:], 7, dtype=np.int32)
    sparse.apply_to((1,), fresh)
    assert np.array_equal(fresh, np.where(dense == IGNORE, 7, dense))
    part = np.full(labels.shape, 7, dtype=np.uint8)
    sparse.apply_to((1,), part, region)
    assert np.array_equal(part, labels)
    sparse.apply_to((0,), part, region)
    assert np.array_equal(part, labels), "the other plane is untouched"


def test_get_and_set_take_a_stroke_back():
    notes = Annotations((64, 64))
    notes.set((np.array([1, 2]), np.array([3, 4])), 1)
    stroke = (np.array([2, 3]), np.array([4, 5]))
    before = notes.get(stroke)
    notes.set(stroke, 2)
    notes.set(stroke, before)
    assert notes.classes() == {1: 2}
    assert notes.get(stroke).tolist() == [1, IGNORE]


def test_clear_forgets_pixels_and_empty_planes():
    notes = Annotations((2, 64, 64))
    notes.set((1, np.array([5, 6]), np.array([7, 8])), 0)
    assert notes.planes() == ((1,),)
    assert notes.classes() == {0: 2}, "background painted by the user is truth too"
    notes.clear((1, np.array([5, 6]), np.array([7, 8])))
    assert notes.planes() == ()
    assert notes.count() == 0


def test_copy_does_not_see_later_strokes():
    notes = Annotations((64, 64))
    notes.set((1, 1), 1)
    snapshot = notes.copy()
    notes.set((1, 1), 2)
    assert snapshot.classes() == {1: 1}


def test_memory_grows_with_strokes_not_with_the_plane():
    notes = Annotations((40_000, 40_000))
    y, x = np.mgrid[20_000:20_040, 39_960:40_000]
    notes.set((y, x), 3)
    held = sum(block.ids.nbytes for _, _, block in notes._blocks.items())
    assert held <= 4 * 256 * 256
    assert notes.count() == 1600
    region = (slice(19_990, 20_010), slice(39_950, 40_000))
    assert notes.touched((), region).sum() == 400


@pytest.mark.parametrize(
    ("indices", "values"),
    [
        ((np.array([0]), np.array([64])), 1),
        ((np.array([-1]), np.array([0])), 1),
        ((np.array([0]),), 1),
        ((np.array([0]), np.array([0])), 256),
        ((np.array([0]), np.array([0])), -1),
        ((np.array([0]), np.array([0])), 1.5),
    ],
)
def test_impossible_strokes_are_refused_and_leave_nothing(indices, values):
    notes = Annotations((64, 64))
    with pytest.raises(DataError):
        notes.set(indices, values)
    assert notes.count() == 0


def test_a_prediction_of_another_shape_is_refused():
    notes = Annotations((2, 64, 64))
    with pytest.raises(DataError, match="does not fit"):
        notes.apply_to((0,), np.zeros((64, 32), dtype=np.uint8))
    with pytest.raises(DataError, match="do not fit"):
        notes.accept((0,), (slice(0, 4), slice(0, 4)), np.zeros((4, 5), dtype=np.uint8))
    with pytest.raises(DataError, match="no plane"):
        notes.target((2,))
    with pytest.raises(DataError, match="steps"):
        notes.target((0,), (slice(0, 8, 2), slice(0, 8)))


@pytest.mark.parametrize("shape", [(64,), (0, 64)])
def test_annotations_need_a_plane(shape):
    with pytest.raises(DataError, match="no plane"):
        Annotations(shape)


def test_regions_hold_all_that_was_touched():
    notes = Annotations(SHAPE)
    notes.set(([1, 1], [10, 299], [10, 519]), 2)
    regions = notes.regions((1,))
    assert regions == (
        (slice(0, 256), slice(0, 256)),
        (slice(256, 300), slice(512, 520)),
    )
    assert sum(notes.touched((1,), region).sum() for region in regions) == 2
    assert notes.regions((0,)) == ()
    with pytest.raises(DataError, match="no plane"):
        notes.regions((3,))

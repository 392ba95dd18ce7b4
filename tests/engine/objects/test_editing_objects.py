"""Objects are split, merged, deleted and added exactly, and claims keep all of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.objects.editing import (
    add_object,
    claimed_ids,
    claims_after,
    classes_after,
    delete_objects,
    merge_objects,
    split_objects,
    with_claimed_objects,
)
from unet_engine.objects.editing.lines import line_pixels

FULL = np.ones((3, 3), bool)
planes = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14),
    elements=st.integers(0, 4),
)
volumes = hnp.arrays(
    np.uint16,
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=9),
    elements=st.integers(0, 3),
)
lines = st.lists(
    st.tuples(st.floats(-3, 16), st.floats(-3, 16)), min_size=1, max_size=5
)


def two_discs() -> np.ndarray:
    """Return one object of two discs that overlap, id 7, and a small one, id 3."""
    y, x = np.mgrid[:40, :60]
    ids = np.zeros((40, 60), np.uint16)
    for centre in (20, 40):
        ids[(y - 20) ** 2 + (x - centre) ** 2 < 150] = 7
    ids[2:5, 2:5] = 3
    return ids


@given(lines, st.tuples(st.integers(1, 14), st.integers(1, 14)))
def test_pixels_of_a_line_have_a_side_in_common(points: list, shape: tuple):
    found = line_pixels(points, (99, 99))
    if np.min(points) >= 0:
        assert (np.abs(np.diff(found, axis=0)).sum(axis=1) <= 1).all()
    small = line_pixels(points, shape)
    assert (small < shape).all()
    assert set(map(tuple, small)) <= set(map(tuple, found))


@settings(deadline=None, max_examples=40)
@given(volumes, lines)
def test_a_split_moves_no_pixel_and_keeps_the_others(ids: np.ndarray, points: list):
    before = ids.copy()
    edit = split_objects(ids, points)
    np.testing.assert_array_equal(ids, before)
    after = ids if edit is None else edit.apply_to(ids)
    np.testing.assert_array_equal(after > 0, ids > 0)
    plane = ids if ids.ndim == 2 else ids[0]
    crossed = set(plane[tuple(line_pixels(points, plane.shape).T)].tolist()) - {0}
    for number in np.unique(ids[ids > 0]).tolist():
        parts = np.unique(after[ids == number]).tolist()
        assert number in parts
        assert all(part == number or part > ids.max() for part in parts)
        assert len(parts) == 1 or number in crossed
    if edit is not None:
        assert (after[edit.where] == edit.ids).all()
        assert (ids[edit.where] != edit.ids).all()


def test_a_line_across_a_neck_makes_two_of_one():
    ids = two_discs()
    edit = split_objects(ids, [(0, 30), (39, 30)])
    after = edit.apply_to(ids)
    left, right = after[20, 15], after[20, 45]
    assert {int(left), int(right)} == {7, 8}
    assert after[3, 3] == 3
    # The pixels of the line went to the parts beside them.
    assert set(np.unique(after[ids == 7])) == {7, 8}
    np.testing.assert_array_equal(after[:, :29][ids[:, :29] == 7], left)
    np.testing.assert_array_equal(after[:, 32:][ids[:, 32:] == 7], right)
    assert split_objects(ids, [(0, 30), (20, 30)]) is None, "it ends inside"
    for column in (9, 10):
        line = [(0, column), (39, column)]
        assert split_objects(ids, line) is None, "it only cuts a crumb off"
    new = split_objects(ids, [(0, 30), (39, 30)], first_new=40).apply_to(ids)
    assert new.max() == 40


def test_a_line_that_crosses_itself_makes_no_crumbs():
    ids = two_discs()
    loop = [(0, 30), (18, 30), (18, 32), (16, 32), (16, 28), (39, 31)]
    after = split_objects(ids, loop).apply_to(ids)
    assert set(np.unique(after)) == {0, 3, 7, 8}


@settings(deadline=None, max_examples=40)
@given(planes, lines)
def test_a_merge_is_one_object_in_one_piece(ids: np.ndarray, points: list):
    pieces = label(ids, connectivity=2).astype(np.uint16)
    edit = merge_objects(pieces, points)
    crossed = pieces[tuple(line_pixels(points, pieces.shape).T)]
    crossed = np.unique(crossed[crossed > 0])
    if crossed.size < 2:
        assert edit is None
        return
    after = edit.apply_to(pieces)
    merged = after == after[np.isin(pieces, crossed)][0]
    assert np.isin(pieces, crossed)[merged & (pieces > 0)].all()
    assert merged[np.isin(pieces, crossed)].all()
    # A line that leaves the plane between two objects makes no bridge there.
    if (np.asarray(points) >= 0).all() and (np.asarray(points) < pieces.shape).all():
        assert ndimage.label(merged, FULL)[1] == 1
    others = (pieces > 0) & ~np.isin(pieces, crossed)
    np.testing.assert_array_equal(after[others], pieces[others])


@settings(deadline=None, max_examples=40)
@given(volumes, lines)
def test_delete_takes_what_is_crossed_and_nothing_else(ids: np.ndarray, points: list):
    edit = delete_objects(ids, points)
    plane = ids if ids.ndim == 2 else ids[0]
    crossed = plane[tuple(line_pixels(points, plane.shape).T)]
    expected = np.where(np.isin(ids, crossed[crossed > 0]), 0, ids)
    after = ids if edit is None else edit.apply_to(ids)
    np.testing.assert_array_equal(after, expected)


def test_an_object_in_another_slice_stays():
    ids = np.zeros((3, 8, 8), np.uint16)
    ids[0, 2:6, 2:6], ids[1:, 2:6, 2:6] = 1, 2
    after = delete_objects(ids, [(4, 4)], at=1).apply_to(ids)
    assert set(np.unique(after)) == {0, 1}
    cut = split_objects(ids, [(4, 0), (4, 7)], at=2).apply_to(ids)
    assert (cut[0] == ids[0]).all()
    assert all(np.unique(plane).tolist() == [0, 2, 3] for plane in cut[1:])


def test_a_bridge_lies_in_the_slice_of_the_line():
    ids = np.zeros((3, 9, 20), np.uint16)
    ids[:, 2:7, 2:6], ids[:, 2:7, 12:18] = 1, 2
    after = merge_objects(ids, [(4, 3), (4, 14)], at=1).apply_to(ids)
    assert (after[1, 3:6, 6:12] == 2).all()
    assert not after[0, :, 6:12].any()
    assert set(np.unique(after)) == {0, 2}


@given(planes, planes, st.booleans())
def test_adding_keeps_the_others_as_chosen(
    ids: np.ndarray, drawn: np.ndarray, over: bool
):
    shape = tuple(map(min, ids.shape, drawn.shape))
    ids, where = ids[: shape[0], : shape[1]], drawn[: shape[0], : shape[1]] > 2
    edit = add_object(ids, where, over_others=over)
    new = int(ids.max()) + 1
    gets = where if over else where & (ids == 0)
    after = ids if edit is None else edit.apply_to(ids)
    np.testing.assert_array_equal(after == new, gets)
    np.testing.assert_array_equal(after[~gets], ids[~gets])


def test_no_id_is_used_twice_where_the_type_ends():
    ids = np.full((4, 4), 255, np.uint8)
    with pytest.raises(
        DataError, match=r"uint8 end at 255; separate the objects again"
    ):
        add_object(ids, np.ones(ids.shape, bool), over_others=True)
    with pytest.raises(DataError, match="or give ids of a larger type"):
        split_objects(ids, [(2, 0), (2, 3)])


@settings(deadline=None, max_examples=40)
@given(volumes)
def test_claims_keep_every_object_and_what_lies_between(ids: np.ndarray):
    pieces = label(ids, connectivity=ids.ndim).astype(np.uint16)
    none = np.full(ids.shape, IGNORE, np.uint8)
    claims = claims_after(none, pieces, np.ones(ids.shape, bool), np.unique(pieces))
    assert not (claims == IGNORE).any()
    found = claimed_ids(claims)
    np.testing.assert_array_equal(found > 0, pieces > 0)
    pairs = set(zip(found.ravel().tolist(), pieces.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_an_edit_claims_what_it_touched_and_the_next_one_corrects_it():
    ids = two_discs()
    none = np.full(ids.shape, IGNORE, np.uint8)
    split = split_objects(ids, [(0, 30), (39, 30)]).apply_to(ids)
    claims = claims_after(none, split, split != ids, {7, 8})
    np.testing.assert_array_equal(claims != IGNORE, ids == 7)
    assert set(np.unique(claims[ids == 7])) == {1, 2}
    back = claims_after(claims, ids, split != ids, {7, 8})
    assert claimed_ids(back).max() == 1
    gone = delete_objects(split, [(20, 15)]).apply_to(split)
    claims = claims_after(claims, gone, gone != split, {7, 8})
    assert (claims[split == split[20, 15]] == 0).all()
    assert claimed_ids(claims).max() == 1


def test_corrected_objects_come_back_among_those_found_anew():
    ids = two_discs()
    none = np.full(ids.shape, IGNORE, np.uint8)
    split = split_objects(ids, [(0, 30), (39, 30)]).apply_to(ids)
    claims = claims_after(none, split, split != ids, {7, 8})
    # Found anew, in one piece and with another border.
    anew = ids.copy()
    anew[ndimage.binary_dilation(ids == 7)] = 7
    after = with_claimed_objects(anew, claims, first_new=8)
    assert set(np.unique(after)) == {0, 3, 8, 9}
    np.testing.assert_array_equal(after > 3, ids == 7)
    assert after[20, 15] != after[20, 45]
    # Of one that is mostly something else only the claimed part goes.
    large = np.full(ids.shape, 1, np.uint8)
    after = with_claimed_objects(large, claims, first_new=300)
    assert set(np.unique(after)) == {1, 300, 301}
    gone = delete_objects(ids, [(20, 15)]).apply_to(ids)
    claims = claims_after(none, gone, gone != ids, {7})
    assert set(np.unique(with_claimed_objects(anew, claims, 8))) == {0, 3}


def test_an_edit_shows_classes_only_where_they_are_certain():
    ids = two_discs()
    mask = (ids > 0).astype(np.uint8) * 2
    split = split_objects(ids, [(0, 30), (39, 30)]).apply_to(ids)
    for before, after in ((ids, split), (split, ids)):
        found = classes_after(before, after, mask, new_class=1)
        assert set(np.unique(found)) == {2, IGNORE}
        _, columns = np.nonzero(found != IGNORE)
        assert 25 <= columns.min() < columns.max() <= 34
        assert (ids[found != IGNORE] == 7).all()
    gone = delete_objects(split, [(20, 15)]).apply_to(split)
    found = classes_after(split, gone, mask, new_class=1)
    np.testing.assert_array_equal(found == 0, split == split[20, 15])
    square = np.zeros(ids.shape, bool)
    square[30:38, 2:8] = True
    more = add_object(ids, square).apply_to(ids)
    found = classes_after(ids, more, mask, new_class=1)
    np.testing.assert_array_equal(found == 1, square)
    ring = ndimage.binary_dilation(square, iterations=2) & ~square
    np.testing.assert_array_equal(found == 0, ring)

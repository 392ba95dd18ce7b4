"""The border weights of the U-Net paper, against a brute-force equation 2."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.objects.border_weights import (
    balance_weights,
    border_weights,
    separate_objects,
    weigh_instances,
    weigh_pieces,
)
from unet_engine.training.data.pairs import TrainingPair


def squares(gap=4, edge=64):
    """Two squares ``gap`` pixels apart in the rows 20..43."""
    ids = np.zeros((edge, edge), np.int32)
    ids[20:44, 4:28] = 1
    ids[20:44, 28 + gap : 52 + gap] = 2
    return ids


def by_definition(ids, strength=10.0, sigma=5.0):
    objects = [i for i in np.unique(ids) if i > 0]
    if len(objects) < 2:
        return np.zeros(ids.shape)
    distances = np.sort(
        [ndimage.distance_transform_edt(ids != i) for i in objects], axis=0
    )
    weights = strength * np.exp(-((distances[0] + distances[1]) ** 2) / 2 / sigma**2)
    return np.where(ids > 0, 0, weights)


def pair(target, **fields):
    target = np.asarray(target, np.uint8)
    return TrainingPair(np.zeros((1, *target.shape), np.float32), target, **fields)


def test_weight_in_the_middle_of_a_gap_is_that_of_the_formula():
    weights = border_weights(squares(gap=5))
    # The middle column of 5 is 3 pixels from either square.
    assert weights[30, 30] == pytest.approx(10 * np.exp(-(6**2) / (2 * 25)))
    assert weights[30, 10] == 0
    assert weights[2, 2] < 1e-3


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000), objects=st.integers(0, 12), sigma=st.sampled_from([2, 5])
)
def test_equals_the_distances_to_all_objects(seed, objects, sigma):
    rng = np.random.default_rng(seed)
    ids = np.zeros((70, 90), np.int64)
    for number in range(1, objects + 1):
        y, x = rng.integers(0, (66, 86))
        ids[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = number * 1000
    np.testing.assert_allclose(
        border_weights(ids, sigma=sigma), by_definition(ids, sigma=sigma), atol=1e-6
    )


def test_huge_ids_are_taken():
    ids = np.zeros((20, 30), np.int64)
    ids[5:15, 2:12], ids[5:15, 16:26] = 2**40, 7
    np.testing.assert_allclose(border_weights(ids), by_definition(ids), atol=1e-6)


def test_weights_of_a_volume_are_those_of_its_slices():
    ids = np.stack([squares(gap=4), squares(gap=9), 0 * squares()])
    weights = border_weights(ids)
    for plane, found in zip(ids, weights, strict=True):
        np.testing.assert_allclose(found, by_definition(plane), atol=1e-6)


def test_pieces_of_a_volume_are_those_of_its_slices():
    # One U-shaped object in 3-D: its arms are two pieces where the slice shows two.
    ids = np.stack([squares(gap=4) > 0, np.ones((64, 64))]).astype(np.uint8)
    ids[1, :10] = IGNORE
    weights = weigh_pieces(pair(ids), 10.0).pixel_weights
    assert weights[0, 30, 29] > 5 + balance_weights(ids)[0, 30, 29]
    # No gap between objects in the other slice.
    assert np.array_equal(weights[1], balance_weights(ids)[1])


def test_objects_that_touch_across_slices_are_separated():
    ids = np.zeros((4, 9, 9), np.int32)
    ids[:2, 2:7, 2:7], ids[2:, 2:7, 2:7] = 1, 2
    separated = separate_objects(ids)
    assert np.array_equal(separated[:2], ids[:2])
    assert not separated[2].any()
    assert np.array_equal(separated[3], ids[3])


def test_an_object_over_all_the_image_leaves_nothing_to_weigh():
    assert border_weights(np.full((8, 9), 3)).max() == 0


@pytest.mark.slow
def test_many_objects_need_little_memory():
    import tracemalloc

    ids = np.zeros((512, 512), np.int32)
    ids[4::8, 4::8] = np.arange(1, 4097).reshape(64, 64)
    tracemalloc.start()
    border_weights(ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One map of the distances to each object would take 8 GB.
    assert peak < 40 * ids.nbytes


def test_classes_weigh_the_same_together():
    target = np.zeros((10, 10), np.uint8)
    target[:2], target[9] = 1, IGNORE
    weights = balance_weights(target)
    assert weights[target == 0].sum() == pytest.approx(weights[target == 1].sum())
    assert weights[target < HELD_OUT].mean() == pytest.approx(1)


def test_one_pixel_does_not_outweigh_an_image():
    target = np.zeros((100, 100), np.uint8)
    target[0, 0] = 1
    assert balance_weights(target).max() == 10


def test_one_class_and_no_class_weigh_one():
    for value in (0, 1, IGNORE):
        assert np.all(balance_weights(np.full((4, 4), value, np.uint8)) == 1)


def test_touching_objects_get_background_between_them():
    ids = np.zeros((10, 12), np.uint16)
    ids[2:8, 1:6], ids[2:8, 6:11] = 65535, 9
    separated = separate_objects(ids)
    assert ndimage.label(separated > 0)[1] == 2
    assert np.array_equal(separated == 9, ids == 9)
    assert np.count_nonzero(separated != ids) == 6


def test_objects_apart_stay_as_they_are():
    assert np.array_equal(separate_objects(squares()), squares())


def test_pair_of_instances_learns_the_gap():
    ids = squares(gap=0)
    weighed = weigh_instances(pair(ids > 0), ids, 10.0)
    gap = (weighed.target == 0) & (ids > 0)
    assert gap.sum() == 24
    assert weighed.pixel_weights[gap].min() > 10 * np.exp(-4 / 50)
    assert weighed.pixel_weights[weighed.target == 1].max() < 2


def test_gap_is_not_invented_where_nobody_labelled():
    ids = squares(gap=0)
    target = np.where(ids > 0, IGNORE, 0).astype(np.uint8)
    assert np.array_equal(weigh_instances(pair(target), ids, 10.0).target, target)


def test_pieces_of_foreground_stand_for_objects():
    ids = squares(gap=3)
    weighed = weigh_pieces(pair(ids > 0), 10.0)
    expected = balance_weights((ids > 0).astype(np.uint8)) + by_definition(ids)
    np.testing.assert_allclose(weighed.pixel_weights, expected, atol=1e-5)


def test_own_weights_of_a_pair_are_kept():
    own = pair(squares() > 0, pixel_weights=np.ones((64, 64), np.float32))
    assert weigh_pieces(own, 10.0) is own

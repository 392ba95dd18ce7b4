from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from unet_engine import metrics
from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.metrics.warping import _is_simple

EIGHT = np.ones((3, 3), bool)

labels = arrays(np.uint8, (6, 7), elements=st.integers(0, 4))
masks = arrays(bool, (8, 9))
few = settings(deadline=None, max_examples=60)


def overlaps(truth, predicted):
    return metrics.count_overlaps(np.array(truth), np.array(predicted))


def runs(*lengths_and_ids):
    return np.concatenate([np.full(length, i) for length, i in lengths_and_ids])


def membrane_plane(*, gap=False, width=1):
    """Two cells of 5 x 3 pixels left and right of a membrane in the middle column."""
    plane = np.zeros((5, 7), np.uint8)
    half = width // 2
    plane[:, 3 - half : 4 + half] = 1
    if gap:
        plane[2] = 0
    return plane


# Confusion (Long et al. 2015)


def test_scores_of_the_fcn_paper_by_hand():
    counted = metrics.Confusion(2)
    counted.add(runs((4, 0), (6, 1)), runs((3, 0), (1, 1), (2, 0), (4, 1)))
    assert counted.counts.tolist() == [[3, 1], [2, 4]]
    assert counted.pixel_accuracy == pytest.approx(7 / 10)
    assert counted.mean_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert counted.mean_iou == pytest.approx((3 / 6 + 4 / 7) / 2)
    assert counted.frequency_weighted_iou == pytest.approx((4 * 3 / 6 + 6 * 4 / 7) / 10)
    assert counted.dice == pytest.approx((6 / 9, 8 / 11))


def test_a_class_without_truth_has_no_accuracy_and_no_weight():
    counted = metrics.Confusion(3)
    counted.add(runs((4, 0)), runs((3, 0), (1, 2)))
    assert counted.mean_accuracy == pytest.approx(3 / 4)
    assert counted.frequency_weighted_iou == pytest.approx(3 / 4)


# Tables


def test_objects_are_numbered_as_they_appear_whatever_their_ids():
    table = overlaps([0, 2**40, 2**40, 7, 7], [9, 9, 0, 3, 9])
    assert table.toarray().tolist() == [[0, 1, 0], [1, 1, 0], [0, 1, 1]]


def test_table_has_all_objects_when_one_side_is_empty():
    assert overlaps([1, 2, 2], [0, 0, 0]).toarray().tolist() == [[0], [1], [2]]
    assert overlaps([0, 0], [4, 5]).toarray().tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros(3, int), np.zeros(4, int), "differ in shape"),
        (np.zeros(3, int), np.zeros(3, np.float32), "threshold a probability"),
        (np.array([-1, 2]), np.zeros(2, int), "id -1"),
        (np.zeros((0, 3), int), np.zeros((0, 3), int), "no pixel"),
    ],
)
def test_what_are_no_objects_is_refused(truth, predicted, message):
    with pytest.raises(DataError, match=message):
        metrics.count_overlaps(truth, predicted)


# Rand and information


def test_rand_and_information_by_hand():
    table = overlaps([1, 1, 1, 2, 2, 0], [1, 1, 2, 2, 2, 3])
    assert metrics.rand_score(table) == pytest.approx(2 * 9 / (13 + 13))
    assert metrics.rand_error(table) == pytest.approx(1 - 2 * 2 / (4 + 4))
    each = -(3 / 5 * log(3 / 5) + 2 / 5 * log(2 / 5))
    joint = -(2 * 2 / 5 * log(2 / 5) + 1 / 5 * log(1 / 5))
    assert metrics.information_score(table) == pytest.approx((2 * each - joint) / each)


def test_foreground_called_background_falls_apart_into_pixels():
    table = overlaps([1, 1, 1, 1, 0], [1, 1, 0, 0, 0])
    assert metrics.rand_score(table) == pytest.approx(2 * 6 / (16 + 6))
    assert metrics.rand_error(table) == pytest.approx(1 - 2 * 1 / (6 + 1))
    assert metrics.information_score(table) == pytest.approx(0)


def test_partitions_of_nothing_agree():
    for table in (overlaps([0, 0], [1, 2]), overlaps([0], [0]), overlaps([1], [1])):
        assert metrics.rand_score(table) == 1
        assert metrics.information_score(table) == 1
        assert metrics.rand_error(table) == 0


# Objects


def three_true_and_three_predicted():
    """IoU 0.8 and 0.6, one missed, one invented."""
    truth = runs((10, 5), (10, 7), (10, 9), (20, 0))
    predicted = runs((8, 2), (2, 0), (6, 1), (4, 0), (10, 0), (5, 3), (15, 0))
    return overlaps(truth, predicted)


def test_average_precision_by_hand():
    table = three_true_and_three_predicted()
    at_half = metrics.match_objects(table, 0.5)
    assert at_half == metrics.Matches(
        true_positives=2, false_positives=1, false_negatives=1
    )
    assert at_half.average_precision == 2 / 4
    assert at_half.f1 == 4 / 6
    assert metrics.match_objects(table, 0.75).average_precision == 1 / 5
    # 0.5, 0.55: both; 0.6 to 0.75: one, an IoU of 0.6 not being above 0.6; then none.
    assert metrics.average_precision(table) == pytest.approx((2 * 2 / 4 + 4 / 5) / 10)


def test_aggregated_jaccard_by_hand():
    table = three_true_and_three_predicted()
    assert metrics.aggregated_jaccard(table) == pytest.approx(14 / (10 + 10 + 10 + 5))


def test_aggregated_jaccard_lets_two_true_objects_take_one_prediction():
    table = overlaps(runs((4, 1), (4, 2)), runs((8, 1)))
    assert metrics.aggregated_jaccard(table) == pytest.approx(8 / 16)


def test_seg_by_hand():
    assert metrics.seg_score(three_true_and_three_predicted()) == pytest.approx(1.4 / 3)
    exactly_half = overlaps(runs((4, 1)), runs((2, 1), (2, 0)))
    assert metrics.seg_score(exactly_half) == 0


def test_below_a_half_one_prediction_still_matches_one_object():
    table = overlaps(runs((4, 1), (4, 2)), runs((8, 1)))
    assert metrics.match_objects(table, 0.4) == metrics.Matches(
        true_positives=1, false_positives=0, false_negatives=1
    )
    assert metrics.match_objects(table, 0.5).true_positives == 0
    with pytest.raises(DataError, match=r"0\.5 to 0\.95"):
        metrics.match_objects(table, 50)


@pytest.mark.parametrize(
    "score", [metrics.average_precision, metrics.aggregated_jaccard, metrics.seg_score]
)
def test_nothing_where_there_is_nothing_is_perfect(score):
    assert score(overlaps([0, 0], [0, 0])) == 1
    assert score(overlaps([0, 0], [0, 1])) == 0
    assert score(overlaps([0, 1], [0, 0])) == 0


@pytest.mark.slow
@few
@given(labels, labels, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
def test_object_scores_do_not_depend_on_the_numbering(truth, predicted, one, other):
    renumbered = np.array([0, *one])[truth], np.array([0, *other])[predicted]
    before = metrics.report(truth, predicted, "instances")
    assert metrics.report(*renumbered, "instances") == pytest.approx(before)


@few
@given(labels)
def test_identity_is_perfect(truth):
    scores = metrics.report(truth, truth.copy(), "instances")
    assert scores.pop("true_objects") == scores.pop("predicted_objects")
    assert scores == pytest.approx(dict.fromkeys(scores, 1.0))
    classes = metrics.report(truth, truth, "classes")
    assert classes.pop("pixel_error") == 0
    assert classes == pytest.approx(dict.fromkeys(classes, 1.0))


@pytest.mark.slow
@few
@given(labels, labels)
def test_scores_stay_in_range_and_symmetric_ones_are(truth, predicted):
    there = metrics.report(truth, predicted, "instances")
    back = metrics.report(predicted, truth, "instances")
    counts = ("true_objects", "predicted_objects")
    assert all(0 <= there[name] <= 1 for name in there if name not in counts)
    for name in ("ap", "ap_50", "ap_75", "f1_50", "iou", "dice"):
        assert there[name] == pytest.approx(back[name])
    whole, parts = (
        overlaps(truth + 1, predicted + 1),
        overlaps(predicted + 1, truth + 1),
    )
    for score in (metrics.rand_score, metrics.information_score, metrics.rand_error):
        assert score(whole) == pytest.approx(score(parts))


# Warping


def test_116_of_256_neighbourhoods_are_simple():
    assert _is_simple().sum() == 116


def test_a_moved_border_is_no_error():
    disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
    moved = metrics.warp(disc, np.roll(disc, (3, 2), (0, 1)))
    assert moved.errors == 0
    assert np.array_equal(moved.warped, np.roll(disc, (3, 2), (0, 1)))


def test_lost_membrane_merges_along_its_length():
    truth = membrane_plane(width=3) == 0
    warped = metrics.warp(truth, np.ones_like(truth))
    assert (warped.errors, warped.merges, warped.splits) == (5, 5, 0)


def test_hole_in_a_membrane_merges_and_a_stopped_one_splits():
    whole, open_ = membrane_plane() == 0, membrane_plane(gap=True) == 0
    merged = metrics.warp(whole, open_)
    assert (merged.errors, merged.merges, merged.splits) == (1, 1, 0)
    split = metrics.warp(open_, whole)
    assert (split.errors, split.merges, split.splits) == (1, 0, 1)


def test_invented_objects_stay_and_lost_ones_shrink_to_a_pixel():
    nothing, square = np.zeros((2, 7, 7), bool)
    square[2:5, 2:5] = True
    invented = metrics.warp(nothing, square)
    assert (invented.errors, invented.merges, invented.splits) == (9, 0, 0)
    lost = metrics.warp(square, nothing)
    assert (lost.errors, lost.merges, lost.splits) == (1, 0, 0)


def test_pixels_that_may_not_flip_stay():
    disc = np.hypot(*np.mgrid[-9:9, -9:9]) < 5
    moved = np.roll(disc, 1, 0)
    assert metrics.warp(disc, moved, allowed=~(disc ^ moved)).errors == 10 * 2 - 2


@few
@given(masks, masks, masks)
def test_warping_keeps_topology_and_leaves_no_simple_point(truth, predicted, allowed):
    result = metrics.warp(truth, predicted, allowed=allowed)
    for before, after in ((truth, result.warped), (~truth, ~result.warped)):
        fill, structure = (0, None) if before is truth else (1, EIGHT)
        counts = [
            ndimage.label(np.pad(m, 1, constant_values=fill), structure)[1]
            for m in (before, after)
        ]
        assert counts[0] == counts[1]
    changed = result.warped != truth
    assert not (changed & ~allowed).any()
    assert (result.warped == predicted)[changed].all()
    assert result.errors == (result.warped != predicted).sum()
    for y, x in np.argwhere((result.warped != predicted) & allowed):
        around = np.pad(result.warped, 1)[y : y + 3, x : x + 3]
        code = np.delete(around.ravel(), 4) @ (1 << np.arange(8))
        assert not _is_simple()[code]


@few
@given(masks, masks)
def test_merges_and_splits_are_those_that_change_the_number_of_objects(
    truth, predicted
):
    result = metrics.warp(truth, predicted)
    merges = splits = 0
    before = ndimage.label(result.warped)[1]
    for place in map(tuple, np.argwhere(result.warped != predicted)):
        flipped = result.warped.copy()
        flipped[place] ^= True
        change = ndimage.label(flipped)[1] - before
        merges += bool(flipped[place] and change < 0)
        splits += bool(not flipped[place] and change > 0)
    assert (result.merges, result.splits) == (merges, splits)


def test_warping_is_for_planes_of_one_shape():
    for truth, predicted in (((4, 4), (4, 5)), ((2, 4, 4), (2, 4, 4))):
        with pytest.raises(DataError, match="plane by plane"):
            metrics.warp(np.zeros(truth, bool), np.zeros(predicted, bool))


# Membranes


def test_thick_membrane_costs_nothing_after_thinning():
    truth, thick = membrane_plane(), membrane_plane(width=3)
    lines = metrics.thin(thick == 1) == 0
    assert np.array_equal(lines, truth == 1)
    scores = metrics.measure_membranes(truth, thick == 1)
    assert (scores.v_rand, scores.warping_error) == (1, 0)
    assert scores.v_info == pytest.approx(1)
    # Cells of 15 pixels became 10 and 5 single ones each: pairs 2 * 45 of 2 * 105.
    assert scores.rand_error == pytest.approx(1 - 2 * 90 / (210 + 90))
    assert scores.pixel_error == pytest.approx(10 / 35)
    assert scores.pixel_f_error == pytest.approx(1 - 2 * 20 / (2 * 20 + 10))


def test_a_gap_merges_two_cells():
    scores = metrics.measure_membranes(membrane_plane(), membrane_plane(gap=True) == 1)
    assert scores.v_rand == pytest.approx(2 * 450 / (450 + 900))
    assert scores.v_info == pytest.approx(0)
    assert scores.pixel_error == pytest.approx(1 / 35)
    assert scores.pixel_f_error == pytest.approx(1 - 2 * 30 / (2 * 30 + 1))
    assert scores.warping_error == scores.split_merge_error == pytest.approx(1 / 35)


def test_membrane_everywhere_leaves_one_cell():
    assert np.array_equal(metrics.thin(np.ones((3, 4), bool)), np.ones((3, 4)))


def test_planes_of_a_stack_keep_their_cells_apart():
    truth = np.stack([membrane_plane(), membrane_plane()])
    predicted = np.stack([membrane_plane(), membrane_plane(gap=True)])
    scores = metrics.measure_membranes(truth, predicted == 1)
    assert scores.v_rand == pytest.approx(2 * 900 / (900 + 450 + 900))
    assert scores.v_info == pytest.approx((1 + 0) / 2)
    assert scores.warping_error == pytest.approx(1 / 70)
    assert metrics.measure_membranes(truth, truth == 1).v_rand == 1


def test_unknown_pixels_of_a_membrane_map_cost_nothing():
    truth, predicted = membrane_plane(), membrane_plane(gap=True)
    truth[2, 3] = IGNORE
    scores = metrics.measure_membranes(truth, predicted == 1)
    assert (scores.pixel_error, scores.pixel_f_error, scores.warping_error) == (0, 0, 0)
    with pytest.raises(DataError, match="label some first"):
        metrics.measure_membranes(np.full((3, 3), IGNORE), np.zeros((3, 3), bool))


def test_best_threshold_closes_a_faint_gap():
    truth = membrane_plane()
    probability = np.where(membrane_plane(gap=True) == 1, 0.9, 0.05)
    probability[2, 3] = 0.3
    scores = metrics.report(truth, probability.astype(np.float32), "membranes")
    assert scores["v_rand"] == pytest.approx(2 / 3)
    assert scores["best_v_rand"] == 1
    assert scores["best_pixel_error"] == 0 < scores["pixel_error"]


# Reports


def test_report_of_classes_names_them_and_leaves_out_the_unknown():
    truth = np.array([[0, 1, 2, IGNORE]], np.uint8)
    scores = metrics.report(
        truth, np.array([[0, 1, 1, 2]]), "classes", names=("none", "cell", "nucleus")
    )
    assert scores["pixel_accuracy"] == pytest.approx(2 / 3)
    assert scores["iou_cell"] == scores["dice_cell"] - 1 / 6 == pytest.approx(1 / 2)
    assert scores["iou_nucleus"] == 0


def test_report_takes_probabilities_of_one_class_or_of_all():
    truth = np.array([[0, 1], [1, 0]])
    one = np.array([[0.2, 0.5], [0.4, 0.1]], np.float32)
    both = np.stack([1 - one, one])
    expected = metrics.report(truth, np.array([[0, 1], [0, 0]]), "classes")
    assert metrics.report(truth, one, "classes") == expected
    both[:, 0, 1] = 0.4, 0.6
    assert metrics.report(truth, both, "classes") == expected
    with pytest.raises(DataError, match="classes first"):
        metrics.report(truth, both[:, :1], "classes")


def test_report_without_any_truth_is_refused():
    with pytest.raises(DataError, match="label some first"):
        metrics.report(np.full((2, 2), IGNORE), np.zeros((2, 2), int), "classes")


def test_object_ids_are_no_classes_and_probabilities_no_objects():
    ids = np.array([0, 60000], np.uint16)
    with pytest.raises(DataError, match="'instances'"):
        metrics.report(ids, ids, "classes")
    with pytest.raises(DataError, match="label its components"):
        metrics.report(ids, np.zeros(2, np.float32), "instances")


def test_membranes_among_other_classes_are_class_1():
    truth = membrane_plane()
    truth[:, 6] = 2
    scores = metrics.report(truth, truth, "membranes")
    assert (scores["v_rand"], scores["warping_error"], scores["mean_iou"]) == (1, 0, 1)


def test_object_with_the_id_of_the_unknown_is_an_object():
    truth = np.array([IGNORE, IGNORE, 0])
    assert metrics.report(truth, truth, "instances")["true_objects"] == 1


def test_average_is_over_the_images_that_have_a_score():
    reports = [{"iou": 1.0, "dice_2": 0.5}, {"iou": 0.0}]
    assert metrics.average_reports(reports) == {"iou": 0.5, "dice_2": 0.5}


def test_thousands_of_objects_in_a_large_image():
    truth = np.arange(2048).reshape(32, 64).repeat(32, 0).repeat(16, 1)
    scores = metrics.report(truth, np.roll(truth, 1, 1), "instances")
    # Columns of 16 pixels moved by one: 15 shared of 17, except at the two margins.
    assert scores["ap"] == pytest.approx(0.8, abs=0.01)
    assert scores["seg"] == pytest.approx(15 / 17, abs=0.01)

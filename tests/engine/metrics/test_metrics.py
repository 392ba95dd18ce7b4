import numpy as np
import pytest

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.metrics import Confusion


def confusion(truth, predicted, classes=2):
    counted = Confusion(classes)
    counted.add(np.array(truth, np.uint8), np.array(predicted, np.uint8))
    return counted


def test_figures_counted_by_hand():
    found = confusion([[0, 0, 1, 1, 1]], [[0, 1, 1, 1, 0]])
    assert found.counts.tolist() == [[1, 1], [1, 2]]
    assert found.pixel_error == pytest.approx(2 / 5)
    assert found.iou == pytest.approx((1 / 3, 2 / 4))
    assert found.dice == pytest.approx((2 / 4, 4 / 6))
    assert found.mean_iou == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.mean_dice == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_ignored_pixels_do_not_count():
    found = confusion([[0, IGNORE, 1, IGNORE]], [[0, 1, 1, 0]])
    assert found.pixels == 2
    assert found.pixel_error == 0
    assert found.iou == (1, 1)


def test_class_that_occurs_nowhere_is_left_out_of_the_mean():
    found = confusion([[0, 0]], [[0, 0]], classes=3)
    assert found.iou == (1, None, None)
    assert found.mean_iou == 1
    assert found.mean_dice == 1


def test_class_that_is_only_predicted_counts_as_missed():
    found = confusion([[0, 0, 0, 0]], [[0, 0, 0, 1]])
    assert found.iou == (0.75, 0)


def test_images_add_up():
    found = confusion([[0, 1]], [[0, 0]])
    found.add(np.array([[1, 1, 1]], np.uint8), np.array([[1, 1, 1]], np.uint8))
    assert found.pixels == 5
    assert found.iou == pytest.approx((1 / 2, 3 / 4))


def test_classes_that_are_found_nowhere_are_missed():
    assert confusion([[0, 1]], [[0, 0]]).missed == (1,)
    assert confusion([[0, 0]], [[0, 1]]).missed == ()
    assert confusion([[0, 1]], [[1, 0]]).missed == ()


def test_nothing_counted_gives_zeros_not_nan():
    found = Confusion(2)
    assert (found.pixel_error, found.mean_iou, found.mean_dice) == (0, 0, 0)


def test_other_shape_is_refused():
    with pytest.raises(DataError, match="differ in shape"):
        confusion([[0, 1]], [[0], [1]])


@pytest.mark.parametrize("truth, predicted", [([[7]], [[0]]), ([[0]], [[7]])])
def test_unknown_class_is_refused(truth, predicted):
    with pytest.raises(DataError, match="class 7 but there are 2 classes"):
        confusion(truth, predicted)

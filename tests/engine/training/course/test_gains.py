import math

import pytest

from unet_engine.training.course.gains import Gains
from unet_engine.training.validation import HeldOutScores


def ends_at(scores, *, every=10):
    """Return the step at which gains are over; None if they are not."""
    gains = Gains()
    for number, (iou, loss) in enumerate(scores):
        gains.add(HeldOutScores(iou=iou, loss=loss), number * every)
        if gains.are_over(number * every):
            return number * every
    return None


def test_sixty_steps_without_a_gain_are_the_end():
    assert ends_at([(0.5, 0.3)] * 20) == 60


def test_what_took_long_is_waited_for_long():
    rising = [(n / 100, 0.3) for n in range(41)]
    assert ends_at(rising) is None
    assert ends_at([*rising, *[(0.4, 0.3)] * 100]) == 400 + 200


def test_noise_is_no_gain_but_small_gains_add_up():
    assert ends_at([(0.5 + 0.004 * (n % 2), 0.3) for n in range(40)]) == 60
    assert ends_at([(0.5 + 0.002 * n, 0.3) for n in range(40)]) is None


def test_a_falling_loss_is_a_gain_where_the_iou_stands_still():
    assert ends_at([(1.0, 0.97**n) for n in range(40)]) is None
    assert ends_at([(1.0, 0.999**n) for n in range(40)]) < 300


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_model_without_classes_or_with_a_bad_loss_ends_as_well(loss):
    assert ends_at([(math.nan, 0.3)] * 20) == 60
    assert ends_at([(0.5, loss)] * 20) == 60

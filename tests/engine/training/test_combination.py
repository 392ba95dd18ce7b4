"""Tests of the choice between classifier, network and both."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.interactive.stroke_numbers import number_strokes, stroke_map
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.combination import SHARES, choose_share


def held_out(strokes: int, right: float, seed: int = 0) -> np.ndarray:
    """Return probabilities of two classes, ``right`` for the true one, 0."""
    rng = np.random.default_rng(seed)
    true = np.clip(right + rng.normal(0, 0.1, strokes * 10), 0, 1).astype(np.float32)
    return np.stack([true, 1 - true], axis=1)


def choose(classifier: np.ndarray, network: np.ndarray, **options):
    labels = np.zeros(len(classifier), np.uint8)
    groups = np.arange(len(classifier)) // 10
    return choose_share(
        classifier, network, labels, groups, **{"agreement": 0.9, **options}
    )


def test_some_strokes_leave_the_mean_of_both():
    alike = held_out(4, 0.7), held_out(4, 0.7, 1)
    assert choose(*alike).share == 0.5


def test_few_strokes_leave_the_classifier_the_larger_part():
    alike = held_out(3, 0.7), held_out(3, 0.7, 1)
    assert choose(*alike).share == 0.25
    better = held_out(3, 0.1), held_out(3, 0.9, 1)
    assert choose(*better).share == 0.25


def test_many_strokes_decide():
    good, bad = held_out(40, 0.95), held_out(40, 0.2)
    assert choose(bad, good).share == 0.5, "it is new to the classes"
    assert choose(bad, good, trained=True).share == 1
    assert choose(good, bad).share == 0
    assert choose(good, bad).gain == 0
    assert choose(bad, good).share in SHARES


def test_a_network_that_has_hardly_learned_leaves_the_mask_as_it_is():
    alike = held_out(3, 0.7), held_out(3, 0.7, 1)
    assert choose(*alike, agreement=0.3).share == 0


def test_strokes_that_speak_for_a_network_do_not_vouch_for_the_rest():
    # Retinas, a first round: 0.58 by the classifier, 0.42 by the network, and five
    # held-out strokes, on one and a half more of which the network is right.
    labels = np.repeat(np.array([1, 0, 0, 1, 1], np.uint8), 10)
    classifier, network = (np.zeros((50, 2), np.float32) for _ in range(2))
    for maps, right in (classifier, [0, 10, 10, 1, 0]), (network, [0, 10, 10, 10, 4]):
        hits = np.concatenate([np.arange(10) < count for count in right])
        maps[np.arange(50), np.where(hits, labels, 1 - labels)] = 0.8
        maps[np.arange(50), np.where(hits, 1 - labels, labels)] = 0.2
    groups = np.repeat(np.arange(5), 10)
    shares = [
        choose_share(classifier, network, labels, groups, agreement=agreement).share
        for agreement in (0.7, 0.84)
    ]
    assert shares[0] == 0
    assert shares[1] >= 0.5


def test_many_strokes_may_speak_for_a_network_that_disagrees():
    wrong, right = held_out(6, 0.1), held_out(6, 0.9, 1)
    assert choose(wrong, right, agreement=0.7).share >= 0.5


def test_a_network_that_is_sure_of_nothing_gains_nothing_on_mistakes():
    # A squared error would prefer it: it is less wrong, and not right more often.
    wrong, unsure = held_out(20, 0.1), held_out(20, 0.1)
    unsure[:, 0], unsure[:, 1] = 0.45, 0.55
    assert choose(wrong, unsure, agreement=0.6).share == 0


def test_a_model_that_knew_the_classes_counts_more_than_some_strokes():
    alike = held_out(2, 0.7), held_out(2, 0.7, 1)
    assert choose(*alike, trained=True).share > 0.5


def test_a_long_stroke_counts_as_much_as_a_short_one():
    labels = np.zeros(101, np.uint8)
    groups = np.array([0] * 100 + [1])
    wrong = np.tile(np.array([0.2, 0.8], np.float32), (101, 1))
    long, short = wrong.copy(), wrong.copy()
    long[:100] = short[100] = [0.9, 0.1]
    gains = [
        choose_share(wrong, two, labels, groups, agreement=0.9).gain
        for two in (long, short)
    ]
    assert gains[1] == pytest.approx(gains[0])


def test_strokes_are_connected_pixels_of_a_class():
    target = np.full((6, 8), IGNORE, np.uint8)
    target[1, 1:5] = 0
    target[2, 5] = 0
    target[2, 1:5] = 1
    target[5] = HELD_OUT
    other = np.full((4, 4), IGNORE, np.uint8)
    other[0, 0] = 1
    numbers = number_strokes([target, other], HELD_OUT)
    labels = np.concatenate([t[t < HELD_OUT] for t in (target, other)])
    assert len(np.unique(numbers)) == 3
    # The diagonal neighbour belongs to the stroke above it.
    assert {int(n) for n in numbers[labels == 0]} == {int(numbers[0])}
    assert number_strokes([], HELD_OUT).shape == (0,)
    assert set(np.unique(stroke_map(target, HELD_OUT))) == {-1, 0, 1}


@pytest.mark.parametrize("share", SHARES)
def test_a_gain_is_that_of_the_share(share):
    # With as many strokes the prior hardly counts.
    classifier, network = held_out(400, 0.5), held_out(400, 0.5, 1)
    choice = choose(classifier, network)
    assert choice.gain >= 0
    assert share != choice.share or choice.share > 0 or choice.gain == 0

"""Tests of the comparison of what may draw the mask, on held-out strokes."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.labels import IGNORE
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.stopping import never
from unet_engine.training.candidates import Candidates
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.soft_targets import StrokeClassifier

SIZE = 96
EVERYTHING = (slice(0, SIZE), slice(0, SIZE))
TRUTH = np.arange(SIZE) >= SIZE // 2


def pair(rows: range) -> TrainingPair:
    """Return a dark and a bright half, with strokes on some rows of both."""
    rng = np.random.default_rng(0)
    image = rng.normal(0.2, 0.05, (1, SIZE, SIZE)).astype(np.float32)
    image[:, :, SIZE // 2 :] += 0.6
    target = np.full((SIZE, SIZE), IGNORE, np.uint8)
    for row in rows:
        target[row, 8:32], target[row, -32:-8] = 0, 1
    return TrainingPair(image, target)


@pytest.fixture(scope="module")
def classifier() -> StrokeClassifier:
    return StrokeClassifier([pair(range(4, 40, 6))], FeatureExtractor(), 2, never)


def candidates(classifier: StrokeClassifier, *, trained: bool) -> Candidates:
    return Candidates(
        [(pair(range(50, 90, 5)), EVERYTHING)], classifier, check=None, trained=trained
    )


def choose(compared: Candidates, network: list[np.ndarray], step: int = 100):
    return compared.choose(network, step=step)


def predicted(right: float, wrong: np.ndarray | None = None) -> list[np.ndarray]:
    """Return a network's probabilities: ``right`` for the truth, 0 where wrong."""
    sure = np.full((SIZE, SIZE), right, np.float32)
    if wrong is not None:
        sure[wrong] = 1 - right
    bright = np.where(TRUTH, sure, 1 - sure)
    return [np.stack([1 - bright, bright]).astype(np.float32)]


def test_before_a_training_it_is_the_classifier_alone(classifier):
    found = choose(candidates(classifier, trained=False), predicted(0.5))
    assert (found.share, found.overtakes) == (0, False)
    assert found.score.strokes == 16
    assert np.mean(found.probabilities[0].argmax(0) == TRUTH) > 0.9


def test_a_bad_network_does_not_overtake_and_a_good_one_does(classifier):
    compared = candidates(classifier, trained=False)
    choose(compared, predicted(0.5))
    bad = choose(compared, predicted(0.1))
    assert (bad.share, bad.overtakes) == (0, False)
    good = choose(compared, predicted(0.99))
    assert good.share > 0
    assert good.overtakes


def test_a_network_of_few_steps_is_no_candidate(classifier):
    compared = candidates(classifier, trained=False)
    choose(compared, predicted(0.5), step=0)
    early = choose(compared, predicted(0.99), step=20)
    assert (early.share, early.overtakes) == (0, False)
    assert choose(compared, predicted(0.99)).share > 0


def test_of_a_model_that_was_trained_they_may_be_few(classifier):
    compared = candidates(classifier, trained=True)
    choose(compared, predicted(0.55), step=0)
    assert choose(compared, predicted(0.99), step=5).overtakes is None


def test_the_score_is_checked_on_the_held_out_strokes_without_another_check(classifier):
    compared = candidates(classifier, trained=True)
    wrong = np.zeros((SIZE, SIZE), bool)
    wrong[:, SIZE // 2 :] = True
    assert choose(compared, predicted(0.99)).score.right == 1
    # One class of two is wrong.
    found = choose(candidates(classifier, trained=True), predicted(0.99, wrong=wrong))
    assert found.score.right == 0.5
    assert not found.score.is_known


def test_a_trained_model_is_replaced_by_a_better_one(classifier):
    compared = candidates(classifier, trained=True)
    before = choose(compared, predicted(0.55))
    assert (before.share, before.overtakes) == (1, False)
    # The IoU on the held-out strokes decides.
    assert choose(compared, predicted(0.99)).overtakes is None


def test_a_model_that_is_right_on_strokes_alone_does_not_replace_another(classifier):
    compared = candidates(classifier, trained=True)
    strokes = np.zeros((SIZE, SIZE), bool)
    strokes[48:] = True
    # The model before is wrong where strokes are held out, and sure elsewhere.
    choose(compared, predicted(0.99, wrong=strokes))
    # The new one is right there, and changes all of the rest.
    assert not compared._keeps_the_rest(predicted(0.99, wrong=~strokes))
    assert compared._keeps_the_rest(predicted(0.99))


def test_a_class_that_lies_nowhere_in_the_held_out_part_is_no_error(classifier):
    only = pair(range(50, 90, 5))
    only.target[only.target == 1] = IGNORE
    compared = Candidates([(only, EVERYTHING)], classifier, check=None, trained=False)
    choose(compared, predicted(0.5))
    found = choose(compared, predicted(0.99))
    assert found.score.strokes == 8
    assert found.share in (0.25, 0.5, 0.75, 1.0)

"""The mean of several pixel classifiers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifier_parts import fitted_part

from unet_engine.models.classifier_part import ClassifierPart, find_problem
from unet_engine.models.spec import ModelSpec
from unet_engine.pixel_classification.classifier_runner import ClassifierRunner


@pytest.fixture(scope="module")
def members() -> tuple[ClassifierPart, ClassifierPart]:
    return fitted_part(), fitted_part(seed=1)


def rows_for(part: ClassifierPart) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(20_000, part.n_features)).astype(np.float16)


def test_members_have_their_weights(members):
    one, other = members
    both = ClassifierPart(members=(*one.members, *other.members), weights=(0.25, 0.75))
    assert not find_problem(both, ModelSpec())
    rows = rows_for(one)
    expected = 0.25 * ClassifierRunner(one, 2)(rows)
    expected += 0.75 * ClassifierRunner(other, 2)(rows)
    np.testing.assert_allclose(ClassifierRunner(both, 2)(rows), expected, atol=1e-6)
    assert np.abs(expected - ClassifierRunner(one, 2)(rows)).max() > 0.05


def test_a_class_that_a_member_does_not_know_has_no_probability_by_it(members):
    one, other = members
    moved = replace(other.members[0], classes=np.array([0, 2], np.int32))
    both = ClassifierPart(members=(*one.members, moved), weights=(0.5, 0.5))
    assert both.classes == (0, 1, 2)
    rows = rows_for(one)
    found = ClassifierRunner(both, 4)(rows)
    first, second = (ClassifierRunner(part, 2)(rows) for part in members)
    expected = np.stack(
        [
            (first[:, 0] + second[:, 0]) / 2,
            first[:, 1] / 2,
            second[:, 1] / 2,
            np.zeros(len(rows)),
        ],
        axis=1,
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_same_rows_give_the_same_bits_in_any_number_of_threads(
    members, monkeypatch
):
    one, _ = members
    rows = rows_for(one)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr("torch.get_num_threads", lambda n=threads: n)
        found.append(ClassifierRunner(one, 2)(rows))
    np.testing.assert_array_equal(*found)

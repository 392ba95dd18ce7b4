"""The simulated user corrects what the truth shows to be wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from corrected_objects import Corrected, correct, mistakes

from unet_engine.images import Image
from unet_engine.labels import IGNORE


def scene() -> Corrected:
    """Return two nuclei as one object, one as two, and an object without a nucleus."""
    y, x = np.mgrid[:60, :90]
    truth = np.zeros((60, 90), np.int32)
    for number, centre in enumerate(((15, 14), (15, 34), (40, 20)), start=1):
        truth[np.hypot(y - centre[0], x - centre[1]) < 10.5] = number
    ids = truth.astype(np.uint32)
    ids[ids == 2] = 1
    ids[(ids == 3) & (y > 40)] = 4
    ids[30:40, 70:80] = 5
    image = Image.from_array((ids > 0).astype(np.uint8), "YX", name="scene")
    return Corrected("scene", image, (ids > 0).astype(np.uint8), ids, truth)


def test_each_mistake_is_seen_and_corrected():
    one = scene()
    assert {wrong[0] for wrong in mistakes(one.ids, one.truth)} == {
        "split",
        "merge",
        "delete",
    }
    done = correct([one], 20, np.random.default_rng(0))
    assert done == {"split": 1, "merge": 1, "delete": 1}
    assert not list(mistakes(one.ids, one.truth))
    for number in (1, 2, 3):
        found, sizes = np.unique(one.ids[one.truth == number], return_counts=True)
        assert sizes.max() > 0.9 * sizes.sum(), found
    assert not one.ids[35, 75]
    known = one.objects.target(()) != IGNORE
    np.testing.assert_array_equal(known, scene().ids > 0)
    assert one.strokes.classes().keys() == {0, 1}


def test_no_more_are_made_than_wanted():
    one = scene()
    assert sum(correct([one], 2, np.random.default_rng(0)).values()) == 2

"""Tests of statistics that meet other images half way."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.batch_norm import renormalised
from unet_engine.training.data.pairs import TrainingPair

SPEC = ModelSpec(depth=2, width=4)


def pair(level: float) -> TrainingPair:
    rng = np.random.default_rng(0)
    image = rng.normal(level, 0.1, (1, 70, 90)).astype(np.float32)
    return TrainingPair(image, np.zeros((70, 90), np.uint8))


def test_all_of_a_share_are_the_statistics_of_the_images():
    start = start_checkpoint(SPEC)
    once = renormalised(start, [pair(0.5)], share=1.0)
    again = renormalised(once.checkpoint, [pair(0.5)], share=1.0)
    assert once.shift > 0.1
    assert again.shift == pytest.approx(0, abs=1e-6)


def test_half_of_a_share_lies_between():
    start = start_checkpoint(SPEC)
    name = "down.0.1.running_mean"
    own, half, all_of_it = (
        renormalised(start, [pair(0.5)], share=share).checkpoint.weights[name]
        for share in (0.0, 0.5, 1.0)
    )
    np.testing.assert_allclose(own, start.weights[name])
    np.testing.assert_allclose(half, (own + all_of_it) / 2, atol=1e-6)


def test_nothing_but_the_statistics_changes():
    start = start_checkpoint(SPEC)
    met = renormalised(start, [pair(0.2), pair(0.9)]).checkpoint
    for name, weights in start.weights.items():
        if "running" not in name:
            np.testing.assert_array_equal(met.weights[name], weights)
    assert met.spec == start.spec


def test_a_network_without_normalisation_stays_as_it_is():
    spec = dataclasses.replace(SPEC, architecture="unet-valid")
    start = start_checkpoint(spec)
    met = renormalised(start, [pair(0.5)])
    assert met.shift == 0
    assert met.checkpoint.weights.keys() == start.weights.keys()

"""Tests of what a training from strokes makes: one model, never worse than Live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import feature_model, start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.stopping import never
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage, training_pairs
from unet_engine.training.events import Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.mask_score import FEWEST_STROKES
from unet_engine.training.rounds import Round, train_round

SPEC = ModelSpec(depth=2, width=4)
CONFIG = FineTuneConfig(device="cpu", minutes=0, steps=2, crop=32, batch=1)


def pixels(size: int = 160) -> np.ndarray:
    """Return a dark and a bright half, ``(size, size)`` uint8."""
    rng = np.random.default_rng(0)
    image = rng.normal(60, 10, (size, size))
    image[:, size // 2 :] += 120
    return image.clip(0, 255).astype(np.uint8)


def strokes(size: int = 160, left: int = 0) -> Annotations:
    """Return strokes of both classes, one act each, beside ``left`` pixels."""
    painted = Annotations((size, left + size))
    for row in range(10, size - 10, 20):
        for label, columns in ((0, np.arange(10, 40)), (1, np.arange(100, 140))):
            painted.set((np.full(len(columns), row), left + columns), label)
    return painted


@pytest.fixture
def image() -> Image:
    return Image.from_array(pixels(), "YX", name="halves")


def trained(image: Image, config: FineTuneConfig = CONFIG, start=None, stop=never):
    start = start or start_checkpoint(SPEC)
    data = [PaintedImage(image=image, strokes=strokes())]
    pairs = list(training_pairs(data, start.spec, config))
    events: list = []
    result = drain(iter_fine_tune(start, pairs, config, stop=stop), events.append)
    return result, events


@pytest.mark.slow
def test_a_network_that_has_learned_nothing_leaves_what_live_shows(image: Image):
    result, _ = trained(image)
    part = result.checkpoint.classifier
    assert result.improved
    assert part is not None
    assert result.share == part.network_share == 0
    assert any("took 2 steps" in note for note in result.notes)
    found = predict(image, result.checkpoint).labels
    assert np.mean(found[:, :70] == 0) > 0.95
    assert np.mean(found[:, 90:] == 1) > 0.95


@pytest.mark.parametrize("after", [0, 5], ids=["while it prepares", "in its steps"])
def test_a_training_that_is_stopped_keeps_what_live_shows(image: Image, after: int):
    polls = iter(range(100_000))
    config = replace(CONFIG, steps=1000)
    result, _ = trained(image, config, stop=lambda: next(polls) >= after)
    assert result.stopped
    assert result.steps < 5
    assert result.improved
    assert result.checkpoint.classifier.network_share == result.share == 0
    found = predict(image, result.checkpoint).labels
    assert np.mean(found[:, :70] == 0) > 0.95
    assert np.mean(found[:, 90:] == 1) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 300], ids=["everywhere", "in a part"])
def test_the_classifier_of_a_training_is_that_of_live(left: int, tmp_path):
    # Beside the halves are pixels between them, on which nobody paints.
    rng = np.random.default_rng(1)
    beside = rng.normal(120, 30, (160, left)).clip(0, 255).astype(np.uint8)
    image = Image.from_array(np.hstack([beside, pixels()]), "YX", name="halves")
    store = ModelStore(tmp_path)
    start = start_checkpoint(SPEC)
    features = feature_model(store, start)
    extractor = FeatureExtractor(features)
    cache = FeatureCache(image, Normalisation.measure(image), extractor)
    painted = strokes(left=left)
    learner = InstantLearner(2)
    learner.learn([(LabelledBlocks(cache), painted)])
    shown = np.zeros(image.plane_shape, np.uint8)
    for tile in learner.iter_predict(cache, (), (slice(None), slice(None))):
        shown[tile.inner] = tile.labels

    computed = []
    compute = cache._compute
    cache._compute = lambda *a: computed.append(a) or compute(*a)
    order = Round(
        start=start,
        data=[PaintedImage(image=image, strokes=painted, features=cache)],
        config=CONFIG,
        name="halves",
    )
    made = drain(train_round(order, store, folders=()))
    assert made.result.share == 0
    found = predict(image, store.load(made.model.name)).labels
    np.testing.assert_array_equal(found, shown)
    # What Live has computed is not computed again.
    assert not computed


@pytest.mark.slow
def test_a_network_that_has_learned_is_part_of_the_mask(image: Image):
    config = replace(
        CONFIG, steps=150, crop=64, batch=2, elastic=0.0, learning_rate=5e-3
    )
    result, events = trained(image, config)
    part = result.checkpoint.classifier
    assert result.share == part.network_share > 0
    share = f"{result.share:.0%} network" if result.share < 1 else "network alone"
    assert any(share in note for note in result.notes)
    both, alone = (
        predict(image, result.checkpoint, PredictConfig(probabilities=True, effort=e))
        for e in ("full", "fast")
    )
    assert not np.array_equal(both.probabilities, alone.probabilities)
    offered = [e for e in events if isinstance(e, Validation) and e.checkpoint]
    assert offered
    assert all(e.checkpoint.classifier is not None for e in offered)


@pytest.mark.slow
def test_a_trained_model_that_did_not_become_better_stays_itself(image: Image):
    start = replace(start_checkpoint(SPEC), history=({"name": "cells"},))
    # With no learning rate to speak of nothing changes, and as good is not better.
    config = replace(CONFIG, learning_rate=1e-12)
    result, _ = trained(image, config, start)
    if not result.improved:
        assert result.checkpoint is start
    else:
        assert result.share < 1


@pytest.mark.slow
def test_the_score_needs_held_out_strokes(image: Image):
    result, _ = trained(image)
    score = result.score_after
    assert score is not None
    assert score.is_known == (score.strokes >= FEWEST_STROKES)
    assert score.images == 1
    assert 0.6 < score.ious[1] <= 1

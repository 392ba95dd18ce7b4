"""Tests of soft targets from strokes, and of learning from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unet_engine.compute.runner import Runner
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.stopping import never
from unet_engine.training import fine_tuning as training
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.soft_targets import StrokeClassifier, with_soft_targets
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.losses import soft_cross_entropy

SPEC = ModelSpec(depth=2, width=4)


def halves(size: int = 128) -> TrainingPair:
    """Return a dark and a bright half with a stroke on each."""
    rng = np.random.default_rng(0)
    image = rng.normal(0.2, 0.05, (1, size, size)).astype(np.float32)
    image[:, :, size // 2 :] += 0.6
    target = np.full((size, size), IGNORE, np.uint8)
    target[20:26, 10:40] = 0
    target[20:26, -40:-10] = 1
    return TrainingPair(image, target, "halves")


def add_soft_targets(*pairs: TrainingPair, stop=never, **limits):
    classifier = StrokeClassifier(pairs, FeatureExtractor(), 2, stop, **limits)
    return with_soft_targets(pairs, classifier)


def test_strokes_are_carried_to_where_nobody_painted():
    (pair,) = add_soft_targets(halves())
    assert pair.soft_target is not None
    assert pair.soft_target.shape == (2, 128, 128)
    np.testing.assert_allclose(
        pair.soft_target.sum(axis=0, dtype=np.float32), 1, atol=2e-3
    )
    assert pair.soft_target[0, 90:, :50].mean() > 0.65
    assert pair.soft_target[1, 90:, 80:].mean() > 0.65


def test_held_out_pixels_are_not_learned_from():
    pair = halves()
    pair.target[pair.target == 1] = HELD_OUT
    other = halves()
    other.target[other.target == 1] = IGNORE
    # Of one class alone there are no soft targets.
    assert add_soft_targets(pair)[0].soft_target is None
    assert add_soft_targets(other)[0].soft_target is None


def test_images_that_are_labelled_get_no_soft_targets():
    dense = halves()
    dense.target[:] = 0
    dense.target[:, 64:] = 1
    sparse = halves()
    kept, targeted = add_soft_targets(dense, sparse)
    assert kept is dense
    assert targeted.soft_target is not None


@pytest.mark.slow
def test_only_blocks_near_the_strokes_of_a_large_image_get_soft_targets():
    rng = np.random.default_rng(0)
    image = rng.random((1, 300, 256 * 40), dtype=np.float32)
    target = np.full(image.shape[1:], IGNORE, np.uint8)
    target[5:9, 5:50] = 0
    target[20:29, 5:50] = 1
    (pair,) = add_soft_targets(TrainingPair(image, target))
    assert pair.soft_target is not None
    known = pair.soft_target.sum(axis=0) > 0
    assert known[:, : 256 * 10].all()
    assert not known[:, 256 * 20 :].any()


def test_stop_leaves_everything_as_it_is():
    pair = halves()
    assert add_soft_targets(pair, stop=lambda: True) == (pair,)


def test_when_time_is_short_the_blocks_with_strokes_get_soft_targets():
    pair = halves(600)
    pair.target[:] = IGNORE
    pair.target[300:310, 310:350] = 1
    pair.target[300:310, 260:290] = 0
    (targeted,) = add_soft_targets(pair, seconds=0)
    assert targeted.soft_target is not None
    known = targeted.soft_target.sum(axis=0) > 0
    # One block is begun in any case.
    assert 0 < known.sum() <= 256**2


def test_when_time_is_short_known_slices_after_unknown_ones_are_predicted():
    plane = halves()
    image = np.repeat(plane.image[:, None], 3, axis=1)
    target = np.full(image.shape[1:], IGNORE, np.uint8)
    target[2] = plane.target
    pair = TrainingPair(image, target)
    classifier = StrokeClassifier([pair], FeatureExtractor(), 2, never, seconds=0)
    everywhere = (slice(0, 128), slice(0, 128))
    found = classifier.predict(pair, [(z, *everywhere) for z in range(3)])
    known = (found.sum(axis=0) > 0).all(axis=(1, 2))
    np.testing.assert_array_equal(known, [False, False, True])


@pytest.mark.slow
def test_slices_with_strokes_get_soft_targets_first():
    plane = halves()
    image = np.repeat(plane.image[:, None], 60, axis=1)
    target = np.full(image.shape[1:], IGNORE, np.uint8)
    target[20] = plane.target
    (pair,) = add_soft_targets(TrainingPair(image, target))
    assert pair.soft_target is not None
    assert pair.soft_target.shape == (2, 60, 128, 128)
    known = np.flatnonzero((pair.soft_target.sum(axis=0) > 0).all(axis=(1, 2)))
    # As many as there is time for, around the slice that was painted.
    np.testing.assert_array_equal(known, np.arange(20 - 18, 20 + 18))
    assert pair.soft_target[1, known, 90:, 80:].mean() > 0.65
    assert pair.soft_target[0, known, 90:, :50].mean() > 0.65


@pytest.mark.slow
def test_a_model_of_planes_gives_the_features_of_the_slices_of_a_volume(monkeypatch):
    used = []

    class Noted(FeatureExtractor):
        def __init__(self, checkpoint, *args, **kwargs):
            used.append(checkpoint)
            super().__init__(checkpoint, *args, **kwargs)

    monkeypatch.setattr(training, "FeatureExtractor", Noted)
    config = FineTuneConfig(device="cpu", minutes=0, steps=1, crop=32, batch=1)
    pair = halves()
    volume = TrainingPair(
        np.repeat(pair.image[:, None], 3, axis=1), np.repeat(pair.target[None], 3, 0)
    )
    volumes = start_checkpoint(ModelSpec(depth=1, width=2, ndim=3))
    planes = start_checkpoint(SPEC)
    list(iter_fine_tune(volumes, [volume], config, features_from=planes))
    list(iter_fine_tune(volumes, [volume], config))
    other = start_checkpoint(SPEC, 1)
    list(iter_fine_tune(planes, [pair], config, features_from=other))
    assert used == [planes, volumes, other]


@pytest.mark.slow
def test_a_network_of_volumes_learns_from_strokes_on_a_slice():
    plane = halves()
    image = np.repeat(plane.image[:, None], 4, axis=1)
    target = np.full(image.shape[1:], IGNORE, np.uint8)
    target[2] = plane.target
    config = FineTuneConfig(
        device="cpu", minutes=0, steps=120, crop=64, elastic=0, learning_rate=5e-3
    )
    spec = ModelSpec(depth=2, width=4, ndim=3)
    result = drain(
        iter_fine_tune(start_checkpoint(spec), [TrainingPair(image, target)], config)
    )
    assert result.improved
    found = Runner(result.checkpoint, "cpu")(image)[1]
    assert found[:, 90:, 80:].mean() > 0.6
    assert found[:, 90:, :50].mean() < 0.4


def test_soft_targets_of_another_size_are_refused():
    pair = halves()
    with pytest.raises(DataError, match="soft target is 9 x 9"):
        TrainingPair(
            pair.image, pair.target, soft_target=np.zeros((2, 9, 9), np.float32)
        )


def test_the_loss_is_that_of_the_masked_pixels_that_are_known():
    logits = torch.zeros(1, 2, 1, 3)
    logits[0, 1, 0, 0] = 3.0
    probabilities = torch.tensor([[[[1.0, 0.5, 0.0]], [[0.0, 0.5, 0.0]]]])
    mask = torch.tensor([[[False, True, True]]])
    loss = soft_cross_entropy(logits, probabilities, mask)
    # The first pixel is masked, the last has no soft target.
    assert float(loss) == pytest.approx(np.log(2))
    nothing = torch.zeros_like(mask)
    assert float(soft_cross_entropy(logits, probabilities, nothing)) == 0


@pytest.mark.slow
def test_a_network_learns_the_soft_targets():
    pair = halves()
    config = FineTuneConfig(
        device="cpu", minutes=0, steps=200, crop=64, elastic=0, learning_rate=5e-3
    )
    result = drain(iter_fine_tune(start_checkpoint(SPEC), [pair], config))
    assert result.improved
    found = Runner(result.checkpoint, "cpu")(pair.image)[1]
    assert found[90:, 80:].mean() > 0.6
    assert found[90:, :50].mean() < 0.4

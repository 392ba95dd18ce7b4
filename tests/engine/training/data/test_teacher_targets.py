import numpy as np
import pytest

from unet_engine.compute.runner import Runner
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.stopping import never
from unet_engine.training.data import teacher_targets
from unet_engine.training.data.pairs import TrainingPair, far_from_labels
from unet_engine.training.data.teacher_targets import with_teacher_targets

MODEL = start_checkpoint(ModelSpec(depth=2, width=4))


def painted(edge=64, seed=0):
    rng = np.random.default_rng(seed)
    target = np.full((edge, edge), IGNORE, np.uint8)
    target[10:13, 10:20] = 1
    target[10:13, 25:30] = 0
    image = rng.normal(0.5, 0.2, (1, edge, edge)).astype(np.float32)
    return TrainingPair(image, target, f"image {seed}")


def test_far_from_labels_it_is_what_the_model_predicts_and_near_them_nothing():
    pair = painted()
    (found,) = with_teacher_targets([pair], MODEL, "cpu", never)
    far = far_from_labels(pair.target, (12, 12))
    expected = Runner(MODEL, "cpu")(pair.image)
    assert far.any()
    assert not far.all()
    assert np.allclose(found.soft_target[:, far], expected[:, far], atol=1e-3)
    assert not found.soft_target[:, ~far].any()
    assert np.array_equal(found.target, pair.target)


def test_a_volume_is_predicted_in_its_tiles():
    model = start_checkpoint(ModelSpec(depth=2, width=4, ndim=3))
    rng = np.random.default_rng(0)
    target = np.full((8, 48, 48), IGNORE, np.uint8)
    target[0, 2, 2], target[0, 2, 5] = 1, 0
    pair = TrainingPair(rng.random((1, 8, 48, 48), dtype=np.float32), target)
    (found,) = with_teacher_targets([pair], model, "cpu", never)
    expected = Runner(model, "cpu")(pair.image)
    known = found.soft_target.any(axis=0)
    assert np.mean(known) > 0.5
    assert np.allclose(found.soft_target[:, known], expected[:, known], atol=2e-3)


def test_labels_throughout_need_none():
    pair = painted()
    whole = TrainingPair(pair.image, np.zeros((64, 64), np.uint8))
    found = with_teacher_targets([whole, pair], MODEL, "cpu", never)
    assert found[0] is whole
    assert found[1].soft_target is not None


@pytest.mark.parametrize("how", ["pixels", "stop"])
def test_of_many_tiles_some_are_predicted_of_every_image(monkeypatch, how):
    monkeypatch.setattr(teacher_targets, "_TILE", 32)
    monkeypatch.setattr(teacher_targets, "_HALO", {2: 0})
    if how == "pixels":
        monkeypatch.setattr(teacher_targets, "_MOST_PIXELS", 4 * 32**2)
    polls = []

    def stop():
        polls.append(1)
        return how == "stop" and len(polls) > 4

    pairs = [painted(seed=0), painted(seed=1)]
    found = with_teacher_targets(pairs, MODEL, "cpu", stop)
    whole = with_teacher_targets([painted()], MODEL, "cpu", never)[0]
    parts = [np.mean(pair.soft_target.any(axis=0)) for pair in found]
    assert all(part > 0 for part in parts)
    assert sum(parts) < 2 * np.mean(whole.soft_target.any(axis=0))

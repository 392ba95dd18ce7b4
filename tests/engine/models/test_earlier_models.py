"""Models saved by an earlier version: folder ``earlier_models``, made by 86f04c3."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unet_engine.generators import drain
from unet_engine.images import Image, Tally, decide_labels
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.training import rounds
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import LabelledImage
from unet_engine.training.data.remembered_crops import load_remembered
from unet_engine.training.events import FineTuned, Validation

EARLIER = Path(__file__).with_name("earlier_models")


@pytest.fixture
def store(tmp_path):
    shutil.copytree(EARLIER, tmp_path / "models")
    return ModelStore(tmp_path / "models")


def square():
    """Return an image with a bright square, and its labels."""
    labels = np.zeros((48, 48), np.uint8)
    labels[10:38, 10:38] = 1
    noise = np.random.default_rng(1).normal(0, 0.05, labels.shape)
    return (0.3 + 0.3 * labels + noise).astype(np.float32), labels


def test_a_model_of_an_earlier_version_predicts(store):
    pixels, labels = square()
    image = Image.from_array(pixels, "YX", name="second")
    found = predict(image, store.load("earlier"), PredictConfig(device="cpu")).labels
    assert np.mean(found == labels) > 0.9


def test_its_history_and_its_crops_are_read(store):
    info = store.info("earlier")
    assert store.lineage("earlier") == ("earlier", "first")
    assert info.history[-1]["data"] == ["second"]
    assert info.history[-1]["replay"]["examples"] == 1
    assert info.spec.classes == ("background", "cell")
    assert store.base_of(info.history).name == "first"
    crops = load_remembered(info)
    assert [crop.name for crop in crops] == ["second", "first"]
    for crop in crops:
        values, counts = np.unique(crop.target, return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {
            0: 240, 1: 400, 255: 48 * 48 - 640,
        }  # fmt: skip
        bright, dark = crop.image[0, 12:36, 12:36], crop.image[0, :8]
        assert bright.mean() > dark.mean() + 0.2


def test_it_is_trained_again_from_its_base_and_compared_on_its_crops(
    store, monkeypatch
):
    pixels, labels = square()
    started = []

    def train(checkpoint, pairs, config, **_):
        started.append(len(checkpoint.history))
        look = Validation(step=1, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield look
        made = replace(checkpoint, history=(*checkpoint.history, {"data": ["second"]}))
        return FineTuned(
            checkpoint=made, improved=True, before=look, after=look, steps=1,
            stopped=False,
        )  # fmt: skip

    monkeypatch.setattr(rounds, "iter_fine_tune", train)
    old = store.load("earlier")
    training = rounds.Round(
        start=old,
        old=old,
        parent=store.info("earlier"),
        data=[
            LabelledImage(
                image=Image.from_array(pixels, "YX", name="second"),
                labels=labels,
                rule=decide_labels([Tally.of("second", labels)]),
                name="second",
            )
        ],
        config=FineTuneConfig(device="cpu"),
        name="later",
        restarts=True,
    )
    trained = drain(rounds.train_round(training, store, folders=()))
    assert started == [1]
    assert trained.model.history[-1]["base"] == "first"
    # Of the two crops that of the other image is compared on.
    assert trained.result.forgetting.crops == 1
    assert sorted(crop.name for crop in load_remembered(trained.model)) == [
        "first",
        "second",
    ]

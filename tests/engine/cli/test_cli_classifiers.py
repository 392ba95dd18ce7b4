"""Models with pixel classifiers on the command line: as in the window, to the bit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from classifier_parts import live_learner, painted_halves, striped, trained

from unet_engine.cli import main
from unet_engine.images import Image, Normalisation, open_image, read_labels
from unet_engine.interactive.live_model import live_model
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.interactive.learner import InstantLearner

CLASSES = ("background", "stripes")
SHAPE = (120, 200)


@pytest.fixture(scope="module")
def learner() -> InstantLearner:
    found, _ = live_learner(striped(SHAPE), FeatureExtractor(trained()))
    return found


@pytest.fixture(scope="module")
def learner_with_tuned() -> InstantLearner:
    extractor = FeatureExtractor(trained(), tuned=trained(seed=1))
    found, _ = live_learner(striped(SHAPE), extractor)
    return found


@pytest.fixture
def store(tmp_path, monkeypatch, learner, learner_with_tuned) -> ModelStore:
    """Return a folder of models with ``live`` and ``tuned``."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    store = ModelStore()
    store.save("live", live_model(learner, CLASSES, ModelSpec(), parent="tiny"))
    store.save("tuned", live_model(learner_with_tuned, CLASSES, ModelSpec()))
    return store


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in (1, 2):
        tifffile.imwrite(folder / f"{seed}.tif", striped(SHAPE, seed))
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Return strokes on the two images, 255 elsewhere."""
    folder = tmp_path / "labels"
    folder.mkdir()
    strokes = painted_halves(SHAPE).target((), (slice(None), slice(None)))
    for seed in (1, 2):
        tifffile.imwrite(folder / f"{seed}.tif", strokes)
    return folder


def shown_by_live(learner: InstantLearner, pixels: np.ndarray) -> np.ndarray:
    image = Image.from_array(pixels, "YX", name="stripes")
    cache = FeatureCache(
        image, Normalisation.measure(image), FeatureExtractor(trained())
    )
    mask = np.zeros(pixels.shape, np.uint8)
    for tile in learner.iter_predict(cache, (), (slice(None), slice(None))):
        mask[tile.inner] = tile.labels
    return mask


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".tif", ".ome.zarr"])
def test_a_folder_is_predicted_as_live_shows_it(
    store, images, learner, tmp_path, suffix
):
    for seed in (1, 2):
        image, out = images / f"{seed}.tif", tmp_path / f"{seed}{suffix}"
        assert main(["predict", str(image), str(out), "--model", "live", "-q"]) == 0
        expected = shown_by_live(learner, striped(SHAPE, seed))
        found = (
            read_labels(out)
            if suffix == ".tif"
            else open_image(out).read((), np.s_[: SHAPE[0], : SHAPE[1]])[0]
        )
        np.testing.assert_array_equal(found, expected)
        assert 0 < expected.mean() < 1
    masks = tmp_path / "masks"
    assert main(["predict", str(images), str(masks), "--model", "live", "-q"]) == 0
    assert len(list(masks.iterdir())) == 2
    for seed in (1, 2):
        expected = shown_by_live(learner, striped(SHAPE, seed))
        np.testing.assert_array_equal(read_labels(masks / f"{seed}.tif"), expected)


def test_effort_chooses_what_predicts(store, images, tmp_path, capsys):
    image, checkpoint = images / "1.tif", store.load("tuned")
    masks = {}
    for effort in ("fast", "full"):
        out = tmp_path / f"{effort}.tif"
        command = ["predict", str(image), str(out), "--model", "tuned"]
        assert main([*command, "--effort", effort]) == 0
        masks[effort] = read_labels(out)
        config = PredictConfig(effort=effort)
        expected = predict(open_image(image), checkpoint, config).labels
        np.testing.assert_array_equal(masks[effort], expected)
    assert (masks["fast"] != masks["full"]).any()
    assert "No network" not in capsys.readouterr().err
    out = str(tmp_path / "live.tif")
    command = ["predict", str(image), out, "--model", "live", "--effort", "fast"]
    assert main(command) == 0
    assert "No network takes part" in capsys.readouterr().err


def test_evaluate_takes_the_effort(store, images, labels, capsys):
    found = {}
    for effort in ("fast", "full"):
        command = ["evaluate", "--images", str(images), "--labels", str(labels)]
        command += ["--model", "tuned", "--effort", effort, "--json", "-q"]
        assert main(command) == 0
        found[effort] = json.loads(capsys.readouterr().out)
    assert found["full"]["pixel_error"] < found["fast"]["pixel_error"]


def test_models_lists_what_is_inside(store, capsys):
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["live"]["parts"] == ["1 classifier"]
    assert rows["live"]["parent"] == "tiny"
    assert rows["tuned"]["parts"] == ["network 50 %", "1 classifier 50 %"]
    assert rows["nuclei"]["parts"] == ["network"]
    assert main(["models"]) == 0
    assert "network 50 %,1 classifier 50 %" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["live", "tuned"])
def test_both_kinds_are_tuned_further(store, images, labels, name, capsys):
    command = ["finetune", "--images", str(images), "--labels", str(labels)]
    command += ["--from", name, "--out", "mine", "--steps", "80", "--crop", "32"]
    command += ["--learning-rate", "0.01", "--elastic", "0", "--intensity", "0"]
    code = main([*command, "--device", "cpu", "-q"])
    if name == "tuned" and code:
        # Its mask may be right already, and as good is not better.
        assert "nothing was saved" in capsys.readouterr().err
        return
    assert code == 0
    tuned = store.load("mine")
    assert tuned.has_network
    assert tuned.history[-1]["parent"] == name

"""Predictions of models that hold pixel classifiers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifier_parts import SHAPE, live_learner, striped, trained

from unet_engine.errors import CheckpointError, DataError, OutOfMemoryError, SpecError
from unet_engine.images import Image, Normalisation, open_image, read_labels
from unet_engine.interactive.learner import InstantLearner
from unet_engine.interactive.live_model import live_model
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction import segmentation
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.model_predictor import ImageClassifier
from unet_engine.prediction.segmentation import iter_predict, predict
from unet_engine.tiling.tiles import Tile

CLASSES = ("background", "stripes")
ALL = PredictConfig(probabilities=True, device="cpu")


def shown(learner: InstantLearner, cache: FeatureCache, index=()) -> np.ndarray:
    """Return the probabilities that Live shows of a plane, tile by tile."""
    shape = cache.image.plane_shape
    found = np.full((2, *shape), np.nan, np.float32)
    for tile in learner.iter_predict(cache, index, (slice(None), slice(None))):
        found[:, *tile.inner] = tile.probabilities
    return found


def model_of(learner: InstantLearner, spec: ModelSpec | None = None) -> Checkpoint:
    return live_model(learner, CLASSES, spec or ModelSpec())


def image_of(pixels: np.ndarray, axes: str = "") -> Image:
    return Image.from_array(pixels, axes or "ZYX"[-pixels.ndim :], name="stripes")


Live = tuple[InstantLearner, FeatureCache]


@pytest.fixture(scope="module")
def live() -> Live:
    """Return what learned from filters alone."""
    return live_learner(striped())


@pytest.fixture(scope="module")
def live_with_maps() -> Live:
    """Return what learned from the maps of a network, too."""
    return live_learner(striped(), FeatureExtractor(trained()))


@pytest.fixture(scope="module")
def live_with_tuned() -> Live:
    """Return what has a tuned network beside it."""
    extractor = FeatureExtractor(trained(), tuned=trained(seed=1))
    return live_learner(striped(), extractor)


@pytest.fixture(scope="module")
def both(live_with_tuned: Live) -> Checkpoint:
    return model_of(live_with_tuned[0])


class TestLiveIsPredict:
    @pytest.mark.parametrize("tile", [0, 96, 4096])
    def test_every_bit_is_that_of_live_whatever_the_tiles_are(
        self, live_with_maps, tile, tmp_path
    ):
        learner, cache = live_with_maps
        model_of(learner).save(tmp_path / "live.safetensors")
        model = Checkpoint.load(tmp_path / "live.safetensors")
        config = replace(ALL, tile=tile)
        found = predict(image_of(striped()), model, config)
        np.testing.assert_array_equal(found.probabilities, shown(learner, cache))
        assert found.complete
        # Not all of one class, or any two would be equal.
        assert 0.2 < found.labels.mean() < 0.8

    def test_filters_alone_are_enough(self, live):
        learner, cache = live
        found = predict(image_of(striped()), model_of(learner), ALL)
        np.testing.assert_array_equal(found.probabilities, shown(learner, cache))

    def test_a_watched_prediction_near_the_viewport_is_the_same(self, live):
        learner, cache = live
        near = ((), (262.0, 270.0), (4.0, 4.0))
        tiles = []
        run = iter_predict(image_of(striped()), model_of(learner), ALL, near=near)
        found = np.zeros((2, *SHAPE), np.float32)
        for tile in run:
            tiles.append(tile.inner)
            found[:, *tile.inner] = tile.probabilities
        assert tiles[0] == (slice(256, 264), slice(256, 272))
        np.testing.assert_array_equal(found, shown(learner, cache))

    @pytest.mark.slow
    def test_planes_of_a_stack_and_several_channels(self):
        pixels = np.stack([striped((2, 96, 192), seed=n) for n in (0, 1, 2)], axis=1)
        spec = ModelSpec(depth=2, width=4, in_channels=3)
        image = image_of(pixels, "TCYX")
        learner, cache = live_learner(
            pixels, FeatureExtractor(trained(spec)), axes="TCYX"
        )
        found = predict(image, model_of(learner, ModelSpec(in_channels=3)), ALL)
        for t in (0, 1):
            expected = shown(learner, cache, (t,))
            np.testing.assert_array_equal(found.probabilities[:, t], expected)

    @pytest.mark.slow
    @pytest.mark.parametrize("tile", [0, 64])
    def test_with_a_tuned_network_they_agree_as_tiles_do(
        self, live_with_tuned, both, tile
    ):
        (learner, cache), model = live_with_tuned, both
        assert model.has_network
        assert model.classifier.network_share == 0.5
        found = predict(image_of(striped()), model, replace(ALL, tile=tile))
        expected = shown(learner, cache)
        np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)

    def test_pixels_without_data_are_background(self):
        pixels = striped().astype(np.float32)
        pixels[200:] = np.nan
        learner, cache = live_learner(pixels)
        found = predict(image_of(pixels), model_of(learner), ALL)
        assert (found.probabilities[0, 200:] == 1).all()
        assert found.labels[:200].any()
        np.testing.assert_array_equal(found.probabilities, shown(learner, cache))


class TestKeptFeatures:
    def computed(self, monkeypatch) -> list[int]:
        calls = []
        real = FeatureExtractor.read

        def read(self, *arguments):
            calls.append(1)
            return real(self, *arguments)

        monkeypatch.setattr(FeatureExtractor, "read", read)
        return calls

    @pytest.mark.cpu
    def test_those_of_live_are_not_computed_again(self, live_with_maps, monkeypatch):
        learner, cache = live_with_maps
        image, model = image_of(striped()), model_of(learner)
        shown(learner, cache)
        expected = predict(image, model, ALL)
        calls = self.computed(monkeypatch)
        found = predict(image, model, ALL, features=cache)
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert not calls

    @pytest.mark.cpu
    def test_blocks_that_live_has_let_go_are_computed(self, live, monkeypatch):
        learner, cache = live
        image, model = image_of(striped()), model_of(learner)
        one = FeatureCache(image, cache.normalisation, cache.extractor)
        one.features((), 0, 1)
        expected = predict(image, model, ALL)
        calls = self.computed(monkeypatch)
        found = predict(image, model, ALL, features=one)
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert len(calls) == 3

    @pytest.mark.slow
    @pytest.mark.cpu
    def test_those_beside_a_tuned_network_serve_as_well(
        self, live_with_tuned, both, monkeypatch
    ):
        image = image_of(striped())
        shown(*live_with_tuned)
        expected = predict(image, both, ALL)
        calls = self.computed(monkeypatch)
        found = predict(image, both, ALL, features=live_with_tuned[1])
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert not calls

    @pytest.mark.slow
    @pytest.mark.cpu
    @pytest.mark.parametrize("other", ["network", "brightness", "device"])
    def test_others_are_not_taken(self, live_with_maps, other, monkeypatch):
        learner, cache = live_with_maps
        image, model = image_of(striped()), model_of(learner)
        extractor, normalisation = cache.extractor, cache.normalisation
        if other == "network":
            extractor = FeatureExtractor(trained(seed=3))
        if other == "brightness":
            normalisation = replace(normalisation, high=(255.0,))
        kept = FeatureCache(image, normalisation, extractor)
        for row, column in kept.blocks((slice(None),) * 2):
            kept.features((), row, column)
        if other == "device":
            monkeypatch.setattr(extractor, "device", "cuda")
        expected = predict(image, model, ALL)
        calls = self.computed(monkeypatch)
        found = predict(image, model, ALL, features=kept)
        np.testing.assert_array_equal(found.probabilities, expected.probabilities)
        assert len(calls) == 4


class TestEffort:
    def test_fast_is_the_network_alone(self, both):
        image = image_of(striped())
        alone = predict(image, replace(both, classifier=None), ALL)
        fast = predict(image, both, replace(ALL, effort="fast"))
        np.testing.assert_array_equal(fast.probabilities, alone.probabilities)
        full = predict(image, both, ALL)
        assert np.abs(full.probabilities - fast.probabilities).max() > 0.05

    def test_the_share_of_the_network_is_its_weight(self, both):
        image = image_of(striped())

        def with_share(share: float) -> np.ndarray:
            part = replace(both.classifier, network_share=share)
            return predict(image, replace(both, classifier=part), ALL).probabilities

        none, all_of_it, some = with_share(0), with_share(1), with_share(0.25)
        np.testing.assert_allclose(some, 0.75 * none + 0.25 * all_of_it, atol=1e-6)
        alone = predict(image, replace(both, classifier=None), ALL).probabilities
        np.testing.assert_array_equal(all_of_it, alone)

    def test_without_a_network_fast_uses_the_classifiers_and_has_a_note(self, live):
        learner, _ = live
        image, model = image_of(striped()), model_of(learner)
        full, fast = (
            predict(image, model),
            predict(image, model, PredictConfig(effort="fast")),
        )
        np.testing.assert_array_equal(full.labels, fast.labels)
        assert not [note for note in full.notes if "No network" in note]
        assert [note for note in fast.notes if "No network takes part" in note]

    def test_another_word_is_refused(self):
        with pytest.raises(SpecError, match="fast or full"):
            PredictConfig(effort="quick")


@pytest.mark.slow
def test_a_network_of_volumes_stands_beside_classifiers_of_planes():
    stack = striped((6, 96, 192))
    learner, cache = live_learner(stack)
    spec = ModelSpec(ndim=3, depth=1, width=4)
    network = trained(spec)
    model = replace(network, classifier=replace(learner.part, network_share=0.5))
    image = image_of(stack)
    config = replace(ALL, tile=32)
    found = predict(image, model, config).probabilities
    alone = predict(image, network, ALL).probabilities
    planes = np.stack([shown(learner, cache, (z,)) for z in range(6)], axis=1)
    np.testing.assert_allclose(found, (alone + planes) / 2, atol=2e-6)


class TestDisk:
    @pytest.mark.slow
    def test_an_interrupted_run_goes_on_with_the_same_effort_only(self, both, tmp_path):
        model, image = both, image_of(striped((264, 400)))
        config = PredictConfig(device="cpu", tile=128)
        whole = predict(image, model, config)
        out = tmp_path / "mask.ome.zarr"
        run = iter_predict(image, model, config, into=DiskOutput(out))
        for _ in range(3):
            next(run)
        run.close()
        with pytest.raises(
            DataError, match=r"the effort changed \(full then, fast now\)"
        ):
            fast = replace(config, effort="fast")
            predict(image, model, fast, into=DiskOutput(out, resume=True))
        resumed = iter_predict(image, model, config, into=DiskOutput(out, resume=True))
        done = [tile.done for tile in resumed]
        assert len(done) == done[-1] - 3
        written = open_image(out).read((), np.s_[:264, :400])[0]
        np.testing.assert_array_equal(written, whole.labels)

    def test_another_classifier_is_another_model(self, live, tmp_path):
        learner, _ = live
        other, _ = live_learner(striped(seed=3))
        image, out = image_of(striped()), tmp_path / "mask.ome.zarr"
        config = PredictConfig(device="cpu", tile=128)
        run = iter_predict(image, model_of(learner), config, into=DiskOutput(out))
        next(run)
        run.close()
        with pytest.raises(DataError, match="the model changed"):
            again = DiskOutput(out, resume=True)
            predict(image, model_of(other), config, into=again)

    def test_runs_of_a_network_alone_know_no_effort(self, tmp_path, monkeypatch):
        seen = []
        genuine = segmentation.PredictionRun.identity

        def identity(run):
            seen.append(genuine(run))
            return seen[-1]

        monkeypatch.setattr(segmentation.PredictionRun, "identity", identity)
        out = DiskOutput(tmp_path / "mask.ome.zarr")
        predict(image_of(striped()), trained(), PredictConfig(device="cpu"), into=out)
        assert seen
        assert all("effort" not in found for found in seen)


def test_it_stops_within_a_tile(live):
    learner, _ = live
    polled = []

    def stop() -> bool:
        polled.append(1)
        return len(polled) > 3

    config = PredictConfig(device="cpu", tile=4096)
    found = predict(image_of(striped()), model_of(learner), config, stop=stop)
    assert not found.complete
    assert len(polled) == 4
    assert not found.labels.any()


def test_the_cpu_goes_on_when_a_device_has_too_little_memory(live, monkeypatch):
    learner, cache = live
    model, image = model_of(learner), image_of(striped())
    classifier = ImageClassifier(
        image, model, "cpu", Normalisation.measure(image), lambda: False
    )
    classifier.device = "cuda"
    genuine, calls = FeatureExtractor.read, []

    def read(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise OutOfMemoryError("cuda is full; close other programs")
        return genuine(*args, **kwargs)

    monkeypatch.setattr(FeatureExtractor, "read", read)
    inner = ((0, SHAPE[0]), (0, SHAPE[1]))
    found = classifier.predict((), Tile(inner, inner))
    assert classifier.device == "cpu"
    assert "too little memory" in classifier.retreats[0]
    np.testing.assert_array_equal(found, shown(learner, cache))


def test_classifiers_of_other_features_are_refused_in_one_line(live_with_maps):
    learner, _ = live_with_maps
    part = replace(learner.part, network=None)
    model = replace(model_of(learner), classifier=part)
    with pytest.raises(CheckpointError, match="features of a pixel") as refusal:
        predict(image_of(striped()), model)
    assert "\n" not in str(refusal.value)


def test_a_class_without_a_name_is_refused():
    learner, _ = live_learner(striped(), classes=3)
    with pytest.raises(DataError, match="class 2 was painted"):
        live_model(learner, CLASSES, ModelSpec())
    with pytest.raises(DataError, match="nothing is learned"):
        live_model(InstantLearner(2), CLASSES, ModelSpec())


def test_labels_of_a_file_are_read_back(live, tmp_path):
    learner, cache = live
    out = tmp_path / "mask.tif"
    predict(image_of(striped()), model_of(learner), into=DiskOutput(out))
    expected = shown(learner, cache).argmax(axis=0)
    np.testing.assert_array_equal(read_labels(out), expected)

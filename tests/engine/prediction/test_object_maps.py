"""Models that give object maps beside the classes, and what is left of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from classifier_parts import live_learner, striped

from unet_engine.compute.loading import load_network
from unet_engine.errors import CheckpointError, SpecError
from unet_engine.images import Image, Normalisation, open_image
from unet_engine.interactive.live_model import live_model
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.object_maps import without_object_maps
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_features, with_network
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAPS = ("distance", "boundary")
SPEC = ModelSpec(depth=2, width=4, object_maps=MAPS)
ALL = PredictConfig(device="cpu", tile=32, probabilities=True, object_maps=True)


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable) -> Checkpoint:
    return replace(make_checkpoint(SPEC), history=({"name": "tiny"},))


def plane(*shape: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, "ZYX"[-len(shape) :], name="noise")


def test_the_network_gives_classes_and_then_maps(model: Checkpoint):
    image = plane(48, 64)
    result = predict(image, model, ALL)
    block = torch.from_numpy(Normalisation.measure(image).apply(image.read(()))[None])
    with torch.inference_mode():
        logits = load_network(model).eval()(block)[0]
    np.testing.assert_allclose(
        result.probabilities, logits[:2].softmax(dim=0), atol=1e-4
    )
    np.testing.assert_allclose(result.object_maps, logits[2:].sigmoid(), atol=1e-4)


def test_maps_change_no_class_and_are_left_out_unless_wanted(model: Checkpoint):
    image = plane(3, 70, 66)
    wanted, without = predict(image, model, ALL), replace(ALL, object_maps=False)
    for other in (model, without_object_maps(model)):
        found = predict(image, other, without)
        assert found.object_maps is None
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("directions", ["one", "three"])
def test_maps_in_tiles_are_those_of_the_whole(model: Checkpoint, directions: str):
    image = plane(3, 70, 40)
    config = replace(ALL, directions=directions)
    whole = predict(image, model, replace(config, tile=8192))
    tiled = predict(image, model, config)
    assert whole.object_maps.shape == (2, 3, 70, 40)
    assert np.ptp(whole.object_maps) > 0.1
    np.testing.assert_allclose(tiled.object_maps, whole.object_maps, atol=1e-4)


def test_tiles_hold_their_maps(model: Checkpoint):
    events = list(iter_predict(plane(40, 40), model, ALL))
    for event in events:
        assert event.object_maps.shape == (2, *event.labels.shape)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".tif"])
def test_maps_on_disk_are_those_in_memory(
    model: Checkpoint, tmp_path: Path, suffix: str
):
    image = plane(2, 70, 80)
    expected = predict(image, model, ALL)
    paths = [tmp_path / f"{name}{suffix}" for name in ("labels", "classes", "maps")]
    result = predict(image, model, ALL, into=DiskOutput(*paths))
    assert result.complete
    back = open_image(paths[2])
    assert back.channels == 2
    for z in range(2):
        np.testing.assert_array_equal(back.read((z,)), expected.object_maps[:, z])
    only = DiskOutput(tmp_path / f"l{suffix}", object_maps=tmp_path / f"m{suffix}")
    result = predict(image, model, ALL, into=only)
    assert result.probabilities is None
    second = (slice(0, 2), 1, slice(0, 70), slice(0, 80))
    np.testing.assert_array_equal(
        result.object_maps[second], expected.object_maps[:, 1]
    )


@pytest.mark.slow
def test_classifiers_change_the_classes_and_not_the_maps(model: Checkpoint):
    learner, cache = live_learner(striped(), FeatureExtractor(None, tuned=model))
    both = live_model(learner, model.spec.classes, model.spec)
    assert both.spec.object_maps == MAPS
    alone = predict(cache.image, model, ALL)
    for share in (0.0, 0.5):
        part = replace(both.classifier, network_share=share)
        found = predict(cache.image, replace(both, classifier=part), ALL)
        np.testing.assert_allclose(found.object_maps, alone.object_maps, atol=1e-4)
        assert np.abs(found.probabilities - alone.probabilities).max() > 0.05


def test_what_live_learned_from_maps_of_the_decoder_has_no_object_maps(
    model: Checkpoint,
):
    learner, _ = live_learner(striped(), FeatureExtractor(model))
    live = live_model(learner, model.spec.classes, model.spec)
    assert not live.spec.object_maps
    assert not with_network(live).spec.object_maps


def test_a_model_without_maps_is_refused(make_checkpoint: Callable):
    with pytest.raises(SpecError, match="no object maps; leave object_maps out"):
        predict(plane(40, 40), make_checkpoint(), ALL)


def test_a_new_class_leaves_the_maps_as_they_are(model: Checkpoint):
    image = plane(40, 40)
    more = adapt_checkpoint(model, classes=(*model.spec.classes, "debris"))
    assert more.spec.object_maps == MAPS
    assert more.weights["head.weight"].shape[0] == 5
    found, expected = predict(image, more, ALL), predict(image, model, ALL)
    np.testing.assert_allclose(found.object_maps, expected.object_maps, atol=1e-6)
    np.testing.assert_array_equal(found.labels, expected.labels)
    channels = adapt_checkpoint(model, in_channels=3)
    assert channels.spec.object_maps == MAPS
    load_network(channels)


def test_other_classes_start_without_the_maps_of_the_old_ones(model: Checkpoint):
    fresh = start_features(model, classes=("background", "worm"))
    assert not fresh.spec.object_maps
    load_network(fresh)


def test_files_of_models_without_maps_are_as_before(
    model: Checkpoint, tmp_path: Path, make_checkpoint: Callable
):
    assert "object_maps" not in make_checkpoint().spec.to_dict()
    model.save(tmp_path / "maps.safetensors")
    assert Checkpoint.load(tmp_path / "maps.safetensors").spec == model.spec


def test_weights_of_another_number_of_maps_are_named(model: Checkpoint):
    damaged = replace(model, spec=replace(model.spec, object_maps=("distance",)))
    with pytest.raises(CheckpointError, match=r"head\.weight.*1 object maps"):
        predict(plane(40, 40), damaged, ALL)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"object_maps": ("centre",)}, "use any of distance, boundary"),
        ({"object_maps": ["distance"]}, "use any of"),
        ({"object_maps": ("distance", "distance")}, "twice"),
        ({"architecture": "fcn8s-vgg16", "depth": 5}, "use unet with classes"),
        ({"architecture": "autoencoder", "classes": ()}, "use unet with classes"),
    ],
)
def test_maps_that_cannot_be_are_refused(values: dict, message: str):
    with pytest.raises(SpecError, match=message):
        ModelSpec(**{"object_maps": ("distance",), **values})

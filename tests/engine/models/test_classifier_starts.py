"""What becomes of pixel classifiers when a model is changed or tuned further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from classifier_parts import fitted_part, trained

from unet_engine.compute.loading import load_network
from unet_engine.errors import CheckpointError, SpecError
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.classifier_part import ClassifierPart, FeatureNetwork
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_from, with_classes, with_network
from unet_engine.models.store import ModelStore

THREE = ("background", "foreground", "other")


@pytest.fixture(scope="module")
def part() -> ClassifierPart:
    return fitted_part()


@pytest.fixture
def both(part) -> Checkpoint:
    """Return a network with classifiers beside it."""
    return replace(trained(), classifier=replace(part, network_share=0.5))


@pytest.fixture
def alone(part) -> Checkpoint:
    """Return classifiers with a feature network and no network of the classes."""
    known = trained()
    network = FeatureNetwork(spec=known.spec, weights=known.weights)
    return Checkpoint(
        known.spec, {}, ({"name": "live"},), None, replace(part, network=network)
    )


def test_new_classes_leave_the_classifiers(both, alone):
    for model in (both, alone):
        wider = adapt_checkpoint(model, classes=THREE)
        assert wider.spec.classes == THREE
        assert wider.classifier is model.classifier
        renamed = adapt_checkpoint(model, classes=("nothing", "cell"))
        assert renamed.classifier is model.classifier


def test_other_channels_leave_the_network_alone_and_the_log_has_it(both, caplog):
    wider = adapt_checkpoint(both, in_channels=3)
    assert wider.classifier is None
    assert load_network(wider)
    assert "its network is used alone" in caplog.text


def test_classifiers_alone_fit_no_other_channels(alone):
    with pytest.raises(SpecError, match="no network; choose another model"):
        adapt_checkpoint(alone, in_channels=3)


def test_a_class_less_drops_classifiers_that_know_it(part, caplog):
    member = replace(part.members[0], classes=np.array([0, 2], np.int32))
    model = trained(ModelSpec(depth=2, width=4, classes=THREE))
    model = replace(model, classifier=replace(part, members=(member,)))
    fewer = adapt_checkpoint(model, classes=THREE[:2])
    assert fewer.classifier is None
    assert "do not fit" in caplog.text


def test_what_is_tuned_is_the_network(both):
    assert start_from(both).weights is both.weights
    assert with_classes(both, both.spec.classes).weights is both.weights


def test_classifiers_alone_start_from_their_features_with_a_fresh_head(alone):
    for start in (start_from(alone), with_classes(alone, THREE), with_network(alone)):
        assert start.classifier is None
        assert start.fresh_head
        assert not start.trained
        assert start.name == "live"
        assert load_network(start)
        known = alone.classifier.network.weights
        for name, weights in start.weights.items():
            if not name.startswith("head"):
                np.testing.assert_array_equal(weights, known[name])
        assert (start.weights["head.weight"][:2] != known["head.weight"]).all()
    assert with_classes(alone, THREE).spec.classes == THREE


def test_classifiers_of_filters_start_from_random_weights(alone, part):
    start = with_network(replace(alone, classifier=part))
    assert not start.history
    assert load_network(start)


def test_other_classes_leave_classifiers_out(both):
    assert with_classes(both, ("background", "cell")).classifier is None


def test_a_network_that_is_not_there_is_named(alone):
    with pytest.raises(CheckpointError, match="no network of its classes") as refusal:
        load_network(alone)
    assert "\n" not in str(refusal.value)


def test_models_with_other_classifiers_are_not_the_same(both, alone, tmp_path):
    store = ModelStore(tmp_path / "store")
    for name, change in (("a", {}), ("b", {"network_share": 0.25})):
        part = replace(both.classifier, **change)
        replace(both, classifier=part).save(tmp_path / f"{name}.safetensors")
    first = store.add(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").replace(tmp_path / "a.safetensors")
    assert store.add(tmp_path / "a.safetensors").name != first.name
    assert len([info for info in store.list() if not info.bundled]) == 2

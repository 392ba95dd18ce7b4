"""Starting a model from another one."""

import dataclasses

import numpy as np
import pytest

from unet_engine.compute.runner import Runner
from unet_engine.errors import SpecError
from unet_engine.models import starting as warm_starts
from unet_engine.models.adaptation import adapt_checkpoint
from unet_engine.models.architectures import starts_from
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.fcn_trunks import FCN_FORMS
from unet_engine.models.spec import ARCHITECTURES, ModelSpec
from unet_engine.models.starting import (
    start_checkpoint,
    start_features,
    start_from,
    start_imagenet,
)
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.optimisation import Optimisation

PRETRAINED = ({"name": "tissue", "steps": 9, "pretrained": True},)
FCN = ModelSpec.for_architecture("fcn32s-alexnet", width=2, dense_width=4)


def restorer(**values):
    spec = ModelSpec(architecture="autoencoder", depth=2, width=4, classes=(), **values)
    start = start_checkpoint(spec, seed=5)
    return dataclasses.replace(start, history=PRETRAINED)


def trained(spec):
    start = start_checkpoint(spec, seed=5)
    rng = np.random.default_rng(0)
    weights = {
        name: w
        if name.endswith("running_var")
        else rng.normal(0, 0.1, w.shape).astype(w.dtype)
        for name, w in start.weights.items()
    }
    return Checkpoint(spec, weights, ({"name": "coarse", "steps": 9},))


@pytest.mark.parametrize("architecture", [None, "unet", "autoencoder"])
def test_pretrained_contracting_path_is_taken_over(architecture):
    source = restorer(in_channels=2, low_percentile=2.0)
    start = start_from(source, architecture, classes=("a", "b", "c"), seed=1)
    assert start.spec.architecture == (architecture or "unet")
    assert start.spec.classes == ("a", "b", "c")
    assert (start.spec.in_channels, start.spec.low_percentile) == (2, 2.0)
    same = {n for n, w in source.weights.items() if n.startswith("down.")}
    assert same
    assert all(np.array_equal(start.weights[n], source.weights[n]) for n in same)
    assert not np.array_equal(
        start.weights["up.0.weight"], source.weights["up.0.weight"]
    )
    Runner(start, "cpu")


def test_pretrained_start_is_known_by_name_and_not_taken_for_trained():
    start = start_from(restorer())
    assert start.name == "tissue"
    assert not start.trained
    pair = TrainingPair(np.zeros((1, 8, 8), np.float32), np.eye(8, dtype=np.uint8))
    assert not Optimisation(start, [pair], FineTuneConfig(), "cpu").frozen
    assert trained(ModelSpec(depth=2, width=4)).trained
    assert not start_checkpoint(ModelSpec(depth=2, width=4)).trained


def test_network_with_another_contracting_path_is_refused():
    with pytest.raises(SpecError, match="unet-valid"):
        start_from(restorer(), "unet-valid")


def test_staged_start_predicts_as_the_coarser_network():
    coarse = trained(FCN)
    finer = start_from(coarse, "fcn16s-alexnet")
    finest = start_from(finer, "fcn8s-alexnet")
    assert finest.trained
    image = np.random.default_rng(1).random((1, 96, 96), np.float32)
    maps = [Runner(c, "cpu")(image)[1] for c in (coarse, finer, finest)]
    assert np.ptp(maps[0]) > 0
    inner = slice(32, 64)
    for finer_map in maps[1:]:
        difference = np.abs(finer_map - maps[0])[inner, inner]
        assert difference.max() < 0.25 * np.ptp(maps[0])


@pytest.mark.parametrize(
    "parent, architecture",
    [
        (FCN, "fcn16s-vgg16"),
        (FCN, "unet"),
        (dataclasses.replace(FCN, architecture="fcn8s-alexnet"), "fcn16s-alexnet"),
        (ModelSpec(depth=2, width=4), "fcn16s-alexnet"),
        (ModelSpec(depth=2, width=4), "autoencoder"),
    ],
)
def test_networks_that_do_not_follow_each_other_are_refused(parent, architecture):
    with pytest.raises(SpecError, match=r"fcn|FCN"):
        start_from(trained(parent), architecture)


def test_the_same_architecture_is_the_model_itself():
    model = trained(ModelSpec(depth=2, width=4))
    assert start_from(model) is model
    assert start_from(model, "unet") is model


def test_imagenet_weights_start_a_trunk(monkeypatch):
    spec = ModelSpec.for_architecture("fcn32s-alexnet", dense_width=4, in_channels=1)
    shapes = {n: w.shape for n, w in start_checkpoint(spec).weights.items()}
    rng = np.random.default_rng(0)
    classifier = {
        n: rng.normal(0, 1, (s[0], 3, *s[2:]) if n == "features.0.weight" else s)
        for n, s in shapes.items()
        if n.startswith("features.")
    }
    classifier = {n: w.astype(np.float32) for n, w in classifier.items()}
    fetched = []
    monkeypatch.setattr(
        warm_starts, "imagenet_weights", lambda n, **o: fetched.append(n) or classifier
    )
    start = start_imagenet(spec)
    assert fetched == ["alexnet"]
    name = "features.3.weight"
    assert np.array_equal(start.weights[name], classifier[name])
    assert np.allclose(
        start.weights["features.0.weight"][:, 0],
        classifier["features.0.weight"].sum(axis=1),
        atol=1e-5,
    )
    assert not start.trained
    assert "ImageNet" in start.name


def test_imagenet_weights_of_a_unet_are_refused_before_a_download(monkeypatch):
    monkeypatch.setattr(warm_starts, "imagenet_weights", lambda *a, **o: 1 / 0)
    with pytest.raises(SpecError, match="no ImageNet weights for unet"):
        start_imagenet(ModelSpec())


@pytest.mark.parametrize("row", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_recipes_are_settings(row):
    FineTuneConfig(**row.recipe)


@pytest.mark.parametrize(
    "name", [name for name, row in ARCHITECTURES.items() if 2 in row.ndims]
)
def test_any_network_takes_another_class(name):
    row = ARCHITECTURES[name]
    depth = row.depth if row.fixed_depth else 2
    spec = ModelSpec(architecture=name, depth=depth, width=2, dense_width=4)
    old = trained(spec)
    for stem in ("score", "skip_scores.0", "skip_scores.1", "head"):
        if f"{stem}.bias" in old.weights:
            old.weights[f"{stem}.bias"][:] = (-0.5, 0.5)
    new = adapt_checkpoint(old, classes=("background", "foreground", "new"))
    size = 2 * spec.footprint.halo[0] + 32
    size = spec.footprint.allowed_size(size, 0)
    image = np.random.default_rng(2).random((1, size, size), np.float32)
    before, after = (Runner(c, "cpu")(image) for c in (old, new))
    assert np.isfinite(before).all()
    assert after.shape[0] == 3
    np.testing.assert_allclose(
        after[1] / (after[0] + after[1]), before[1], rtol=1e-3, atol=1e-4
    )
    assert (after[2] <= after[:2].max(axis=0) + 1e-6).all()


class TestFeatures:
    def test_all_but_the_last_layer_is_taken_over(self):
        parent = trained(ModelSpec(depth=2, width=4, in_channels=3))
        start = start_features(parent, classes=("background", "a", "b"))
        assert start.spec.classes == ("background", "a", "b")
        assert start.weights["head.weight"].shape[0] == 3
        for name, weights in parent.weights.items():
            if not name.startswith("head."):
                np.testing.assert_array_equal(start.weights[name], weights)

    def test_it_sees_and_cannot_name_yet(self):
        start = start_features(trained(ModelSpec(depth=2, width=4)))
        assert start.fresh_head
        assert not start.trained
        again = start_features(trained(ModelSpec(depth=2, width=4)))
        np.testing.assert_array_equal(
            start.weights["head.weight"], again.weights["head.weight"]
        )

    def test_other_classes_need_another_last_layer(self):
        parent = trained(ModelSpec(depth=2, width=4))
        own = parent.spec.classes
        assert start_from(parent) is parent
        assert start_from(parent, classes=(*own, "more")) is parent
        assert start_from(parent, classes=("ground", "vessel")).fresh_head

    def test_a_model_that_is_but_a_start_gets_one_in_any_case(self):
        parent = trained(ModelSpec(depth=2, width=4))
        history = ({"name": "general", "start": True},)
        start = dataclasses.replace(parent, history=history)
        assert start.is_start
        assert start_from(start).fresh_head
        assert start_from(start).name == "general"

    def test_a_network_without_a_last_layer_of_its_own_is_refused(self):
        fcn = ModelSpec(architecture="fcn32s-alexnet", depth=5, width=2, dense_width=4)
        with pytest.raises(SpecError, match="no last layer of its own"):
            start_features(trained(fcn), classes=("background", "other"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_may_start_from_another_does(name):
    pretrained = ModelSpec(architecture="autoencoder", depth=2, width=4, classes=())
    parents = [start_checkpoint(pretrained)]
    parents += [
        trained(ModelSpec(architecture=fcn, depth=5, width=2, dense_width=4))
        for fcn in FCN_FORMS
    ]
    fitting = []
    for parent in parents:
        if starts_from(name, parent.spec):
            fitting.append(parent.spec.architecture)
            assert start_from(parent, name).spec.architecture == name
        elif name != parent.spec.architecture and "8s" not in name:
            with pytest.raises(SpecError):
                start_from(parent, name)
    form = FCN_FORMS.get(name)
    coarser = form and form.stride < 32 and f"fcn{2 * form.stride}s-{form.trunk}"
    own = ["autoencoder"] if name in ("unet", "autoencoder") else []
    assert fitting == ([coarser] if coarser else own)

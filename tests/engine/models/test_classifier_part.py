"""Models with pixel classifiers: their files, and what of a file is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
import safetensors
from classifier_parts import fitted_part, trained
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from unet_engine.errors import CheckpointError
from unet_engine.models import model_header
from unet_engine.models.checkpoint import Checkpoint, check_weights, read_info
from unet_engine.models.classifier_part import (
    ClassifierPart,
    FeatureNetwork,
    Forest,
    Regression,
    find_problem,
)
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.pixel_classification.classifier_runner import ClassifierRunner

SPEC = ModelSpec(depth=2, width=4)


@pytest.fixture(scope="module")
def part() -> ClassifierPart:
    tiny = trained()
    return replace(
        fitted_part(),
        network=FeatureNetwork(spec=tiny.spec, weights=tiny.weights),
    )


@pytest.fixture
def live(part) -> Checkpoint:
    """Return a model that is pixel classifiers alone."""
    return Checkpoint(SPEC, {}, ({"name": "live"},), classifier=part)


def changed(part: ClassifierPart, group: str, name: str, values) -> ClassifierPart:
    """Return a part with another array in the first classifier."""
    (member, *rest) = part.members
    arrays = replace(getattr(member, group), **{name: values})
    return replace(part, members=(replace(member, **{group: arrays}), *rest))


def set_at(array: np.ndarray, place, value) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


def assert_same_arrays(one: object, other: object) -> None:
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_file_keeps_all_of_it(live, part, tmp_path):
    path = tmp_path / "live.safetensors"
    live.save(path)
    found = Checkpoint.load(path)
    assert found.classifier is not None
    assert not found.weights
    assert not found.has_network
    (member,), (saved,) = part.members, found.classifier.members
    assert_same_arrays(member.forest, saved.forest)
    assert_same_arrays(member.regression, saved.regression)
    assert saved.classes.tolist() == [0, 1]
    assert found.classifier.network.spec == part.network.spec
    for name, array in part.network.weights.items():
        np.testing.assert_array_equal(found.classifier.network.weights[name], array)
    rows = np.random.default_rng(0).normal(size=(200, member.n_features))
    rows = rows.astype(np.float16)
    np.testing.assert_array_equal(
        ClassifierRunner(found.classifier, 3)(rows), ClassifierRunner(part, 3)(rows)
    )


def test_classifiers_lie_beside_a_network(part, tmp_path):
    tuned = replace(trained(), classifier=replace(part, network_share=0.25))
    path = tmp_path / "both.safetensors"
    tuned.save(path)
    found, info = Checkpoint.load(path), read_info(path)
    assert found.weights.keys() == tuned.weights.keys()
    assert found.classifier.network_share == 0.25
    assert info.has_network
    assert info.classifier.classes == (0, 1)
    assert info.classifier.features == part.network.spec


def test_the_version_is_higher_only_where_it_has_to_be(live, part, tmp_path):
    versions = {}
    for name, checkpoint in (("old", trained()), ("new", live)):
        checkpoint.save(tmp_path / name)
        with safetensors.safe_open(tmp_path / name, "np") as file:
            versions[name] = file.metadata()["version"]
    assert versions == {"old": "1", "new": "2"}


def test_a_reader_of_version_1_refuses_it_clearly(live, tmp_path, monkeypatch):
    path = tmp_path / "live.safetensors"
    live.save(path)
    monkeypatch.setattr(model_header, "VERSION", 1)
    for read in (Checkpoint.load, read_info):
        with pytest.raises(CheckpointError, match=r"version 2, .* up to 1; update"):
            read(path)


def test_nothing_in_it_is_executed(live, tmp_path, monkeypatch):
    path = tmp_path / "live.safetensors"
    live.save(path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    found = Checkpoint.load(path)
    rows = np.zeros((4, found.classifier.n_features), np.float16)
    assert ClassifierRunner(found.classifier, 2)(rows).shape == (4, 2)
    # A pickle begins with this byte and its protocol.
    assert not path.read_bytes()[8:].startswith(b"\x80")


def test_the_store_keeps_it(live, tmp_path):
    store = ModelStore(tmp_path)
    store.save("live", live)
    assert store.load("live").classifier is not None
    assert store.info("live").classifier.classes == (0, 1)
    store.add(tmp_path / "live.safetensors")
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


class TestDamage:
    CASES = (
        ("forest", "left", lambda f: set_at(f.left, 0, 0)),
        ("forest", "left", lambda f: set_at(f.left, 0, 10**6)),
        ("forest", "left", lambda f: set_at(f.left, 0, -1)),
        ("forest", "right", lambda f: set_at(f.right, 0, f.left[0])),
        ("forest", "right", lambda f: set_at(f.right, f.left < 0, -2)),
        ("forest", "features", lambda f: set_at(f.features, 0, -5)),
        ("forest", "features", lambda f: set_at(f.features, 0, 10**6)),
        ("forest", "thresholds", lambda f: set_at(f.thresholds, 0, np.nan)),
        ("forest", "thresholds", lambda f: f.thresholds.astype(np.float32)),
        ("forest", "thresholds", lambda f: f.thresholds[:-1]),
        ("forest", "shares", lambda f: set_at(f.shares, 1, 7)),
        ("forest", "shares", lambda f: -f.shares),
        ("forest", "shares", lambda f: f.shares[:, :1]),
        ("forest", "sizes", lambda f: set_at(f.sizes, 0, f.sizes[0] + 1)),
        ("forest", "sizes", lambda f: set_at(f.sizes, 0, -1)),
        ("forest", "sizes", lambda f: f.sizes[:0]),
        ("regression", "scale", lambda r: set_at(r.scale, 0, 0)),
        ("regression", "middle", lambda r: set_at(r.middle, 0, np.inf)),
        ("regression", "middle", lambda r: r.middle[:-1]),
        ("regression", "slopes", lambda r: set_at(r.slopes, 0, 3e38) * 2),
        ("regression", "slopes", lambda r: np.full_like(r.slopes, 3e38)),
        ("regression", "intercepts", lambda r: r.intercepts[:1]),
    )

    @pytest.mark.filterwarnings("ignore:overflow")
    @pytest.mark.parametrize(("group", "name", "change"), CASES)
    def test_arrays_that_are_no_classifier_are_refused_in_one_line(
        self, part, tmp_path, group, name, change
    ):
        values = change(getattr(part.members[0], group))
        bad = changed(part, group, name, values)
        path = tmp_path / "bad.safetensors"
        Checkpoint(SPEC, {}, (), classifier=bad).save(path)
        with pytest.raises(CheckpointError) as refusal:
            Checkpoint.load(path)
        message = str(refusal.value)
        assert message.startswith(f"{path} ")
        assert "\n" not in message
        assert ";" in message

    @pytest.mark.parametrize(
        "change",
        [
            {"weights": (0.5,)},
            {"weights": (float("nan"),)},
            {"weights": ()},
            {"members": (), "weights": ()},
            {"network_share": 1.5},
            {"network_share": 0.5},
        ],
    )
    def test_values_that_fit_nothing_are_refused(self, live, part, tmp_path, change):
        bad = replace(live, classifier=replace(part, **change))
        path = tmp_path / "bad.safetensors"
        bad.save(path)
        with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
            Checkpoint.load(path)
        with pytest.raises(CheckpointError, match="cannot be used"):
            check_weights(bad)

    @pytest.mark.parametrize("classes", [[0, 2], [1, 0], [0, 0], [-1, 1], [0]])
    def test_classes_that_the_model_has_not_are_refused(self, live, part, classes):
        member = replace(part.members[0], classes=np.array(classes, np.int32))
        bad = replace(live, classifier=replace(part, members=(member,)))
        with pytest.raises(CheckpointError, match="classes"):
            check_weights(bad)

    def test_channels_must_be_those_of_the_model(self, part):
        assert "1 channels" in find_problem(part, replace(SPEC, in_channels=3))

    def test_a_tensor_too_many_is_refused(self, live, part, tmp_path):
        path = tmp_path / "more.safetensors"
        extra = {"pixel_classifier/7/classes": np.zeros(2, np.int32)}
        replace(live, weights=extra).save(path)
        with pytest.raises(CheckpointError, match=r"7/classes"):
            Checkpoint.load(path)

    def test_no_tree_may_be_endlessly_deep(self, part):
        deep = 200
        inner = np.arange(deep) < deep - 1
        left = np.where(inner, 2 * np.arange(deep) + 1, -1)
        nodes = 2 * deep - 1
        forest = Forest(
            sizes=np.array([nodes], np.int32),
            left=np.full(nodes, -1, np.int32),
            right=np.full(nodes, -1, np.int32),
            features=np.zeros(nodes, np.int32),
            thresholds=np.zeros(nodes),
            shares=np.full((nodes, 2), 0.5, np.float32),
        )
        # Each left child is a leaf, each right one has the next two.
        parents = np.r_[0, np.arange(2, nodes - 1, 2)]
        forest.left[parents] = parents + 1
        forest.right[parents] = parents + 2
        assert len(left) == deep
        member = replace(part.members[0], forest=forest)
        assert "levels" in find_problem(replace(part, members=(member,)), SPEC)


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:overflow|invalid value")
def test_what_is_accepted_can_be_computed_with(part, data):
    """Change some numbers of a part: it is refused, or gives probabilities."""
    group = data.draw(st.sampled_from([Forest, Regression]))
    where = "forest" if group is Forest else "regression"
    name = data.draw(st.sampled_from([field.name for field in fields(group)]))
    values = getattr(getattr(part.members[0], where), name).copy()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, values.size - 1))
        if values.dtype.kind == "i":
            values.flat[at] = data.draw(st.integers(-(2**31), 2**31 - 1))
        else:
            width = 8 * values.dtype.itemsize
            values.flat[at] = data.draw(st.floats(width=width))
    bad = changed(part, where, name, values)
    if find_problem(bad, SPEC):
        return
    rows = np.random.default_rng(0).normal(size=(64, part.n_features))
    found = ClassifierRunner(bad, 2)((100 * rows).astype(np.float16))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=2e-3)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def live_file(part, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("live") / "live.safetensors"
    Checkpoint(SPEC, {}, (), classifier=part).save(path)
    return path.read_bytes()


@settings(deadline=None, max_examples=150)
@given(key=st.sampled_from(["", "classes", "fine", "weights", "features"]), value=_JSON)
def test_a_header_is_a_classifier_or_refused(live_file, tmp_path_factory, key, value):
    length = int.from_bytes(live_file[:8], "little")
    header = json.loads(live_file[8 : 8 + length])
    described = json.loads(header["__metadata__"]["classifier"])
    original = described
    described = {**described, key: value} if key else value
    assume(described != original)
    header["__metadata__"]["classifier"] = json.dumps(described)
    encoded = json.dumps(header).encode()
    start = len(encoded).to_bytes(8, "little")
    path = tmp_path_factory.mktemp("header") / "live.safetensors"
    path.write_bytes(start + encoded + live_file[8 + length :])
    with pytest.raises(CheckpointError):
        Checkpoint.load(path)
    try:
        info = read_info(path)
    except CheckpointError:
        return
    # Without its tensors a file cannot be judged, but what is shown of it has a type.
    if info.classifier is not None:
        assert all(type(value) is int for value in info.classifier.classes)

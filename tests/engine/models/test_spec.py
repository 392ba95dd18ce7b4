"""A spec that exists can be built; one that cannot be built does not exist."""

import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import SpecError
from unet_engine.labels import IGNORE
from unet_engine.models.receptive_fields import z_poolings_for
from unet_engine.models.spec import ARCHITECTURES, ModelSpec, build

specs = st.builds(
    ModelSpec,
    in_channels=st.integers(1, 1024),
    classes=st.lists(
        st.text(min_size=1, max_size=8).filter(str.strip),
        min_size=2,
        max_size=20,
        unique=True,
    ).map(tuple),
    depth=st.integers(1, 6),
    width=st.integers(1, 64),
    low_percentile=st.floats(0, 49),
    high_percentile=st.floats(50, 100),
    pixel_size_um=st.none() | st.floats(1e-3, 1e3),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(specs)
def test_a_spec_survives_json(spec):
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_spec_is_frozen():
    with pytest.raises(FrozenInstanceError):
        ModelSpec().depth = 5


def test_an_unknown_key_needs_an_update():
    with pytest.raises(SpecError, match=r"future_setting.*update"):
        ModelSpec.from_dict({**ModelSpec().to_dict(), "future_setting": 1})


def test_an_unknown_architecture_is_answered_with_the_table():
    with pytest.raises(SpecError, match="unet"):
        ModelSpec(architecture="transformer")


@pytest.mark.parametrize(
    "values",
    [
        {"ndim": 4},
        {"in_channels": 0},
        {"in_channels": 1.0},
        {"depth": 0},
        {"depth": 9},
        {"depth": True},
        {"width": 0},
        {"width": "16"},
        {"classes": ("only",)},
        {"classes": ("a", "a")},
        {"classes": ["a", "b"]},
        {"classes": (1, 2)},
        {"classes": tuple(map(str, range(IGNORE)))},
        {"low_percentile": 60.0, "high_percentile": 50.0},
        {"low_percentile": -1.0},
        {"high_percentile": 101.0},
        {"low_percentile": float("nan")},
        {"low_percentile": None},
        {"object_size_range": (0.0, 4.0)},
        {"object_size_range": (4.0, 3.0)},
        {"background_range": (0.5, 0.4)},
        {"background_range": (0.5,)},
        {"background_range": (0.5, float("nan"))},
        {"map_depth": 1.5},
        {"map_depth": "0.4"},
        {"pixel_size_um": 0.0},
        {"pixel_size_um": "0.5"},
        {"pixel_size_um": float("nan")},
    ],
)
def test_what_cannot_be_built_is_refused(values):
    with pytest.raises(SpecError):
        ModelSpec(**values)


def test_the_largest_number_of_classes_leaves_room_for_ignore():
    spec = ModelSpec(classes=tuple(map(str, range(IGNORE - 1))))
    assert len(spec.classes) == IGNORE - 1


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_architecture_names_its_paper(name):
    assert any(character.isdigit() for character in ARCHITECTURES[name].reference)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_footprint_of_the_unet_follows_its_depth(depth):
    footprint = ModelSpec(depth=depth).footprint
    assert footprint.divisor == (2**depth,) * 2
    # Pairs of 3x3 convolutions on each level down and up, one pair at the bottom.
    convolutions = sum(2 * 2**level * 2 for level in range(depth)) + 2 * 2**depth
    poolings = 2**depth
    assert convolutions <= footprint.halo[0] <= convolutions + poolings


def test_build_gives_the_network_of_the_spec():
    spec = replace(ModelSpec(depth=2, width=4), in_channels=3, classes=("a", "b", "c"))
    network = build(spec).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, 16, 20))
    assert logits.shape == (2, 3, 16, 20)


@pytest.mark.parametrize(
    ("planes", "elongation", "expected"),
    [(1, 1, 0), (7, 1, 0), (8, 1, 1), (14, 1, 1), (32, 1, 3), (500, 1, 4),
     (100, 4.1, 2), (100, 0.5, 4), (100, 1000, 0)],
)  # fmt: skip
def test_thin_and_anisotropic_stacks_pool_less_along_z(planes, elongation, expected):
    found = z_poolings_for(planes, 4, elongation=elongation)
    assert found == expected
    ModelSpec(ndim=3, z_poolings=found)

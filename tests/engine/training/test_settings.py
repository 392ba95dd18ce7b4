"""Settings refuse what cannot be run and name what is usual."""

from dataclasses import FrozenInstanceError, fields
from inspect import getdoc

import pytest

from unet_engine.errors import EngineError, SpecError
from unet_engine.prediction.config import PredictConfig
from unet_engine.training.config import FineTuneConfig


@pytest.mark.parametrize("config", [PredictConfig(), FineTuneConfig()])
def test_defaults_are_valid_and_frozen(config):
    with pytest.raises(FrozenInstanceError):
        config.device = "cpu"


@pytest.mark.parametrize("kind", [PredictConfig, FineTuneConfig])
def test_every_field_is_documented(kind):
    documented = getdoc(kind).splitlines()
    assert [f.name for f in fields(kind) if f.name not in documented] == []


@pytest.mark.parametrize("tile", [1, 31, -512, float("nan")])
def test_a_tile_without_room_is_refused(tile):
    with pytest.raises(SpecError, match="use 32 or more"):
        PredictConfig(tile=tile)


@pytest.mark.parametrize(
    "values",
    [
        {"minutes": -1},
        {"minutes": float("nan")},
        {"steps": -1},
        {"crop": 16},
        {"batch": 0},
        {"elastic": -0.1},
        {"intensity": -1},
        {"border_weight": -1},
        {"seed": -1},
        {"learning_rate": 0},
        {"learning_rate": 2},
        {"learning_rate": float("nan")},
        {"validation": 0},
        {"validation": 1},
    ],
)
def test_impossible_training_settings_are_refused_by_name(values):
    with pytest.raises(SpecError, match=next(iter(values))):
        FineTuneConfig(**values)


def test_a_training_must_end():
    with pytest.raises(SpecError, match="never end"):
        FineTuneConfig(minutes=0, steps=0)
    assert FineTuneConfig(minutes=0, steps=5).steps == 5


def test_errors_are_never_swallowed_as_runtime_errors():
    assert not issubclass(EngineError, RuntimeError)


@pytest.mark.parametrize(
    ("name", "choices"), [("halo", "exact or measured"), ("precision", "full or half")]
)
def test_a_choice_that_there_is_not_is_refused_with_those_there_are(name, choices):
    with pytest.raises(SpecError, match=rf"{name} is 'most'; use {choices}"):
        PredictConfig(**{name: "most"})

"""Tests of texts of settings: what they are read as is what they were made from."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unet_engine.cli.app import parse_command
from unet_engine.images.choice import ImageChoice
from unet_engine.objects.config import ObjectConfig
from unet_engine.prediction.config import PredictConfig
from unet_engine.scripting.texts import RunTexts, call_of, option_words
from unet_engine.training.config import FineTuneConfig

SHARES = st.floats(0, 0.99)
PREDICTIONS = st.builds(
    PredictConfig,
    device=st.sampled_from(["auto", "cpu"]),
    tile=st.sampled_from([0, 32, 512]),
    average_flips=st.sampled_from(["auto", "on", "off"]),
    halo=st.sampled_from(["exact", "measured"]),
    precision=st.sampled_from(["full", "half"]),
    effort=st.sampled_from(["full", "fast"]),
    directions=st.sampled_from(["one", "three"]),
    object_size=st.one_of(
        st.sampled_from(["auto", "off", "pixel-size"]), st.floats(2, 1e6)
    ),
    pixel_size=st.floats(0, 1e6),
)
FINDINGS = st.builds(
    ObjectConfig,
    method=st.sampled_from(["watershed", "components"]),
    min_size=st.one_of(st.just("auto"), st.integers(0, 10**6)),
    fill_holes=st.booleans(),
    connectivity=st.sampled_from(["faces", "full"]),
    merging=SHARES,
    map_depth=SHARES,
    neck_depth=st.floats(0, 100),
    seed_threshold=SHARES,
    volumes=st.sampled_from(["whole", "linked"]),
    overlap=st.integers(1, 2048),
)
TRAININGS = st.builds(
    FineTuneConfig,
    learning_rate=st.floats(1e-6, 1e-1),
    flips=st.booleans(),
    dice=st.booleans(),
    seed=st.integers(0, 10**6),
    steps=st.integers(0, 1000),
)
NOT_OPTIONS = ("probabilities", "object_maps")


def settings_in(*words: str) -> dict[str, Any]:
    return parse_command(words)[1].arguments


@pytest.mark.slow
@given(config=PREDICTIONS)
def test_the_options_of_a_prediction_are_its_settings(config: PredictConfig):
    words = option_words(config, without=NOT_OPTIONS)
    found = settings_in("predict", "a.tif", "b.tif", *words).get("settings", {})
    assert PredictConfig(**found) == config


@pytest.mark.slow
@given(config=FINDINGS, prediction=PREDICTIONS)
def test_the_options_of_a_batch_are_its_settings(
    config: ObjectConfig, prediction: PredictConfig
):
    words = [*option_words(config), *option_words(prediction, without=NOT_OPTIONS)]
    found = settings_in("batch", "a.tif", *words)
    assert ObjectConfig(**found.get("finding", {})) == config
    assert PredictConfig(**found.get("settings", {})) == prediction


@pytest.mark.slow
@given(config=TRAININGS)
def test_the_options_of_a_training_are_its_settings(config: FineTuneConfig):
    words = option_words(config, always=("minutes", "seed"))
    found = settings_in("finetune", "--strokes=a.tif", "--out=b", *words)
    assert FineTuneConfig(**found["settings"]) == config


@given(config=st.one_of(PREDICTIONS, FINDINGS, TRAININGS))
def test_a_call_makes_the_settings_again(config: Any):
    names = {kind.__name__: kind for kind in (type(config), ImageChoice)}
    assert eval(call_of(config), names) == config


def test_only_what_differs_is_stated():
    assert option_words(PredictConfig()) == []
    assert call_of(ObjectConfig(min_size=5)) == "ObjectConfig(min_size=5)"
    assert option_words(ObjectConfig(), always=("overlap",)) == ["--overlap=128"]


@given(words=st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1)))
def test_a_shell_takes_a_line_apart_into_its_words(words: list[str]):
    texts = RunTexts(words=tuple(words), python="")
    assert shlex.split(texts.command) == ["napari-unet", *words]


test_a_shell_takes_a_line_apart_into_its_words = pytest.mark.skipif(
    "sys.platform == 'win32'", reason="its shell has rules of its own"
)(test_a_shell_takes_a_line_apart_into_its_words)

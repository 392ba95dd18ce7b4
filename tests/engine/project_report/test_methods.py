"""The methods paragraph says what the history of a model says, and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from unet_engine.models.checkpoint import Checkpoint, ModelInfo
from unet_engine.project_report.methods import methods_of

if TYPE_CHECKING:
    from unet_engine.models.store import ModelStore


def with_history(info: ModelInfo, **changes: Any) -> ModelInfo:
    """Change the last entry of a history; None takes something out of it."""
    *earlier, last = info.history
    changed = {k: v for k, v in {**last, **changes}.items() if v is not None}
    return replace(info, history=(*earlier, changed))


def test_figures_are_those_of_the_history(store: ModelStore) -> None:
    methods = methods_of(store.info("two"), store.list())
    for part in (
        "with napari-unet-finetune 9.8.7 [1].",
        "40 strokes (20 of background and 20 of <b>cell</b>; 130 pixels) were painted "
        "by hand on 2 images in 5 min.",
        "depth 2, 4 channels at the first level) was trained, starting from the "
        "weights of the model general",
        "120 steps of 4 crops of 192 pixels with AdamW",
        "peak learning rate 0.001) in 2 min, in PyTorch 6.5",
        "10% of all",
        "In 2 rounds",
        "background 0.70 (0.60 to 0.80) and <b>cell</b> 0.70 (0.60 to 0.80).",
    ):
        assert part in methods.text
    assert "classifier" not in methods.text


def test_only_what_was_used_is_cited(store: ModelStore) -> None:
    methods = methods_of(store.info("two"), store.list())
    works = " ".join(methods.works)
    assert "Ronneberger" in works and "PyTorch" in works and "9.8.7" in methods.works[0]
    assert "Scikit-learn" not in works and "3D U-Net" not in works
    for number in range(1, len(methods.works) + 1):
        assert f"[{number}]" in methods.text
    assert f"[{len(methods.works) + 1}]" not in methods.text


def test_what_was_not_recorded_is_not_stated(store: ModelStore) -> None:
    info = with_history(
        store.info("two"),
        labels=None,
        score=None,
        versions=None,
        config=None,
        after=None,
    )
    text = methods_of(info, []).text
    assert "strokes" not in text and "steps" not in text and "None" not in text
    assert "IoU" not in text and "with napari-unet-finetune [1]." in text


def test_a_score_that_strokes_do_not_bear_out_is_not_stated(store: ModelStore) -> None:
    info = store.info("two")
    hidden = {**info.history[-1]["score"], "shown": False}
    text = methods_of(with_history(info, score=hidden), []).text
    assert "IoU" not in text


def test_label_images_are_no_strokes(store: ModelStore) -> None:
    labels = {"images": 1, "painting_seconds": 0.0, "strokes": {},
              "pixels": {"background": 1000, "<b>cell</b>": 24}}  # fmt: skip
    info = with_history(store.info("two"), labels=labels, score=None)
    text = methods_of(info, []).text
    assert (
        "1,024 pixels (1,000 of background and 24 of <b>cell</b>) were labelled" in text
    )
    assert "On held-out labels the mean IoU was 0.50." in text
    assert "stroke" not in text


@pytest.mark.parametrize("name", ["nuclei", "general"])
def test_a_bundled_model_was_used_as_it_is(store: ModelStore, name: str) -> None:
    text = methods_of(store.info(name), store.list()).text
    assert f"The model {name}, which comes with it, was used as it is." in text
    assert "painted" not in text and "In PyTorch" not in text


def test_a_history_of_another_program_breaks_nothing(store: ModelStore) -> None:
    info = with_history(
        store.info("two"), labels=[1], score={"classes": {"a": ["x"]}}, config=3,
        versions="new", seconds="long", steps="many",
    )  # fmt: skip
    assert methods_of(info, []).text
    assert isinstance(Checkpoint.load(info.path), Checkpoint)

"""One round of training: from images with labels to a saved model."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.models.store import ModelStore
from unet_engine.training import rounds
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage
from unet_engine.training.data.remembered_crops import load_remembered
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import (
    DataChanged,
    FineTuned,
    Note,
    Saving,
    Step,
    Validation,
)
from unet_engine.training.rounds import Round, train_round

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEC = ModelSpec(depth=2, width=4, classes=("background", "cell"))
CONFIG = FineTuneConfig(
    device="cpu", minutes=0, steps=20, crop=32, batch=1, learning_rate=0.01
)


def painted(name: str = "cells", *, value: float = 120.0) -> PaintedImage:
    """Return a bright square with a stroke on it and one beside it."""
    image = np.random.default_rng(0).normal(40, 5, (64, 64)).astype(np.float32)
    image[20:44, 20:44] += value
    strokes = Annotations(image.shape)
    strokes.set(np.mgrid[28:34, 24:40].reshape(2, -1), 1)
    strokes.set(np.mgrid[52:58, 10:50].reshape(2, -1), 0)
    return PaintedImage(image=Image.from_array(image, "YX", name=name), strokes=strokes)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def order(**values: Any) -> Round:
    common = {"start": start_checkpoint(SPEC), "data": [painted()], "config": CONFIG}
    return Round(**{**common, "name": "new", **values})


def run(training: Round, store: ModelStore, folder: Path | None = None, **options: Any):
    """Return the events and what was trained."""
    events: list[Any] = []
    folders = [] if folder is None else [folder]
    trained = drain(
        train_round(training, store, folders=folders, **options), events.append
    )
    return events, trained


def tuned(store: ModelStore, parent: str, **values: Any) -> Round:
    """Return a round that trains a model of the store further."""
    info = store.info(parent)
    old = Checkpoint.load(info.path)
    return order(start=old, old=old, parent=info, **values)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the training: return what each was started with."""
    started: list[dict[str, Any]] = []

    def train(checkpoint: Checkpoint, pairs: Any, config: Any, **options: Any) -> Any:
        started.append({"start": checkpoint, "pairs": pairs, **options})
        look = Validation(step=1, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield look
        record = {"parent": checkpoint.name, "data": sorted({p.name for p in pairs})}
        made = replace(checkpoint, history=(*checkpoint.history, record))
        return FineTuned(
            checkpoint=made, improved=True, before=look, after=look, steps=1,
            stopped=options["stop"](),
        )  # fmt: skip

    monkeypatch.setattr(rounds, "iter_fine_tune", train)
    return started


@pytest.mark.slow
def test_a_round_ends_with_a_saved_model_and_its_crops(store: ModelStore):
    events, trained = run(order(), store)
    assert trained.unsaved is None
    assert trained.model == store.info("new")
    assert any(isinstance(event, Step) for event in events)
    assert isinstance(events[-1], Saving)
    (entry,) = trained.model.history
    assert (entry["data"], entry["base"], entry["name"]) == (["cells"], "", "new")
    assert [crop.name for crop in load_remembered(trained.model)] == ["cells"]
    saved = store.load("new").weights
    for name, values in trained.result.checkpoint.weights.items():
        np.testing.assert_array_equal(saved[name], values)


def test_the_origin_is_recorded(store: ModelStore, tmp_path: Path, quick: Any):
    store.save("first", start_checkpoint(SPEC))
    _, trained = run(tuned(store, "first"), store)
    assert trained.model.history[-1]["parent"] == "first"
    assert trained.model.history[-1]["base"] == "first"
    # A file from elsewhere is not found again by its name.
    elsewhere = tmp_path / "first.safetensors"
    start_checkpoint(SPEC).save(elsewhere)
    _, trained = run(tuned(store, str(elsewhere)), store)
    assert trained.model.history[-1]["parent"] == "first"
    assert trained.model.history[-1]["base"] == ""


@pytest.mark.parametrize("restarts", [True, False])
def test_what_was_tuned_on_the_same_images_is_tuned_anew(
    store: ModelStore, quick: list[dict[str, Any]], restarts: bool
):
    store.save("first", start_checkpoint(SPEC))
    run(tuned(store, "first"), store)
    again = tuned(store, "new", restarts=restarts, name="second")
    _, trained = run(again, store)
    assert len(quick[1]["start"].history) == (0 if restarts else 1)
    last = trained.model.history[-1]
    assert last["parent"] == "new"
    assert last["base"] == ("first" if restarts else "new")
    # Of another image the model learns on what it was.
    other = tuned(store, "new", restarts=restarts, data=[painted("others")])
    run(other, store)
    assert quick[2]["start"] is other.start


def test_a_model_that_is_worse_on_the_old_images_is_noted(
    store: ModelStore, quick: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    run(order(), store)
    seen = []

    def check(result: Any, old: Any, remembered: Any, pairs: Any, **_: Any) -> Any:
        seen.append((old, [crop.name for crop in remembered]))
        return result, []

    monkeypatch.setattr(rounds, "check_forgetting", check)
    further = tuned(store, "new", data=[painted("others")])
    run(further, store)
    run(order(parent=further.parent), store)
    (old, remembered), (_, without) = seen
    assert old is further.old
    assert remembered == ["cells"]
    assert without == []


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_loses_no_model(
    store: ModelStore,
    tmp_path: Path,
    quick: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
):
    genuine = os.replace

    def replace_elsewhere(source: Any, target: Any) -> None:
        if store.root in type(tmp_path)(target).parents:
            full()
        genuine(source, target)

    monkeypatch.setattr(os, "replace", replace_elsewhere)
    _, trained = run(order(), store, tmp_path / "elsewhere")
    assert trained.model is None
    assert "No space left" in trained.unsaved.reason
    assert trained.unsaved.place == tmp_path / "elsewhere" / "new.safetensors"
    assert [crop.name for crop in trained.unsaved.crops] == ["cells"]
    kept = Checkpoint.load(trained.unsaved.place)
    assert kept.history[-1]["data"] == ["cells"]
    monkeypatch.setattr(os, "replace", genuine)
    info = trained.unsaved.save(store)
    assert [crop.name for crop in load_remembered(info)] == ["cells"]
    assert not trained.unsaved.place.exists()


@pytest.mark.parametrize(
    ("overwrite", "stopped", "name"),
    [
        (False, False, "new-2"),
        (False, True, "new-2"),
        (True, True, "new-2"),
        (True, False, "new"),
    ],
)
def test_only_a_complete_training_replaces_a_model(
    store: ModelStore, quick: Any, overwrite: bool, stopped: bool, name: str
):
    store.save("new", start_checkpoint(SPEC))
    before = store.info("new").path.read_bytes()
    _, trained = run(order(overwrite=overwrite), store, stop=lambda: stopped)
    assert trained.model.name == name
    assert (store.info("new").path.read_bytes() == before) == (name == "new-2")


def test_labels_without_data_are_left_out_and_noted(store: ModelStore, quick: Any):
    data = painted()
    data.image.data[28:34, 24:30] = np.nan
    events, trained = run(order(data=[data]), store)
    (sentence,) = trained.result.notes
    assert sentence.startswith("36 labelled pixels without data")
    assert Note(sentence) in events


def test_nothing_labelled_is_refused(store: ModelStore):
    data = replace(painted(), strokes=Annotations((64, 64)))
    with pytest.raises(DataError, match="no pixel of the chosen images is labelled"):
        run(order(data=[data]), store)


def test_what_was_not_better_is_not_saved(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
):
    def learn_nothing(checkpoint: Any, *_: Any, **__: Any) -> Iterator[Validation]:
        look = Validation(step=0, loss=1.0, iou=0.5, best=True, seconds=0.0)
        yield look
        return FineTuned(
            checkpoint=checkpoint, improved=False, before=look, after=look, steps=1,
            stopped=False,
        )  # fmt: skip

    monkeypatch.setattr(rounds, "iter_fine_tune", learn_nothing)
    events, trained = run(order(), store)
    assert trained.model is None
    assert trained.unsaved is None
    assert "new" not in store.names()
    assert not any(isinstance(event, Saving) for event in events)


@pytest.mark.parametrize("ndim", [2, 3])
def test_an_untrained_model_gets_the_features_of_the_bundled_one(
    store: ModelStore, quick: list[dict[str, Any]], ndim: int
):
    image = np.repeat(painted().image.data[None], 4, axis=0)
    strokes = Annotations(image.shape)
    strokes.set((1, np.arange(20, 40), 30), 1)
    strokes.set((1, np.arange(20, 40), 5), 0)
    data = PaintedImage(
        image=Image.from_array(image, "ZYX", name="cells"), strokes=strokes
    )
    start = start_checkpoint(SPEC.changed(ndim=ndim, depth=1))
    run(order(start=start, data=[data]), store)
    found = quick[0]["features_from"]
    assert (found.spec.ndim, found.spec.in_channels) == (2, 1)
    assert found.name == "general"


@pytest.mark.slow
def test_images_that_are_painted_during_a_round_are_learned_in_it(store: ModelStore):
    source = Latest([painted()])
    events: list[Any] = []

    def follow(event: Any) -> None:
        events.append(event)
        if isinstance(event, Step) and event.step == 3:
            source.post([painted(), painted("others")])

    trained = drain(train_round(order(data=source), store, folders=[]), follow)
    assert trained.model is not None
    assert [e.step for e in events if isinstance(e, DataChanged)] == [3]
    assert trained.model.history[-1]["data"] == ["cells", "others"]
    kept = load_remembered(trained.model)
    assert {crop.name for crop in kept} == {"cells", "others"}


def test_a_source_without_any_label_is_refused(store: ModelStore):
    with pytest.raises(DataError, match="no pixel"):
        run(order(data=Latest([])), store)

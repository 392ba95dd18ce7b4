"""Step 3: what is trained on, what is saved, and what is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import pytest

from napari_unet.jobs import training as _training_runs
from unet_engine.errors import DataError
from unet_engine.training.data.labelled_images import training_pairs
from unet_engine.training.data.remembered_crops import load_remembered
from unet_engine.training.events import FineTuned, ForgettingCheck, Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.saving import Trained

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from conftest import Docked


@pytest.fixture
def painted(dock: Docked, plane: Any) -> Docked:
    """Two planes with strokes of both classes, and settings for a short training."""
    return paint(dock, plane)


def paint(docked: Docked, plane: Any) -> Docked:
    docked.viewer.add_image(np.stack([plane, plane]), name="cells")
    docked.predict()
    docked.mask.brush_size = 12
    docked.mask.paint((0, 35, 35), 1)
    docked.mask.paint((0, 85, 15), 0)
    docked.mask.paint((1, 70, 70), 1)
    docked.be_quick()
    return docked


def touched_pixels(docked: Docked) -> np.ndarray:
    annotations = docked.widget.workspace.working_image.annotations
    shape = annotations.shape
    planes = [annotations.touched(index) for index in np.ndindex(shape[:-2])]
    return np.stack(planes).reshape(shape)


def train(docked: Docked) -> None:
    docked.widget.fine_tune.train.click()
    docked.wait()


def each(iou: float, *, best: bool = True) -> Validation:
    return Validation(step=0, loss=1.0, iou=iou, best=best, seconds=0.0)


def unimproved(order: Any, workspace: Any, stop: Any) -> Generator[Any, None, Any]:
    yield each(0.5)
    yield Step(step=1, loss=0.7, seconds=1.0, seconds_left=3.0)
    result = FineTuned(
        checkpoint=workspace.checkpoint(order.model), improved=False,
        before=each(0.5), after=each(0.5), steps=1, stopped=False,
        notes=("The old one is kept.",),
    )  # fmt: skip
    return Trained(result=result)


@pytest.mark.slow
def test_the_new_model_is_saved_chosen_and_predicts(
    painted: Docked, notices: list[str]
) -> None:
    before = painted.mask.data.copy()
    touched = touched_pixels(painted)
    train(painted)
    painted.wait()
    workspace = painted.widget.workspace
    assert workspace.model.name == "tiny-ft"
    assert workspace.store.lineage("tiny-ft") == ("tiny-ft", "tiny")
    assert painted.widget.predict.form.picker.model.value.name == "tiny-ft"
    assert "tiles" in painted.widget.predict.text.text()
    after = painted.mask.data
    np.testing.assert_array_equal(after[touched], before[touched])
    assert len(painted.widget.fine_tune.curve.steps) == 4
    assert "tiny-ft" in painted.widget.fine_tune.text.text()


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.7, 0.88])
def test_a_model_that_forgot_what_the_old_one_knew_is_kept_but_not_chosen(
    painted: Docked, notices: list[str], monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    def compare(result: Any, *_: Any, **__: Any) -> Any:
        found = ForgettingCheck(before=0.9, after=after, crops=3)
        return replace(result, forgetting=found), []

    monkeypatch.setattr("unet_engine.training.rounds.check_forgetting", compare)
    train(painted)
    painted.wait()
    workspace, text = painted.widget.workspace, painted.widget.fine_tune.text.text()
    assert "tiny-ft" in workspace.store.names()
    forgot = after < 0.85
    assert workspace.model.name == ("tiny" if forgot else "tiny-ft")
    assert ("tiny stays chosen; tiny-ft is in the list" in text) == forgot
    assert any("stays chosen" in message for message in notices) == forgot


@pytest.mark.slow
def test_crops_of_what_was_learned_stay_with_the_model(painted: Docked) -> None:
    train(painted)
    painted.wait()
    store = painted.widget.workspace.store
    kept = load_remembered(store.info("tiny-ft"))
    assert {crop.name for crop in kept} == {"cells (0,)", "cells (1,)"}
    touched = touched_pixels(painted)
    assert sum((crop.target < 2).sum() for crop in kept) == touched.sum()


@pytest.mark.slow
def test_a_second_training_starts_anew(
    painted: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []

    def record(start: Any, *rest: Any, **limits: Any) -> Any:
        received.append(len(start.history))
        return iter_fine_tune(start, *rest, **limits)

    monkeypatch.setattr("unet_engine.training.rounds.iter_fine_tune", record)
    train(painted)
    painted.wait()
    assert painted.widget.workspace.model.name == "tiny-ft"
    painted.mask.paint((1, 20, 20), 0)
    train(painted)
    painted.wait()
    first, second = received
    assert second == first


@pytest.mark.slow
def test_the_next_model_gets_the_next_free_name(painted: Docked) -> None:
    store = painted.widget.workspace.store
    store.save("tiny-ft", store.load("tiny"))
    painted.widget.workspace.refresh_models("tiny")
    train(painted)
    painted.wait()
    assert painted.widget.workspace.model.name == "tiny-ft-2"


@pytest.mark.parametrize(
    ("name", "tuned"),
    [("nuclei", "nuclei-ft"), ("nuclei-ft", "nuclei-ft"), ("a-ft-12", "a-ft")],
)
def test_names(name: str, tuned: str) -> None:
    assert _training_runs.tuned_name(name) == tuned


@pytest.mark.slow
def test_learned_nothing_is_reported_and_keeps_the_model(
    painted: Docked, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_unet.steps.finetune.section.train_run", unimproved)
    train(painted)
    assert painted.widget.workspace.model.name == "tiny"
    assert "tiny-ft" not in painted.widget.workspace.store.names()
    assert "Nothing learned" in painted.widget.fine_tune.text.text()
    assert any("old one is kept" in message for message in notices)


def test_a_model_that_is_not_better_is_not_saved(
    painted: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unet_engine.training import rounds

    def learn_nothing(checkpoint: Any, *_: Any, **__: Any) -> Any:
        yield each(0.5)
        return FineTuned(
            checkpoint=checkpoint, improved=False, before=each(0.5), after=each(0.5),
            steps=1, stopped=False,
        )  # fmt: skip

    monkeypatch.setattr(rounds, "iter_fine_tune", learn_nothing)
    train(painted)
    assert "tiny-ft" not in painted.widget.workspace.store.names()


@pytest.mark.slow
def test_stop_keeps_the_best(painted: Docked, every_evaluation_is_better: None) -> None:
    painted.be_quick(steps=100_000)
    section = painted.widget.fine_tune
    section.train.click()
    assert section.cancel.isEnabled()
    painted.bot.waitUntil(
        lambda: any(v.best and v.step for v in section.curve.validations),
        timeout=60_000,
    )
    section.cancel.click()
    painted.wait()
    assert "tiny-ft" in painted.widget.workspace.store.names()
    assert section.train.isEnabled()


def test_nothing_touched(dock: Docked, plane: Any, notices: list[str]) -> None:
    dock.viewer.add_image(plane)
    dock.widget.correct.empty.click()
    dock.widget.fine_tune.train.click()
    assert "nothing is touched yet" in notices[0]
    assert "background and cell" in notices[0]
    assert not dock.widget.workspace.busy


def test_one_class_touched(dock: Docked, plane: Any, notices: list[str]) -> None:
    dock.viewer.add_image(plane)
    dock.widget.correct.empty.click()
    dock.mask.paint((20, 20), 1)
    dock.widget.fine_tune.train.click()
    assert "only 'cell' is touched" in notices[0]
    assert not dock.widget.workspace.busy


def test_no_model(painted: Docked, notices: list[str]) -> None:
    painted.widget.workspace.choose_model(None)
    painted.widget.fine_tune.train.click()
    assert "no model to tune" in notices[0]


def test_an_error_gives_the_buttons_back(
    painted: Docked, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        yield

    monkeypatch.setattr("napari_unet.steps.finetune.section.train_run", fail)
    train(painted)
    assert any("mat1 and mat2" in message for message in notices)
    assert painted.widget.fine_tune.train.isEnabled()
    assert painted.widget.predict.predict.isEnabled()


def test_a_folder_that_cannot_be_written_to(
    painted: Docked, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise DataError("the disk is full; free some space")

    monkeypatch.setattr(painted.widget.workspace.store, "check_writable", full)
    train(painted)
    assert any("free some space" in message for message in notices)
    assert not painted.widget.fine_tune.curve.steps


def train_without_end(docked: Docked) -> None:
    """Start a training that only ``stop`` ends, and wait for its first step."""
    docked.be_quick(steps=100_000)
    section = docked.widget.fine_tune
    section.train.click()
    docked.bot.waitUntil(lambda: bool(section.curve.steps), timeout=60_000)


@pytest.mark.slow
def test_image_deleted_while_training(painted: Docked) -> None:
    train_without_end(painted)
    painted.viewer.layers.remove("cells")
    painted.wait()
    assert painted.widget.fine_tune.train.isEnabled()
    text = painted.widget.fine_tune.text.text()
    assert text.startswith("Stopped: 'cells' was deleted. ")


@pytest.mark.slow
def test_a_mask_that_is_deleted_ends_no_training(painted: Docked) -> None:
    """Its strokes are kept, and it comes back with the next prediction."""
    train_without_end(painted)
    painted.viewer.layers.remove("cells mask")
    steps = len(painted.widget.fine_tune.curve.steps)
    painted.bot.waitUntil(
        lambda: len(painted.widget.fine_tune.curve.steps) > steps + 2, timeout=60_000
    )
    painted.widget.fine_tune.train.click()
    painted.wait()
    assert "deleted" not in painted.widget.fine_tune.text.text()


@pytest.mark.slow
def test_data_changed_while_training(painted: Docked, notices: list[str]) -> None:
    train_without_end(painted)
    painted.viewer.layers["cells"].data = np.zeros((2, 64, 64), np.uint8)
    painted.wait()
    assert painted.widget.fine_tune.train.isEnabled()
    assert not any("failed" in message.lower() for message in notices)


@pytest.mark.slow
def test_viewer_closed_while_training(real_dock: Docked, plane: Any) -> None:
    train_without_end(paint(real_dock, plane))
    thread = real_dock.widget.fine_tune._job._thread
    real_dock.viewer.close()
    real_dock.bot.waitUntil(lambda: not thread.is_alive(), timeout=10_000)


@pytest.mark.slow
def test_a_new_class_is_learned(painted: Docked) -> None:
    painted.widget.correct.add_class("debris")
    painted.mask.paint((0, 10, 80), 2)
    painted.be_quick(steps=40)
    train(painted)
    painted.wait()
    model = painted.widget.workspace.model
    assert model.spec.classes == ("background", "cell", "debris")
    assert [b.text() for b in painted.widget.correct.class_buttons][-1] == "debris"


def pair(docked: Docked, labels: np.ndarray, label_values: str = "auto") -> None:
    pairs = docked.widget.fine_tune.pairs
    pairs.labels.value = docked.viewer.add_labels(labels, name="truth")
    pairs.image.value = docked.viewer.layers["cells"]
    pairs.label_values.value = label_values
    pairs.add_pair()


def test_a_pair_alone_is_enough(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(int) * 300, "objects")
    assert [p.title for p in dock.widget.workspace.pairs] == ["cells + truth (objects)"]
    dock.be_quick()
    train(dock)
    dock.wait()
    assert dock.widget.workspace.model.name == "tiny-ft"


def test_labels_of_another_shape(dock: Docked, plane: Any, notices: list[str]) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, np.zeros((5, 5), np.uint8))
    assert "5 x 5 pixels" in notices[0]
    assert not dock.widget.workspace.pairs


def test_object_ids_taken_for_classes(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(int) * 300)
    dock.be_quick()
    train(dock)
    assert any("object ids" in message for message in notices)
    assert dock.widget.workspace.model.name == "tiny"


@pytest.mark.slow
def test_a_mask_of_0_and_255_is_foreground(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, np.where(plane > 100, 255, 0).astype(np.uint8))
    dock.be_quick()
    train(dock)
    assert dock.widget.workspace.model.name == "tiny-ft"


def test_a_pair_goes_with_its_layer(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(np.uint8))
    assert dock.widget.fine_tune.pairs.list.count() == 1
    dock.viewer.layers.remove("truth")
    assert dock.widget.fine_tune.pairs.list.count() == 0


def test_remove_a_pair(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(np.uint8))
    dock.widget.fine_tune.pairs.list.setCurrentRow(0)
    dock.widget.fine_tune.pairs.remove.click()
    assert not dock.widget.workspace.pairs


def test_a_pair_is_changed_in_its_place(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(np.uint8))
    pair(dock, (plane > 200).astype(np.uint8), "mask")
    pairs, workspace = dock.widget.fine_tune.pairs, dock.widget.workspace
    assert not pairs.remove.isEnabled()
    assert "Choose a pair" in pairs.remove.toolTip()
    pairs.list.setCurrentRow(0)
    assert pairs.remove.isEnabled()
    assert pairs.label_values.value == "auto"
    pairs.label_values.value = "objects"
    pairs.unlabelled.value = "7"
    assert [p.label_values for p in workspace.pairs] == ["objects", "mask"]
    assert [p.unlabelled for p in workspace.pairs] == [7, "auto"]
    assert pairs.list.currentRow() == 0
    pairs.list.setCurrentRow(1)
    assert (pairs.label_values.value, pairs.unlabelled.value) == ("mask", "auto")
    assert [p.unlabelled for p in workspace.pairs] == [7, "auto"]


def test_a_pair_that_is_added_again_is_changed(dock: Docked, plane: Any) -> None:
    dock.viewer.add_image(plane, name="cells")
    pair(dock, (plane > 100).astype(np.uint8))
    pairs = dock.widget.fine_tune.pairs
    pairs.label_values.value = "mask"
    pairs.add_pair()
    assert [p.label_values for p in dock.widget.workspace.pairs] == ["mask"]


def test_labels_that_were_opened_as_an_image_are_offered(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane, name="cells")
    ids = dock.viewer.add_image((plane > 100).astype(np.int32), name="ids")
    dock.viewer.add_image(plane.astype(np.float32), name="grey")
    pairs = dock.widget.fine_tune.pairs
    assert [layer.name for layer in pairs.labels.choices] == ["cells", "ids"]
    pairs.image.value, pairs.labels.value = ids, ids
    pairs.add_pair()
    assert "cannot be its own labels" in notices[-1]
    pairs.image.value = dock.viewer.layers["cells"]
    pairs.add_pair()
    dock.be_quick()
    train(dock)
    dock.wait()
    assert dock.widget.workspace.model.name == "tiny-ft"


@pytest.mark.parametrize(("count", "values"), [(3, "auto"), (60, "objects")])
def test_many_values_are_taken_for_object_ids(
    dock: Docked, plane: Any, count: int, values: str
) -> None:
    dock.viewer.add_image(plane, name="cells")
    ids = np.arange(plane.size).reshape(plane.shape) % (count + 1)
    pairs = dock.widget.fine_tune.pairs
    pairs.labels.value = dock.viewer.add_labels(ids, name="truth")
    assert pairs.label_values.value == values


def test_labels_on_disk_are_not_read_to_look_at_their_values(
    dock: Docked, plane: Any
) -> None:
    read: list[Any] = []

    def compute(block: np.ndarray) -> np.ndarray:
        read.append(block.shape)
        return block

    pairs = dock.widget.fine_tune.pairs
    ids = np.arange(plane.size).reshape(plane.shape)
    lazy = dask.array.from_array(ids).map_blocks(compute, dtype=ids.dtype)
    layer = dock.viewer.add_labels(lazy, name="truth")
    read.clear()
    pairs._preset_values(layer)
    assert not read
    assert pairs.label_values.value == "auto"


def test_pairs_are_cut_to_what_was_touched(painted: Docked) -> None:
    order = painted.widget.fine_tune._make_order()
    spec = painted.widget.workspace.model.spec
    first, second = training_pairs(order.touched.poll(), spec, order.config)
    assert first.image.shape == (1, *first.target.shape)
    # A disc of radius 6 at (70, 70) with a crop of 32 around it: whole blocks of those
    # that features are kept of, and the plane is smaller than one.
    assert second.target.shape == (96, 96)
    assert second.name == "cells (1,)"


def test_planes_whose_strokes_are_damaged_are_not_learned_from(
    painted: Docked, damage: Callable[..., None]
) -> None:
    order = painted.widget.fine_tune._make_order()
    spec = painted.widget.workspace.model.spec
    (painted_image,) = images = order.touched.poll()
    touched = painted_image.strokes
    damage(touched, (0,))
    assert len(touched.planes()) == 2
    (left,) = training_pairs(images, spec, order.config)
    assert left.name == "cells (1,)"
    assert touched.damaged == 1


def test_the_form_has_every_setting(dock: Docked) -> None:
    section = dock.widget.fine_tune
    section.settings["minutes"].value = 3.5
    section.settings["seed"].value = 9
    assert (section.config.minutes, section.config.seed) == (3.5, 9)


def test_the_curve_follows_the_theme(dock: Docked) -> None:
    curve = dock.widget.fine_tune.curve
    dark = curve._graphics.backgroundBrush().color().lightness()
    dock.viewer.theme = "light"
    assert curve._graphics.backgroundBrush().color().lightness() > dark + 50


def lose_the_folder(docked: Docked, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the folder of the models go away once a training has begun."""
    store = docked.widget.workspace.store
    genuine = store.check_writable
    away = store.root.with_name("unmounted")

    def check() -> None:
        genuine()
        store.root.rename(away)
        store.root.write_text("not mounted")

    # The model is read before; what is left to do is to save.
    docked.widget.workspace.checkpoint(docked.widget.workspace.model)
    monkeypatch.setattr(store, "check_writable", check)
    monkeypatch.setattr(store, "base_of", lambda _: None)
    loaded = docked.widget.workspace._loaded._checkpoint
    monkeypatch.setattr(docked.widget.workspace, "checkpoint", lambda *_: loaded)
    return away


@pytest.mark.slow
@pytest.mark.parametrize("way", ["save again", "refresh list"])
def test_a_model_that_cannot_be_saved_is_kept_and_saved_later(
    painted: Docked,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    way: str,
) -> None:
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setattr(_training_runs, "folders_for_windows", lambda: (elsewhere,))
    away = lose_the_folder(painted, monkeypatch)
    section, store = painted.widget.fine_tune, painted.widget.workspace.store
    painted.be_quick(steps=60)
    section.train.click()
    painted.wait()
    kept = elsewhere / "tiny-ft.safetensors"
    assert str(kept) in section.text.text()
    assert "cannot be made" in section.text.text()
    assert kept.is_file()
    assert section.save_again.isVisibleTo(section)
    refresh = painted.widget.predict.form.picker.actions_by_name["refresh"]
    again = {"save again": section.save_again.click, "refresh list": refresh.trigger}
    # It is still not there: nothing is lost, and no training begins over it.
    again[way]()
    assert kept.is_file()
    section.train.click()
    assert not painted.widget.workspace.busy
    store.root.unlink()
    away.rename(store.root)
    again[way]()
    assert painted.widget.workspace.model.name == "tiny-ft"
    assert "Saved as tiny-ft" in section.text.text()
    assert not kept.exists()
    assert not section.save_again.isVisibleTo(section)


@pytest.mark.slow
def test_what_added_labels_mean_is_shown_or_refused(
    dock: Docked, plane: Any, notices: list[str]
) -> None:
    dock.viewer.add_image(plane, name="cells")
    dock.be_quick()
    ids = np.digitize(np.arange(plane.shape[1]), [40, 80])[None] * (plane > -1)
    pair(dock, ids.astype(np.uint8))
    dock.widget.fine_tune.pairs.unlabelled.value = "2"
    pair(dock, (plane > 100).astype(np.uint8) + (plane > 400), "mask")
    assert dock.widget.workspace.pairs[1].title.endswith("(mask, 2 unlabelled)")
    dock.widget.workspace.remove_pair(dock.widget.workspace.pairs[0])
    train(dock)
    dock.wait()
    meaning = dock.widget.fine_tune.pairs.meaning.text()
    assert meaning.startswith("labels: 0 background")
    assert "2 unlabelled" in meaning
    dock.widget.fine_tune.pairs.unlabelled.value = "two"
    pair(dock, ids.astype(np.uint8))
    assert "'two' is no value" in notices[-1]


@pytest.mark.slow
def test_strokes_without_data_are_left_out_and_noted_in_the_result(
    dock: Docked, plane: Any
) -> None:
    image = plane.astype(np.float32)
    image[:, :8] = np.nan
    paint(dock, image)
    dock.mask.paint((1, 20, 2), 1)
    train(dock)
    dock.wait()
    text = dock.widget.fine_tune.text.text()
    assert "labelled pixels without data" in text

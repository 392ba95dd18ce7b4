"""Painting, Live, Predict and the model list go on while a model is being tuned."""

from __future__ import annotations

import threading
import time
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live_strokes import begin, learned, settle, stroke
from qtpy.QtCore import Qt

from napari_unet.state.activities import Priority
from unet_engine.training.events import Step, Validation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Docked

    from unet_engine.models.store import ModelStore


pytestmark = pytest.mark.usefixtures("filters_alone")


class Endless:
    """A training that goes on until it is stopped, and counts its steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.better: Any = None
        self.expected: tuple[float | None, float | None] = (None, None)
        self.ended = threading.Event()

    def run(self, order: Any, workspace: Any, stop: Any) -> Iterator[Any]:
        stop = workspace.priority.giving_way(stop)
        before, after = self.expected
        yield Validation(
            step=0, loss=1.0, iou=0.5, best=True, seconds=0.0, expected_iou=before
        )
        while not stop():
            self.steps += 1
            yield Step(step=self.steps, loss=1.0, seconds=1.0, seconds_left=None)
            if self.better is not None:
                checkpoint, self.better = self.better, None
                yield Validation(
                    step=self.steps,
                    loss=0.5,
                    iou=0.75,
                    best=True,
                    seconds=1.0,
                    expected_iou=after,
                    checkpoint=checkpoint,
                )
            time.sleep(0.005)
        self.ended.set()
        raise OSError("the end")


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    made = Endless()
    monkeypatch.setattr("napari_unet.steps.finetune.section.train_run", made.run)
    return made


@pytest.fixture
def training(dock: Docked, halves: np.ndarray, endless: Endless) -> Docked:
    """A training runs on an image on which Live learned two strokes."""
    begin(dock, halves)
    learned(dock)
    click(dock, dock.widget.fine_tune.train)
    dock.bot.waitUntil(lambda: endless.steps > 3, timeout=10_000)
    return dock


def click(docked: Docked, button: Any) -> None:
    docked.bot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_one_button_starts_and_stops(training: Docked, endless: Endless):
    button = training.widget.fine_tune.train
    assert training.widget.workspace.training
    assert (button.text(), button.isEnabled()) == ("Stop", True)
    click(training, button)
    assert not button.isEnabled()
    assert endless.ended.wait(10)
    training.wait()
    assert (button.text(), button.isEnabled()) == ("Fine-tune", True)


@pytest.mark.slow
def test_live_learns_and_predicts_beside_it(training: Docked, halves: np.ndarray):
    before = training.mask.data.copy()
    stroke(training, 100, 40, 1)
    settle(training)
    assert training.widget.live.text.text().startswith("Live: 3 strokes")
    assert (training.mask.data != before).any()
    assert training.widget.workspace.training


@pytest.mark.slow
def test_the_training_waits_while_live_works(
    training: Docked, endless: Endless, monkeypatch: pytest.MonkeyPatch
):
    gate = threading.Event()

    def held(order: Any, session: Any, stop: Any) -> Iterator[Any]:
        gate.wait(20)
        return True
        yield

    monkeypatch.setattr("napari_unet.steps.correct.live.live_run", held)
    stroke(training, 100, 40, 1)
    training.bot.waitUntil(lambda: training.widget.live.live.running, timeout=10_000)
    training.bot.wait(50)
    steps = endless.steps
    training.bot.wait(200)
    assert endless.steps == steps
    gate.set()
    training.bot.waitUntil(lambda: endless.steps > steps + 3, timeout=10_000)


@pytest.mark.slow
def test_stop_ends_a_training_that_waits(training: Docked, endless: Endless):
    training.widget.workspace.priority.take("another")
    training.bot.wait(50)
    click(training, training.widget.fine_tune.train)
    assert endless.ended.wait(10)
    training.widget.workspace.priority.give_back("another")
    training.wait()


@pytest.mark.slow
def test_another_image_is_predicted_beside_it(training: Docked, halves: np.ndarray):
    other = training.viewer.add_image(halves[::-1].copy(), name="other")
    training.viewer.layers.selection.active = other
    assert training.widget.workspace.layer is other
    click(training, training.widget.predict.predict)
    training.bot.waitUntil(
        lambda: not training.widget.workspace.activity, timeout=30_000
    )
    assert training.mask is not None
    assert training.widget.workspace.training
    assert not training.widget.pretrain.pretrain.isEnabled()


@pytest.mark.slow
def test_next_goes_on_beside_it(training: Docked):
    assert training.widget.live.next.isEnabled()


def test_a_training_waits_for_all_that_have_precedence():
    priority = Priority()
    stopped = threading.Event()
    wait = priority.giving_way(stopped.is_set)
    priority.take("live")
    priority.take("predict")
    priority.give_back("live")
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    priority.give_back("predict")
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.slow
def test_a_better_model_is_offered_and_shown_on_demand(
    training: Docked, endless: Endless, store: ModelStore
):
    better = training.widget.fine_tune.better
    assert better.show_it.isHidden()
    live = training.mask.data.copy()
    endless.better = store.load("tiny")
    training.bot.waitUntil(lambda: not better.show_it.isHidden(), timeout=10_000)
    assert better.text.text().endswith("steps: IoU 0.50 → 0.75.")
    training.bot.wait(100)
    np.testing.assert_array_equal(training.mask.data, live)
    curve = training.widget.fine_tune.curve
    assert all(each.checkpoint is None for each in curve.validations)
    click(training, better.show_it)
    assert better.show_it.isHidden()
    training.bot.waitUntil(
        lambda: not training.widget.workspace.activity, timeout=30_000
    )
    assert training.widget.workspace.training
    assert training.widget.earlier.text.text() == "Mask: tiny-ft"
    shown = training.mask.data.copy()
    assert (shown != live).any()
    click(training, training.widget.earlier.toggle)
    np.testing.assert_array_equal(training.mask.data, live)
    # The model that is chosen has not changed.
    assert training.widget.workspace.model.name == "tiny"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expected", "change"),
    [
        ((0.61, 0.72), "expected IoU 0.61 → 0.72."),
        # Too few strokes were held out for a score.
        ((nan, nan), "loss 1.00 → 0.50."),
    ],
)
def test_a_score_of_strokes_is_that_of_the_mask(
    dock: Docked,
    halves: np.ndarray,
    endless: Endless,
    store: ModelStore,
    expected: Any,
    change: str,
):
    endless.expected = expected
    begin(dock, halves)
    learned(dock)
    click(dock, dock.widget.fine_tune.train)
    better = dock.widget.fine_tune.better
    endless.better = store.load("tiny")
    dock.bot.waitUntil(lambda: not better.show_it.isHidden(), timeout=10_000)
    assert better.text.text().endswith(change)


@pytest.mark.slow
@pytest.mark.usefixtures("improving")
@pytest.mark.parametrize("by_itself", [True, False])
def test_the_end_shows_the_better_mask_or_offers_it(
    dock: Docked, halves: np.ndarray, by_itself: bool
):
    begin(dock, halves)
    learned(dock)
    live = dock.mask.data.copy()
    better = dock.widget.fine_tune.better
    better.by_itself.value = by_itself
    dock.fine_tune()
    assert dock.widget.workspace.model.name == "tiny-ft"
    assert better.show_it.isHidden() == by_itself
    if by_itself:
        assert dock.widget.earlier.text.text() == "Mask: tiny-ft"
        return
    np.testing.assert_array_equal(dock.mask.data, live)
    click(dock, better.show_it)
    dock.wait()
    assert (dock.mask.data != live).any()
    assert dock.widget.earlier.text.text() == "Mask: tiny-ft"


@pytest.mark.slow
@pytest.mark.usefixtures("improving")
def test_a_model_that_was_chosen_meanwhile_stays_chosen(
    dock: Docked, halves: np.ndarray, add_model: Any
):
    add_model("other")
    dock.widget.select_model("tiny")
    begin(dock, halves)
    learned(dock)
    live = dock.mask.data.copy()
    click(dock, dock.widget.fine_tune.train)
    dock.widget.select_model("other")
    dock.wait()
    assert dock.widget.workspace.model.name == "other"
    assert "tiny-ft" in {model.name for model in dock.widget.workspace.models}
    np.testing.assert_array_equal(dock.mask.data, live)


@pytest.mark.slow
def test_strokes_that_are_made_meanwhile_are_learned(dock: Docked, halves: np.ndarray):
    """The real training takes up a stroke on this image, and one on another."""
    begin(dock, halves)
    learned(dock)
    dock.be_quick(steps=100_000)
    section = dock.widget.fine_tune
    click(dock, section.train)
    dock.bot.waitUntil(lambda: len(section.curve.steps) > 2, timeout=30_000)
    priority = dock.widget.workspace.priority
    priority.take("another")
    dock.bot.wait(500)
    steps = len(section.curve.steps)
    dock.bot.wait(300)
    assert len(section.curve.steps) == steps, "it waits for what has precedence"
    priority.give_back("another")
    before = dock.widget.workspace.working_image.annotations.count()
    stroke(dock, 100, 40, 1)
    more = dock.widget.workspace.working_image.annotations.count()
    assert more > before
    dock.bot.waitUntil(
        lambda: section.strokes.text.text().startswith(f"Learns from {more:,} px on 1"),
        timeout=30_000,
    )
    other = dock.viewer.add_image(halves[::-1].copy(), name="other")
    dock.viewer.layers.selection.active = other
    click(dock, dock.widget.correct.empty)
    dock.mask.brush_size = 8
    stroke(dock, 20, 150, 1)
    dock.bot.waitUntil(
        lambda: "on 2 images" in section.strokes.text.text(), timeout=30_000
    )
    # An image that is gone is learned from no longer, and the training goes on.
    dock.viewer.layers.remove(dock.mask)
    dock.viewer.layers.remove(other)
    dock.bot.waitUntil(
        lambda: "on 1 image since" in section.strokes.text.text(), timeout=30_000
    )
    assert dock.widget.workspace.training
    click(dock, section.train)
    dock.wait()
    assert section.strokes.text.text() == ""


def test_a_training_whose_only_image_is_gone_ends(training: Docked, endless: Endless):
    training.viewer.layers.clear()
    assert endless.ended.wait(10)
    training.wait()
    assert "was deleted" in training.widget.fine_tune.text.text()

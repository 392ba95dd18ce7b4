"""Tests of what Live does next, by itself: no Qt, no viewer, no thread."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.state.live_state import (
    TRANSITIONS,
    Camera,
    Learning,
    LiveEvent,
    LiveState,
    Mask,
    WaitingTile,
)
from unet_engine.prediction.events import TileDone

EVENTS = st.lists(st.sampled_from(LiveEvent), max_size=30)


def waiting(generation: int, row: int = 0) -> WaitingTile:
    region = (slice(row, row + 128), slice(0, 128))
    tile = TileDone(
        index=(3,),
        inner=region,
        labels=np.zeros((128, 128), np.uint8),
        probabilities=None,
        done=1,
        total=1,
    )
    return WaitingTile(generation=generation, working_image=None, classes=(), tile=tile)


def after(*events: LiveEvent) -> LiveState:
    state = LiveState()
    for event in events:
        state = state.after(event)
    return state


def test_every_event_has_a_row_in_the_table():
    assert set(TRANSITIONS) == set(LiveEvent)


@pytest.mark.parametrize(
    ("event", "learning", "mask", "camera"),
    [
        (LiveEvent.IMAGE_CHOSEN, Learning.DUE, Mask.REPLACED, Camera.STILL),
        (LiveEvent.PREDICTED_IMAGE_CHOSEN, Learning.DUE, Mask.KEPT, Camera.STILL),
        (LiveEvent.IMAGE_LEFT, Learning.DONE, Mask.KEPT, Camera.STILL),
        (LiveEvent.PAINTED, Learning.DUE, Mask.REPLACED, Camera.STILL),
        (LiveEvent.CAMERA_MOVED, Learning.DONE, Mask.KEPT, Camera.MOVED),
        (LiveEvent.MODEL_CHOSEN, Learning.DUE, Mask.KEPT, Camera.STILL),
        (LiveEvent.PREDICTION_STARTED, Learning.DONE, Mask.KEPT, Camera.STILL),
        (LiveEvent.RUN_STARTED, Learning.DONE, Mask.KEPT, Camera.STILL),
        (LiveEvent.LEARNING_STOPPED, Learning.DONE, Mask.KEPT, Camera.STILL),
    ],
)
def test_events_from_the_beginning(
    event: LiveEvent, learning: Learning, mask: Mask, camera: Camera
):
    state = after(event)
    assert (state.learning, state.mask, state.camera) == (learning, mask, camera)


@pytest.mark.parametrize(
    ("event", "learning", "mask", "camera"),
    [
        (LiveEvent.IMAGE_CHOSEN, Learning.DUE, Mask.REPLACED, Camera.MOVED),
        (LiveEvent.PREDICTED_IMAGE_CHOSEN, Learning.DUE, Mask.KEPT, Camera.MOVED),
        (LiveEvent.IMAGE_LEFT, Learning.DUE, Mask.REPLACED, Camera.MOVED),
        (LiveEvent.PAINTED, Learning.DUE, Mask.REPLACED, Camera.MOVED),
        (LiveEvent.CAMERA_MOVED, Learning.DUE, Mask.REPLACED, Camera.MOVED),
        (LiveEvent.MODEL_CHOSEN, Learning.DUE, Mask.REPLACED, Camera.MOVED),
        (LiveEvent.PREDICTION_STARTED, Learning.DONE, Mask.KEPT, Camera.MOVED),
        (LiveEvent.RUN_STARTED, Learning.DONE, Mask.REPLACED, Camera.STILL),
        (LiveEvent.LEARNING_STOPPED, Learning.DUE, Mask.REPLACED, Camera.MOVED),
    ],
)
def test_events_when_all_is_due(
    event: LiveEvent, learning: Learning, mask: Mask, camera: Camera
):
    state = after(LiveEvent.PAINTED, LiveEvent.CAMERA_MOVED, event)
    assert (state.learning, state.mask, state.camera) == (learning, mask, camera)


def test_a_run_that_was_stopped_is_for_the_strokes_still():
    running = after(LiveEvent.PAINTED, LiveEvent.RUN_STARTED)
    assert not running.runs_again
    stopped = running.after(LiveEvent.LEARNING_STOPPED)
    assert stopped.runs_again
    assert stopped.learning is Learning.DUE


def test_a_run_that_a_prediction_stopped_is_not_begun_again():
    predicted = after(
        LiveEvent.PAINTED, LiveEvent.RUN_STARTED, LiveEvent.PREDICTION_STARTED
    )
    assert not predicted.after(LiveEvent.LEARNING_STOPPED).runs_again


def test_a_prediction_is_replaced_only_after_a_stroke():
    state = after(LiveEvent.PREDICTED_IMAGE_CHOSEN)
    assert not state.may_run(learnable=True)
    assert state.may_run(learnable=False), "which prepares, and writes nothing"
    assert not state.after(LiveEvent.CAMERA_MOVED).may_run(learnable=True)
    assert state.after(LiveEvent.PAINTED).may_run(learnable=True)


def test_written_tiles_are_up_to_date_until_something_is_painted():
    state = after(LiveEvent.PAINTED)
    tiles = [waiting(state.generation), waiting(state.generation, 128)]
    state = state.with_waiting(tiles)
    assert state.waiting == tuple(tiles)
    state = state.with_written(tiles)
    assert state.fresh == {((3,), 0, 0), ((3,), 128, 0)}
    assert state.waiting == ()
    assert state.after(LiveEvent.CAMERA_MOVED).fresh == state.fresh
    assert not state.after(LiveEvent.PAINTED).fresh


def test_tiles_of_a_run_from_before_a_stroke_are_written_but_not_up_to_date():
    before = after(LiveEvent.PAINTED)
    late = waiting(before.generation)
    painted = before.after(LiveEvent.PAINTED).with_waiting([late])
    assert painted.waiting == (late,)
    assert not painted.with_written([late]).fresh


def test_tiles_do_not_wait_for_an_image_that_was_left():
    state = after(LiveEvent.PAINTED)
    state = state.with_waiting([waiting(state.generation)])
    assert not state.after(LiveEvent.IMAGE_LEFT).waiting


class Flags:
    """What the state is for, as five variables that events set one by one."""

    def __init__(self) -> None:
        self.news = self.follows = self.moved = False
        self.fresh: set[int] = set()

    def take(self, event: LiveEvent) -> None:
        match event:
            case LiveEvent.IMAGE_CHOSEN | LiveEvent.PAINTED:
                self.news, self.follows, self.fresh = True, True, set()
            case LiveEvent.PREDICTED_IMAGE_CHOSEN:
                self.news, self.follows, self.fresh = True, False, set()
            case LiveEvent.CAMERA_MOVED:
                self.moved = True
            case LiveEvent.MODEL_CHOSEN:
                self.news = True
            case LiveEvent.PREDICTION_STARTED:
                self.news = self.follows = False
            case LiveEvent.RUN_STARTED:
                self.news = self.moved = False
            case LiveEvent.LEARNING_STOPPED:
                self.news = self.news or self.follows


@given(EVENTS)
def test_any_sequence_equals_flags_that_are_set_one_by_one(events: list[LiveEvent]):
    state, flags = LiveState(), Flags()
    for number, event in enumerate(events):
        state = state.after(event)
        flags.take(event)
        tile = waiting(state.generation, 128 * number)
        state = state.with_waiting([tile]).with_written([tile])
        flags.fresh.add(128 * number)
        assert (state.learning is Learning.DUE) == flags.news
        assert (state.mask is Mask.REPLACED) == flags.follows
        assert (state.camera is Camera.MOVED) == flags.moved
        assert {row for _, row, _ in state.fresh} == flags.fresh
        assert state.runs_again == (flags.news or flags.moved)


@given(EVENTS, EVENTS)
def test_no_stroke_is_forgotten(before: list[LiveEvent], later: list[LiveEvent]):
    """Learning from a stroke is due until a run or a prediction begins."""
    ends = {LiveEvent.RUN_STARTED, LiveEvent.PREDICTION_STARTED}
    state = after(*before, LiveEvent.PAINTED)
    for event in later:
        state = state.after(event)
        if event in ends:
            break
        assert state.learning is Learning.DUE
        assert state.runs_again


@given(EVENTS)
def test_states_are_values(events: list[LiveEvent]):
    state = after(*events)
    same = after(*events)
    assert state == same
    state.after(LiveEvent.PAINTED)
    assert state == same

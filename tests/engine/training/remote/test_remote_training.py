"""Trainings by another process: same model, and nothing lost when the line breaks."""

import time
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from local_processes import lose_line_of_training, threads_of, workers_of

from unet_engine import FineTuneConfig, ModelSpec
from unet_engine.errors import Cancelled, DataError, EngineError
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.remote import connection as connections
from unet_engine.remote.connection import LineLostError
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import DataChanged, Note, Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.remote import training as there
from unet_engine.training.remote.fine_tuning import iter_fine_tune_there
from unet_engine.training.remote.sending import PairSender, unpack_pairs

CONFIG = FineTuneConfig(
    device="local:1", steps=6, minutes=0, crop=32, batch=2, elastic=0
)


def _pair(seed=0, strokes=False):
    rng = np.random.default_rng(seed)
    target = (rng.random((64, 64)) > 0.5).astype(np.uint8)
    image = (target + rng.normal(0, 0.1, target.shape))[None].astype(np.float32)
    if strokes:
        target[:, 20:] = IGNORE
    return TrainingPair(image=image, target=target, name=f"image {seed}")


@pytest.fixture
def start(make_checkpoint):
    return make_checkpoint(ModelSpec(depth=2, width=4))


@pytest.fixture(autouse=True)
def as_many_threads():
    """As many as the process has: their number decides the last bits."""
    with threads_of(1):
        yield


def _drained(run, on_event=lambda event: None):
    events = []
    with closing(run):
        while True:
            try:
                events.append(next(run))
            except StopIteration as end:
                return end.value, events
            on_event(events[-1])


def test_pairs_arrive_as_they_were():
    pair = TrainingPair(
        image=_pair().image,
        target=_pair().target,
        name="all of it",
        weight=2.0,
        pixel_weights=np.ones((64, 64), np.float32),
        soft_target=np.zeros((2, 64, 64), np.float16),
        times=np.full((64, 64), np.nan),
        origin=(3, 4),
        diameters=(7.5,),
    )
    sender = PairSender()
    (found,) = unpack_pairs(sender.pack([pair]), sender.contents.__getitem__)

    for name in ("image", "target", "pixel_weights", "soft_target", "times"):
        np.testing.assert_array_equal(getattr(found, name), getattr(pair, name))
    assert (found.name, found.weight, found.origin) == ("all of it", 2.0, (3, 4))
    assert found.diameters == (7.5,)
    assert found.object_maps is None


def test_a_stroke_sends_its_labels_alone():
    first = _pair()
    sender = PairSender()
    sender.pack([first])
    image = set(sender.contents)
    more = TrainingPair(image=first.image, target=1 - first.target, name=first.name)
    sender.pack([more])

    assert len(image & set(sender.contents)) == 1
    assert len(sender.contents) == 2


def test_the_model_is_the_one_that_is_trained_here(start):
    pairs = [_pair(), _pair(1)]
    here, _ = _drained(iter_fine_tune(start, pairs, CONFIG))
    found, events = _drained(iter_fine_tune_there(start, pairs, CONFIG))

    assert found.improved == here.improved
    assert found.after.iou == pytest.approx(here.after.iou, abs=1e-6)
    for name, weights in here.checkpoint.weights.items():
        np.testing.assert_allclose(
            found.checkpoint.weights[name], weights, rtol=1e-5, atol=1e-6
        )
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4, 5, 6]
    assert any(
        isinstance(e, Validation) and isinstance(e.checkpoint, Checkpoint)
        for e in events
    )


def test_what_is_wrong_with_the_data_is_raised_here(start):
    pair = _pair()
    pair.target[:] = 1

    with pytest.raises(DataError, match="stroke"):
        _drained(iter_fine_tune_there(start, [pair], CONFIG))


def test_strokes_made_meanwhile_are_learned_from(start):
    source = Latest([_pair(strokes=True)])
    posted = []

    def paint(event):
        if isinstance(event, Step) and not posted:
            posted.append(event)
            source.post([_pair()])

    config = replace(CONFIG, steps=400)
    run = iter_fine_tune_there(
        start, source, config, stop=lambda: bool(changed) or len(seen) > 390
    )
    changed, seen = [], []

    def look(event):
        paint(event)
        if isinstance(event, Step):
            seen.append(event)
        if isinstance(event, DataChanged):
            changed.append(event)

    _drained(run, look)

    assert changed
    assert changed[0].pixels > 64 * 20


def test_a_line_that_breaks_loses_nothing(start, monkeypatch):
    pairs = [_pair(), _pair(1)]
    calm, calm_events = _drained(iter_fine_tune_there(start, pairs, CONFIG))
    asked = []
    ask = connections.Connection.ask

    def breaking(self, name, *arguments, **rest):
        if name == "training.news":
            asked.append(name)
            if len(asked) in (2, 3):
                raise LineLostError("the connection was lost")
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(connections.Connection, "ask", breaking)
    found, events = _drained(iter_fine_tune_there(start, pairs, CONFIG))

    lost = [e for e in events if isinstance(e, Note) and "is sought" in e.line]
    assert lost
    steps = [e.step for e in events if isinstance(e, Step)]
    assert steps == [e.step for e in calm_events if isinstance(e, Step)]
    assert found.after.iou == pytest.approx(calm.after.iou, abs=1e-6)


def test_another_process_finds_the_training_again(start):
    pairs = [_pair(2), _pair(3)]
    run = iter_fine_tune_there(start, pairs, CONFIG)
    with closing(run):
        # The window is closed here, without a word to the worker.
        while not isinstance(next(run), Step):
            pass
    _, events = _drained(iter_fine_tune_there(start, pairs, CONFIG))

    assert any(isinstance(e, Note) and "begun before" in e.line for e in events)
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_found_started_anew(start):
    pairs = [_pair(4), _pair(5)]
    killed = []

    def kill(event):
        if isinstance(event, Step) and not killed:
            (worker,) = workers_of(1)
            killed.append(worker.pid)
            worker.kill()

    found, _ = _drained(iter_fine_tune_there(start, pairs, CONFIG), kill)

    assert killed
    assert found.steps == 6


def test_without_the_line_this_machine_goes_on_with_a_word(start, monkeypatch):
    monkeypatch.setattr(there, "_FIND_AGAIN_S", 0.0)
    lost = []
    lose_line_of_training(monkeypatch, lost)
    found, events = _drained(
        iter_fine_tune_there(start, [_pair(6), _pair(7)], CONFIG),
        lambda event: lost.append(event) if isinstance(event, Validation) else None,
    )

    assert any(isinstance(e, Note) and "this machine" in e.line.lower() for e in events)
    assert any("was lost" in note for note in found.notes)
    assert found.steps


def test_what_arrived_is_kept_when_the_worker_fails(start, monkeypatch):
    ask = connections.Connection.ask
    better = []

    def failing(self, name, *arguments, **rest):
        if name == "training.news" and better:
            raise EngineError("the worker cannot keep what was sent")
        return ask(self, name, *arguments, **rest)

    def take(event):
        if isinstance(event, Validation) and event.checkpoint is not None:
            better.append(event.checkpoint)

    monkeypatch.setattr(connections.Connection, "ask", failing)
    config = replace(CONFIG, steps=60)
    found, _ = _drained(
        iter_fine_tune_there(start, [_pair(12), _pair(13)], config), take
    )

    assert found.improved
    assert found.checkpoint is better[-1]
    assert found.notes == ("The worker cannot keep what was sent.",)


def test_a_stop_does_not_wait_for_a_worker_that_is_silent(start, monkeypatch):
    monkeypatch.setattr(there, "_STOPPING_S", 0.1)
    stopped, silent = [], []
    ask = connections.Connection.ask

    def silenced(self, name, *arguments, stop, **rest):
        if name == "training.news" and stopped:
            silent.append(name)
            while not stop():
                pass
            raise Cancelled("stopped")
        return ask(self, name, *arguments, stop=stop, **rest)

    monkeypatch.setattr(connections.Connection, "ask", silenced)
    run = iter_fine_tune_there(
        start, [_pair(8), _pair(9)], CONFIG, stop=lambda: bool(stopped)
    )
    found, _ = _drained(
        run,
        lambda event: stopped.append(event) if isinstance(event, Validation) else None,
    )

    assert silent
    assert found.stopped
    assert "did not answer" in found.notes[0]


def test_the_search_for_a_lost_line_takes_nothing_from_the_training(start, monkeypatch):
    monkeypatch.setattr(there, "_FIND_AGAIN_S", 0.0)
    clock = [0.0]
    ask = connections.Connection.ask

    def breaking(self, name, *arguments, **rest):
        if name == "training.news":
            # Found nowhere for longer than the training may last.
            monkeypatch.setattr(
                there._Training, "_sought", lambda self: clock.append(120.0)
            )
            raise LineLostError("the connection was lost")
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(connections.Connection, "ask", breaking)
    now = time.monotonic
    monkeypatch.setattr(
        there, "time", SimpleNamespace(monotonic=lambda: now() + sum(clock), sleep=None)
    )
    config = replace(CONFIG, steps=4, minutes=1)
    found, events = _drained(
        iter_fine_tune_there(start, [_pair(10), _pair(11)], config)
    )

    assert found.steps == 4
    assert any(isinstance(e, Note) and "begins anew" in e.line for e in events)

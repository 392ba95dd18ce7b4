"""Labels that are added and removed while a training runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unet_engine.compute.runner import Runner
from unet_engine.generators import drain
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.training import fine_tuning
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.course.renewal import CarriedTargets
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.sources import Latest
from unet_engine.training.events import DataChanged, Note, Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.validation import HeldOut, HeldOutScores

SPEC = ModelSpec(depth=2, width=8)
CONFIG = FineTuneConfig(
    device="cpu", minutes=0, steps=80, crop=32, learning_rate=1e-2, elastic=2
)


def discs(name, *, dark=False, seed=0, edge=64):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:edge, :edge]
    truth = np.zeros((edge, edge), np.uint8)
    for cy in range(10, edge, 22):
        for cx in range(10, edge, 22):
            truth[(y - cy) ** 2 + (x - cx) ** 2 < rng.integers(16, 49)] = 1
    image = 0.5 + (-0.4 if dark else 0.4) * truth + rng.normal(0, 0.05, truth.shape)
    return TrainingPair(image[None].astype(np.float32), truth, name)


def unlabelled(pair):
    return replace(pair, target=np.full_like(pair.target, IGNORE))


BRIGHT, DARK = discs("bright"), discs("dark", dark=True, seed=1)


def train(source, at=None, config=CONFIG, start=None, **kwargs):
    """Train, and call functions after steps; return events and result."""
    events = []

    def follow(event):
        events.append(event)
        if at and isinstance(event, Step) and event.step in at:
            at[event.step]()

    start = start or start_checkpoint(SPEC)
    return events, drain(iter_fine_tune(start, source, config, **kwargs), follow)


def error(checkpoint, pair):
    return np.mean(Runner(checkpoint, "cpu")(pair.image).argmax(0) != pair.target)


@pytest.mark.slow
def test_strokes_that_are_made_during_a_training_are_learned_in_it():
    source = Latest([BRIGHT])
    events, result = train(source, {15: lambda: source.post([BRIGHT, DARK])})
    _, alone = train([BRIGHT])
    unseen = discs("other", dark=True, seed=7)
    assert error(alone.checkpoint, unseen) > 0.15
    assert error(result.checkpoint, unseen) < 0.05
    assert result.checkpoint.history[-1]["data"] == ["bright", "dark"]
    (changed,) = (e for e in events if isinstance(e, DataChanged))
    assert (changed.step, changed.images) == (15, 2)
    assert changed.pixels == 2 * 64 * 64
    # Both are measured on the new held-out pixels too, so the score tells no lies.
    first = next(e for e in events if isinstance(e, Validation))
    assert result.before.iou == changed.before.iou != first.iou
    assert result.after.step > 15


def test_an_image_that_is_removed_takes_no_part_from_then_on():
    source = Latest([BRIGHT, DARK])
    drawn = []
    events, result = train(
        source,
        {10: lambda: source.post([BRIGHT])},
        replace(CONFIG, steps=20),
        stop=lambda: bool(drawn.append(1)),
    )
    assert [e.images for e in events if isinstance(e, DataChanged)] == [1]
    assert result.steps == 20
    if result.improved:
        assert result.checkpoint.history[-1]["data"] == ["bright"]


def test_a_class_that_comes_later_is_left_to_the_next_training():
    source = Latest([BRIGHT])
    later = BRIGHT.target.copy()
    later[:8, :8] = 2
    with_third = replace(BRIGHT, target=later)
    changes = {n: lambda: source.post([with_third]) for n in (5, 8)}
    events, result = train(source, changes, replace(CONFIG, steps=20))
    notes = [e.line for e in events if isinstance(e, Note)]
    assert len(notes) == 1
    assert "Class 2" in notes[0]
    assert "next training" in notes[0]
    assert notes[0] in result.notes
    assert result.steps == 20


@pytest.mark.parametrize("left", [[], [unlabelled(BRIGHT)]])
def test_without_any_label_it_goes_on_with_those_before(left):
    source = Latest([BRIGHT])
    config = replace(CONFIG, steps=12)
    events, result = train(source, {5: lambda: source.post(left)}, config)
    assert any("goes on with the labels that it had" in n for n in result.notes)
    assert not any(isinstance(e, DataChanged) for e in events)
    assert result.steps == 12


def test_new_strokes_are_waited_for_after_gains_have_ended(monkeypatch):
    clock = iter(np.arange(0, 1e5, 0.01))
    monkeypatch.setattr(fine_tuning.time, "monotonic", lambda: float(next(clock)))
    scores = HeldOutScores(loss=0.5, iou=0.7)
    monkeypatch.setattr(HeldOut, "evaluate", lambda *_, **__: scores)
    monkeypatch.setattr(Optimisation, "_step", lambda *_: 1.0)
    source, left = Latest([BRIGHT]), []

    def follow(event):
        if isinstance(event, Step):
            left.append(event.seconds_left)
            if event.seconds_left is not None and len(set(left)) == 2:
                source.post([BRIGHT, DARK])

    config = replace(CONFIG, steps=0, minutes=10)
    result = drain(iter_fine_tune(start_checkpoint(SPEC), source, config), follow)
    decays = np.flatnonzero([value is not None for value in left])
    # A step of the decay, then as long a wait as from the start, then all of the decay.
    assert 60 <= np.diff(decays)[0] < 300
    assert set(np.diff(decays)[1:]) == {1}
    assert result.converged


def test_soft_targets_are_carried_over_where_strokes_moved_the_region():
    calls = []

    def compute(pairs):
        calls.append(len(pairs))
        shape = 2, *pairs[0].target.shape
        known = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        return [replace(pair, soft_target=known) for pair in pairs]

    carried = CarriedTargets(compute, None)
    carried._cost = 0.0
    part = TrainingPair(
        np.ascontiguousarray(BRIGHT.image[:, 8:40, 8:40]),
        BRIGHT.target[8:40, 8:40],
        "bright",
        origin=(8, 8),
    )
    first = carried([part])[0].soft_target
    carried._cost = 1e6
    grown = replace(BRIGHT, origin=(0, 0))
    found = carried([grown])[0].soft_target
    assert calls == [1]
    assert np.array_equal(found[:, 8:40, 8:40], first)
    assert not found[:, :8].any()
    # An image that is new has none to carry over.
    carried([grown, DARK])
    assert calls == [1, 2]

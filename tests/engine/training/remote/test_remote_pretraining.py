"""Pretrainings by another process: same model, also when it ends in their midst."""

from dataclasses import replace

import numpy as np
import pytest
from local_processes import lose_line_of_training, threads_of, workers_of

from unet_engine import Image, ModelSpec, PretrainConfig
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.models.starting import start_checkpoint
from unet_engine.training.events import Note, Step
from unet_engine.training.pretraining import iter_pretrain
from unet_engine.training.remote import training as there

SPECS = {
    "encoder": ModelSpec(architecture="autoencoder", depth=2, width=4, classes=()),
    "restores": ModelSpec(depth=2, width=4, classes=(), slices=3),
}
THERE = PretrainConfig(device="local:1", minutes=0, steps=12, crop=32, batch=2)
HERE = replace(THERE, device="cpu")


def _images():
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 64)[:, None] + np.zeros((3, 64, 64))
    return [
        Image.from_array(
            (ramp + rng.normal(0, 20, ramp.shape)).astype(np.float32),
            "ZYX",
            name=f"stack {number}",
        )
        for number in range(2)
    ]


def _events(config, spec="restores", on_event=lambda event: None):
    events = []

    def take(event):
        events.append(event)
        on_event(event)

    run = iter_pretrain(start_checkpoint(SPECS[spec]), _images(), config)
    return drain(run, take), events


@pytest.fixture(autouse=True)
def as_many_threads():
    """As many as the process has: their number decides the last bits."""
    with threads_of(1):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_the_model_is_the_one_that_is_trained_here(spec):
    here, _ = _events(HERE, spec)
    found, events = _events(THERE, spec)

    assert found.improved == here.improved
    assert found.after.loss == pytest.approx(here.after.loss, rel=1e-5)
    for name, weights in here.checkpoint.weights.items():
        np.testing.assert_allclose(
            found.checkpoint.weights[name], weights, rtol=1e-4, atol=1e-5
        )
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 13))
    assert any(getattr(event, "what", "").startswith("sending") for event in events)
    if found.improved:
        assert found.checkpoint.history[-1]["data"] == ["stack 0", "stack 1"]


def test_no_image_is_an_error_before_anything_is_sent(monkeypatch):
    monkeypatch.setattr(there, "connect", None)
    with pytest.raises(DataError, match="no image to learn from"):
        drain(iter_pretrain(start_checkpoint(SPECS["encoder"]), [], THERE))


@pytest.mark.slow
def test_a_worker_that_is_killed_begins_it_anew():
    killed = []

    def kill(event):
        if isinstance(event, Step) and event.step >= 3 and not killed:
            (worker,) = workers_of(1)
            killed.append(worker.pid)
            worker.kill()

    found, _ = _events(replace(THERE, steps=60), on_event=kill)
    assert killed
    assert found.steps == 60


@pytest.mark.slow
def test_without_the_line_this_machine_goes_on_with_a_word(monkeypatch):
    monkeypatch.setattr(there, "_FIND_AGAIN_S", 0.0)
    lost = []
    lose_line_of_training(monkeypatch, lost)
    found, events = _events(
        replace(THERE, seed=1),
        on_event=lambda event: lost.append(event) if isinstance(event, Step) else None,
    )
    assert lost
    assert any(isinstance(e, Note) and "this machine" in e.line.lower() for e in events)
    assert any("was lost" in note for note in found.notes)
    assert found.steps

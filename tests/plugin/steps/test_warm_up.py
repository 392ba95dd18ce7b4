"""Before a prediction by workers elsewhere: what is done for it, and what is not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.steps.predict import warm_up
from unet_engine.errors import EngineError
from unet_engine.prediction import size_estimate
from unet_engine.prediction.scale import SizeEstimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked


class Recorder:
    """What is ordered of workers, and how often the size of objects is estimated."""

    def __init__(self) -> None:
        self.warmed: list[str] = []
        self.stopped: list[bool] = []
        self.estimates = 0
        self.lasts = False
        self.error: EngineError | None = None

    def run(self, order: Any, workspace: Any, stop: Any) -> Any:
        self.warmed.append(order.model.name)
        if self.error is not None:
            raise self.error
        while self.lasts and not stop():
            yield
        self.stopped.append(stop())

    def estimate(self, *_: Any) -> SizeEstimate:
        self.estimates += 1
        return SizeEstimate(diameter_px=40.0, sure=True)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Workers that are connected, as far as the dock knows."""
    made = Recorder()
    monkeypatch.setattr(warm_up, "is_connected", lambda _: True)
    monkeypatch.setattr(warm_up, "warm_up_run", made.run)
    monkeypatch.setattr(size_estimate, "estimate_object_size", made.estimate)
    return made


@pytest.fixture
def sized(dock: Docked, add_model: Callable[..., Any], recorder: Recorder) -> Docked:
    """A dock with a model that knows objects of 20 pixels."""
    add_model("sized", object_size_px=20.0)
    dock.widget.select_model("sized")
    settle(dock)
    return dock


def settle(docked: Docked) -> None:
    """Wait until nothing is done ahead any more."""
    ahead = docked.widget.predict.warm_up
    docked.bot.waitUntil(lambda: not ahead.running, timeout=30_000)


def test_workers_are_warmed_up_once_for_each_model(
    sized: Docked, plane: Any, recorder: Recorder
) -> None:
    recorder.warmed.clear()
    sized.widget.select_model("tiny")
    settle(sized)
    sized.viewer.add_image(plane, name="cells")
    settle(sized)
    assert recorder.warmed == ["tiny"]
    # Workers that answer again may have been started anew.
    sized.widget.predict.form.device.connected.emit()
    settle(sized)
    assert recorder.warmed == ["tiny", "tiny"]


def test_the_size_that_was_estimated_ahead_is_used(
    sized: Docked, plane: Any, recorder: Recorder
) -> None:
    sized.viewer.add_image(plane, name="cells")
    settle(sized)
    assert recorder.estimates == 1
    assert sized.widget.workspace.working_image is None, "no mask was asked for"
    sized.predict()
    assert recorder.estimates == 1
    found = sized.widget.predict.form.object_size.found.text()
    assert found == "Objects about 40 px, predicted at 0.50x."
    settle(sized)
    assert recorder.estimates == 1


def test_what_was_measured_of_one_image_is_not_used_for_another(
    sized: Docked, plane: Any, recorder: Recorder
) -> None:
    sized.viewer.add_image(plane, name="cells")
    settle(sized)
    sized.viewer.add_image(np.ascontiguousarray(plane.T), name="turned")
    sized.predict()
    assert recorder.estimates == 2


def test_what_was_measured_is_dropped_with_the_pixels(
    sized: Docked, plane: Any, recorder: Recorder
) -> None:
    layer = sized.viewer.add_image(plane, name="cells")
    settle(sized)
    sized.widget.workspace.forget(layer, edited=True)
    sized.predict()
    assert recorder.estimates == 2


def test_a_prediction_ends_what_is_sent_ahead(
    sized: Docked, plane: Any, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.lasts = True
    recorder.stopped.clear()
    sized.viewer.add_image(plane, name="cells")
    sized.widget.predict.form.device.connected.emit()
    sized.bot.waitUntil(lambda: len(recorder.warmed) == 2, timeout=30_000)
    over = threading.Event()

    def waiting(order: Any, workspace: Any, stop: Any) -> Any:
        while not over.wait(0.01) and not stop():
            yield

    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", waiting)
    sized.widget.predict.predict.click()
    sized.bot.waitUntil(lambda: recorder.stopped == [True], timeout=30_000)
    assert sized.widget.workspace.busy
    recorder.lasts = False
    over.set()
    sized.wait()
    settle(sized)


def test_what_fails_ahead_is_left_to_the_prediction(
    sized: Docked, plane: Any, recorder: Recorder, notices: list[str]
) -> None:
    recorder.error = EngineError("gone")
    sized.widget.predict.form.device.connected.emit()
    settle(sized)
    assert recorder.warmed == ["sized", "sized"]
    assert not notices
    sized.viewer.add_image(plane, name="cells")
    sized.predict()
    assert sized.mask.data.shape == plane.shape


@pytest.mark.parametrize("connected", [True, False])
def test_without_workers_or_a_chosen_model_no_image_is_read(
    sized: Docked,
    plane: Any,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    connected: bool,
) -> None:
    monkeypatch.setattr(warm_up, "is_connected", lambda _: connected)
    # As at the start, when the first model stands there.
    sized.widget.workspace.model_chosen = not connected
    sized.viewer.add_image(plane, name="cells")
    sized.bot.waitUntil(lambda: not sized.widget.workspace.busy)
    settle(sized)
    assert recorder.estimates == 0

"""The switch "Live" with a device that is another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.viewer.private import camera_of
from unet_engine.interactive.remote.learner import RemoteLearner
from unet_engine.remote.connection import Connection, LineLostError

if TYPE_CHECKING:
    from conftest import Docked


@pytest.fixture(autouse=True)
def _filters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do without the bundled model: quicker, and enough to separate these classes."""
    monkeypatch.setattr("unet_engine.models.starting._PLANES", "none such")


@pytest.fixture
def halves() -> np.ndarray:
    """A dark and a bright half with noise, ``(160, 200)`` uint8."""
    image = np.random.default_rng(0).integers(20, 60, (160, 200)).astype(np.uint8)
    image[:, 100:] += 120
    return image


@pytest.fixture
def painted(dock: Docked, halves: np.ndarray) -> Docked:
    """An empty mask on an image that is seen as a whole, Live switched on."""
    dock.viewer.add_image(halves)
    dock.viewer.canvas.size = (400, 400)
    camera = camera_of(dock.viewer)
    camera.center, camera.zoom = (0, 80, 100), 1.5
    dock.widget.workspace.device = "local:1"
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 8
    dock.widget.live.switch.value = True
    return dock


def stroke(docked: Docked, y: float, x: float, label: int) -> None:
    with docked.mask.block_history():
        for step in range(0, 30, 4):
            docked.mask.paint((y + step, x), label)


def settle(docked: Docked) -> None:
    """Wait until Live has nothing to do."""
    live = docked.widget.live.live
    docked.bot.waitUntil(
        lambda: (
            not live.running and not live._soon.isActive() and not live._state.waiting
        ),
        timeout=90_000,
    )


def right(docked: Docked) -> float:
    truth = np.zeros(docked.mask.data.shape, np.uint8)
    truth[:, 100:] = 1
    return float(np.mean(docked.mask.data == truth))


def test_strokes_are_learned_from_there(painted: Docked):
    stroke(painted, 60, 30, 0)
    stroke(painted, 60, 160, 1)
    settle(painted)
    session = painted.widget.live.live.session

    assert isinstance(session.learner, RemoteLearner)
    assert right(painted) > 0.85
    assert painted.widget.live.text.text().startswith("Live: 2 strokes, ")


def test_what_was_learned_there_is_saved(painted: Docked):
    stroke(painted, 60, 30, 0)
    stroke(painted, 60, 160, 1)
    settle(painted)
    order, session = _order(painted), painted.widget.live.live.session
    model = session.model(order)

    assert model.classifier is not None
    assert model.spec.classes[:1] == ("background",)


def _order(docked: Docked) -> Any:
    live = docked.widget.live.live
    return live.make_order(live._masks.current)


def test_without_the_line_this_machine_goes_on_and_the_text_names_it(
    painted: Docked, monkeypatch: pytest.MonkeyPatch
):
    stroke(painted, 60, 30, 0)
    stroke(painted, 60, 160, 1)
    settle(painted)
    ask = Connection.ask

    def breaking(self: Connection, name: str, *arguments: Any, **rest: Any) -> Any:
        if name.startswith("live."):
            raise LineLostError("the connection to local:1 was lost")
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(Connection, "ask", breaking)
    stroke(painted, 20, 60, 0)
    settle(painted)

    assert not isinstance(painted.widget.live.live.session.learner, RemoteLearner)
    assert right(painted) > 0.85
    assert "on this machine" in painted.widget.live.text.text()
    assert "was lost" in painted.widget.live.text.text()

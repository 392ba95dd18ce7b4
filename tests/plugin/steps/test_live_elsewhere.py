"""The switch "Live" with a device that is another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live_strokes import begin, learned, settle, stroke, truth_of

from unet_engine.interactive.remote.learner import RemoteLearner
from unet_engine.remote.connection import Connection, LineLostError

if TYPE_CHECKING:
    from conftest import Docked


pytestmark = pytest.mark.usefixtures("filters_alone")


@pytest.fixture
def painted(dock: Docked, halves: np.ndarray) -> Docked:
    """An empty mask on an image that is seen as a whole, Live switched on."""
    dock.widget.workspace.device = "local:1"
    begin(dock, halves)
    return dock


@pytest.mark.slow
def test_strokes_are_learned_from_there(painted: Docked, halves: np.ndarray):
    learned(painted)
    session = painted.widget.live.live.session

    assert isinstance(session.learner, RemoteLearner)
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85
    assert painted.widget.live.text.text().startswith("Live: 2 strokes, ")


@pytest.mark.slow
def test_what_was_learned_there_is_saved(painted: Docked):
    learned(painted)
    order, session = _order(painted), painted.widget.live.live.session
    model = session.model(order)

    assert model.classifier is not None
    assert model.spec.classes[:1] == ("background",)


def _order(docked: Docked) -> Any:
    live = docked.widget.live.live
    return live.make_order(live._masks.current)


@pytest.mark.slow
def test_without_the_line_this_machine_goes_on_and_the_text_names_it(
    painted: Docked, halves: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    learned(painted)
    ask = Connection.ask

    def breaking(self: Connection, name: str, *arguments: Any, **rest: Any) -> Any:
        if name.startswith("live."):
            raise LineLostError("the connection to local:1 was lost")
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(Connection, "ask", breaking)
    stroke(painted, 20, 60, 0)
    settle(painted)

    assert not isinstance(painted.widget.live.live.session.learner, RemoteLearner)
    assert np.mean(painted.mask.data == truth_of(halves)) > 0.85
    assert "on this machine" in painted.widget.live.text.text()
    assert "was lost" in painted.widget.live.text.text()

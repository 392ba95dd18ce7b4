"""What Live shows is saved as a model by one click, and predicts the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from live_strokes import begin, learned, settle, stroke
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from unet_engine.cli import main
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The name that the user types, and what was offered; None: the one offered."""
    found: dict[str, Any] = {"name": None, "offered": ""}

    def get_text(*_: Any, text: str) -> tuple[str, bool]:
        found["offered"] = text
        return (found["name"] or text), found["name"] != ""

    monkeypatch.setattr(QInputDialog, "getText", get_text)
    return found


def save(docked: Docked) -> None:
    docked.bot.mouseClick(docked.widget.live.save, Qt.MouseButton.LeftButton)
    saving = docked.widget.live.save_live
    docked.bot.waitUntil(lambda: not saving.running, timeout=60_000)


def of_live(docked: Docked) -> np.ndarray:
    """The prediction of Live, below the strokes."""
    working_image = docked.widget.workspace.working_image
    whole = tuple(slice(0, n) for n in working_image.mask.shape[-2:])
    return working_image.prediction((), whole).copy()


@pytest.fixture(params=["filters alone", "with a network"])
def alive(
    request: pytest.FixtureRequest,
    dock: Docked,
    halves: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> Docked:
    """Live has learned two strokes, by filters or by maps of a network as well."""
    if request.param == "filters alone":
        request.getfixturevalue("filters_alone")
    else:
        dock.widget.select_model("nuclei")
    begin(dock, halves)
    learned(dock)
    return dock


@pytest.mark.slow
def test_predict_by_the_saved_model_gives_what_live_showed(
    alive: Docked, named: dict[str, Any]
):
    live, mask = of_live(alive), alive.mask.data.copy()
    name = alive.widget.workspace.layer.name
    save(alive)
    assert named["offered"] == f"{name}-live"
    workspace = alive.widget.workspace
    assert workspace.model.name == f"{name}-live"
    assert workspace.model.spec.classes == workspace.working_image.names
    assert workspace.model.classifier is not None
    assert "Saved as" in alive.widget.live.text.text()
    np.testing.assert_array_equal(alive.mask.data, mask)
    alive.predict()
    assert alive.widget.earlier.text.text() == f"Mask: {name}-live"
    np.testing.assert_array_equal(of_live(alive), live)
    np.testing.assert_array_equal(alive.mask.data, mask)
    # Painting goes on from it, and Live learns the same from the same strokes.
    alive.mask.undo()
    alive.mask.redo()
    settle(alive)
    np.testing.assert_array_equal(of_live(alive), live)


@pytest.mark.slow
def test_the_command_predicts_what_live_showed(
    alive: Docked, named: dict[str, Any], halves: np.ndarray, tmp_path: Path
):
    named["name"] = "from live"
    live = of_live(alive)
    save(alive)
    tifffile.imwrite(tmp_path / "image.tif", halves)
    paths = [str(tmp_path / "image.tif"), str(tmp_path / "mask.tif")]
    store = alive.widget.workspace.store
    model = str(store.root / "from live.safetensors")
    assert main(["predict", *paths, "--model", model]) == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), live)


def test_names_that_do_not_fit_are_refused_in_the_line(
    alive: Docked, named: dict[str, Any]
):
    named["name"] = "tiny"
    save(alive)
    assert "tiny" in alive.widget.live.text.text()
    assert alive.widget.workspace.model.name != "tiny-2"
    before = len(alive.widget.workspace.store.list())
    named["name"] = ""
    save(alive)
    assert len(alive.widget.workspace.store.list()) == before


def test_it_waits_until_something_is_learned(dock: Docked, halves: np.ndarray):
    begin(dock, halves)
    assert not dock.widget.live.save.isEnabled()
    stroke(dock, 60, 30, 0)
    settle(dock)
    assert not dock.widget.live.save.isEnabled()
    stroke(dock, 60, 160, 1)
    settle(dock)
    assert dock.widget.live.save.isEnabled()
    dock.widget.live.switch.value = False
    assert not dock.widget.live.save.isEnabled()
    assert IGNORE not in dock.mask.data

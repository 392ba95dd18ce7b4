"""A process that is killed during a training: strokes, list and models are there."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from user_at_window import User

_TRAIN_AND_DIE = """
import os, signal, sys
import tifffile
from napari.components import ViewerModel
from napari.layers._source import layer_source
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_unet.dock import UNetWidget
viewer = ViewerModel()
dock = UNetWidget(viewer)
dock.select_model("mine")
with layer_source(path=sys.argv[1]):
    viewer.add_image(tifffile.imread(sys.argv[1]), name="0")
dock.correct.empty.click()
layer = dock.masks.current.layer
for row, label in ((30, 1), (70, 0)):
    with layer.block_history():
        for column in range(20, 50, 4):
            layer.paint((row, column), label)
form = dock.fine_tune.settings
form["steps"].value, form["crop"].value, form["batch"].value = 100_000, 32, 1
dock.fine_tune.train.click()
while not dock.fine_tune.curve.steps:
    QTest.qWait(20)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_strokes_list_and_models_are_there_again(
    open_window: Callable[[], User], add_model: Any, folder: Path
) -> None:
    add_model("mine")
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN_AND_DIE, str(folder / "0.tif")],
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    user = open_window()
    dock = user.dock
    user.drop(folder / "0.tif")
    assert "2 strokes of today are back" in dock.correct.saved.text()
    assert set(user.docked.counts) == {0, 1}
    assert [entry.state for entry in dock.workspace.listed.entries] == ["strokes"]
    names = [model.name for model in dock.workspace.models]
    assert "mine" in names and not any("-ft" in name for name in names)
    # What was left behind is in nobody's way.
    dock.select_model("mine")
    user.docked.be_quick(steps=2)
    user.click(dock.fine_tune.train)
    user.wait()
    assert "Saved as mine-ft" in dock.fine_tune.text.text()

"""The next day: the first image of yesterday brings all of yesterday back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from user_at_window import User

pytestmark = pytest.mark.slow


def test_strokes_model_and_settings_are_there_again(
    open_window: Callable[[], User], add_model: Any, folder: Path
) -> None:
    add_model("mine")
    user = open_window()
    dock = user.dock
    user.drop(folder, dock.images)
    user.click(dock.images.next)
    user.wait()
    _choose(user, dock.predict.form.picker.model.native, "mine")
    user.click(dock.images.predicting.native)
    user.click(dock.correct.empty)
    user.click(dock.correct.class_buttons[1])
    user.stroke([(30, 25), (30, 45)])
    user.click(dock.correct.class_buttons[0])
    user.stroke([(70, 15), (70, 35)])
    painted, counts = user.docked.mask.data.copy(), user.docked.counts
    assert set(counts) == {0, 1}
    user.key(Qt.Key.Key_K)
    assert dock.workspace.layer.name == "1"
    user.wait()
    user.docked.viewer.close()

    user = open_window()
    dock = user.dock
    assert dock.workspace.listed.images is None
    user.drop(folder / "0.tif")
    entries = dock.workspace.listed.entries
    assert [entry.state for entry in entries] == ["accepted", "untouched", "untouched"]
    assert dock.workspace.model.name == "mine"
    assert dock.images.predicting.value
    assert user.docked.counts == counts
    touched = dock.workspace.working_image.annotations.touched(())
    np.testing.assert_array_equal(user.docked.mask.data[touched], painted[touched])
    assert "strokes of today are back" in dock.correct.saved.text()


def _choose(user: User, box: Any, text: str) -> None:
    """Choose an item of a drop-down list with the keyboard."""
    box.setFocus()
    steps = box.findText(text) - box.currentIndex()
    key = Qt.Key.Key_Down if steps > 0 else Qt.Key.Key_Up
    for _ in range(abs(steps)):
        QTest.keyClick(box, key)
    user.wait()

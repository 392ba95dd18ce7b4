"""A training that made things worse is left by one click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from user_at_window import User

pytestmark = pytest.mark.slow


def test_the_older_model_and_its_mask_are_back(
    open_window: Callable[[], User],
    add_model: Any,
    folder: Path,
    every_evaluation_is_better: None,
) -> None:
    add_model("mine")
    user = open_window()
    dock = user.dock
    dock.select_model("mine")
    user.drop(folder / "0.tif")
    user.click(dock.predict.predict)
    user.wait()
    before = user.docked.mask.data.copy()
    for label, row in ((1, 30), (0, 70)):
        user.click(dock.correct.class_buttons[label])
        user.stroke([(row, 25), (row, 45)])
    user.docked.be_quick(steps=10)
    user.click(dock.fine_tune.train)
    user.wait()
    assert dock.workspace.model.name == "mine-ft"
    touched = dock.workspace.working_image.annotations.touched(())
    assert (user.docked.mask.data != before)[~touched].any()

    # A menu would hold the test until somebody has clicked in it.
    dock.predict.form.picker.actions_by_name["manage"].trigger()
    page = dock.manage_models()
    user.click(page.lineage._bar)
    clicks = user.clicks
    assert page.lineage.back.text() == "Return to mine"
    user.click(page.lineage.back)
    assert user.clicks == clicks + 1
    assert dock.workspace.model.name == "mine"
    page.close()
    user.click(dock.predict.predict)
    user.wait()
    same = user.docked.mask.data == before
    assert same[~touched].all()
    assert touched.any() and np.unique(user.docked.mask.data[touched]).tolist() == [
        0,
        1,
    ]

"""First use: from the user's own file to a corrected mask of a retrained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from user_at_window import User

MOST_CLICKS = 12
OPENING_CLICKS = 2
"""The menu *Plugins* and its entry, which the test has done otherwise."""


@pytest.mark.slow
def test_twelve_clicks_make_a_retrained_mask(
    open_window: Callable[[], User], tmp_path: Path, every_evaluation_is_better: None
) -> None:
    image, truth = nuclei((160, 160), seed=3)
    tifffile.imwrite(tmp_path / "own.tif", image)
    user = open_window()
    user.clicks = OPENING_CLICKS
    user.drop(tmp_path / "own.tif")
    dock, bot = user.dock, user.docked.bot
    bot.waitUntil(
        lambda: bool(dock.proposals.buttons) and not dock.proposals.running,
        timeout=100_000,
    )
    user.click(dock.proposals.buttons[0])
    user.wait()
    assert dock.workspace.model.name == "nuclei"
    assert _overlap(user.docked.mask.data > 0, truth > 0) > 0.7

    painted: dict[Any, int] = {}
    for label, (row, column) in enumerate(_middles(truth)):
        user.click(dock.correct.class_buttons[label])
        user.stroke([(row, column - 4), (row, column), (row, column + 4)])
        painted[row, column] = label
    user.click(dock.fine_tune.advanced._bar)
    user.write(dock.fine_tune.settings["steps"].native, "3")
    assert dock.fine_tune.config.steps == 3
    user.click(dock.fine_tune.train)
    user.wait()

    assert user.clicks <= MOST_CLICKS
    assert dock.workspace.model.name == "nuclei-ft"
    assert "Saved as nuclei-ft" in dock.fine_tune.text.text()
    mask = user.docked.mask.data
    assert all(mask[place] == label for place, label in painted.items())
    assert _overlap(mask > 0, truth > 0) > 0.7


def _middles(truth: np.ndarray) -> list[tuple[int, ...]]:
    """Return the pixel farthest from the other class: of background, of nuclei."""
    depths = [
        ndimage.distance_transform_edt(where) for where in (truth == 0, truth > 0)
    ]
    return [np.unravel_index(depth.argmax(), depth.shape) for depth in depths]


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())

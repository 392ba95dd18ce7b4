"""Windows for journeys, and images to take along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from user_at_window import User

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def open_window(open_dock: Any, mouse_on: Any) -> Callable[[], User]:
    """Open a window with the dock on screen, as the last one left things."""

    def opened() -> User:
        docked = open_dock()
        docked.viewer.window._qt_window.resize(1200, 800)
        docked.bot.wait(50)
        return User(docked, mouse_on(docked))

    return opened


@pytest.fixture
def folder(tmp_path: Path, plane: np.ndarray) -> Path:
    """A folder ``day`` with three images of 96 x 96 pixels."""
    folder = tmp_path / "day"
    folder.mkdir()
    for number in range(3):
        tifffile.imwrite(folder / f"{number}.tif", np.roll(plane, 5 * number, 0))
    return folder

"""Layers that are removed while a mask is painted on: the frames after that are drawn.

Where they are not the process ends, and with it the worker that runs the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked, Mouse

pytestmark = pytest.mark.slow

IMAGE = np.random.default_rng(0).integers(20, 60, (96, 96)).astype(np.uint8)


@pytest.fixture
def painted(shown_dock: Docked, mouse_on: Callable[[Docked], Mouse]) -> Docked:
    """Two images, strokes on one of them, and the brush on the canvas."""
    dock = shown_dock
    dock.viewer.add_image(IMAGE, name="other")
    layer = dock.viewer.add_image(IMAGE.T, name="cells")
    dock.widget.predict.form.image.value = layer
    dock.bot.mouseClick(dock.widget.correct.empty, Qt.MouseButton.LeftButton)
    mouse = mouse_on(dock)
    for label, row in ((1, 30), (0, 70)):
        button = dock.widget.correct.class_buttons[label]
        dock.bot.mouseClick(button, Qt.MouseButton.LeftButton)
        mouse.press(row, 25)
        mouse.move(row, 45)
        mouse.release(row, 45)
        dock.bot.wait(300)
    assert set(dock.counts) == {0, 1}
    return dock


def drawn(docked: Docked) -> Any:
    """Wait until frames were drawn, and return the picture of the canvas."""
    docked.bot.wait(500)
    return docked.viewer.screenshot(flash=False)


@pytest.mark.parametrize(
    "removed", [("mask",), ("cells",), ("cells", "mask"), ("cells", "other", "mask")]
)
def test_frames_are_drawn_after_layers_were_removed(
    painted: Docked, removed: tuple[str, ...]
) -> None:
    mask = painted.widget.masks.current.layer
    for name in removed:
        layer = mask if name == "mask" else painted.viewer.layers[name]
        if layer in painted.viewer.layers:
            painted.viewer.layers.remove(layer)
    drawn(painted)
    painted.viewer.add_image(IMAGE, name="new")
    assert drawn(painted)[..., :3].any()


def test_an_image_is_drawn_after_all_layers_were_removed(painted: Docked) -> None:
    painted.viewer.layers.clear()
    painted.viewer.add_image(IMAGE, name="new")
    assert drawn(painted)[..., :3].any()

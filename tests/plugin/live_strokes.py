"""Strokes on a dark and a bright half, from which Live learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from conftest import Docked


def truth_of(image: np.ndarray) -> np.ndarray:
    """Return the mask of an image like ``halves``: 1 in the bright half."""
    truth = np.zeros(image.shape, np.uint8)
    truth[..., 100:] = 1
    return truth


def begin(docked: Docked, image: np.ndarray) -> Any:
    """Open an image with an empty mask, seen as a whole, and switch Live on."""
    layer = docked.viewer.add_image(image)
    see_all(docked)
    docked.widget.correct.empty.click()
    docked.mask.brush_size = 8
    docked.widget.live.switch.value = True
    return layer


def see_all(docked: Docked) -> None:
    """Look at all of an image of the size of ``halves``."""
    docked.viewer.canvas.size = (400, 400)
    camera = camera_of(docked.viewer)
    camera.center, camera.zoom = (0, 80, 100), 1.5


def stroke(docked: Docked, y: float, x: float, label: int) -> None:
    """Paint a stroke downwards from a place of the plane on screen."""
    leading = docked.viewer.dims.current_step[:-2]
    with docked.mask.block_history():
        for step in range(0, 30, 4):
            docked.mask.paint((*leading, y + step, x), label)


def settle(docked: Docked) -> None:
    """Wait until Live has nothing to do."""
    live = docked.widget.live.live
    docked.bot.waitUntil(
        lambda: (
            not live.running and not live._soon.isActive() and not live._state.waiting
        ),
        timeout=90_000,
    )


def learned(docked: Docked) -> None:
    """Paint a stroke in each half, and wait until Live has learned them."""
    stroke(docked, 60, 30, 0)
    stroke(docked, 60, 160, 1)
    settle(docked)

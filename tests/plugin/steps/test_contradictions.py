"""Strokes that contradict each other are counted, and a button goes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.steps.correct.contradictions import contradicted_places
from napari_unet.viewer.private import camera_of
from unet_engine.annotations.annotations import Annotations

if TYPE_CHECKING:
    from conftest import Docked


@pytest.fixture
def masked(dock: Docked) -> Docked:
    """A stack of two planes with an empty mask."""
    dock.viewer.add_image(np.zeros((2, 400, 500), np.uint8), name="cells")
    dock.viewer.canvas.size = (400, 400)
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 3
    return dock


def twice(docked: Docked, z: int, y: int, x: int) -> None:
    for label in (1, 0):
        docked.mask.paint((z, y, x), label)


def test_they_are_shown_one_after_the_other(masked: Docked):
    row = masked.widget.correct.contradictions
    masked.mask.paint((0, 50, 60), 1)
    assert row.isHidden()
    twice(masked, 0, 50, 60)
    twice(masked, 0, 300, 400)
    twice(masked, 1, 200, 100)
    assert not row.isHidden()
    pixels = masked.widget.workspace.working_image.annotations.conflicts
    assert row.text.text() == (f"{pixels} px painted with two classes, the last counts")
    seen = []
    for _ in range(4):
        masked.bot.mouseClick(row.go, Qt.MouseButton.LeftButton)
        seen.append(
            (
                masked.viewer.dims.current_step[0],
                *(round(c) for c in camera_of(masked.viewer).center[-2:]),
            )
        )
        (frame,) = [x for x in masked.viewer.layers if x.name == "contradiction"]
        assert masked.viewer.layers.selection.active is not frame
    assert seen == [(0, 50, 60), (0, 300, 400), (1, 200, 100), (0, 50, 60)]
    for _ in range(6):
        masked.mask.undo()
    assert row.isHidden()


def test_what_lies_close_together_is_one_place():
    annotations = Annotations((600, 600))
    for x in (100, 105, 200, 255, 256):
        for label in (1, 2):
            annotations.set(([100], [x]), label)
    places = [region for _, region in contradicted_places(annotations)]
    assert [(c.start, c.stop) for _, c in places[:2]] == [(100, 106), (200, 201)]
    assert all((r.start, r.stop) == (100, 101) for r, _ in places)


def test_pixels_that_were_given_back_contradict_nothing():
    annotations = Annotations((20, 20))
    box: Any = (slice(0, 10), slice(5, 20))
    for label in (1, 2):
        annotations.set(([3, 4], [7, 7]), label)
    np.testing.assert_array_equal(
        np.argwhere(annotations.contradicted((), box)), [[3, 2], [4, 2]]
    )
    annotations.clear(([3], [7]))
    np.testing.assert_array_equal(np.argwhere(annotations.contradicted(())), [[4, 7]])
    assert annotations.conflicts == 1

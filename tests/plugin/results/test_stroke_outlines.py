"""Lines around what was touched: of each class, background too, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from napari_unet.results.stroke_outlines import StrokeOutlines
from napari_unet.state.working_image import WorkingImage
from napari_unet.viewer.conversion import Layout
from napari_unet.viewer.private import camera_of
from napari_unet.viewer.screen_layer import ScreenPart, is_screen_layer
from unet_engine.class_colours import BACKGROUND_COLOUR, colour_of
from unet_engine.images import Image
from unet_engine.labels import IGNORE

if TYPE_CHECKING:
    from conftest import Docked

SHAPE = (300, 340)
DARK = 255
"""Of the dashes around background."""


@pytest.fixture
def masked(dock: Docked) -> Docked:
    """A stack of two planes with an empty mask, seen as a whole."""
    dock.viewer.canvas.size = (400, 400)
    dock.viewer.add_image(np.zeros((2, *SHAPE), np.uint8), name="cells")
    camera_of(dock.viewer).center = (0, SHAPE[0] / 2, SHAPE[1] / 2)
    camera_of(dock.viewer).zoom = 1
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 20
    return dock


def outlines(docked: Docked) -> Any:
    view = docked.widget.masks.current
    assert view is not None
    return view.outlines


def edges(target: np.ndarray) -> np.ndarray:
    """Values of the layer, pixel by pixel: class + 1 where the class ends."""
    found = np.zeros(target.shape, np.uint8)
    height, width = target.shape
    for y, x in np.argwhere(target != IGNORE):
        beside = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        if any(
            not (0 <= r < height and 0 <= c < width) or target[r, c] != target[y, x]
            for r, c in beside
        ):
            found[y, x] = target[y, x] + 1
    return found


def shown(docked: Docked) -> np.ndarray:
    """What is on screen in the shape of the image, dashes as one value."""
    layer = outlines(docked).layer
    assert layer is not None
    values = np.asarray(layer.data).reshape(SHAPE)
    return np.where(values == DARK, 1, values)


def wait_for(docked: Docked, expected: np.ndarray) -> None:
    def check() -> None:
        np.testing.assert_array_equal(shown(docked), expected)

    docked.bot.waitUntil(check, timeout=3_000)


def target(docked: Docked, plane: int = 0) -> np.ndarray:
    annotations = docked.widget.masks.current.working_image.annotations
    return np.asarray(annotations.target((plane,)))


def test_strokes_of_each_class_undo_and_redo(masked: Docked) -> None:
    # The second crosses the border of a block, the third is background on background.
    for label, at in ((1, (0, 40, 40)), (1, (0, 254, 255)), (0, (0, 100, 200))):
        masked.mask.paint(at, label)
    wait_for(masked, edges(target(masked)))
    assert set(np.unique(shown(masked))) == {0, 1, 2}
    layer = outlines(masked).layer
    assert {1, DARK} <= set(np.unique(layer.data)), "dashes"
    colours = layer.colormap.color_dict
    assert [colours[1], colours[2]] == [
        pytest.approx(_rgba(name)) for name in (BACKGROUND_COLOUR, colour_of(1))
    ]
    assert masked.viewer.layers.selection.active is masked.mask
    before = shown(masked)
    masked.mask.undo()
    wait_for(masked, edges(target(masked)))
    assert 1 not in shown(masked)
    masked.mask.redo()
    wait_for(masked, before)
    masked.widget.correct.clear_touched(everywhere=True)
    wait_for(masked, np.zeros(SHAPE, np.uint8))


def _rgba(name: str) -> list[float]:
    return [*(int(name[at : at + 2], 16) / 255 for at in (1, 3, 5)), 1.0]


def test_they_are_those_of_the_slice_and_hidden_with_the_mask(masked: Docked) -> None:
    masked.mask.paint((0, 40, 40), 1)
    masked.mask.paint((1, 200, 200), 0)
    wait_for(masked, edges(target(masked)))
    masked.viewer.dims.set_current_step(0, 1)
    wait_for(masked, edges(target(masked, 1)))
    layer = outlines(masked).layer
    for thing, name, away, back in (
        (masked.mask, "visible", False, True),
        (masked.viewer.dims, "ndisplay", 3, 2),
    ):
        setattr(thing, name, away)
        masked.bot.waitUntil(lambda: not layer.visible, timeout=3_000)
        setattr(thing, name, back)
        masked.bot.waitUntil(lambda: layer.visible, timeout=3_000)
    wait_for(masked, edges(target(masked, 1)))


def test_the_layer_is_there_before_the_first_stroke_ends(masked: Docked) -> None:
    masked.bot.wait(50)
    assert outlines(masked).layer is None, "nobody paints"
    masked.widget.correct.choose_class(0)
    masked.bot.waitUntil(lambda: outlines(masked).layer is not None, timeout=3_000)
    assert is_screen_layer(outlines(masked).layer), "offered nowhere as data"


def test_nothing_changes_under_a_stroke(masked: Docked) -> None:
    masked.widget.correct.choose_class(0)
    masked.bot.waitUntil(lambda: outlines(masked).layer is not None, timeout=3_000)
    with masked.mask.block_history():
        masked.mask.paint((0, 40, 40), 1)
        masked.bot.wait(200)
        assert not shown(masked).any()
    wait_for(masked, edges(target(masked)))


def test_only_blocks_that_were_touched_are_read_again(
    masked: Docked, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in ((0, 40, 40), (0, 280, 320)):
        masked.mask.paint(at, 1)
    wait_for(masked, edges(target(masked)))
    expected = edges(target(masked))
    annotations = masked.widget.masks.current.working_image.annotations
    reads: list[Any] = []
    read = annotations.target

    def count(index: Any, region: Any) -> Any:
        reads.append(region)
        return read(index, region)

    monkeypatch.setattr(annotations, "target", count)
    camera_of(masked.viewer).zoom = 2
    masked.bot.wait(250)
    camera_of(masked.viewer).zoom = 1
    wait_for(masked, expected)
    assert reads == []
    outlines(masked).note([((0,), (slice(30, 50), slice(30, 50)))])
    masked.bot.waitUntil(lambda: bool(reads), timeout=3_000)
    assert reads == [(slice(0, 257), slice(0, 257))]


def test_a_class_that_is_added_has_its_colour(masked: Docked) -> None:
    masked.mask.paint((0, 40, 40), 1)
    wait_for(masked, edges(target(masked)))
    masked.widget.correct.add_class("nucleus")
    masked.mask.paint((0, 140, 140), 2)
    wait_for(masked, edges(target(masked)))
    layer = outlines(masked).layer
    assert layer.colormap.color_dict[3] == pytest.approx(_rgba(colour_of(2)))
    assert "nucleus" in list(layer.features["painted"])


def test_a_layer_that_the_user_deletes_stays_away(masked: Docked) -> None:
    masked.mask.paint((0, 40, 40), 1)
    wait_for(masked, edges(target(masked)))
    masked.viewer.layers.remove(outlines(masked).layer)
    masked.mask.paint((0, 90, 90), 1)
    masked.bot.wait(200)
    assert outlines(masked).layer is None
    assert [layer.name for layer in masked.viewer.layers] == ["cells", "cells mask"]


@pytest.mark.slow
def test_they_go_with_the_mask_and_with_the_image(masked: Docked) -> None:
    masked.mask.paint((0, 40, 40), 1)
    wait_for(masked, edges(target(masked)))
    masked.viewer.layers.remove(masked.mask)
    assert [layer.name for layer in masked.viewer.layers] == ["cells"]
    masked.widget.correct.empty.click()
    masked.bot.waitUntil(lambda: outlines(masked).layer is not None, timeout=3_000)
    wait_for(masked, edges(target(masked)))
    masked.viewer.layers.clear()
    masked.bot.wait(50)
    assert len(masked.viewer.layers) == 0


@pytest.mark.slow
def test_they_are_away_while_the_dock_is(masked: Docked) -> None:
    masked.mask.paint((0, 40, 40), 1)
    wait_for(masked, edges(target(masked)))
    masked.widget.masks.pause()
    assert [layer.name for layer in masked.viewer.layers] == ["cells", "cells mask"]
    masked.mask.paint((0, 200, 40), 0)
    masked.bot.wait(200)
    assert outlines(masked).layer is None
    masked.widget.masks.resume()
    masked.bot.waitUntil(lambda: outlines(masked).layer is not None, timeout=3_000)
    wait_for(masked, edges(target(masked)))


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    strokes=st.lists(
        st.tuples(
            st.integers(0, 299), st.integers(0, 339), st.integers(1, 40),
            st.integers(1, 40), st.sampled_from([0, 1, 2, IGNORE]),
        ),
        max_size=6,
    ),
    part=st.tuples(st.integers(0, 250), st.integers(0, 250)),
    step=st.integers(1, 5),
)  # fmt: skip
# The second ends the edge of the first, in the block above and beside it.
@example(strokes=[(246, 9, 10, 9, 1), (256, 9, 9, 9, 1)], part=(230, 0), step=1)
@example(strokes=[(9, 246, 9, 10, 1), (9, 256, 9, 9, 1)], part=(0, 230), step=1)
def test_lines_of_any_strokes_at_any_zoom(
    qapp: Any, strokes: list[Any], part: tuple[int, int], step: int
) -> None:
    image = Image.from_array(np.zeros(SHAPE, np.uint8), "YX")
    working_image = WorkingImage(image, Layout("YX", ""))
    viewer, parent = ViewerModel(), QObject()
    mask = viewer.add_labels(working_image.mask)
    lines = StrokeOutlines(
        viewer, mask, working_image, parent, name="lines", painting=lambda: False
    )
    top, left = (at - at % step for at in part)
    region = (slice(top, min(300, top + 90)), slice(left, min(340, left + 90)))
    screen = ScreenPart(leading=(), region=region, step=step, seen=(0.0, 1.0))
    for y, x, height, width, label in strokes:
        place = (slice(y, y + height), slice(x, x + width))
        rows, columns = np.mgrid[place]
        inside = (rows < SHAPE[0]) & (columns < SHAPE[1])
        working_image.annotations.set((rows[inside], columns[inside]), label)
        lines.note([((), place)])
        expected = edges(working_image.annotations.target(()))[region]
        found = lines._compose(screen)
        np.testing.assert_array_equal(found > 0, _reduced(expected > 0, step))
        if step == 1:
            found = np.where(found == DARK, 1, found)
            np.testing.assert_array_equal(found, expected)


def _reduced(where: np.ndarray, step: int) -> np.ndarray:
    """Which squares of so many pixels have any."""
    rows, columns = (-(-n // step) * step for n in where.shape)
    padded = np.zeros((rows, columns), bool)
    padded[: where.shape[0], : where.shape[1]] = where
    squares = padded.reshape(rows // step, step, columns // step, step)
    return np.asarray(squares.any(axis=(1, 3)))

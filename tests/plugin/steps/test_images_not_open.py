"""Live and Fine-tune learn from images with strokes that are not open any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from live_strokes import see_all, settle, stroke
from napari.layers._source import layer_source
from qtpy.QtCore import Qt

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked


pytestmark = pytest.mark.usefixtures("filters_alone")


def open_file(docked: Docked, path: Path) -> Any:
    with layer_source(path=str(path)):
        layer = docked.viewer.add_image(tifffile.imread(path), name=path.stem)
    see_all(docked)
    docked.widget.predict.form.image.value = layer
    return layer


def found(docked: Docked) -> None:
    """Wait until strokes on other images were searched for."""
    docked.bot.waitUntil(lambda: not docked.widget.related.busy, timeout=30_000)


@pytest.fixture
def one_of_two(dock: Docked, halves: np.ndarray, tmp_path: Path) -> Docked:
    """An image without strokes beside one that was painted on and closed."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, pixels in (("first", halves), ("second", halves[::-1, ::-1])):
        tifffile.imwrite(folder / f"{name}.tif", pixels)
    open_file(dock, folder / "first.tif")
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 8
    stroke(dock, 60, 30, 0)
    stroke(dock, 60, 160, 1)
    dock.viewer.layers.clear()
    open_file(dock, folder / "second.tif")
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 8
    found(dock)
    return dock


@pytest.mark.slow
def test_they_are_listed(one_of_two: Docked):
    section = one_of_two.widget.fine_tune
    assert not section.others.native.isHidden()
    assert section.others.text == "1 image with strokes, not open"
    stroke(one_of_two, 20, 30, 1)
    assert section.others.text == "All 2 images, 1 of them not open"


@pytest.mark.slow
def test_live_learns_from_them_after_what_is_on_screen(
    one_of_two: Docked, halves: np.ndarray
):
    one_of_two.widget.live.switch.value = True
    # Two classes here; those of the other image say where they are right.
    stroke(one_of_two, 20, 30, 1)
    stroke(one_of_two, 20, 160, 0)
    settle(one_of_two)
    text = one_of_two.widget.live.text.text()
    assert "and 1 image that is not open" in text
    truth = halves[::-1, ::-1] > 100
    assert np.mean(one_of_two.mask.data == truth) > 0.85


def test_fine_tune_learns_from_them(one_of_two: Docked, monkeypatch: Any):
    orders: list[Any] = []

    def note(order: Any, workspace: Any, stop: Any) -> Any:
        orders.append(order.touched.poll())
        raise OSError("enough")
        yield

    monkeypatch.setattr("napari_unet.steps.finetune.section.train_run", note)
    stroke(one_of_two, 20, 30, 1)
    stroke(one_of_two, 20, 160, 0)
    section = one_of_two.widget.fine_tune
    for wanted in (True, False):
        section.others.value = wanted
        one_of_two.bot.mouseClick(section.train, Qt.MouseButton.LeftButton)
        one_of_two.wait()
    both, alone = orders
    assert sorted(one.name for one in both) == ["first", "second"]
    assert [one.name for one in alone] == ["second"]


@pytest.mark.slow
def test_an_image_that_is_opened_is_counted_once(one_of_two: Docked, tmp_path: Path):
    open_file(one_of_two, tmp_path / "images" / "first.tif")
    found(one_of_two)
    assert one_of_two.widget.workspace.related.images == ()
    assert one_of_two.counts


def test_an_image_that_is_gone_takes_no_part(one_of_two: Docked, tmp_path: Path):
    (tmp_path / "images" / "first.tif").unlink()
    one_of_two.widget.live.switch.value = True
    stroke(one_of_two, 20, 30, 1)
    stroke(one_of_two, 20, 160, 0)
    settle(one_of_two)
    assert one_of_two.widget.live.text.text().startswith("Live: 2 strokes")

"""``layer.data`` is set again: by a live view, a filter, another reader."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_unet.jobs import data_watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Docked


@pytest.fixture
def painted(dock: Docked, plane: np.ndarray) -> Docked:
    """Strokes of both classes on a mask."""
    dock.viewer.add_image(plane, name="cells")
    dock.widget.correct.empty.click()
    dock.mask.paint((20, 20), 1)
    dock.mask.paint((60, 60), 0)
    return dock


def set_again(docked: Docked, data: Any) -> None:
    """Set the data of the image, and wait for what is compared in a thread."""
    docked.viewer.layers["cells"].data = data
    comparing = docked.widget._data_watch._comparing
    docked.bot.waitUntil(lambda: not comparing)


def same(data: np.ndarray, _: Path) -> np.ndarray:
    return data


def copied(data: np.ndarray, _: Path) -> np.ndarray:
    return data.copy()


def as_float(data: np.ndarray, _: Path) -> np.ndarray:
    return data.astype(np.float32)


def lazy(data: np.ndarray, _: Path) -> da.Array:
    return da.from_array(data, chunks=32)


def on_disk(data: np.ndarray, folder: Path) -> zarr.Array:
    return zarr.create_array(folder / "cells.zarr", data=data, chunks=(32, 32))


def mapped(data: np.ndarray, folder: Path) -> np.memmap:
    np.save(folder / "cells.npy", data)
    return np.load(folder / "cells.npy", mmap_mode="r")


@pytest.mark.parametrize("other", [same, copied, as_float, lazy, on_disk, mapped])
def test_equal_pixels_keep_mask_strokes_and_undo(
    painted: Docked, plane: np.ndarray, other: Callable[..., Any], tmp_path: Path
) -> None:
    layer, kept = painted.mask, painted.counts
    data = other(plane, tmp_path)
    set_again(painted, data)
    assert painted.mask is layer
    assert painted.counts == kept
    working_image = painted.widget.workspace.working_image
    assert working_image is not None
    assert working_image.image.data is data, "the earlier array may go"
    layer.paint((80, 80), 1)
    assert painted.counts[1] > kept[1]
    layer.undo()
    assert painted.counts == kept


@pytest.mark.parametrize("other", [copied, lazy, on_disk, mapped])
def test_other_pixels_are_another_image(
    painted: Docked,
    plane: np.ndarray,
    other: Callable[..., Any],
    tmp_path: Path,
    notices: list[str],
) -> None:
    layer = painted.mask
    changed = plane.copy()
    changed[-1, -1] += 1
    set_again(painted, other(changed, tmp_path))
    assert "'cells' shows other pixels than before" in notices[-1]
    assert "What was painted is saved with those" in notices[-1]
    assert painted.mask is None
    assert painted.counts == {}
    assert not layer.visible
    assert layer.mode == "pan_zoom"
    painted.widget.correct.empty.click()
    assert painted.mask is not layer
    set_again(painted, plane)
    assert "'cells' shows other pixels than before" in notices[-1]
    painted.widget.correct.start_empty()
    assert set(painted.counts) == {0, 1}, "strokes come back with their pixels"


def test_another_shape_is_another_image(painted: Docked, notices: list[str]) -> None:
    set_again(painted, np.zeros((2, 64, 64), np.uint8))
    assert "shows other pixels" in notices[-1]
    assert painted.mask is None


def test_a_filter_in_place_is_seen(painted: Docked, notices: list[str]) -> None:
    data = painted.viewer.layers["cells"].data
    data //= 2
    set_again(painted, data)
    assert "shows other pixels" in notices[-1]


def test_nothing_is_forgotten_before_the_first_stroke(
    dock: Docked, plane: np.ndarray
) -> None:
    layer = dock.viewer.add_image(plane, name="cells")
    set_again(dock, plane.copy())
    assert layer not in dock.widget.workspace.saved._edited
    set_again(dock, plane + 1)
    assert layer in dock.widget.workspace.saved._edited


class Watched:
    """An array that notes the threads in which it is read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.ndim = data, data.shape, data.dtype, 2
        self.size = data.size
        self.threads: set[threading.Thread] = set()

    def __getitem__(self, key: Any) -> np.ndarray:
        self.threads.add(threading.current_thread())
        return self.data[key]


def test_what_must_be_read_is_read_in_a_thread(qtbot: Any, plane: np.ndarray) -> None:
    before, after = Watched(plane), Watched(plane)
    assert data_watch._Shown(before).is_same(after) is None
    assert not before.threads | after.threads
    large = np.zeros((2, 2**24), np.uint8)
    assert data_watch._Shown(large).is_same(large.copy()) is True
    larger = np.zeros((4, 2**24), np.uint8)
    assert data_watch._Shown(larger).is_same(larger.copy()) is None


@pytest.mark.parametrize("shape", [(), (7,), (5, 9), (3, 5, 7), (2, 1, 3, 40)])
def test_boxes_cover_every_pixel_once(shape: tuple[int, ...]) -> None:
    seen = np.zeros(shape, int)
    for box in data_watch._boxes(shape, most=12):
        assert seen[box].size <= 12
        seen[box] += 1
    assert (seen == 1).all()


def test_a_prediction_goes_on_with_equal_pixels_and_ends_with_others(
    painted: Docked, plane: np.ndarray
) -> None:
    painted.widget.predict.predict.click()
    set_again(painted, plane.copy())
    painted.wait()
    assert "tile" in painted.widget.predict.text.text()
    painted.widget.predict.predict.click()
    set_again(painted, plane + 1)
    painted.wait()
    assert painted.mask is None


@pytest.mark.slow
def test_live_goes_on_with_equal_pixels(painted: Docked, plane: np.ndarray) -> None:
    live = painted.widget.live

    def wait_for(text: str) -> None:
        painted.bot.waitUntil(lambda: live.text.text().startswith(text), timeout=60_000)

    live.switch.value = True
    wait_for("Live: 2 strokes")
    set_again(painted, plane.copy())
    painted.mask.paint((80, 80), 1)
    wait_for("Live: 3 strokes")
    set_again(painted, plane + 1)
    assert "start with an empty mask" in live.text.text()
    live.switch.value = False


def test_a_mask_in_other_memory_keeps_strokes_and_undo(painted: Docked) -> None:
    layer, kept = painted.mask, painted.counts
    layer.data = layer.data.copy()
    assert painted.counts == kept
    layer.paint((80, 80), 1)
    layer.undo()
    assert painted.counts == kept
    layer.undo()
    layer.undo()
    assert painted.counts == {}
    np.testing.assert_array_equal(layer.data, 0)


def test_a_mask_that_cannot_be_painted_any_more_is_let_go_in_words(
    painted: Docked, notices: list[str]
) -> None:
    layer = painted.mask
    layer.data = da.from_array(layer.data, chunks=32)
    assert "painting on it does not count" in notices[-1]
    assert "'cells mask'" in notices[-1]
    assert painted.mask is None
    assert not layer.visible
    painted.widget.correct.empty.click()
    assert painted.mask is not layer

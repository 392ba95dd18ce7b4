"""Strokes of earlier sessions come back with their image."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from conftest import Docked
from napari.components import ViewerModel
from napari.layers._source import layer_source

from napari_unet.dock import UNetWidget
from napari_unet.state import saved_strokes
from unet_engine.annotations.store import StrokeStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytestqt.qtbot import QtBot


@pytest.fixture
def session(store: Any, add_model: Any, qtbot: QtBot) -> Callable[..., Docked]:
    """Open a new window with an image: ``session(pixels, path, name=...)``."""
    add_model()

    def begin(pixels: Any, path: Path | None = None, name: str = "cells") -> Docked:
        viewer = ViewerModel()
        widget = UNetWidget(viewer, store)
        widget.select_model("tiny")
        qtbot.addWidget(widget)
        docked = Docked(viewer, widget, qtbot)
        with layer_source(path=None if path is None else str(path)):
            viewer.add_image(pixels, name=name)
        qtbot.waitUntil(lambda: not widget.reopening.busy)
        return docked

    return begin


def end(docked: Docked) -> None:
    """Close a window."""
    docked.viewer.layers.clear()


def line(docked: Docked) -> str:
    return str(docked.widget.correct.saved.text())


@pytest.fixture
def stack(plane: np.ndarray) -> np.ndarray:
    return np.stack([plane, plane, plane])


@pytest.fixture
def painted(
    session: Callable[..., Docked], stack: np.ndarray, tmp_path: Path
) -> tuple[Path, np.ndarray]:
    """A file on which three strokes were painted; it, and the mask as it was seen."""
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    docked = session(stack, path)
    docked.widget.correct.empty.click()
    for z, label in ((0, 1), (2, 1), (2, 0)):
        docked.mask.paint((z, 30, 30), label)
    mask = np.array(docked.mask.data)
    end(docked)
    return path, mask


def test_strokes_are_back_when_the_image_is(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack, path)
    np.testing.assert_array_equal(docked.mask.data, mask)
    assert set(docked.counts) == {0, 1}
    assert line(docked) == "Your 3 strokes of today are back."
    assert not docked.widget.correct.anew.isHidden()
    assert f"cell {docked.counts[1]} px" in docked.widget.correct.text.text()
    assert "background" in docked.widget.correct.text.text()
    docked.mask.undo()
    assert set(docked.counts) == {0, 1}, "the undo of another session is gone"


def test_they_stay_truth_in_a_prediction(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, _ = painted
    docked = session(stack, path)
    docked.predict()
    annotations = docked.widget.workspace.working_image.annotations
    for z in range(3):
        touched = annotations.touched((z,))
        np.testing.assert_array_equal(
            docked.mask.data[z][touched], annotations.target((z,))[touched]
        )
    before = docked.counts
    docked.mask.paint((1, 60, 60), 1)
    docked.mask.undo()
    assert docked.counts == before


@pytest.mark.slow
def test_undo_is_saved_too(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack, path)
    docked.mask.paint((1, 60, 60), 1)
    docked.mask.paint((1, 20, 20), 0)
    docked.mask.undo()
    docked.mask.undo()
    docked.mask.redo()
    seen, counts = np.array(docked.mask.data), docked.counts
    assert not np.array_equal(seen, mask)
    end(docked)
    again = session(stack, path)
    np.testing.assert_array_equal(again.mask.data, seen)
    assert again.counts == counts
    assert line(again).startswith("Your 4 strokes")


def test_an_image_without_strokes_gets_no_mask(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    assert session(stack, tmp_path / "other.tif").mask is None
    assert session(255 - stack).mask is None


@pytest.mark.slow
def test_an_array_is_known_by_its_name_and_pixels(
    session: Any, plane: np.ndarray
) -> None:
    docked = session(plane)
    docked.widget.correct.empty.click()
    docked.mask.paint((30, 30), 1)
    end(docked)
    assert session(plane + 1).mask is None
    assert session(plane, name="others").mask is None
    assert session(plane).counts


@pytest.mark.slow
def test_a_layer_of_a_file_is_known_when_it_was_renamed(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack, path, name="another name")
    np.testing.assert_array_equal(docked.mask.data, mask)
    end(docked)
    assert session(stack + 1, path, name="a second channel").mask is None


@pytest.mark.slow
def test_changed_pixels_are_reported(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack + 9, path)
    np.testing.assert_array_equal(docked.mask.data, mask)
    assert "not the same any more" in line(docked)


@pytest.mark.slow
def test_an_image_of_another_size_gets_none_with_a_notice(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack[:, :64], path)
    assert docked.mask is None
    docked.widget.correct.empty.click()
    assert docked.counts == {}
    assert "had 96 × 96 pixels" in line(docked)  # noqa: RUF001
    assert "has 96 × 64 now" in line(docked)  # noqa: RUF001
    docked.mask.paint((0, 30, 30), 1)
    end(docked)
    back = session(stack, path)
    np.testing.assert_array_equal(back.mask.data, mask)


@pytest.mark.slow
def test_strokes_on_a_slice_that_is_gone_are_kept(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack[:2], path)
    np.testing.assert_array_equal(docked.mask.data, mask[:2])
    assert "on 1 slice that is not in this image are kept" in line(docked)
    docked.mask.paint((1, 60, 60), 1)
    end(docked)
    again = session(stack, path)
    np.testing.assert_array_equal(again.mask.data[2], mask[2])


def test_a_stroke_that_was_cut_short_is_reported(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, _ = painted
    (log,) = StrokeStore().root.rglob("*.strokes")
    with log.open("rb+") as file:
        file.truncate(log.stat().st_size - 5)
    text = line(session(stack, path))
    assert text.startswith("Your 2 strokes of today are back. The one that was")


@pytest.mark.slow
def test_start_anew_sets_strokes_aside(
    session: Any,
    stack: np.ndarray,
    painted: tuple[Path, np.ndarray],
    notices: list[str],
) -> None:
    path, _ = painted
    docked = session(stack, path)
    docked.widget.correct.touched.native.click()
    docked.widget.correct.anew.click()
    assert not docked.mask.data.any()
    assert docked.counts == {}
    assert line(docked) == ""
    assert docked.widget.correct.anew.isHidden()
    assert "3 strokes were set aside" in notices[-1]
    docked.mask.undo()
    assert docked.counts == {}, "nothing of them is left to undo"
    docked.mask.paint((1, 60, 60), 1)
    seen = np.array(docked.mask.data)
    end(docked)
    np.testing.assert_array_equal(session(stack, path).mask.data, seen)
    folder = Path(notices[-1].split(" in ", 1)[1].rstrip("."))
    assert any(folder.glob("*.strokes")), "nothing is deleted"


def test_start_anew_keeps_the_prediction(session: Any, plane: np.ndarray) -> None:
    docked = session(plane)
    docked.predict()
    prediction = np.array(docked.mask.data)
    docked.mask.paint((30, 30), 1)
    docked.mask.paint((60, 60), 0)
    docked.widget.correct.clear.menu().actions()[-1].trigger()
    np.testing.assert_array_equal(docked.mask.data, prediction)


def test_start_anew_without_strokes_names_the_reason(
    session: Any, plane: np.ndarray, notices: list[str]
) -> None:
    docked = session(plane)
    docked.widget.correct.start_anew()
    docked.widget.correct.empty.click()
    docked.widget.correct.start_anew()
    assert [text.startswith("warning: there are no") for text in notices] == [True] * 2


def test_a_full_disk_is_reported_at_once_and_painting_goes_on(
    session: Any, plane: np.ndarray, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    docked = session(plane)
    docked.widget.correct.empty.click()
    genuine, full = os.write, [True]

    def write(handle: int, data: Any) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return genuine(handle, data)

    monkeypatch.setattr(os, "write", write)
    docked.mask.paint((30, 30), 1)
    assert docked.counts
    assert "No space left on device" in line(docked)
    assert len(notices) == 1
    assert "not being saved" in notices[0]
    docked.mask.paint((60, 60), 0)
    assert len(notices) == 1, "once is enough"
    full[0] = False
    docked.mask.paint((10, 10), 1)
    assert line(docked) == ""
    seen = np.array(docked.mask.data)
    end(docked)
    np.testing.assert_array_equal(session(plane).mask.data, seen)


@pytest.mark.slow
def test_a_second_window_warns_that_it_does_not_save(
    session: Any, plane: np.ndarray, notices: list[str]
) -> None:
    first = session(plane)
    first.widget.correct.empty.click()
    first.mask.paint((30, 30), 1)
    second = session(plane)
    np.testing.assert_array_equal(second.mask.data, first.mask.data)
    assert "Another window works on this image" in line(second)
    assert "Another window works on this image" in notices[-1]
    assert second.widget.correct.anew.isHidden()
    second.mask.paint((60, 60), 0)
    assert set(second.counts) == {0, 1}
    second.widget.correct.start_anew()
    assert "Another window" in notices[-1]
    first.mask.paint((80, 80), 1)
    seen = np.array(first.mask.data)
    end(second)
    end(first)
    np.testing.assert_array_equal(session(plane).mask.data, seen)


@pytest.mark.slow
def test_a_dock_that_is_closed_leaves_the_image_to_others_and_goes_on_later(
    session: Any, plane: np.ndarray, store: Any, qtbot: QtBot
) -> None:
    docked = session(plane)
    docked.widget.correct.empty.click()
    docked.mask.paint((30, 30), 1)
    docked.widget.deleteLater()
    qtbot.wait(50)
    other = session(plane)
    assert line(other) == "Your stroke of today is back."
    assert "Another window" not in line(other)
    end(other)
    again = UNetWidget(docked.viewer, store)
    qtbot.addWidget(again)
    view = again.masks.current
    assert view is not None
    view.layer.paint((60, 60), 0)
    assert again.workspace.working_image is not None
    assert again.workspace.working_image.annotations.save_error == ""
    seen = np.array(view.layer.data)
    docked.viewer.layers.clear()
    np.testing.assert_array_equal(session(plane).mask.data, seen)


def test_conflicts_are_shown_with_the_counts(session: Any, plane: np.ndarray) -> None:
    docked = session(plane)
    docked.widget.correct.empty.click()
    docked.mask.paint((30, 30), 1)
    contradictions = docked.widget.correct.contradictions
    assert contradictions.isHidden()
    count = docked.counts[1]
    docked.mask.paint((30, 30), 0)
    assert f"{count} px painted with two classes" in contradictions.text.text()
    docked.mask.undo()
    assert contradictions.isHidden()


@pytest.mark.slow
def test_other_axes_have_strokes_of_their_own(session: Any, stack: np.ndarray) -> None:
    docked = session(stack)
    axes = docked.widget.predict.form.axes
    slices, channels = (c for c in axes.choices if c.axes in ("ZYX", "CYX"))
    docked.widget.correct.empty.click()
    docked.mask.paint((1, 30, 30), 1)
    seen = np.array(docked.mask.data)
    axes.value = channels
    working_image = docked.widget.predict.form.working_image()
    assert working_image.counts == {}
    axes.value = slices
    docked.widget.predict.form.working_image()
    docked.bot.waitUntil(lambda: not docked.widget.reopening.busy)
    np.testing.assert_array_equal(docked.mask.data, seen)
    end(docked)
    np.testing.assert_array_equal(session(stack).mask.data, seen)


def test_edited_pixels_are_another_image(
    session: Any, stack: np.ndarray, painted: tuple[Path, np.ndarray]
) -> None:
    path, mask = painted
    docked = session(stack, path)
    docked.viewer.layers["cells"].data = stack[:, ::-1].copy()
    docked.widget.correct.start_empty()
    assert docked.counts == {}
    docked.mask.paint((1, 30, 30), 1)
    end(docked)
    np.testing.assert_array_equal(session(stack, path).mask.data, mask)


@pytest.mark.slow
def test_strokes_of_a_newer_version_are_left_alone(
    session: Any,
    stack: np.ndarray,
    painted: tuple[Path, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from unet_engine.annotations import snapshot

    path, mask = painted
    monkeypatch.setattr(snapshot, "VERSION", 0)
    docked = session(stack, path)
    docked.widget.correct.empty.click()
    assert "newer version" in line(docked)
    assert "not saved" in line(docked)
    docked.mask.paint((1, 30, 30), 1)
    assert docked.counts
    end(docked)
    monkeypatch.setattr(snapshot, "VERSION", 1)
    np.testing.assert_array_equal(session(stack, path).mask.data, mask)


def test_the_day_is_named_as_usual() -> None:
    now = datetime.now()
    assert saved_strokes._day(now.timestamp()) == "today"
    assert saved_strokes._day(datetime(2019, 11, 21).timestamp()) == "21 Nov 2019"
    other = now.replace(month=1 if now.month > 6 else 12, day=3)
    assert saved_strokes._day(other.timestamp()) == f"3 {other:%b}"


_PAINT_AND_DIE = """
import os, signal, sys
import numpy as np
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_unet.dock import UNetWidget
viewer = ViewerModel()
widget = UNetWidget(viewer)
widget.select_model("nuclei")
viewer.add_image(np.load(sys.argv[1]), name="cells")
widget.correct.empty.click()
layer = widget.masks.current.layer
for z, label in ((0, 1), (1, 1), (1, 0)):
    with layer.block_history():
        for at in range(20, 60, 4):
            layer.paint((z, at, at), label)
layer.undo()
layer.redo()
np.save(sys.argv[2], layer.data)
with layer.block_history():
    layer.paint((2, 30, 30), 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_a_stroke_all_others_are_back(
    session: Any, stack: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "image.npy", stack)
    command = [sys.executable, "-c", _PAINT_AND_DIE]
    files = [tmp_path / "image.npy", tmp_path / "seen.npy"]
    done = subprocess.run(
        [*command, *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    docked = session(stack)
    np.testing.assert_array_equal(docked.mask.data, np.load(files[1]))
    assert line(docked).startswith("Your 3 strokes of today are back.")

"""The loop on a real image: predict, paint, fine-tune, predict again."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QTimer
from scipy import ndimage
from skimage import data, filters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Docked

_LONGEST_WORK_S = 3.0
_LONGEST_WAIT_S = 20.0
"""What tells a window that stands still from one on a machine that is busy otherwise,
where imports take a second; how smooth it is, ``benchmarks/responsiveness.py`` says."""


class Watchdog:
    """Notice when a single call keeps the event loop, and keep its traceback.

    Work is counted in processor time of the main thread, which other programs on the
    machine do not lengthen, and waiting, as for a lock, in plain time.
    """

    def __init__(self) -> None:
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._last = time.monotonic()
        self._worked = time.thread_time()
        self._main = threading.get_ident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.longest_wait = self.longest_work = 0.0
        self._slowest = 0.0
        self.culprit = ""

    def __enter__(self) -> Watchdog:
        self._timer.start(5)
        self._last, self._worked = time.monotonic(), time.thread_time()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._tick()
        self._done.set()
        self._thread.join()
        self._timer.stop()

    def _tick(self) -> None:
        now, worked = time.monotonic(), time.thread_time()
        self.longest_wait = max(self.longest_wait, now - self._last)
        self.longest_work = max(self.longest_work, worked - self._worked)
        self._last, self._worked = now, worked

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            held = time.monotonic() - self._last
            if held > max(_LONGEST_WORK_S / 2, self._slowest):
                self._slowest = held
                frame = sys._current_frames()[self._main]
                self.culprit = "".join(traceback.format_stack(frame))


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    watched = Watchdog()
    yield watched
    assert watched.longest_work < _LONGEST_WORK_S, watched.culprit
    assert watched.longest_wait < _LONGEST_WAIT_S, watched.culprit


def drag(docked: Docked, path: Sequence[tuple[float, float]]) -> None:
    """Draw on the mask with the left button along a path in world coordinates."""
    kinds = ["mouse_press", *["mouse_move"] * (len(path) - 1), "mouse_release"]
    callbacks = [mouse_press_callbacks, mouse_move_callbacks, mouse_release_callbacks]
    by_kind = dict(
        zip(("mouse_press", "mouse_move", "mouse_release"), callbacks, strict=True)
    )
    for kind, place in zip(kinds, [*path, path[-1]], strict=True):
        event = SimpleNamespace(
            type=kind, button=1, position=place, modifiers=(), is_dragging=True,
            view_direction=None, dims_displayed=[0, 1], dims_point=[0, 0],
            handled=False, pos=(0, 0), camera_zoom=1.0,
        )  # fmt: skip
        by_kind[kind](docked.mask, event)
        docked.bot.wait(1)


@pytest.fixture
def coins() -> np.ndarray:
    """Greek coins from Pompeii, ``(150, 200)`` uint8, bundled with scikit-image."""
    return data.coins()[150:300, 60:260]


@pytest.fixture
def truth(coins: np.ndarray) -> np.ndarray:
    smooth = filters.gaussian(coins, 2)
    return ndimage.binary_fill_holes(smooth > filters.threshold_otsu(smooth))


@pytest.mark.slow
def test_the_loop(
    real_dock: Docked,
    coins: np.ndarray,
    truth: np.ndarray,
    add_model: Any,
    watchdog: Watchdog,
) -> None:
    add_model("start", width=8)
    widget, viewer = real_dock.widget, real_dock.viewer
    widget.select_model("start")
    viewer.add_image(coins, name="coins")
    corrected = np.zeros(coins.shape, bool)
    corrected[:100, :120] = True
    form = widget.fine_tune.settings
    form["steps"].value, form["crop"].value, form["batch"].value = 60, 64, 4
    form["elastic"].value, form["learning_rate"].value = 0.0, 0.01

    with watchdog:
        real_dock.predict()
        paint_truth(real_dock, truth, corrected)
        touched = widget.workspace.working_image.annotations.touched(())
        before = real_dock.mask.data.copy()
        # The prediction itself is scored, not what was painted over it.
        inside = corrected & ~touched
        assert inside.sum() > 3000
        error_before = np.mean((before != truth)[inside])

        widget.fine_tune.train.click()
        real_dock.wait(120)
        real_dock.wait(60)

    after = real_dock.mask.data
    assert widget.workspace.model.name == "start-ft"
    np.testing.assert_array_equal(after[touched], before[touched])
    assert np.mean((after != truth)[inside]) < 0.6 * error_before


def paint_truth(docked: Docked, truth: np.ndarray, where: np.ndarray) -> None:
    """Paint strokes of both classes along rows, with the mouse."""
    docked.mask.brush_size = 3
    for label in (0, 1):
        docked.widget.correct.class_buttons[label].click()
        surely = ndimage.binary_erosion(truth == label, iterations=4) & where
        for row in range(8, 100, 12):
            runs, count = ndimage.label(surely[row])
            for number in range(1, count + 1):
                columns = np.flatnonzero(runs == number)
                drag(docked, [(row, c) for c in columns[:: max(1, len(columns) // 4)]])
    assert set(docked.counts) == {0, 1}

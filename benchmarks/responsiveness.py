"""Press Predict in a real viewer; see when tiles appear and how long the window waits.

::

    python benchmarks/responsiveness.py --data ../shared/data --json responsiveness.json

Without a display the benchmark starts itself again under ``xvfb-run``. The model is
warm: it predicted a small image before. A click of the mouse on *Predict* starts the
run. The camera shows the middle 1024 x 1024 pixels of the plane. A tile counts as
visible when the canvas was drawn after its pixels had been uploaded. Blocks of the
event loop are the gaps between the ticks of a timer of 5 ms. For comparison: their 99th
percentile in the same viewer at rest, and how long napari blocks to draw its canvas
once, which depends on the graphics and on the size of the window. Each run ends by a
click on *Cancel*, if it was not complete before. The pixels are those of a real image
of ``--data``, mirrored on and on, or generated when there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scaling import Mirrored, sample

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_unet.state.working_image import WorkingImage

VIEWPORT = 1024
"""Pixels of an edge of the part of the image on screen, at a zoom of about 1."""
CASES = {"plane": (4096, 4096), "stack": (16, 1024, 1024)}
"""Shapes of the images: a plane of many tiles, and many planes of few."""
QUICK_CASES = {"plane": (4096, 4096), "stack": (4, 1024, 1024)}
"""Those of a quick run, which is for trying the command."""
COLUMNS = (
    "image", "first_tile_s", "full_viewport_s", "cancel_s", "block_p99_ms",
    "block_max_ms", "idle_p99_ms", "draw_ms", "tiles", "seconds",
)  # fmt: skip
_TICK_MS = 5
"""Milliseconds between two ticks: shorter than a frame at 60 Hz."""
_SCREEN = "1440x900x24"
_WINDOW = (1440, 900)
"""Width and height of the window in pixels: that of a small laptop."""
_LIMIT_S = 300.0
"""Seconds after which waiting for the window counts as a failure."""


class Pulse:
    """A timer whose late ticks measure how long the event loop was blocked."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._last = 0.0
        self._gaps: list[float] = []
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        """Measure from now on."""
        self._gaps.clear()
        self._last = time.perf_counter()
        self._timer.start(_TICK_MS)

    def stop(self) -> tuple[float, float]:
        """Return the 99th percentile and the longest of the gaps in milliseconds."""
        self._timer.stop()
        gaps = 1000 * np.array(self._gaps)
        return round(float(np.percentile(gaps, 99)), 1), round(float(gaps.max()), 1)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._gaps.append(now - self._last)
        self._last = now


class Watch:
    """Follow the pixels of the viewport: written, uploaded, drawn.

    Parameters
    ----------
    working_image
        Its tiles are followed.
    index
        The plane on screen.
    region
        The viewport: rows and columns.
    """

    def __init__(
        self,
        working_image: WorkingImage,
        index: tuple[int, ...],
        region: tuple[slice, slice],
    ) -> None:
        shape = [part.stop - part.start for part in region]
        self._written, self._uploaded = np.zeros(shape, bool), np.zeros(shape, bool)
        self._index, self._region = index, region
        self._write = working_image.write_tile
        # Called for every tile before anything is shown of it.
        working_image.write_tile = self._on_tile  # type: ignore[method-assign]
        self.tiles = 0
        self.first = self.full = 0.0

    def follow(self, layer: Any, canvas: Any) -> None:
        """Follow uploads and draws."""
        layer.events.set_data.connect(self._on_upload)
        layer.events.labels_update.connect(self._on_partial_upload)
        canvas.events.draw.connect(self._on_draw, position="last")

    def _inside(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        return tuple(
            slice(max(0, part.start - seen.start), max(0, part.stop - seen.start))
            for part, seen in zip(region, self._region, strict=True)
        )

    def _on_tile(self, tile: Any, *how: Any) -> Any:
        places = self._write(tile, *how)
        for index, region in places:
            if index == self._index:
                self._written[self._inside(region)] = True
        self.tiles += 1
        return places

    def _on_upload(self, _: Any) -> None:
        self._uploaded[...] = self._written

    def _on_partial_upload(self, event: Any) -> None:
        part = self._inside(
            tuple(
                slice(start, start + size)
                for start, size in zip(event.offset, event.data.shape, strict=True)
            )
        )
        self._uploaded[part] |= self._written[part]

    def _on_draw(self, _: Any) -> None:
        if not self.first and self._uploaded.any():
            self.first = time.perf_counter()
        if not self.full and self._uploaded.all():
            self.full = time.perf_counter()


class Bench:
    """A viewer with the dock, and what is done to it.

    Parameters
    ----------
    seconds
        Longest time of a run; then it is cancelled.
    network
        Name of the model.
    """

    def __init__(self, seconds: float, network: str) -> None:
        import napari

        from napari_unet.dock import UNetWidget

        self._seconds = seconds
        self.viewer = napari.Viewer(show=True)
        window = self.viewer.window
        window._qt_window.resize(*_WINDOW)
        self.widget = UNetWidget(self.viewer)
        window.add_dock_widget(self.widget, name="U-Net")
        self.widget.select_model(network)
        self.pulse = Pulse()

    @property
    def _section(self) -> Any:
        return self.widget.predict

    def warm_up(self, pixels: npt.NDArray[Any]) -> None:
        """Predict a small image, as was done before any second image."""
        self.viewer.add_image(pixels[:256, :256], name="small")
        self._settle(1.0)
        self._click(self._section.predict)
        self._until(lambda: not self.widget.workspace.activity)
        self.viewer.layers.clear()
        self._settle(0.5)

    def measure(self, name: str, pixels: npt.NDArray[Any]) -> dict[str, Any]:
        """Predict an image and return its row of the table."""
        self.viewer.add_image(pixels, name=name)
        region = self._look_at_the_middle(pixels.shape[-2:])
        self._settle(2.0)
        idle = self._blocks_at_rest()
        index = tuple(int(i) for i in self.viewer.dims.current_step[:-2])
        watch = Watch(self.widget.predict.form.working_image(), index, region)
        self.widget.workspace.mask_changed.connect(lambda: self._follow(watch))
        self.pulse.start()
        started = time.perf_counter()
        self._click(self._section.predict)
        self._until(lambda: self._is_over(watch, started))
        ended = time.perf_counter()
        blocks = self.pulse.stop()
        row = {
            "image": " x ".join(map(str, pixels.shape)),
            "first_tile_s": round(watch.first - started, 3),
            "full_viewport_s": round(watch.full - started, 3),
            "cancel_s": self._cancel(),
            "block_p99_ms": blocks[0],
            "block_max_ms": blocks[1],
            "idle_p99_ms": idle[0],
            "draw_ms": idle[1],
            "tiles": watch.tiles,
            "seconds": round(ended - started, 1),
        }
        self.viewer.layers.clear()
        self._settle(0.5)
        return row

    def _blocks_at_rest(self) -> tuple[float, float]:
        """Return the 99th percentile of nothing to do, and the time of one draw."""
        self.pulse.start()
        self._settle(3.0)
        nothing, _ = self.pulse.stop()
        draws = []
        for _ in range(9):
            self.pulse.start()
            self._canvas.update()
            self._settle(0.2)
            draws.append(self.pulse.stop()[1])
        return nothing, sorted(draws)[len(draws) // 2]

    def _is_over(self, watch: Watch, started: float) -> bool:
        if not watch.full:
            failed = watch.tiles == 0 and not self.widget.workspace.activity
            return failed and time.perf_counter() - started > 5
        late = time.perf_counter() - started > self._seconds
        return late or not self.widget.workspace.activity

    def _cancel(self) -> float | None:
        """Click on Cancel; return the time until nothing runs, None if nothing ran."""
        if not self.widget.workspace.activity:
            return None
        started = time.perf_counter()
        self._click(self._section.cancel)
        self._until(lambda: not self.widget.workspace.activity)
        return round(time.perf_counter() - started, 3)

    @property
    def _canvas(self) -> Any:
        return self.viewer.window._qt_viewer.canvas._scene_canvas

    def _follow(self, watch: Watch) -> None:
        view = self.widget.masks.current
        if view is not None:
            watch.follow(view.layer, self._canvas)

    def _look_at_the_middle(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Show the middle of a plane; return which pixels have to be there."""
        rows, columns = (
            slice(max(0, (n - VIEWPORT) // 2), min(n, (n + VIEWPORT) // 2))
            for n in shape
        )
        canvas = self.viewer.window._qt_viewer.canvas.size
        camera = camera_of(self.viewer)
        camera.zoom = min(canvas) / VIEWPORT
        camera.center = (0, shape[0] / 2, shape[1] / 2)
        return rows, columns

    def _click(self, button: Any) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def _settle(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        self._until(lambda: time.perf_counter() > end)

    def _until(self, done: Callable[[], bool]) -> None:
        """Run the event loop as napari does: it sleeps when there is nothing to do."""
        from qtpy.QtCore import QEventLoop, QTimer

        loop, timer = QEventLoop(), QTimer()
        limit = time.perf_counter() + _LIMIT_S
        timer.timeout.connect(
            lambda: loop.quit() if done() or time.perf_counter() > limit else None
        )
        timer.start(10)
        loop.exec_() if hasattr(loop, "exec_") else loop.exec()
        timer.stop()


def make_image(data: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an image of a shape, in the type of the sample; its planes differ."""
    edge = max(shape[-2:])
    plane = Mirrored(sample(data), edge)[0 : shape[-2], 0 : shape[-1]]
    if len(shape) == 2:
        return plane
    return np.stack([np.roll(plane, 37 * z, axis=1) for z in range(shape[0])])


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every case in one viewer, and print its row at once."""
    cases = QUICK_CASES if arguments.quick else CASES
    if arguments.edge:
        cases = {"plane": (arguments.edge,) * 2, "stack": (2, *(arguments.edge,) * 2)}
    seconds = arguments.seconds or (7.0 if arguments.quick else 60.0)
    bench = Bench(seconds, arguments.network)
    bench.warm_up(make_image(arguments.data, (256, 256)))
    print(" ".join(f"{name:>16}" for name in COLUMNS))
    rows = []
    for name, shape in cases.items():
        rows.append(bench.measure(name, make_image(arguments.data, shape)))
        print(" ".join(f"{rows[-1][key]!s:>16}" for key in COLUMNS), flush=True)
    bench.viewer.close()
    return rows


def start_on_a_display() -> None:
    """Start this program again on a virtual display if there is none."""
    if sys.platform != "linux" or os.environ.get("DISPLAY"):
        return
    server = shutil.which("xvfb-run")
    if server is None:
        sys.exit("there is no display; install xvfb, or start it on a desktop")
    options = ["--auto-servernum", f"--server-args=-screen 0 {_SCREEN}"]
    os.execv(server, [server, *options, sys.executable, *sys.argv])


def main() -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--quick", action="store_true", help="shorter runs, < 50 s")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--network", default="nuclei", help="a model of the store")
    parser.add_argument("--edge", type=int, help="of smaller images than the usual")
    parser.add_argument("--seconds", type=float, help="longest time of a run")
    arguments = parser.parse_args()
    start_on_a_display()
    with tempfile.TemporaryDirectory() as folder:
        # Neither settings and strokes of who runs it nor those of a former run count.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["NAPARI_UNET_STROKES"] = str(Path(folder) / "strokes")
        rows = run(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()

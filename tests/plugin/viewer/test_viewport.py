"""The viewport is predicted first, and only tiles in it are drawn."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest

from napari_unet.jobs import prediction as _runs
from napari_unet.steps.predict.form import THIS_SLICE
from napari_unet.steps.predict.time_left import SpeedMeter, describe_time
from napari_unet.viewer.conversion import Layout
from napari_unet.viewer.private import camera_of
from napari_unet.viewer.viewport import is_visible, shown_view
from unet_engine.labels import IGNORE
from unet_engine.prediction.events import TileDone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Docked

TILE = 32


class Paused:
    """Predictions that wait before every tile until the test lets them go on.

    ``label`` is given to all pixels, as an untrained model predicts anything.
    """

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.label: int | None = None
        self._gate = threading.Semaphore(0)
        self._real = _runs.predict_run

    def run(self, order: Any, workspace: Any, stop: Any) -> Iterator[Any]:
        run = self._real(order, workspace, stop)
        while True:
            while not self._gate.acquire(timeout=0.01):
                if stop():
                    break
            try:
                event = next(run)
            except StopIteration as end:
                return end.value
            if self.label is not None:
                event.labels.fill(self.label)
            self.received.append(event)
            yield event

    def let(self, count: int) -> None:
        """Let so many events come, at most."""
        for _ in range(count):
            self._gate.release()

    @property
    def tiles(self) -> list[TileDone]:
        return [event for event in self.received if isinstance(event, TileDone)]


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Paused:
    made = Paused()
    monkeypatch.setattr("napari_unet.steps.predict.section.predict_run", made.run)
    return made


def advance(docked: Docked, paused: Paused, count: int) -> None:
    """Wait until some more events came and were dealt with."""
    wanted = len(paused.received) + count
    paused.let(count)
    docked.bot.waitUntil(lambda: len(paused.received) >= wanted, timeout=8_000)
    docked.bot.wait(200)


def look_at(docked: Docked, y: float, x: float, zoom: float) -> None:
    camera = camera_of(docked.viewer)
    camera.center, camera.zoom = (0, y, x), zoom


def start(docked: Docked, image: Any, **options: Any) -> Any:
    layer = docked.viewer.add_image(image, **options)
    docked.widget.predict.form.settings["tile"].value = TILE
    return layer


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def test_the_next_tile_is_the_one_under_the_camera(dock: Docked, paused: Paused):
    start(dock, noise(320, 320))
    look_at(dock, 16, 16, zoom=20)
    dock.widget.predict.predict.click()
    advance(dock, paused, 2)
    assert paused.tiles[0].inner == (slice(0, 32), slice(0, 32))
    look_at(dock, 300, 40, zoom=20)
    advance(dock, paused, 1)
    assert paused.tiles[2].inner == (slice(288, 320), slice(32, 64))
    look_at(dock, 100, 300, zoom=20)
    advance(dock, paused, 1)
    assert paused.tiles[3].inner == (slice(96, 128), slice(288, 320))
    paused.let(1000)
    dock.wait()
    assert len(paused.tiles) == 100
    assert "100 tiles" in dock.widget.predict.text.text()


@pytest.mark.slow
def test_the_next_tile_is_of_the_slice_on_screen(dock: Docked, paused: Paused):
    start(dock, noise(5, 64, 64))
    dock.viewer.dims.set_current_step(0, 1)
    dock.widget.predict.predict.click()
    advance(dock, paused, 1)
    assert paused.tiles[0].index == (1,)
    dock.viewer.dims.set_current_step(0, 4)
    advance(dock, paused, 4)
    assert [tile.index for tile in paused.tiles[1:]] == [(4,)] * 4
    assert (dock.mask.data[4] == dock.widget.workspace.working_image.mask[4]).all()


@pytest.mark.slow
def test_all_that_is_seen_comes_before_what_is_nearer_to_the_middle(
    dock: Docked, paused: Paused
):
    start(dock, noise(320, 320))
    dock.viewer.canvas.size = (100, 1000)
    # 30 rows by 300 columns are seen.
    look_at(dock, 160 - 16, 160, zoom=1000 / 300)
    dock.widget.predict.predict.click()
    advance(dock, paused, 10)
    assert {tile.inner[0].start for tile in paused.tiles} == {128}


@pytest.mark.slow
def test_the_camera_is_left_alone_after_the_run(dock: Docked):
    dock.viewer.add_image(noise(64, 64))
    events = camera_of(dock.viewer).events
    before = len(events.center.callbacks)
    dock.predict()
    assert len(events.center.callbacks) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axes", "shape"),
    [("YX", (80, 100)), ("ZYX", (3, 80, 100)), ("ZCYX", (3, 2, 80, 100))],
)
def test_view_of_a_placed_layer(dock: Docked, axes: str, shape: tuple[int, ...]):
    ndim = len(shape)
    layer = dock.viewer.add_image(
        np.zeros(shape, np.uint8),
        scale=(*(5,) * (ndim - 2), 0.5, 0.25),
        translate=(*(0,) * (ndim - 2), 100, -30),
    )
    dock.viewer.canvas.size = (40, 60)
    look_at(dock, 100 + 0.5 * 20, -30 + 0.25 * 30, zoom=8)
    if ndim > 2:
        dock.viewer.dims.set_current_step(0, 2)
    index, middle, size = shown_view(dock.viewer, layer, Layout(axes, ""))
    assert index == (2,) * axes.count("Z")
    assert middle == pytest.approx((20, 30))
    assert size == pytest.approx((40 / 8 / 0.5, 60 / 8 / 0.25))


@pytest.mark.slow
def test_view_of_a_turned_layer(dock: Docked):
    layer = dock.viewer.add_image(np.zeros((80, 100), np.uint8), rotate=90)
    dock.viewer.canvas.size = (40, 60)
    look_at(dock, *layer.data_to_world((10, 70)), zoom=1)
    _, middle, size = shown_view(dock.viewer, layer, Layout("YX", ""))
    assert middle == pytest.approx((10, 70))
    assert size == pytest.approx((60, 40))


def test_what_sees_what():
    view = ((), (100.0, 100.0), (40.0, 80.0))
    assert is_visible(view, (slice(0, 81), slice(0, 61)))
    assert not is_visible(view, (slice(0, 80), slice(0, 61)))
    assert not is_visible(view, (slice(90, 110), slice(140, 160)))


@pytest.mark.slow
def test_only_tiles_on_screen_are_uploaded(dock: Docked, paused: Paused):
    start(dock, noise(128, 128))
    look_at(dock, 16, 16, zoom=100)
    dock.widget.predict.predict.click()
    uploads: list[Any] = []
    refreshes: list[Any] = []
    dock.mask.events.labels_update.connect(uploads.append)
    dock.mask.events.set_data.connect(refreshes.append)
    advance(dock, paused, 3)
    assert [tuple(event.offset) for event in uploads] == [(0, 0)]
    np.testing.assert_array_equal(uploads[0].data, dock.mask.data[:32, :32])
    seen = paused.tiles[1].inner
    look_at(dock, seen[0].start + 16, seen[1].start + 16, zoom=100)
    dock.bot.waitUntil(lambda: len(uploads) == 2, timeout=5_000)
    assert tuple(uploads[1].offset) == (seen[0].start, seen[1].start)
    assert not refreshes
    paused.let(1000)
    dock.wait()
    dock.bot.waitUntil(lambda: len(refreshes) == 1, timeout=5_000)


@pytest.mark.slow
def test_the_screen_shows_the_mask_in_the_midst_of_a_run(
    shown_dock: Docked, paused: Paused
):
    paused.label = 1
    start(shown_dock, noise(96, 96))
    shown_dock.widget.predict.predict.click()
    advance(shown_dock, paused, 4)
    assert shown_dock.mask.data.sum() == 4 * TILE**2
    shot = {"canvas_only": True, "flash": False}
    during = shown_dock.viewer.screenshot(**shot)
    shown_dock.mask.refresh()
    np.testing.assert_array_equal(shown_dock.viewer.screenshot(**shot), during)
    shown_dock.mask.visible = False
    assert (shown_dock.viewer.screenshot(**shot) != during).any()


def pyramid(edge: int = 512) -> list[Any]:
    """A multiscale image in lazy arrays, three levels."""
    full = noise(edge, edge)
    return [da.from_array(full[::n, ::n], chunks=64) for n in (1, 4, 8)]


@pytest.fixture
def previewed(dock: Docked, paused: Paused) -> Paused:
    """A run on a multiscale image seen from afar, before its first event."""
    layer = start(dock, pyramid(), multiscale=True, name="slide")
    layer.data_level = 1
    dock.viewer.canvas.size = (256, 256)
    look_at(dock, 256, 256, zoom=1)
    dock.widget.predict.predict.click()
    return paused


@pytest.mark.slow
def test_a_preview_of_the_level_on_screen_comes_first(dock: Docked, previewed: Paused):
    advance(dock, previewed, 1)
    assert "Preview at 1/4 resolution" in dock.widget.predict.text.text()
    layer = dock.viewer.layers["slide preview"]
    assert layer.data.shape == (65, 65), "what is seen of the level, and no more"
    np.testing.assert_allclose(layer.scale, (4, 4))
    # Its first pixel stands for pixels 128 to 131 of full resolution.
    np.testing.assert_allclose(layer.data_to_world((0, 0)), (129.5, 129.5))
    assert dock.viewer.layers.selection.active is dock.mask
    assert not dock.mask.data.any(), "a preview is no mask"
    assert not dock.widget.workspace.working_image.predicted


@pytest.mark.slow
def test_a_preview_gives_way_to_tiles_and_goes(dock: Docked, previewed: Paused):
    previewed.label = 1
    advance(dock, previewed, 9)
    layer = dock.viewer.layers["slide preview"]
    assert layer.data.all()
    assert not dock.mask.data.any()
    advance(dock, previewed, 1)
    rows, columns = previewed.tiles[0].inner
    hidden = np.argwhere(layer.data == 0) * 4 + 128
    assert len(hidden) == (TILE // 4) ** 2
    assert hidden.min(axis=0).tolist() == [rows.start, columns.start]
    previewed.let(1000)
    dock.wait()
    assert "slide preview" not in dock.viewer.layers
    previewed.received.clear()
    previewed.let(1000)
    dock.predict()
    kinds = {type(event).__name__ for event in previewed.received}
    assert kinds == {"TileDone"}, "where there is a mask no preview is needed"


@pytest.mark.slow
def test_a_cancelled_preview_leaves_nothing(dock: Docked, previewed: Paused):
    advance(dock, previewed, 1)
    dock.widget.predict.cancel.click()
    dock.wait()
    assert "slide preview" not in dock.viewer.layers
    assert not dock.mask.data.any()
    assert "Stopped" in dock.widget.predict.text.text()


@pytest.mark.slow
def test_a_preview_does_not_cover_what_is_touched(dock: Docked, paused: Paused):
    layer = start(dock, pyramid(), multiscale=True, name="slide")
    layer.data_level = 1
    look_at(dock, 256, 256, zoom=1)
    dock.widget.correct.empty.click()
    working_image = dock.widget.workspace.working_image
    region = (slice(200, 280), slice(200, 280))
    working_image.record_labels((), region, np.zeros((80, 80), np.uint8))
    before = working_image.annotations.target((), region).copy()
    dock.widget.predict.predict.click()
    paused.label = 1
    advance(dock, paused, 16)
    preview = dock.viewer.layers["slide preview"]
    # All of the level is on screen, so its pixels 50 to 69 stand for the touched ones.
    assert preview.data.shape == (128, 128)
    hidden = np.zeros((128, 128), bool)
    hidden[50:70, 50:70] = True
    np.testing.assert_array_equal(preview.data == 0, hidden)
    # A stroke painted meanwhile is uncovered as well.
    dock.mask.brush_size = 20
    dock.mask.paint((330, 330), 1)
    dock.bot.waitUntil(lambda: preview.data[82, 82] == 0, timeout=5_000)
    paused.let(1000)
    dock.wait()
    np.testing.assert_array_equal(working_image.annotations.target((), region), before)
    assert working_image.annotations.get(([330], [330])) != IGNORE


@pytest.mark.slow
def test_no_preview_at_full_resolution(dock: Docked, paused: Paused):
    layer = start(dock, pyramid(128), multiscale=True)
    layer.data_level = 0
    paused.let(1000)
    dock.predict()
    assert {type(event).__name__ for event in paused.received} == {"TileDone"}


@pytest.mark.slow
def test_the_time_is_shown_before_once_it_is_known(
    dock: Docked, monkeypatch: pytest.MonkeyPatch
):
    record = SpeedMeter.record

    def one_by_one(self: SpeedMeter, tiles: list[TileDone]) -> None:
        # On a busy machine all may come at once, which gives no speed.
        for tile in tiles:
            record(self, [tile])

    monkeypatch.setattr(SpeedMeter, "record", one_by_one)
    form, text = dock.widget.predict.form, dock.widget.predict.text
    start(dock, noise(3, 96, 96))
    assert "memory." in text.text()
    dock.predict()
    form.settings["tile"].value = 64
    assert re.search(r"memory, about \d+ (s|min)\.", text.text())
    dock.widget.show()
    form.scope.value = THIS_SLICE
    assert text.text().startswith("1 plane ")


def test_speed_of_a_run(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    speed = SpeedMeter()

    def record(done: int) -> None:
        inner = (slice(0, 500), slice(0, 1000))
        nothing = np.zeros((1, 1), np.uint8)
        tile = {"labels": nothing, "probabilities": None, "done": done, "total": 10}
        speed.record([TileDone(index=(), inner=inner, **tile)])

    record(0)
    record(1)
    assert speed.seconds_left() is None
    now[0] += 2
    record(2)
    assert speed.seconds_left() == pytest.approx(16)
    now[0] += 4
    record(3)
    assert speed.seconds_left() == pytest.approx(21)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (9.4, "9 s"), (41, "40 s"), (89, "90 s"), (130, "2 min"),
     (2000, "35 min"), (9000, "2.5 h")],
)  # fmt: skip
def test_times_for_people(seconds: float, text: str):
    assert describe_time(seconds) == f"about {text}"


@pytest.mark.slow
def test_notes_are_shown_when_they_come(
    dock: Docked, monkeypatch: pytest.MonkeyPatch, paused: Paused
):
    real = paused.run

    def short_of_memory(*arguments: Any) -> Any:
        from dataclasses import replace

        for event in real(*arguments):
            yield replace(event, notes=("cuda had too little memory for the tiles.",))

    monkeypatch.setattr(
        "napari_unet.steps.predict.section.predict_run", short_of_memory
    )
    start(dock, noise(96, 96))
    dock.widget.predict.predict.click()
    advance(dock, paused, 1)
    assert "Tile 1 of 9. Cuda had too little" in dock.widget.predict.text.text()


@pytest.mark.slow
def test_cancel_with_a_real_network(dock: Docked):
    pytest.importorskip("torch")
    dock.widget.select_model("nuclei")
    dock.viewer.add_image(noise(2048, 2048))
    section = dock.widget.predict
    section.predict.click()
    dock.bot.waitUntil(lambda: "Tile " in section.text.text(), timeout=60_000)
    clicked = time.monotonic()
    section.cancel.click()
    dock.wait()
    assert time.monotonic() - clicked < 5
    done = int(section.text.text().removeprefix("Stopped. ").split()[0])
    assert 1 <= done < 16
    working_image = dock.widget.workspace.working_image
    assert working_image.predicted == {()}
    assert dock.mask.data is working_image.mask
    assert section.predict.isEnabled()


def test_cancel_while_the_brightness_is_measured(dock: Docked):
    read = threading.Event()

    def slow(block_info: Any = None) -> np.ndarray:
        read.set()
        time.sleep(0.05)
        return np.zeros((1, 64, 64), np.uint8)

    stack = da.map_blocks(slow, chunks=((1,) * 200, (64,), (64,)), dtype=np.uint8)
    dock.viewer.add_image(stack, contrast_limits=(0, 50), cache=False)
    read.clear()
    section = dock.widget.predict
    section.predict.click()
    assert read.wait(30)
    clicked = time.monotonic()
    section.cancel.click()
    dock.wait()
    assert time.monotonic() - clicked < 5
    assert section.text.text() == "Stopped."
    assert not dock.widget.workspace.working_image.predicted


@pytest.mark.slow
def test_prediction_of_a_large_image_begins_with_a_small_tile(
    dock: Docked, paused: Paused, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("napari_unet.jobs.first_tile._EDGE", 16)
    start(dock, noise(320, 320))
    look_at(dock, 170, 170, zoom=1)
    paused.let(1000)
    dock.predict()
    first, second = paused.tiles[:2]
    assert first.inner == (slice(160, 176), slice(160, 176))
    assert (first.done, first.total) == (0, 100)
    part = tuple(slice(0, 16) for _ in "yx")
    assert second.inner == (slice(160, 192), slice(160, 192))
    np.testing.assert_array_equal(first.labels, second.labels[part])
    assert paused.tiles[-1].done == 100


def test_mask_of_a_plane_that_no_graphics_card_takes(
    dock: Docked, monkeypatch: pytest.MonkeyPatch, notices: list[str]
):
    monkeypatch.setattr("napari_unet.viewer.conversion.LARGEST_TEXTURE", 64)
    monkeypatch.setattr("napari_unet.viewer.conversion._SMALLEST_LEVEL", 40)
    dock.viewer.add_image(noise(100, 130))
    dock.predict()
    mask = dock.mask
    assert [level.shape for level in mask.data] == [(100, 130), (50, 65), (25, 33)]
    working_image = dock.widget.workspace.working_image
    assert all(np.shares_memory(level, working_image.mask) for level in mask.data)
    dock.predict()
    assert dock.mask is mask
    mask.data_level = 1
    mask.corner_pixels = np.array([[10, 20], [30, 40]])
    rows, columns = dock.widget.masks.current.region
    assert (rows, columns) == (slice(20, 61), slice(40, 81))
    dock.widget.correct.class_buttons[1].click()
    assert "too large for napari to paint on" in notices[-1]

"""The button "Next": the camera goes to where the prediction is least certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live_strokes import stroke

from napari_unet.viewer.private import camera_of

if TYPE_CHECKING:
    from conftest import Docked

GREY = (slice(300, 380), slice(380, 460))
"""Where the image is neither dark nor bright."""


pytestmark = pytest.mark.usefixtures("filters_alone")


@pytest.fixture(autouse=True)
def _enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_unet.jobs.uncertainty_search._SECONDS", 60.0)


@pytest.fixture
def image() -> np.ndarray:
    """Dark on the left and bright on the right but for a grey square."""
    pixels = np.random.default_rng(0).integers(20, 40, (500, 500)).astype(np.uint8)
    pixels[:, 250:] += 150
    pixels[GREY] -= 75
    return pixels


@pytest.fixture
def by_brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction that is uncertain of grey and of nothing else."""

    def probabilities(_: Any, source: Any, index: Any, inner: Any) -> np.ndarray:
        pixels = source.image.read(index, inner)[0]
        bright = np.select([pixels < 60, pixels > 130], [0.0, 1.0], 0.5)
        return np.stack([1 - bright, bright]).astype(np.float32)

    monkeypatch.setattr(
        "unet_engine.interactive.learner.InstantLearner.probabilities", probabilities
    )


def begin(docked: Docked, image: np.ndarray) -> Any:
    layer = docked.viewer.add_image(image)
    docked.viewer.canvas.size = (400, 400)
    camera = camera_of(docked.viewer)
    camera.center, camera.zoom = (0, 100, 250), 3
    docked.widget.correct.empty.click()
    docked.mask.brush_size = 10
    return layer


def strokes(docked: Docked) -> None:
    for y in (60, 400):
        stroke(docked, y, 60, 0)
        stroke(docked, y, 300, 1)
    stroke(docked, 40, 450, 1)


def go_on(docked: Docked) -> str:
    row = docked.widget.live
    row.next.click()
    docked.bot.waitUntil(lambda: not row.next_place.running, timeout=90_000)
    return row.text.text()


def where(docked: Docked) -> tuple[float, ...]:
    return tuple(camera_of(docked.viewer).center[-2:])


@pytest.mark.slow
def test_the_camera_goes_to_what_the_strokes_leave_uncertain(
    dock: Docked, image: np.ndarray, by_brightness: None
):
    begin(dock, image)
    strokes(dock)
    line = go_on(dock)
    assert line == "Next: is the mask right here? Paint where it is not."
    y, x = where(dock)
    assert 256 <= y <= 384
    assert 256 <= x <= 512
    assert camera_of(dock.viewer).zoom == 3, "a place of that size is seen well"
    assert not dock.mask.data[400:, 400:].any(), "Next changes nothing"


@pytest.mark.slow
def test_it_goes_on_and_begins_anew_when_there_is_no_more(
    dock: Docked, image: np.ndarray
):
    begin(dock, image)
    strokes(dock)
    places = []
    for _ in range(12):
        if go_on(dock).startswith("Next: nothing"):
            break
        places.append(where(dock))
    assert dock.widget.live.text.text() == (
        "Next: nothing else stands out. It begins anew with the next click."
    )
    assert len(set(places)) == len(places) >= 1
    assert "right here" in go_on(dock)
    assert where(dock) == places[0]


@pytest.mark.slow
def test_a_place_that_is_small_on_screen_comes_nearer(dock: Docked, image: np.ndarray):
    begin(dock, image)
    strokes(dock)
    camera_of(dock.viewer).zoom = 0.5
    go_on(dock)
    assert camera_of(dock.viewer).zoom * 128 == pytest.approx(200)


@pytest.mark.slow
def test_the_place_is_framed_for_a_while(
    dock: Docked, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("napari_unet.viewer.place_frame._SHOWN_MS", 100)
    begin(dock, image)
    strokes(dock)
    layers: list[str] = []
    dock.viewer.layers.events.inserted.connect(
        lambda event: layers.append(event.value.name)
    )
    go_on(dock)
    assert [name for name in layers if not name.endswith("strokes")] == ["Next"]
    assert dock.viewer.layers.selection.active is dock.mask
    dock.bot.waitUntil(lambda: "Next" not in dock.viewer.layers, timeout=5_000)
    assert dock.viewer.layers.selection.active is dock.mask


@pytest.mark.slow
def test_slices_are_turned_to(dock: Docked, image: np.ndarray, by_brightness: None):
    plain = image.copy()
    plain[GREY] += 75
    begin(dock, np.stack([plain, plain, image, plain]))
    dock.viewer.dims.set_current_step(0, 0)
    strokes(dock)
    assert "in slice 2" in go_on(dock)
    assert dock.viewer.dims.current_step[0] == 2
    assert 256 <= where(dock)[0] <= 384


def test_a_placed_image_is_looked_at_where_it_is(
    dock: Docked, image: np.ndarray, by_brightness: None
):
    dock.viewer.add_image(
        image,
        scale=(0.5, 0.5),
        translate=(1000, -200),
    )
    dock.viewer.canvas.size = (400, 400)
    camera = camera_of(dock.viewer)
    camera.center, camera.zoom = (0, 1050, -75), 6
    dock.widget.correct.empty.click()
    dock.mask.brush_size = 10
    working_image = dock.widget.workspace.working_image
    for rows, columns, label in (
        (60, 60, 0),
        (400, 60, 0),
        (60, 300, 1),
        (400, 300, 1),
    ):
        region = (slice(rows, rows + 40), slice(columns, columns + 10))
        working_image.record_labels((), region, np.full((40, 10), label, np.uint8))
    go_on(dock)
    y, x = where(dock)
    assert 256 <= (y - 1000) / 0.5 <= 384
    assert 256 <= (x + 200) / 0.5 <= 512


def test_without_strokes_the_model_decides(dock: Docked, image: np.ndarray):
    dock.widget.select_model("nuclei")
    begin(dock, image)
    line = go_on(dock)
    assert "right here" in line or line == "Next: nothing stands out as uncertain."
    assert dock.widget.workspace.activity == ""
    assert not dock.mask.data.any()


def test_with_nothing_to_go_by_the_line_names_what_to_do(
    dock: Docked, image: np.ndarray
):
    begin(dock, image)
    stroke(dock, 60, 60, 0)
    assert not dock.widget.workspace.model.trained
    assert go_on(dock) == (
        "Next: paint a stroke of two classes, or predict with a trained model."
    )


def test_a_stroke_ends_the_search_where_it_is(dock: Docked, image: np.ndarray):
    begin(dock, image)
    strokes(dock)
    dock.widget.live.next.click()
    assert dock.widget.live.next_place.running
    before = where(dock)
    stroke(dock, 100, 200, 0)
    dock.bot.waitUntil(lambda: not dock.widget.live.next_place.running, timeout=60_000)
    assert where(dock) == before
    assert dock.widget.live.text.text() == ""


def test_an_image_that_is_deleted_ends_the_search(dock: Docked, image: np.ndarray):
    layer = begin(dock, image)
    strokes(dock)
    dock.widget.live.next.click()
    dock.viewer.layers.remove(layer)
    assert dock.widget.live.text.text().startswith("Next: stopped")
    dock.bot.waitUntil(lambda: not dock.widget.live.next_place.running, timeout=60_000)
    assert dock.widget.live.text.text().startswith("Next: stopped")


@pytest.mark.slow
def test_live_and_next_together(dock: Docked, image: np.ndarray, by_brightness: None):
    begin(dock, image)
    dock.widget.live.switch.value = True
    strokes(dock)
    live = dock.widget.live.live
    assert "right here" in go_on(dock)
    dock.bot.waitUntil(
        lambda: not live.running and not live._soon.isActive(), timeout=60_000
    )
    y, x = (int(at) for at in where(dock))
    assert (y, x) != (100, 250)
    assert dock.mask.data[y - 40 : y + 40, x - 40 : x + 40].any()


def test_it_needs_a_mask(dock: Docked, image: np.ndarray):
    assert not dock.widget.live.next.isEnabled()
    layer = begin(dock, image)
    assert dock.widget.live.next.isEnabled()
    dock.viewer.layers.remove(layer)
    assert not dock.widget.live.next.isEnabled()

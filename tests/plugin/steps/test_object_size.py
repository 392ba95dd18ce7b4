"""The size of objects in step 1: estimated, typed, or measured by a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.jobs.orders import PreviewOrder
from napari_unet.jobs.preview import preview_tiles
from unet_engine.images import Image
from unet_engine.prediction import size_estimate
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import SizeEstimate
from unet_engine.prediction.segmentation import predict
from unet_engine.stopping import never

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Docked

    from unet_engine.models.store import ModelStore


@pytest.fixture
def sized(dock: Docked, plane: Any, add_model: Callable[..., Any]) -> Docked:
    """A dock with a model that knows objects of 20 pixels, and an image."""
    add_model("sized", object_size_px=20.0)
    balance(dock.widget.workspace.store, plane)
    dock.widget.select_model("sized")
    dock.viewer.add_image(plane, name="cells")
    dock.widget.show()
    return dock


def balance(store: ModelStore, plane: np.ndarray) -> None:
    """Give half of the pixels to each class: random weights like one of them only."""
    checkpoint = store.load("sized")
    config = PredictConfig(probabilities=True, device="cpu", object_size="off")
    found = predict(Image.from_array(plane, "YX"), checkpoint, config).probabilities
    assert found is not None
    (bias,) = [w for w in checkpoint.weights.values() if w.shape == (2,)]
    bias[0] += np.median(np.log(found[1] / found[0]))
    store.save("sized", checkpoint, overwrite=True)


def choose(dock: Docked, name: str) -> Any:
    row = dock.widget.predict.form.object_size
    row.choice.setCurrentIndex(row.choice.findData(name))
    return row


def labels_at(dock: Docked, plane: np.ndarray, size: float | str) -> np.ndarray:
    checkpoint = dock.widget.workspace.store.load("sized")
    config = PredictConfig(object_size=size, device="cpu")
    return predict(Image.from_array(plane, "YX"), checkpoint, config).labels


def test_only_models_that_know_a_size_have_the_row(sized: Docked) -> None:
    row = sized.widget.predict.form.object_size
    assert row.isVisibleTo(sized.widget)
    offered = [row.choice.itemData(n) for n in range(row.choice.count())]
    assert offered == ["auto", "px", "off"]
    sized.widget.select_model("tiny")
    assert not row.isVisibleTo(sized.widget)
    assert sized.widget.predict.form.config.object_size == "auto"
    sized.widget.select_model("sized")
    assert row.isVisibleTo(sized.widget)


def test_a_typed_size_sets_the_scale(sized: Docked, plane: Any) -> None:
    row = choose(sized, "px")
    assert row.pixels.isVisibleTo(sized.widget)
    row.pixels.setValue(40.0)
    assert row.found.text() == "Objects about 40 px, predicted at 0.50x."
    sized.predict()
    expected = labels_at(sized, plane, 40.0)
    np.testing.assert_array_equal(sized.mask.data, expected)
    assert (expected != labels_at(sized, plane, "off")).any()
    choose(sized, "off")
    assert not row.pixels.isVisibleTo(sized.widget)
    assert not row.found.text()
    sized.predict()
    np.testing.assert_array_equal(sized.mask.data, labels_at(sized, plane, "off"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "size", "text"),
    [
        (SizeEstimate(diameter_px=61.0, sure=True), 61.0, "Objects about 61 px"),
        (SizeEstimate(diameter_px=61.0), "off", "cannot be estimated"),
    ],
)
def test_an_estimate_sets_the_scale_and_is_made_once(
    sized: Docked,
    plane: Any,
    monkeypatch: pytest.MonkeyPatch,
    found: SizeEstimate,
    size: float | str,
    text: str,
) -> None:
    estimates: list[int] = []

    def estimate(*_: Any) -> SizeEstimate:
        estimates.append(1)
        return found

    monkeypatch.setattr(size_estimate, "estimate_object_size", estimate)
    for _ in range(2):
        sized.predict()
        np.testing.assert_array_equal(sized.mask.data, labels_at(sized, plane, size))
    assert len(estimates) == 1
    row = sized.widget.predict.form.object_size
    assert text in row.found.text()
    assert text not in sized.widget.predict.text.text()
    sized.viewer.add_image(np.flipud(plane), name="other")
    assert not row.found.text()
    sized.predict()
    assert len(estimates) == 2


@pytest.mark.slow
def test_a_line_across_an_object_is_its_size(
    real_dock: Docked, plane: Any, add_model: Callable[..., Any]
) -> None:
    add_model("sized", object_size_px=20.0)
    real_dock.widget.select_model("sized")
    image = real_dock.viewer.add_image(plane, name="cells", scale=(0.5, 0.5))
    row = real_dock.widget.predict.form.object_size
    row.measure.click()
    (line,) = [
        layer for layer in real_dock.viewer.layers if layer.name == "object size"
    ]
    assert line.mode == "add_line"
    assert row.measure.text() == "Cancel"
    drag(real_dock, line, [(10.0, 10.0), (20.0, 20.0), (22.0, 26.0)])
    real_dock.bot.waitUntil(lambda: line not in real_dock.viewer.layers)
    assert row.value == pytest.approx(40.0, abs=0.1)
    assert row.choice.currentData() == "px"
    assert real_dock.viewer.layers.selection.active is image
    assert row.measure.text() == "Measure"
    row.measure.click()
    row.measure.click()
    assert len(real_dock.viewer.layers) == 1


def drag(dock: Docked, layer: Any, points: list[tuple[float, float]]) -> None:
    """Drag the mouse over points in the world, as napari passes it on."""
    from napari.utils._proxies import ReadOnlyWrapper
    from napari.utils.events import Event
    from napari.utils.interactions import (
        mouse_move_callbacks,
        mouse_press_callbacks,
        mouse_release_callbacks,
    )

    def event(kind: str, point: tuple[float, float]) -> Any:
        made = Event(
            kind,
            position=point,
            view_direction=None,
            up_direction=None,
            is_dragging=kind == "mouse_move",
            dims_displayed=[0, 1],
            dims_point=[0, 0],
            modifiers=[],
            button=1,
            pos=np.array(point),
        )
        return ReadOnlyWrapper(made)

    mouse_press_callbacks(layer, event("mouse_press", points[0]))
    for point in points[1:]:
        mouse_move_callbacks(layer, event("mouse_move", point))
    mouse_release_callbacks(layer, event("mouse_release", points[-1]))


def test_a_preview_has_the_scale_of_its_level(sized: Docked, plane: Any) -> None:
    checkpoint = sized.widget.workspace.store.load("sized")
    level = Image.from_array(plane[::2, ::2], "YX")
    order = PreviewOrder(
        level=level,
        bright=level,
        index=(),
        inside=(),
        region=(slice(0, 48), slice(0, 48)),
        factor=(2.0, 2.0),
    )

    def shown(size: float | str) -> np.ndarray:
        config = PredictConfig(object_size=size, device="cpu")
        mask = np.zeros((48, 48), np.uint8)
        for tile in preview_tiles(order, checkpoint, config, never):
            mask[tile.inner] = tile.labels
        return mask

    expected = predict(
        level, checkpoint, PredictConfig(object_size=40.0, device="cpu")
    ).labels
    np.testing.assert_array_equal(shown(80.0), expected)
    assert (shown("off") != expected).any()

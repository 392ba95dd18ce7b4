"""What is on screen is what is worked on."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from napari.layers import Points

from napari_unet.state import large_arrays
from unet_engine.errors import DataError

if TYPE_CHECKING:
    from conftest import Docked

POINT = (30, 50)


@pytest.fixture
def painted(dock: Docked, plane: np.ndarray) -> Docked:
    """An image with an empty mask on which a stroke was made."""
    dock.viewer.add_image(plane, name="cells")
    dock.widget.correct.start_empty()
    dock.mask.paint((10, 10), 1)
    return dock


@pytest.mark.parametrize(
    "change",
    [
        {"scale": (0.25, 0.5), "units": ("um", "um")},
        {"translate": (-7, 11)},
        {"rotate": 30, "translate": (3, 4)},
        {"shear": [0.4]},
        {"affine": [[0, 2, 5], [-1, 0, 8], [0, 0, 1]]},
    ],
)
def test_mask_and_touched_pixels_follow_the_image(
    painted: Docked, change: dict[str, Any]
) -> None:
    view = painted.widget.masks.current
    view.show_touched(True)
    for name, value in change.items():
        setattr(view.source, name, value)
    for layer in (view.layer, view.overlay):
        assert np.allclose(layer.data_to_world(POINT), view.source.data_to_world(POINT))
        assert layer.units == view.source.units


def test_probabilities_follow_a_stack_with_channels(dock: Docked) -> None:
    pixels = np.random.default_rng(1).integers(0, 99, (3, 1, 64, 64), np.uint8)
    image = dock.viewer.add_image(
        pixels, name="stack", axis_labels=("z", "c", "y", "x")
    )
    dock.widget.predict.form.probability.value = True
    dock.predict()
    image.scale = (3, 1, 0.5, 0.5)
    image.translate = (0, 0, 8, 9)
    (probability,) = [x for x in dock.viewer.layers if "probability" in x.name]
    for layer in (dock.mask, probability):
        there = np.array(layer.data_to_world((2, 0, 5, 6)))
        assert np.allclose(there, image.data_to_world((2, 0, 5, 6)))


def test_a_layer_that_appears_does_not_end_a_stroke(painted: Docked) -> None:
    mask = painted.mask
    painted.viewer.layers.selection.active = mask
    with mask.block_history():
        mask.paint((40, 40), 1)
        painted.viewer.add_layer(Points(np.zeros((1, 2)), name="of another plugin"))
        assert painted.viewer.layers.selection.active is mask
        mask.paint((60, 60), 1)
    assert (
        painted.widget.masks.current.working_image.annotations.target(())[60, 60] == 1
    )
    painted.viewer.add_layer(Points(np.zeros((1, 2)), name="later"))
    assert painted.viewer.layers.selection.active.name == "later"


def test_the_dock_follows_the_image_that_is_chosen_in_the_list(
    painted: Docked, plane: np.ndarray
) -> None:
    first = painted.widget.workspace.layer
    second = painted.viewer.add_image(plane.T.copy(), name="second")
    painted.viewer.layers.selection.active = second
    assert painted.widget.workspace.layer is second
    painted.viewer.layers.selection.active = first
    assert painted.widget.workspace.layer is first


def test_a_lazy_image_is_not_read_in_the_thread_of_the_window(dock: Docked) -> None:
    da = pytest.importorskip("dask.array")
    readers: list[threading.Thread] = []

    def read(block: np.ndarray) -> np.ndarray:
        readers.append(threading.current_thread())
        return block

    pixels = da.from_array(np.arange(3 * 64 * 64).reshape(3, 64, 64) % 251)
    lazy = pixels.astype(np.uint8).map_blocks(
        read, dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8)
    )
    layer = dock.viewer.add_image(lazy, name="lazy", contrast_limits=(0, 255))
    dock.widget.correct.start_empty()
    # napari reads what is on screen; the dock reads nothing more.
    readers.clear()
    dock.widget.workspace.saved.forget(layer, edited=False)
    dock.widget.workspace.saved.find(layer)
    dock.widget.correct.choose_class(1)
    dock.mask.paint((1, 10, 10), 1)
    dock.widget.correct.accept_view()
    assert threading.main_thread() not in readers


class TestArraysLargerThanMemory:
    @pytest.fixture
    def small_memory(self, monkeypatch: Any, tmp_path: Any) -> None:
        memory = SimpleNamespace(available=2**14)
        monkeypatch.setattr(large_arrays.psutil, "virtual_memory", lambda: memory)
        monkeypatch.setenv("NAPARI_UNET_CACHE", str(tmp_path))

    def test_a_mask_on_disk_is_predicted_and_painted(
        self, dock: Docked, plane: np.ndarray, small_memory: None
    ) -> None:
        dock.viewer.add_image(np.stack([plane] * 4), name="stack")
        dock.predict()
        assert large_arrays.lies_on_disk(dock.widget.workspace.working_image.mask)
        dock.mask.paint((1, 30, 30), 1)
        assert dock.counts[1] > 0
        dock.widget.masks.current.show_touched(True)
        dock.mask.undo()
        assert not dock.counts

    def test_the_notice_names_where_the_mask_lies_on_disk(
        self, dock: Docked, plane: np.ndarray, small_memory: None, notices: list[str]
    ) -> None:
        dock.viewer.add_image(np.stack([plane] * 4), name="stack")
        dock.widget.correct.start_empty()
        folder = str(large_arrays.cache_folder())
        (text,) = [t for t in notices if "larger than the memory" in t]
        assert "mask of 'stack'" in text
        assert folder in text
        assert folder in dock.widget.correct.saved.text()
        dock.viewer.add_image(plane, name="small")
        assert folder not in dock.widget.correct.saved.text()

    @pytest.mark.slow
    def test_every_button_works_on_a_mask_on_disk(
        self,
        dock: Docked,
        plane: np.ndarray,
        small_memory: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        dock.viewer.add_image(np.stack([plane] * 4), name="stack")
        dock.widget.predict.form.probability.value = True
        dock.predict()
        for at, label in ((20, 1), (80, 0)):
            dock.mask.paint((1, at, at), label)
        dock.widget.correct.accept_view()
        dock.widget.correct.clear_touched(everywhere=True)
        dock.mask.undo()
        correct = dock.widget.correct
        correct.touched.value = True
        correct.touched.value = False
        dock.be_quick(steps=2)
        dock.fine_tune()
        dock.widget.objects.start()
        dock.wait()
        assert "Failed" not in dock.widget.objects.text.text()
        assert large_arrays.lies_on_disk(dock.widget.workspace.working_image.mask)
        assert set(dock.counts) == {0, 1}
        dock.widget.correct.start_anew()
        assert not dock.counts

    def test_probabilities_without_room_are_refused_before_the_run(
        self,
        dock: Docked,
        plane: np.ndarray,
        small_memory: None,
        notices: list[str],
        monkeypatch: Any,
    ) -> None:
        dock.viewer.add_image(np.stack([plane] * 4), name="stack")
        dock.widget.predict.form.probability.value = True
        # Room for the mask and for one plane of the probabilities, not for all.
        free = large_arrays._SPARE_BYTES + 5 * plane.size
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(large_arrays.shutil, "disk_usage", lambda _: usage)
        dock.widget.predict.predict.click()
        assert not dock.widget.workspace.busy
        assert "probabilities of stack" in notices[-1]
        dock.widget.predict.form.scope.value = "this slice"
        dock.predict()
        assert "Failed" not in dock.widget.predict.text.text()

    def test_an_image_with_strokes_but_no_room_for_its_mask_is_reported(
        self, dock: Docked, plane: np.ndarray, notices: list[str], monkeypatch: Any
    ) -> None:
        layer = dock.viewer.add_image(plane, name="cells")
        dock.widget.correct.start_empty()
        dock.mask.paint((20, 20), 1)
        dock.viewer.layers.clear()
        memory, usage = SimpleNamespace(available=0), SimpleNamespace(free=0)
        monkeypatch.setattr(large_arrays.psutil, "virtual_memory", lambda: memory)
        monkeypatch.setattr(large_arrays.shutil, "disk_usage", lambda _: usage)
        dock.viewer.add_image(layer.data, name="cells")
        assert "mask of cells" in notices[-1]
        assert dock.widget.workspace.layer is not None
        monkeypatch.undo()

    def test_a_full_disk_is_reported_before_anything_is_written(
        self, monkeypatch: Any, small_memory: None, tmp_path: Any
    ) -> None:
        usage = SimpleNamespace(free=2**20)
        monkeypatch.setattr(large_arrays.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DataError, match=r"mask of x .* are free"):
            large_arrays.zeros((9, 999, 999), np.uint8, "mask of x")
        assert not list(tmp_path.iterdir())

    def test_small_arrays_stay_in_memory(self, small_memory: None) -> None:
        array = large_arrays.zeros((9, 9), np.uint8, "mask")
        assert not large_arrays.lies_on_disk(array)

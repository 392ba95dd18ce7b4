"""Several layers with the same pixels have one mask and its strokes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from napari.layers._layer_actions import _duplicate_layer
from napari.layers._source import layer_source

from napari_unet.state.same_pixels import same_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked

BUSY = "Another window"


def add(docked: Docked, pixels: Any, path: Path | None = None, **more: Any) -> Any:
    with layer_source(path=None if path is None else str(path)):
        return docked.viewer.add_image(pixels, **more)


def choose(docked: Docked, layer: Any) -> None:
    docked.widget.predict.form.image.value = layer
    docked.bot.waitUntil(lambda: not docked.widget.reopening.busy)


def strokes(docked: Docked) -> int:
    return docked.widget.workspace.working_image.annotations.strokes


def masks(docked: Docked) -> list[Any]:
    return [layer for layer in docked.viewer.layers if layer.name.endswith("mask")]


@pytest.fixture
def file(plane: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, plane)
    return path


EVERY = pytest.mark.parametrize(
    "twins", ["opened twice", "duplicate", "another name"], indirect=True
)


@pytest.fixture(params=["opened twice"])
def twins(
    dock: Docked, plane: np.ndarray, file: Path, request: pytest.FixtureRequest
) -> tuple[Docked, Any, Any]:
    """Two layers of one image; a stroke was made on the first."""
    if request.param == "another name":
        first = add(dock, plane, name="cells")
    else:
        first = add(dock, plane, file, name="cells")
    choose(dock, first)
    dock.widget.correct.start_empty()
    dock.mask.paint((20, 20), 1)
    if request.param == "duplicate":
        dock.viewer.layers.selection = {first}
        _duplicate_layer(dock.viewer.layers)
        second = dock.viewer.layers["cells copy"]
    else:
        path = None if request.param == "another name" else file
        second = add(dock, plane.copy(), path, name="the same")
    choose(dock, second)
    assert dock.widget.workspace.layer is second
    return dock, first, second


@EVERY
def test_strokes_of_one_are_on_the_other(
    twins: tuple[Docked, Any, Any], notices: list[str]
) -> None:
    docked, first, second = twins
    before = docked.counts
    assert set(before) == {1}
    docked.mask.paint((70, 70), 0)
    assert docked.mask.data[20, 20] == 1
    choose(docked, first)
    assert docked.counts.keys() == {0, 1}
    docked.mask.paint((50, 50), 1)
    choose(docked, second)
    assert docked.counts[1] > before[1]
    assert strokes(docked) == 3
    assert len(masks(docked)) == 1
    working_image = docked.widget.workspace.working_image
    assert working_image.annotations.save_error == ""
    assert not [text for text in notices if BUSY in text]


@pytest.mark.slow
def test_undo_on_one_takes_back_the_last_stroke_of_both(
    twins: tuple[Docked, Any, Any],
) -> None:
    docked, first, _ = twins
    docked.mask.paint((20, 20), 0)
    choose(docked, first)
    docked.mask.undo()
    assert set(docked.counts) == {1}
    docked.mask.undo()
    assert not docked.counts
    docked.mask.redo()
    assert set(docked.counts) == {1}


def test_clear_on_one_clears_the_other(twins: tuple[Docked, Any, Any]) -> None:
    docked, first, second = twins
    docked.mask.paint((70, 70), 0)
    docked.widget.correct.clear_touched(everywhere=True)
    choose(docked, first)
    assert not docked.counts
    docked.mask.undo()
    choose(docked, second)
    assert docked.counts.keys() == {0, 1}


@pytest.mark.slow
@EVERY
@pytest.mark.parametrize("gone", [0, 1])
def test_when_one_is_deleted_the_other_goes_on(
    twins: tuple[Docked, Any, Any], gone: int
) -> None:
    docked, *images = twins
    path = images[0].source.path
    docked.mask.paint((70, 70), 0)
    docked.viewer.layers.remove(images[gone])
    stays = images[1 - gone]
    choose(docked, stays)
    assert docked.counts.keys() == {0, 1}
    assert docked.mask in docked.viewer.layers
    docked.mask.paint((50, 50), 1)
    annotations = docked.widget.workspace.working_image.annotations
    assert annotations.strokes == 3
    assert annotations.save_error == ""
    docked.viewer.layers.clear()
    # What was painted after the first was gone is on disk too.
    again = add(docked, stays.data, path, name="cells")
    choose(docked, again)
    assert strokes(docked) == 3


@pytest.mark.slow
def test_strokes_are_learned_from_once(
    twins: tuple[Docked, Any, Any], plane: np.ndarray
) -> None:
    docked, _, _ = twins
    other = add(docked, plane.T.copy(), name="another image")
    choose(docked, other)
    docked.widget.correct.start_empty()
    docked.mask.paint((40, 40), 0)
    assert len(docked.widget.workspace.touched_working_images(others=True)) == 2


@pytest.mark.slow
def test_the_mask_lies_on_the_one_that_is_chosen(
    twins: tuple[Docked, Any, Any],
) -> None:
    docked, first, second = twins
    docked.bot.wait(20)
    layers = docked.viewer.layers
    assert layers.index(docked.mask) > layers.index(second)
    second.scale, second.translate = (2, 2), (300, 0)
    assert np.allclose(docked.mask.data_to_world((5, 5)), second.data_to_world((5, 5)))
    first.scale = (3, 3)
    assert np.allclose(docked.mask.data_to_world((5, 5)), second.data_to_world((5, 5)))
    choose(docked, first)
    assert np.allclose(docked.mask.data_to_world((5, 5)), first.data_to_world((5, 5)))
    # A click on a class chooses the mask, and not the other image.
    docked.widget.correct.choose_class(1)
    assert docked.widget.workspace.layer is first


@pytest.mark.slow
def test_both_are_predicted_and_measured(twins: tuple[Docked, Any, Any]) -> None:
    docked, first, _ = twins
    docked.mask.paint((40, 40), 1)
    docked.predict()
    assert len(masks(docked)) == 1
    docked.widget.objects.form.config  # noqa: B018 - the form is ready
    docked.widget.objects.start()
    docked.wait()
    listed = docked.widget.objects.summary.text()
    assert listed
    choose(docked, first)
    assert docked.widget.objects.summary.text() == listed


def test_another_image_in_place_of_one_leaves_the_strokes_to_the_other(
    twins: tuple[Docked, Any, Any], plane: np.ndarray
) -> None:
    docked, first, second = twins
    second.data = plane.T.copy()
    choose(docked, second)
    assert not docked.counts
    choose(docked, first)
    assert set(docked.counts) == {1}
    docked.mask.paint((70, 70), 0)
    assert docked.counts.keys() == {0, 1}


def test_a_mask_that_is_deleted_is_gone_from_both_and_comes_back(
    twins: tuple[Docked, Any, Any],
) -> None:
    docked, first, second = twins
    docked.viewer.layers.remove(docked.mask)
    assert docked.mask is None
    choose(docked, first)
    assert docked.mask is None
    docked.widget.correct.start_empty()
    docked.predict()
    assert set(docked.counts) == {1}
    choose(docked, second)
    assert set(docked.counts) == {1}


class TestWhatIsTheSame:
    def test_one_pixel_makes_another_image(
        self, dock: Docked, plane: np.ndarray
    ) -> None:
        changed = plane.copy()
        changed[77, 33] += 1
        first, second = add(dock, plane), add(dock, changed)
        assert not same_pixels(first, second)
        assert same_pixels(first, add(dock, plane.copy()))

    def test_copies_of_a_file_are_images_of_their_own(
        self, dock: Docked, plane: np.ndarray, file: Path
    ) -> None:
        copy = file.with_name("copy.tif")
        copy.write_bytes(file.read_bytes())
        first, second = add(dock, plane, file), add(dock, plane.copy(), copy)
        assert not same_pixels(first, second)

    def test_blank_images_are_not_the_same_because_they_are_blank(
        self, dock: Docked, file: Path
    ) -> None:
        blank = np.zeros((64, 64), np.uint8)
        assert not same_pixels(add(dock, blank), add(dock, blank.copy()))
        assert same_pixels(add(dock, blank, file), add(dock, blank.copy(), file))

    def test_channels_of_a_file_that_is_mapped_are_apart(
        self, dock: Docked, plane: np.ndarray, tmp_path: Path
    ) -> None:
        path = tmp_path / "channels.npy"
        np.save(path, np.stack([plane, plane]))
        one, other = (np.load(path, mmap_mode="r") for _ in range(2))
        first, second = add(dock, one[0], path), add(dock, other[1], path)
        assert not same_pixels(first, second)
        assert same_pixels(first, add(dock, other[0], path))

    def test_lazy_images_are_the_same_when_they_are_made_alike(
        self, dock: Docked, plane: np.ndarray
    ) -> None:
        da = pytest.importorskip("dask.array")
        lazy = da.from_array(plane, chunks=48)
        first, second = add(dock, lazy), add(dock, da.from_array(plane, chunks=48))
        assert same_pixels(first, second)
        assert not same_pixels(first, add(dock, lazy + 1))
        assert not same_pixels(first, add(dock, plane))

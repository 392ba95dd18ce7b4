"""Step 4: objects of a time series are followed, corrected and saved as tracks."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from unet_engine.tracking import read_ctc

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Docked

pytestmark = pytest.mark.slow

LEFT = Qt.MouseButton.LeftButton
FRAMES = 4


@pytest.fixture
def series() -> np.ndarray:
    """A cell that moves, and one that divides in the third frame."""
    mask = np.zeros((FRAMES, 80, 96), np.uint8)
    for t in range(FRAMES):
        mask[t, 8:24, 10 + 3 * t : 26 + 3 * t] = 1
        if t < 2:
            mask[t, 44:64, 30:70] = 1
        else:
            mask[t, 44:64, 30:47] = mask[t, 44:64, 53:70] = 1
    return mask


def separated(dock: Docked, mask: np.ndarray, **image: Any) -> Docked:
    """Open an image with a mask, and separate its objects."""
    layer = dock.viewer.add_image(50 + 100 * mask, **{"name": "cells", **image})
    dock.widget.predict.form.image.value = layer
    dock.bot.mouseClick(dock.widget.correct.empty, LEFT)
    dock.mask.data = mask.copy()
    dock.widget.objects.open()
    dock.bot.mouseClick(dock.widget.objects.separate, LEFT)
    dock.wait()
    return dock


def follow(dock: Docked) -> None:
    dock.bot.mouseClick(dock.widget.objects.tracking.link, LEFT)
    dock.wait()


@pytest.fixture
def followed(dock: Docked, series: np.ndarray) -> Docked:
    separated(
        dock, series, axis_labels=("t", "y", "x"), scale=(1, 0.5, 0.5),
        units=("s", "um", "um"),
    )  # fmt: skip
    follow(dock)
    return dock


def test_objects_are_followed_and_shown_where_they_are(followed: Docked) -> None:
    tools = followed.widget.objects.tracking
    assert followed.widget.objects.text.text() == ""
    assert tools.text.text() == "4 tracks in 4 frames, 1 division."
    numbers, paths = (
        followed.viewer.layers[f"cells {n}"] for n in ("tracked", "tracks")
    )
    # One number for the cell that moves, others for what the other divides into.
    moving = [numbers.data[t, 15, 18 + 3 * t] for t in range(FRAMES)]
    assert len(set(moving)) == 1
    parent, *children = (
        int(numbers.data[t, 50, x]) for t, x in ((0, 50), (2, 35), (2, 60))
    )
    assert len({parent, *children, moving[0]}) == 4
    assert paths.graph == {child: [parent] for child in children}
    assert not followed.viewer.layers["cells objects"].visible
    # Their ends lie in the middle of the objects, on the scale of the image.
    ends = paths.data[paths.data[:, 0] == moving[0]]
    np.testing.assert_allclose(ends[-1], [moving[0], 3, 15.5, 26.5])
    for layer in (numbers, paths):
        np.testing.assert_allclose(layer.scale, (1, 0.5, 0.5))


def test_following_again_replaces_the_layers(followed: Docked) -> None:
    before = [layer.name for layer in followed.viewer.layers]
    follow(followed)
    assert [layer.name for layer in followed.viewer.layers] == before


def test_a_correction_outdates_the_tracks_until_they_are_followed_again(
    followed: Docked,
) -> None:
    tools, objects = followed.widget.objects.tracking, followed.widget.objects.objects
    assert objects.edit("delete", (3,), np.array([[15.0, 27.0]]))
    followed.bot.waitUntil(lambda: "follow them again" in tools.text.text())
    follow(followed)
    assert tools.text.text() == "4 tracks in 4 frames, 1 division."
    numbers = followed.viewer.layers["cells tracked"].data
    assert not numbers[3, 15, 27]


def test_tracks_are_saved_in_the_format_of_the_name(
    followed: Docked, tmp_path: Path
) -> None:
    tools = followed.widget.objects.tracking
    numbers = followed.viewer.layers["cells tracked"].data

    def save(name: str) -> Path:
        tools.save_as(str(tmp_path / name))
        followed.wait()
        return tmp_path / name

    labels, parents = read_ctc(save("cells_RES"))[:2]
    assert followed.widget.objects.text.text() == "Saved cells_RES."
    np.testing.assert_array_equal(labels, numbers)
    np.testing.assert_array_equal(tifffile.imread(save("cells.tif")), numbers)
    with save("tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows] == ["1", "2", "3", "4"]
    assert sorted(row["parent"] for row in rows) == ["0", "0", "2", "2"]
    assert len(parents)


def test_a_folder_that_is_there_is_not_replaced(
    followed: Docked, tmp_path: Path, notices: list[str]
) -> None:
    (tmp_path / "mine_RES").mkdir()
    (tmp_path / "mine_RES/notes.txt").write_text("keep")
    followed.widget.objects.tracking.save_as(str(tmp_path / "mine_RES"))
    followed.wait()
    assert (tmp_path / "mine_RES/notes.txt").read_text() == "keep"
    assert any("mine_RES" in notice and "error" in notice for notice in notices)


def test_the_dialog_offers_a_folder_first(followed: Docked, tmp_path: Path) -> None:
    followed.widget.objects.tracking.choose_file()
    (dialog,) = followed.widget.findChildren(QFileDialog)
    assert dialog.selectedFiles()[0].endswith("cells_RES")
    dialog.filterSelected.emit("Table (*.csv)")
    assert dialog.selectedFiles()[0].endswith("cells.csv")
    dialog.reject()


@pytest.mark.parametrize("axes", [("y", "x"), ("z", "y", "x")])
def test_without_frames_there_is_nothing_to_follow(
    dock: Docked, series: np.ndarray, axes: tuple[str, ...]
) -> None:
    separated(dock, series if len(axes) == 3 else series[0], axis_labels=axes)
    assert dock.widget.objects.tracking.isHidden()

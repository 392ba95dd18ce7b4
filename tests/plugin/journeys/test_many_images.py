"""A list is accepted by keys, then the model is applied to a folder of images."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from skimage.draw import disk
from skimage.measure import regionprops

from napari_unet.steps.batch.form import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from user_at_window import User

pytestmark = pytest.mark.slow

GOOD = 7


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """A folder of images with discs, and three files that are no images."""
    plate = tmp_path / "plate"
    plate.mkdir()
    for number in range(GOOD):
        pixels = np.full((80, 96), 20, np.uint8)
        for y, x in ((20, 20), (50, 30 + 5 * number), (30, 70)):
            pixels[disk((y, x), 9)] = 200
        tifffile.imwrite(plate / f"well_{number}.tif", pixels)
    whole = (plate / "well_0.tif").read_bytes()
    (plate / "broken_half.tif").write_bytes(whole[: len(whole) // 2])
    (plate / "broken_text.png").write_text("no image")
    (plate / "broken_empty.tif").write_bytes(b"")
    return plate


def test_three_broken_files_are_listed_and_the_rest_is_done(
    open_window: Callable[[], User],
    folder: Path,
    plate: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = open_window()
    dock = user.dock
    dock.select_model("nuclei")
    dock.workspace.device = "cpu"
    user.drop(folder, dock.images)
    user.key(Qt.Key.Key_N)
    for number in range(3):
        assert dock.workspace.layer.name == str(number)
        user.key(Qt.Key.Key_K)
    assert {entry.state for entry in dock.workspace.listed.entries} == {"accepted"}

    user.click(dock.images.apply)
    batch = dock.open_batch()
    chosen = iter([plate, tmp_path / "out"])
    monkeypatch.setattr(
        "napari_unet.steps.batch.form.QFileDialog.getExistingDirectory",
        lambda *_: str(next(chosen)),
    )
    _choose_last(batch.form.images)
    assert batch.form.images.currentData() == FOLDER
    _choose_last(batch.form.results)
    user.click(batch.start_button)
    user.docked.bot.waitUntil(lambda: not batch.running, timeout=120_000)

    assert f"{GOOD} of {GOOD + 3} images done, 3 failed" in batch.text.text()
    failed = [batch.rows.rows.items[row].name for row in batch.rows.rows.failed]
    assert sorted(failed) == [
        "broken_empty.tif",
        "broken_half.tif",
        "broken_text.png",
    ]
    _check_table(tmp_path / "out")


def _choose_last(box: Any) -> None:
    """Choose the last item of a drop-down list with the keyboard."""
    box.setFocus()
    for _ in range(box.count()):
        QTest.keyClick(box, Qt.Key.Key_Down)


def _check_table(out: Path) -> None:
    """Check numbers and areas of the objects with scikit-image."""
    with (out / "objects.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["file"] for row in rows}) == GOOD
    (area,) = [name for name in rows[0] if name.split()[0] == "area"]
    for number in range(GOOD):
        found = regionprops(tifffile.imread(out / f"well_{number}_objects.tif"))
        listed = [row for row in rows if row["file"] == f"well_{number}.tif"]
        assert len(listed) == len(found) > 0
        assert sum(float(row[area]) for row in listed) == sum(x.area for x in found)

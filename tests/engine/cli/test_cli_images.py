"""``napari-unet images``: the list of images from a shell."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.image_list.image_list import ImageList

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images, which is the present one."""
    (tmp_path / "images").mkdir()
    for number in (1, 2, 10):
        pixels = np.full((4, 4), number, np.uint8)
        tifffile.imwrite(tmp_path / "images" / f"{number}.tif", pixels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def states(folder: Path) -> dict[str, str]:
    images = ImageList.open(folder / "plate.unet", write=False)
    return {entry.path: entry.state for entry in images.entries}


def images(*words: str) -> int:
    return main(["images", "plate.unet", *words])


def test_a_list_is_made_shown_and_changed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert images("add", "images") == 0
    assert "3 images added" in capsys.readouterr().err
    assert images("accept", "images/2.tif") == 0
    assert images() == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "untouched  images/1.tif",
        "accepted   images/2.tif",
        "untouched  images/10.tif",
    ]
    assert "3 images: 2 untouched, 1 accepted" in shown.err
    assert images("show", "--state", "accepted", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["path"] == str(folder / "images" / "2.tif")
    assert images("reset", "images/2.tif") == 0
    assert images("remove", "images/*.tif") == 0
    assert states(folder) == {} and (folder / "images" / "2.tif").exists()


def test_images_that_moved_are_located(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images("add", "images")
    images("accept", "images/1.tif")
    shutil.move("images", "later")
    capsys.readouterr()
    images()
    assert "missing: " in (said := capsys.readouterr().err)
    assert "locate FOLDER" in said
    assert images("accept", "images/10.tif") == 1
    assert "locate FOLDER" in capsys.readouterr().err
    assert images("locate", "later") == 0
    assert states(folder) == {
        "later/1.tif": "accepted",
        "later/2.tif": "untouched",
        "later/10.tif": "untouched",
    }


def test_a_changed_image_is_asked_about_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images("add", "images")
    images("accept", "images/1.tif")
    tifffile.imwrite("images/1.tif", np.full((4, 4), 99, np.uint8))
    os.utime("images/1.tif", ns=(1, 1))
    capsys.readouterr()
    assert images("accept", "images/1.tif") == 1
    advice = capsys.readouterr().err.strip().partition("first napari-unet ")[2]
    assert main(advice.split()) == 0
    capsys.readouterr()
    assert images("accept", "images/1.tif") == 0
    images()
    assert "changed" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["add"], "give images, folders or patterns"),
        (["accept", "images/none.tif"], "see what is: napari-unet images"),
        (["add", "none/*.tif"], "check the path"),
    ],
)
def test_bad_input_says_what_to_do(
    words: list[str], advice: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images("add", "images/1.tif")
    capsys.readouterr()
    assert images(*words) == 1
    assert advice in capsys.readouterr().err


def test_a_list_that_a_window_has_open_is_not_changed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images("add", "images/1.tif")
    window = ImageList.open("plate.unet")
    capsys.readouterr()
    assert images("add", "images") == 1
    assert "close it there" in capsys.readouterr().err
    assert images() == 0
    window.close()
    assert images("add", "images") == 0
    assert len(states(folder)) == 3

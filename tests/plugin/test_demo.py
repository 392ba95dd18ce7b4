"""The demonstration: it predicts by itself, selects the brush and saves a picture."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from skimage.io import imread

from napari_unet import demo as _demo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import napari
    from pytestqt.qtbot import QtBot

WAIT_MS = 120_000


@pytest.mark.slow
def test_brush_is_ready_on_a_prediction(
    make_napari_viewer: Callable[..., napari.Viewer], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-unet-finetune", "ihc_fields")
    demo = _demo.Demo(viewer, None)
    demo.start()
    qtbot.waitUntil(lambda: not demo.failure, timeout=WAIT_MS)
    mask = viewer.layers.selection.active
    assert mask.data.shape == (4, 256, 256)
    assert mask.data.any()
    assert mask.mode == "paint"
    assert mask.selected_label == 1


@pytest.mark.slow
def test_no_image_is_a_fault(make_napari_viewer: Callable[..., napari.Viewer]) -> None:
    demo = _demo.Demo(make_napari_viewer(), None)
    demo.start()
    assert "did not start" in demo.failure


def test_picture_in_a_missing_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _demo.main(["--screenshot", str(tmp_path / "no" / "demo.png")]) == 1
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.slow
def test_screenshot_shows_the_whole_window(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    done = subprocess.run(
        [sys.executable, "-m", "napari_unet.demo", "--screenshot", str(picture)],
        env={**os.environ, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pixels = imread(picture)[..., :3].astype(int)
    assert pixels.shape[0] >= 700
    assert pixels.shape[1] >= 1200
    # No stain and no part of napari is as green as the first class.
    masked = pixels[..., 1] - pixels[..., 0] > 60
    assert masked.mean() > 0.02, "no mask in the picture"

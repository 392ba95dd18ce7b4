"""What the commands print while a line to workers is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.prediction import segmentation
from unet_engine.remote.seeking import Reconnecting

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

LOST = "The connection to tcp://gpu:8786 was lost; trying again for 20 s…"


@pytest.fixture
def image(tmp_path: Path, model: Checkpoint) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", pixels)
    return tmp_path / "cells.tif"


@pytest.fixture(autouse=True)
def lost_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the line be lost after the first tile, and tried twice."""
    genuine = segmentation.iter_predict

    def breaking(*arguments, **named):
        run = genuine(*arguments, **named)
        tile = next(run)
        yield tile
        for left in (20.0, 18.0):
            yield Reconnecting(
                device="tcp://gpu:8786", seconds=left, done=tile.done, total=tile.total
            )
        return (yield from run)

    monkeypatch.setattr(segmentation, "iter_predict", breaking)


@pytest.mark.parametrize("quiet", [False, True])
def test_it_is_printed_once_that_a_line_is_tried_again(
    image: Path, capfd: pytest.CaptureFixture, quiet: bool
):
    arguments = ["predict", str(image), str(image.with_name("mask.tif"))]
    arguments += ["--model=tiny", "--device=cpu", "--tile=32"]
    assert main([*arguments, *(["--quiet"] if quiet else [])]) == 0
    printed = capfd.readouterr().err

    assert printed.count("trying again") == (0 if quiet else 1)
    assert quiet or f"cells.tif: {LOST}" in printed

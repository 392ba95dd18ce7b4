"""Tests of ``napari-unet predict --object-size`` and ``--pixel-size``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.images import open_image, read_labels
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 110)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "plate.tif", pixels)
    return tmp_path / "plate.tif"


@pytest.fixture
def sized(model: Checkpoint) -> Checkpoint:
    """A model of objects of 20 pixels of 0.5 µm, in the store as ``sized``."""
    spec = dataclasses.replace(model.spec, object_size_px=20.0, pixel_size_um=0.5)
    sized = dataclasses.replace(model, spec=spec)
    ModelStore().save("sized", sized)
    return sized


def segment(image: Path, *arguments: object) -> int:
    out = image.with_name("mask.tif")
    fixed = ("--model=sized", "--device=cpu", "--overwrite")
    return main(["predict", str(image), str(out), *fixed, *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "factor"),
    [
        (("--object-size", 40), 0.5),
        (("--object-size", "pixel-size", "--pixel-size", 0.2), 0.4),
        (("--object-size", "off"), 1.0),
    ],
)
def test_the_mask_is_predicted_at_the_scale_and_lies_on_the_image(
    plate: Path,
    sized: Checkpoint,
    capfd: pytest.CaptureFixture,
    arguments: tuple,
    factor: float,
):
    assert segment(plate, *arguments) == 0
    size = "off" if factor == 1 else 20 / factor
    config = PredictConfig(object_size=size, device="cpu")
    expected = predict(open_image(plate), sized, config).labels
    np.testing.assert_array_equal(read_labels(plate.with_name("mask.tif")), expected)
    printed = "".join(capfd.readouterr())
    assert (f"predicted at {factor:.2f}x" in printed) == (factor != 1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--object-size", 111), "no object of 111 pixels fits the image 'plate.tif'"),
        (("--object-size", "pixel-size"), "states no size of its pixels"),
        (("--object-size", 1), "diameter of 2 pixels or more"),
        (
            ("--object-size", "pixel-size", "--pixel-size", 900),
            "a pixel of the image 'plate.tif' has 900 µm",
        ),
    ],
)
def test_a_size_that_cannot_be_is_refused_in_one_line(
    plate: Path,
    sized: Checkpoint,
    capfd: pytest.CaptureFixture,
    arguments: tuple,
    text: str,
):
    assert segment(plate, *arguments) != 0
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert text in line
    assert not plate.with_name("mask.tif").exists()

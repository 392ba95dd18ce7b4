"""Images whose colours or sizes mislead: what ``predict`` reports, and what it advises.

Each piece of advice is followed as it stands in the message.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from skimage import io

from unet_engine.cli import main
from unet_engine.images import open_image, read_labels
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.images import Image
    from unet_engine.models.checkpoint import Checkpoint


@pytest.fixture
def sized(model: Checkpoint) -> Checkpoint:
    """A model of stained objects of 20 pixels of 0.5 µm, in the store as ``sized``."""
    spec = dataclasses.replace(
        model.spec, object_size_px=20.0, pixel_size_um=0.5, colour="haematoxylin"
    )
    sized = dataclasses.replace(model, spec=spec)
    ModelStore().save("sized", sized)
    return sized


def balance(checkpoint: Checkpoint, image: Image) -> Checkpoint:
    """Give half of an image to each class: random weights like one of them only."""
    config = PredictConfig(probabilities=True, device="cpu", object_size="off")
    found = predict(image, checkpoint, config).probabilities
    assert found is not None
    bias = checkpoint.weights["head.bias"].copy()
    bias[0] += np.median(np.log(found[1] / found[0]))
    weights = {**checkpoint.weights, "head.bias": bias}
    balanced = dataclasses.replace(checkpoint, weights=weights)
    ModelStore().save("sized", balanced, overwrite=True)
    return balanced


def segment(
    image: Path, capfd: pytest.CaptureFixture, *options: str
) -> tuple[str, np.ndarray]:
    """Predict an image; return what was printed, and the mask."""
    out = image.with_name("mask.tif")
    fixed = ("--model=sized", "--device=cpu", "--overwrite")
    assert main(["predict", str(image), str(out), *fixed, *options]) == 0
    return "".join(capfd.readouterr()), read_labels(out)


def advised(text: str) -> list[str]:
    """Return the option with its value that a message names."""
    (found,) = re.findall(r"--[a-z-]+ [\w.-]+", text)
    return list(found.split())


def line_with(text: str, words: str) -> str:
    (line,) = [line for line in text.splitlines() if words in line]
    return line


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 110)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "plate.tif", pixels)
    return tmp_path / "plate.tif"


def test_a_fluorescence_composite_is_read_by_the_channel_that_is_advised(
    tmp_path: Path, sized: Checkpoint, capfd: pytest.CaptureFixture
):
    random = np.random.default_rng(0)
    picture = random.integers(0, 20, (80, 90, 3)).astype(np.uint8)
    picture[:, :, 0] += (np.arange(90) * 2).astype(np.uint8)
    picture[20:40, 20:40, 2] += 200
    path = tmp_path / "composite.png"
    io.imsave(path, picture, check_contrast=False)
    sized = balance(sized, open_image(path).select_channel(2))
    printed, luminance = segment(path, capfd, "--object-size", "off")
    line = line_with(printed, "no bright-field stain")
    option = advised(line)
    assert option == ["--channel", "2"]
    again, blue = segment(path, capfd, "--object-size", "off", *option)
    assert "no bright-field stain" not in again
    config = PredictConfig(object_size="off", device="cpu")
    expected = predict(open_image(path).select_channel(2), sized, config).labels
    np.testing.assert_array_equal(blue, expected)
    assert (blue != luminance).any()


def test_a_screenshot_is_no_stain(
    tmp_path: Path, sized: Checkpoint, capfd: pytest.CaptureFixture
):
    picture = np.full((90, 120, 3), 240, np.uint8)
    picture[:20] = (60, 90, 200)
    picture[30:60, 10:50] = (250, 220, 120)
    picture[::9, 60:110] = 20
    path = tmp_path / "screen.png"
    io.imsave(path, picture, check_contrast=False)
    printed, _ = segment(path, capfd, "--object-size", "off")
    assert "no bright-field stain" in printed


def test_a_size_that_cannot_be_estimated_is_1x_until_it_is_stated(
    plate: Path, sized: Checkpoint, capfd: pytest.CaptureFixture
):
    pixels = np.random.default_rng(0).normal(100, 3, (90, 110))
    tifffile.imwrite(plate, pixels.astype(np.uint8))
    printed, _ = segment(plate, capfd)
    line = line_with(printed, "cannot be estimated")
    assert "predicted at 1x" in line
    again, _ = segment(plate, capfd, *advised(line))
    assert "predicted at 0.67x" in again
    assert "cannot be estimated" not in again


def test_pixels_that_are_much_longer_than_wide_are_doubted(
    plate: Path, sized: Checkpoint, capfd: pytest.CaptureFixture
):
    pixels = tifffile.imread(plate)
    tifffile.imwrite(
        plate, pixels, resolution=(10_000, 50_000), resolutionunit="CENTIMETER"
    )
    by_pixels = ("--object-size", "pixel-size")
    printed, _ = segment(plate, capfd, *by_pixels)
    line = line_with(printed, "if they are square")
    assert "pixels of 0.2 x 1 µm" in line
    again, _ = segment(plate, capfd, *by_pixels, *advised(line))
    assert "if they are square" not in again


def test_pixels_that_are_oblong_a_little_are_not(
    plate: Path, sized: Checkpoint, capfd: pytest.CaptureFixture
):
    pixels = tifffile.imread(plate)
    tifffile.imwrite(
        plate, pixels, resolution=(10_000, 20_000), resolutionunit="CENTIMETER"
    )
    printed, _ = segment(plate, capfd, "--object-size", "pixel-size")
    assert "square" not in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--object-size", "pixel-size"), "states no size of its pixels"),
        (("--object-size", "111"), "no object of 111 pixels fits"),
    ],
)
def test_what_cannot_be_is_refused_and_the_advice_works(
    plate: Path,
    sized: Checkpoint,
    capfd: pytest.CaptureFixture,
    options: tuple[str, ...],
    message: str,
):
    fixed = ["--model=sized", "--device=cpu", "--overwrite"]
    command = ["predict", str(plate), str(plate.with_name("mask.tif")), *fixed]
    assert main([*command, *options]) == 1
    printed = capfd.readouterr().err
    line = line_with(printed, message)
    assert "plate.tif" in line
    options_named = re.findall(r"--[a-z-]+ [\d.]+", line)
    assert options_named
    for option in options_named:
        assert main([*command, *options, *option.split()]) == 0

"""Tests of what users type as places and see as lines: folders, plates, notes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

from unet_engine.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

FIXED = ("--model=tiny", "--device=cpu")
PIXELS = np.random.default_rng(0).integers(0, 255, (32, 40)).astype(np.uint8)
MASK = np.kron(np.eye(2, dtype=np.uint8), np.ones((16, 20), np.uint8))


def write(path: Path, pixels: np.ndarray = PIXELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


def segment(*arguments: object) -> int:
    return main(["predict", *FIXED, *map(str, arguments)])


def write_plate(root: Path, *places: str) -> Path:
    """Write images of a plate, each in a folder of its own."""
    zarr.open_group(root, mode="w", zarr_format=2)
    axes = [{"name": "y"}, {"name": "x"}]
    scale = [{"type": "scale", "scale": [1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    for number, place in enumerate(places):
        group = zarr.open_group(root / place, mode="w", zarr_format=2)
        group.create_array("0", data=np.roll(PIXELS, number))
        multiscale = {"version": "0.4", "axes": axes, "datasets": datasets}
        group.attrs["multiscales"] = [multiscale]
    return root


def test_images_of_a_plate_get_names_of_their_own(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    plate = write_plate(tmp_path / "plate.zarr", "B/03/0", "B/04/0")
    assert segment(plate / "*" / "*" / "*", tmp_path / "all") == 0
    found = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert found == ["plate_B_03_0.tif", "plate_B_04_0.tif"]
    assert "same name" not in capsys.readouterr().err
    # One by one, the second must not replace the first.
    for well in ("03", "04"):
        assert segment(plate / "B" / well / "0", tmp_path / "all", "--overwrite") == 0
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == found


def test_a_place_without_suffix_is_a_folder(tmp_path: Path, model: Checkpoint):
    image = write(tmp_path / "a.tif")
    maps = tmp_path / "maps"
    assert segment(image, f"{tmp_path}/masks/", "--probabilities", maps) == 0
    assert (tmp_path / "masks" / "a.tif").is_file()
    assert (maps / "a.tif").is_file()
    mask = write(tmp_path / "m.tif", MASK)
    assert main(["objects", str(mask), "-o", str(tmp_path / "ids")]) == 0
    assert (tmp_path / "ids" / "m.tif").is_file()


def test_a_tilde_that_the_shell_left_is_the_users_folder(
    tmp_path: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "a.tif")
    assert segment("~/a.tif", "--output=~/m.tif") == 0
    assert (tmp_path / "m.tif").is_file()


def test_a_dash_is_no_path(tmp_path: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        segment(write(tmp_path / "a.tif"), "-")
    assert "- is no file" in capsys.readouterr().err


@pytest.mark.parametrize("edge", [0.2, 0.50001, 0.8])
def test_a_mask_and_an_image_of_other_pixels_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture, edge: float
):
    for name, size in (("m", edge), ("a", 0.5)):
        sizes = {"PhysicalSizeX": size, "PhysicalSizeY": size, "axes": "YX"}
        pixels = MASK if name == "m" else PIXELS
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", pixels, metadata=sizes)
    mask, image = str(tmp_path / "m.ome.tif"), str(tmp_path / "a.ome.tif")
    measure = ["objects", mask, "--image", image, "--table"]
    assert main([*measure, str(tmp_path / "a.csv")]) == 0
    printed = capsys.readouterr().err
    line = f"a pixel of the mask is {edge:g} x {edge:g} µm and one of the image 0.5"
    assert (line in printed) == (edge != 0.50001)
    assert main([*measure, str(tmp_path / "b.csv"), "--scale", "0.5"]) == 0
    assert "a pixel of the mask" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["https://example.org/a.png", "s3://bucket/a.tif"])
def test_an_address_is_no_path(text: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit):
        segment(text, "m.tif")
    assert "copy the file to this computer" in capsys.readouterr().err


def test_a_name_that_is_too_long_is_reported(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    assert segment(write(tmp_path / "a.tif"), tmp_path / f"{'m' * 300}.tif") == 1
    assert "give a shorter one" in capsys.readouterr().err


def test_a_note_is_one_line_and_none_when_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    mask = tmp_path / "m.tif"
    unit = {"unit": "furlong"}
    tifffile.imwrite(mask, MASK, imagej=True, resolution=(5, 5), metadata=unit)
    assert main(["objects", str(mask), "--table", str(tmp_path / "a.csv")]) == 0
    assert capsys.readouterr().err.count("no known unit of length") == 2  # Y and X
    quiet = ["objects", str(mask), "--table", str(tmp_path / "b.csv"), "--quiet"]
    assert main(quiet) == 0
    assert capsys.readouterr().err == ""


def test_a_closed_stdout_is_no_failure(
    tmp_path: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    image = write(tmp_path / "a.tif")
    monkeypatch.setattr(sys, "stdout", None)
    assert segment(image, tmp_path / "m.tif") == 0


def test_positions_are_read_from_what_predict_wrote(tmp_path: Path, model: Checkpoint):
    source = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(source, ome=True) as writer:
        for pixels in (PIXELS, PIXELS[::-1]):
            writer.write(pixels, metadata={"axes": "YX"})
    mask = tmp_path / "m.ome.zarr"
    assert segment(source, mask) == 0
    assert main(["objects", str(mask), "-o", str(tmp_path / "ids.ome.zarr")]) == 0
    assert zarr.open_array(tmp_path / "ids.ome.zarr" / "0").shape == (2, 32, 40)

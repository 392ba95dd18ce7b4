"""Label images inside the OME-Zarr of their image, by the commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaozarrs
from batch_runs import save_model

from unet_engine.cli import main
from unet_engine.images import open_image
from unet_engine.images.zarr.label_group import image_around, is_zarr_place
from unet_engine.images.zarr.writing import Multiscale

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = ("0.4", "0.5")
MODEL = ("--model=tiny", "--device=cpu", "-q")


@pytest.fixture(autouse=True)
def _model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint) -> None:
    """Have the store hold a model of the name ``tiny``."""
    save_model(tmp_path / "models", monkeypatch, make_checkpoint)


def write_image(path: Path, version: str) -> Path:
    shape = (96, 112)
    image = Multiscale(
        path=path,
        axes="YX",
        shape=shape,
        chunks=(64, 64),
        dtype=np.dtype(np.uint8),
        version=version,
    )
    coarse = np.random.default_rng(4).integers(0, 255, (12, 14), np.uint8)
    image.open(anew=True)[...] = np.kron(coarse, np.ones((8, 8), np.uint8))
    assert image.finish(lambda: False, {})
    return path


def listed(image: Path) -> list[str]:
    group = image / "labels"
    if (group / "zarr.json").exists():
        attributes = json.loads((group / "zarr.json").read_text())["attributes"]
        return attributes["ome"]["labels"]
    return json.loads((group / ".zattrs").read_text())["labels"]


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_are_written_into_their_image(tmp_path: Path, version: str) -> None:
    image = write_image(tmp_path / "slide.ome.zarr", version)
    mask, ids = image / "labels/mask", image / "labels/cells"
    assert main(["predict", str(image), "-o", str(mask), *MODEL]) == 0
    assert listed(image) == ["mask"]
    assert main(["objects", str(mask), "-o", str(ids), "--min-size=0", "-q"]) == 0
    assert listed(image) == ["mask", "cells"]
    # A program that checks it finds image and labels, and what the labels are of.
    yaozarrs.validate_zarr_store(image)
    for path in (mask, ids):
        metadata = yaozarrs.validate_zarr_store(path).ome_metadata()
        assert metadata.image_label.source.image == "../../"
        assert open_image(path).plane_shape == (96, 112)
    # The same mask as anywhere else.
    elsewhere = tmp_path / "mask.tif"
    assert main(["predict", str(image), "-o", str(elsewhere), *MODEL]) == 0
    inside, outside = (open_image(p).read(()) for p in (mask, elsewhere))
    np.testing.assert_array_equal(inside, outside)
    assert inside.any()


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_of_an_image_are_replaced_only_when_wanted(
    tmp_path: Path, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_image(tmp_path / "slide.ome.zarr", version)
    words = ["predict", str(image), "-o", str(image / "labels/mask"), *MODEL]
    assert main(words) == 0
    assert main(words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert listed(image) == ["mask"]
    yaozarrs.validate_zarr_store(image)


def test_only_a_place_inside_an_image_needs_no_suffix(tmp_path: Path) -> None:
    image = write_image(tmp_path / "slide.ome.zarr", "0.4")
    assert image_around(image / "labels/mask") == image
    assert is_zarr_place(image / "labels/mask")
    assert is_zarr_place(tmp_path / "mask.zarr")
    for other in ("labels/mask", "slide.ome.zarr/mask", "slide.ome.zarr/labels/a/b"):
        assert image_around(tmp_path / other) is None
        assert not is_zarr_place(tmp_path / other)


def test_a_foreign_list_of_labels_is_kept(tmp_path: Path) -> None:
    image = write_image(tmp_path / "slide.ome.zarr", "0.4")
    group = image / "labels"
    group.mkdir()
    (group / ".zgroup").write_text('{"zarr_format": 2}')
    (group / ".zattrs").write_text('{"labels": ["by hand"], "note": 1}')
    words = ["predict", str(image), "-o", str(group / "mask"), *MODEL]
    assert main(words) == 0
    assert listed(image) == ["by hand", "mask"]
    assert json.loads((group / ".zattrs").read_text())["note"] == 1

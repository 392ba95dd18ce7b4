"""Tests of ``napari-unet objects`` from and to zarr, block by block."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr
from skimage.draw import disk

from unet_engine.cli import main
from unet_engine.errors import Cancelled, DataError
from unet_engine.files.atomic import whole_folder
from unet_engine.images import Image, open_image, read_labels
from unet_engine.objects import (
    LabelPlanes,
    SemanticMask,
    label_objects,
    label_zarr,
    outputs,
    write_objects,
)
from unet_engine.objects.blocks import BlockGrid

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@pytest.fixture
def values() -> npt.NDArray[np.uint8]:
    """Return a mask of disks, some of which touch."""
    mask = np.zeros((300, 260), np.uint8)
    rng = np.random.default_rng(0)
    for centre in rng.integers(0, 260, (60, 2)):
        mask[disk(centre, 9, shape=mask.shape)] = 1
    return mask


def write_mask(path: Path, values: npt.NDArray[np.uint8], version: int = 3) -> Path:
    names = "TZYX"[-values.ndim :].lower() if version == 3 else None
    chunks = (1,) * (values.ndim - 2) + (64, 64)
    zarr.create_array(
        path,
        shape=values.shape,
        chunks=chunks,
        dtype="u1",
        zarr_format=version,
        dimension_names=names,
        config={"write_empty_chunks": True},
    )[...] = values
    return path


def objects(path: Path, *options: object) -> int:
    return main(["objects", str(path), *map(str, options), "--quiet"])


@pytest.fixture(params=[4000, 2**21], ids=["blocks", "whole"])
def _block_pixels(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = {2: request.param, 3: request.param}
    monkeypatch.setattr("unet_engine.objects.blocks._PIXELS", pixels)


@pytest.mark.slow
@pytest.mark.usefixtures("_block_pixels")
@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_gives_what_memory_gives(
    tmp_path: Path, values: npt.NDArray[np.uint8], version: int
):
    source, out = write_mask(tmp_path / "m.zarr", values, version), tmp_path / "o.zarr"
    table = tmp_path / "o.csv"
    assert objects(source, "-o", out, "--table", table) == 0
    expected = label_objects(SemanticMask(classes=values), block=values.shape).labels
    found = open_image(out)
    np.testing.assert_array_equal(found.read()[0], expected)
    assert found.dtype == np.uint32
    with table.open(encoding="utf-8") as file:
        areas = [int(row["area (px)"]) for row in csv.DictReader(file)]
    assert areas == np.bincount(expected.ravel())[1:].tolist()
    assert sorted(os.listdir(tmp_path)) == ["m.zarr", "o.csv", "o.zarr"]


def test_volumes_keep_axes_steps_and_levels(tmp_path: Path):
    values = np.zeros((2, 3, 40, 1300), np.uint8)
    values[:, :, 10:30, 1000:1020] = 1
    source = tmp_path / "m.ome.tif"
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    metadata = {"axes": "TZYX", **sizes}
    tifffile.imwrite(source, values, ome=True, metadata=metadata)
    out = tmp_path / "o.ome.zarr"
    assert objects(source, "-o", out) == 0
    image = open_image(out)
    assert (image.axes, image.pixel_size_um, image.slice_step_um) == ("TZYX", 0.5, 2)
    np.testing.assert_array_equal(
        read_labels(out), values * np.array([1, 2]).reshape(2, 1, 1, 1)
    )
    half = zarr.open_array(out / "1")[...]
    np.testing.assert_array_equal(half, read_labels(out)[..., ::2, ::2])
    assert "image-label" in zarr.open_group(out).attrs


def test_blocks_are_made_of_whole_chunks(
    tmp_path: Path, values: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unet_engine.objects.blocks._PIXELS", {2: 20_000, 3: 20_000})
    image = open_image(write_mask(tmp_path / "m.zarr", values))
    mask = SemanticMask(classes=LabelPlanes(image))
    grid = BlockGrid.for_array(mask.classes, 2)
    assert len(grid) > 1
    assert all(edge % 64 == 0 for edge in grid.block)
    with label_zarr(tmp_path / "o.zarr", mask, image, stop=lambda: False) as out:
        assert all(b % c == 0 for b, c in zip(grid.block, out.chunks, strict=True))


def test_what_is_there_is_replaced_on_request_only(
    tmp_path: Path, values: npt.NDArray[np.uint8], capfd: pytest.CaptureFixture
):
    source, out = write_mask(tmp_path / "m.zarr", values), tmp_path / "o.zarr"
    assert objects(source, "-o", out) == 0
    before = read_labels(out)
    (out / "mine.txt").write_text("mine")
    assert objects(source, "-o", out, "--method=components") == 1
    assert "o.zarr is there already" in capfd.readouterr().err
    np.testing.assert_array_equal(read_labels(out), before)
    assert objects(source, "-o", out, "--method=components", "--overwrite") == 0
    assert read_labels(out).max() < before.max()
    assert not (out / "mine.txt").exists()


def test_no_folder_of_others_and_no_input_is_replaced(
    tmp_path: Path, values: npt.NDArray[np.uint8], capfd: pytest.CaptureFixture
):
    source = write_mask(tmp_path / "m.zarr" / "0", values)
    (tmp_path / "m.zarr" / "zarr.json").write_text("{}")
    assert objects(source, "-o", tmp_path / "m.zarr", "--overwrite") == 1
    assert "would replace the image" in capfd.readouterr().err
    assert objects(source, "-o", source, "--overwrite") == 1
    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    assert objects(source, "-o", other, "--overwrite") == 1
    assert "is no zarr" in capfd.readouterr().err
    assert (other / "thesis.txt").read_text() == "precious"
    np.testing.assert_array_equal(read_labels(source), values)


def test_a_chunk_that_is_missing_leaves_nothing_half(
    tmp_path: Path, values: npt.NDArray[np.uint8], capfd: pytest.CaptureFixture
):
    source = write_mask(tmp_path / "m.zarr", values)
    (source / "c" / "2" / "1").unlink()
    assert objects(source, "-o", tmp_path / "o.zarr") == 1
    assert "the chunk c/2/1" in capfd.readouterr().err
    assert os.listdir(tmp_path) == ["m.zarr"]


def test_a_full_disk_leaves_the_old_one(
    tmp_path: Path,
    values: npt.NDArray[np.uint8],
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    source, out = write_mask(tmp_path / "m.zarr", values), tmp_path / "o.zarr"
    assert objects(source, "-o", out) == 0
    before = read_labels(out)

    def full(*_: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unet_engine.images.zarr.writing.Multiscale.finish", full)
    assert objects(source, "-o", out, "--overwrite") == 1
    assert "o.zarr cannot be written: No space left" in capfd.readouterr().err
    np.testing.assert_array_equal(read_labels(out), before)
    assert sorted(os.listdir(tmp_path)) == ["m.zarr", "o.zarr"]


def test_stopping_leaves_nothing(tmp_path: Path, values: npt.NDArray[np.uint8]):
    image = open_image(write_mask(tmp_path / "m.zarr", values))
    mask = SemanticMask(classes=LabelPlanes(image))
    wide = Image.from_array(np.zeros((300, 2000), np.uint8), "YX")
    flat = SemanticMask(classes=wide.data)
    for end in (True, False):
        with (
            pytest.raises(Cancelled),
            label_zarr(tmp_path / "o.zarr", flat, wide, stop=lambda: True) as out,
        ):
            # While objects are found, or while levels are made.
            if end:
                label_objects(flat, out=out, stop=lambda: True)
    assert os.listdir(tmp_path) == ["m.zarr"]
    with label_zarr(tmp_path / "o.zarr", mask, image, stop=lambda: False) as out:
        label_objects(mask, out=out)
    assert read_labels(tmp_path / "o.zarr").any()


def test_a_large_tiff_is_written_tile_by_tile(
    tmp_path: Path, values: npt.NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    labels = label_objects(SemanticMask(classes=values)).labels
    monkeypatch.setattr(outputs, "_LARGE_BYTES", 0)
    monkeypatch.setattr("unet_engine.images.tiff.options._BIGTIFF_BYTES", 0)
    image = Image.from_array(values, "YX", pixel_size_um=0.5)
    write_objects(tmp_path / "o.tif", labels, image)
    np.testing.assert_array_equal(read_labels(tmp_path / "o.tif"), labels)
    with tifffile.TiffFile(tmp_path / "o.tif") as tif:
        assert tif.pages.first.is_tiled
        assert tif.is_bigtiff
    assert open_image(tmp_path / "o.tif").pixel_size_um == 0.5


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "folder"
    with pytest.raises(KeyError), whole_folder(target) as folder:
        folder.mkdir()
        raise KeyError
    assert os.listdir(tmp_path) == []
    for content in ("one", "two"):
        with whole_folder(target, replace=True) as folder:
            folder.mkdir()
            (folder / content).touch()
        assert os.listdir(target) == [content]
    with pytest.raises(DataError, match="exists already"), whole_folder(target):
        pass
    with pytest.raises(DataError, match="No such file"), whole_folder(tmp_path / "a/b"):
        pass
    assert os.listdir(tmp_path) == ["folder"]

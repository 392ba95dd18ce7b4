"""Tests of ``napari-unet predict`` from and to zarr, and of large results."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

from unet_engine.cli import main
from unet_engine.images import Image, Normalisation, open_image, read_labels
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


def segment(*arguments: object) -> int:
    fixed = ("--model=tiny", "--device=cpu", "--tile=32")
    return main(["predict", *fixed, *map(str, arguments)])


def write_zarr(path: Path, *shape: int, chunk: tuple[int, int] = (32, 32)) -> Path:
    pixels = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
    chunks = (*(1,) * (len(shape) - 2), *chunk)
    zarr.create_array(path, shape=shape, chunks=chunks, dtype="u1")[...] = pixels
    return path


def labels_of(image: Image, model: Checkpoint) -> np.ndarray:
    return predict(image, model).labels


@pytest.mark.slow
def test_from_zarr_to_ome_zarr_and_not_twice(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source, out = write_zarr(tmp_path / "a.zarr", 70, 80), tmp_path / "m.ome.zarr"
    maps = tmp_path / "p.ome.zarr"
    assert segment(source, "-o", out, "--probabilities", maps) == 0
    expected = labels_of(open_image(source), model)
    np.testing.assert_array_equal(read_labels(out), expected)
    assert open_image(maps).channels == 2
    assert segment(source, out, "--probabilities", maps) == 1
    assert "is there already" in capfd.readouterr().err
    assert segment(source, out, "--probabilities", maps, "--resume") == 0
    assert segment(source, out, "--probabilities", maps, "--overwrite") == 0
    np.testing.assert_array_equal(read_labels(out), expected)


def test_where_the_result_goes_is_printed_once(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source = write_zarr(tmp_path / "a.zarr", 40, 40)
    for arguments in ((), (tmp_path / "m.tif", "-o", tmp_path / "m.tif")):
        assert segment(source, *arguments) == 1
        assert "state once where" in capfd.readouterr().err


def test_unknown_axes_are_refused(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source, out = write_zarr(tmp_path / "a.zarr", 2, 40, 50), tmp_path / "m.ome.zarr"
    assert segment(source, out) == 1
    assert "--axes" in capfd.readouterr().err
    assert segment(source, out, "--axes=tyx") == 0
    assert open_image(out).axes == "TYX"


@pytest.mark.slow
def test_a_missing_chunk_names_the_tile_and_keeps_the_finished_ones(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source = write_zarr(tmp_path / "a.zarr", 300, 60_000, chunk=(300, 256))
    out = tmp_path / "m.ome.zarr"
    # Between the blocks whose brightness is measured; the second tile needs it.
    (source / "c" / "0" / "2").unlink()
    assert segment(source, out, "--tile=448") == 1
    error = capfd.readouterr().err
    assert "tile [0:300, 448:896]: " in error
    assert "the chunk c/0/2 (pixels [0:300, 512:768]) is missing" in error
    assert f"finished tiles are kept in {out}" in error
    kept = zarr.open_array(out / "0")[:, :448]
    first = Image.from_array(zarr.open_array(source)[:, :640], "YX")
    known = Normalisation.measure(open_image(source, missing_chunks="fill"))
    whole = predict(first, model, PredictConfig(tile=1024), normalisation=known)
    np.testing.assert_array_equal(kept, whole.labels[:, :448])


def test_a_missing_chunk_is_filled_on_request(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source, out = write_zarr(tmp_path / "a.zarr", 96, 96), tmp_path / "m.ome.zarr"
    (source / "c" / "2" / "2").unlink()
    assert segment(source, out) == 1
    error = capfd.readouterr().err
    assert "pixels [64:96, 64:96]" in error
    assert not out.exists(), "its brightness could not be measured"
    assert segment(source, out, "--missing-chunks=fill") == 0
    expected = labels_of(open_image(source, missing_chunks="fill"), model)
    np.testing.assert_array_equal(read_labels(out), expected)


def test_ctrl_c_keeps_the_finished_tiles(
    tmp_path: Path,
    model: Checkpoint,
    capfd: pytest.CaptureFixture,
    interrupt_at: Callable[[int], list[int]],
):
    calls = interrupt_at(4)
    source, out = write_zarr(tmp_path / "a.zarr", 96, 96), tmp_path / "m.ome.zarr"
    assert segment(source, out) == 130
    assert f"finished tiles are kept in {out}" in capfd.readouterr().err
    assert segment(source, out) == 0
    assert len(calls) == 9 + 1, "one tile was begun twice"
    expected = labels_of(open_image(source), model)
    np.testing.assert_array_equal(read_labels(out), expected)


def test_a_large_tiff_is_written_tile_by_tile(
    tmp_path: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    source = write_zarr(tmp_path / "a.zarr", 70, 80)
    for name in ("memory", "disk"):
        paths = tmp_path / f"{name}.tif", tmp_path / f"{name}_p.tif"
        assert segment(source, paths[0], "--probabilities", paths[1]) == 0
        monkeypatch.setattr("unet_engine.cli.commands.predict._LARGE_BYTES", 0)
    for kind in ("", "_p"):
        one, other = (
            tifffile.imread(tmp_path / f"{name}{kind}.tif")
            for name in ("memory", "disk")
        )
        np.testing.assert_array_equal(one, other)
    with tifffile.TiffFile(tmp_path / "disk.tif") as tif:
        assert tif.pages.first.is_tiled
    assert segment(source, tmp_path / "plane.png") == 0, "a PNG is written whole"


def test_memory_and_disk_do_not_mix(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source = write_zarr(tmp_path / "a.zarr", 40, 40)
    maps = tmp_path / "p.ome.zarr"
    assert segment(source, tmp_path / "m.png", "--probabilities", maps) == 1
    assert "write both to" in capfd.readouterr().err


def test_a_folder_may_hold_zarrs(tmp_path: Path, model: Checkpoint):
    folder = tmp_path / "in"
    folder.mkdir()
    write_zarr(folder / "a.zarr", 40, 40)
    tifffile.imwrite(folder / "b.tif", np.ones((40, 40), np.uint8))
    assert segment(folder, tmp_path / "out") == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["a.zarr", "b.tif"]
    assert read_labels(tmp_path / "out" / "a.zarr").shape == (40, 40)


def test_an_image_is_never_deleted_with_a_result(
    tmp_path: Path, model: Checkpoint, capfd: pytest.CaptureFixture
):
    source = write_zarr(tmp_path / "a.zarr", 40, 40)
    assert segment(source, source, "--overwrite") == 1
    inside = write_zarr(tmp_path / "outer.zarr" / "0", 40, 40)
    assert segment(inside, tmp_path / "outer.zarr", "--overwrite") == 1
    assert capfd.readouterr().err.count("would replace the image") == 2
    assert open_image(source).read().all()
    assert open_image(inside).read().all()

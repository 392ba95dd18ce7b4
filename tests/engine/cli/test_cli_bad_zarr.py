"""Tests of ``napari-unet predict`` on zarrs and disks that fail, and after that.

In each the command ends with exit code 1 and one line that names the place, and goes on
when the cause is mended.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from full_disk import full_disk

from unet_engine.cli import main
from unet_engine.images import Normalisation, open_image, read_labels
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return noise in nine chunks, whose brightness is known without reading it."""
    pixels = np.random.default_rng(0).integers(1, 255, (96, 96)).astype(np.uint8)
    path = tmp_path / "a.zarr"
    zarr.create_array(path, shape=(96, 96), chunks=(32, 32), dtype="u1")[...] = pixels
    known = Normalisation.measure(open_image(path))
    monkeypatch.setattr(Normalisation, "measure", lambda *_, **__: known)
    return path


def segment(*arguments: object) -> int:
    fixed = ("--model=tiny", "--device=cpu", "--tile=32", "--quiet")
    return main(["predict", *map(str, arguments), *fixed])


def check_result(source: Path, out: Path, model: Checkpoint) -> None:
    """Compare a result with that of an uninterrupted run in memory."""
    whole = predict(open_image(source), model)
    np.testing.assert_array_equal(read_labels(out), whole.labels)
    assert not (out / ".napari-unet-run").exists()


def finished_tiles(out: Path) -> int:
    return len((out / ".napari-unet-run" / "tiles").read_text().splitlines())


@pytest.mark.parametrize("lost", ["zarr.json", None], ids=["lost", "never there"])
def test_without_metadata(
    tmp_path: Path,
    model: Checkpoint,
    source: Path,
    capfd: pytest.CaptureFixture,
    lost: str | None,
):
    out = tmp_path / "m.ome.zarr"
    if lost is None:
        shutil.rmtree(source)
        source.mkdir()
    else:
        (source / lost).unlink()
    assert segment(source, out) == 1
    error = capfd.readouterr().err
    assert "a.zarr has no zarr metadata" in error
    assert error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize("content", [None, b"no chunk"], ids=["missing", "corrupt"])
def test_a_chunk_that_is_mended(
    tmp_path: Path,
    model: Checkpoint,
    source: Path,
    capfd: pytest.CaptureFixture,
    content: bytes | None,
):
    out, chunk = tmp_path / "m.ome.zarr", source / "c" / "2" / "1"
    good = chunk.read_bytes()
    chunk.unlink()
    if content is not None:
        chunk.write_bytes(content)
    assert segment(source, out) == 1
    error = capfd.readouterr().err
    assert "tile [32:64, 0:32]: " in error
    assert "pixels [64:96, 32:64]" in error
    assert f"finished tiles are kept in {out}" in error
    assert finished_tiles(out) == 3
    chunk.write_bytes(good)
    assert segment(source, out, "--resume") == 0
    check_result(source, out, model)


def test_missing_chunks_are_filled_from_the_tile_on_that_met_them(
    tmp_path: Path, model: Checkpoint, source: Path
):
    out = tmp_path / "m.ome.zarr"
    (source / "c" / "2" / "1").unlink()
    assert segment(source, out) == 1
    assert segment(source, out, "--resume", "--missing-chunks=fill") == 0
    filled = open_image(source, missing_chunks="fill")
    np.testing.assert_array_equal(read_labels(out), predict(filled, model).labels)


@pytest.mark.parametrize("name", ["m.ome.zarr", "m.tif"])
def test_a_full_disk(
    tmp_path: Path,
    model: Checkpoint,
    source: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
):
    monkeypatch.setattr("unet_engine.cli.commands.predict._LARGE_BYTES", 0)
    out, maps = tmp_path / name, tmp_path / "p.ome.zarr"
    begin = DiskOutput.begin
    room: list[object] = []

    def filling(results: DiskOutput, run: object) -> object:
        finished = begin(results, run)
        room.append(full_disk(3000))
        room[0].__enter__()
        return finished

    monkeypatch.setattr(DiskOutput, "begin", filling)
    try:
        code = segment(source, out, "--probabilities", maps)
    finally:
        room[0].__exit__(None, None, None)
    monkeypatch.setattr(DiskOutput, "begin", begin)
    assert code == 1
    error = capfd.readouterr().err
    assert "tile [" in error
    assert "free space" in error
    assert segment(source, out, "--probabilities", maps, "--resume") == 0
    whole = predict(open_image(source), model)
    np.testing.assert_array_equal(read_labels(out), whole.labels)


def test_a_chunk_that_changes_during_the_run(
    tmp_path: Path,
    model: Checkpoint,
    source: Path,
    capfd: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    out, genuine = tmp_path / "m.ome.zarr", DiskOutput.write
    numbers: list[int] = []

    def writing(results: DiskOutput, *arguments: object) -> None:
        genuine(results, *arguments)
        numbers.append(1)
        if len(numbers) == 5:
            zarr.open_array(source)[:32, :32] = 200

    monkeypatch.setattr(DiskOutput, "write", writing)
    assert segment(source, out) == 1
    assert "were changed by another program" in capfd.readouterr().err
    assert segment(source, out) == 0
    assert "4 finished tiles are predicted again" in caplog.text
    assert len(numbers) == 9 + 4
    check_result(source, out, model)


def test_metadata_that_change_during_the_run(
    tmp_path: Path,
    model: Checkpoint,
    source: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    out, genuine = tmp_path / "m.ome.zarr", DiskOutput.write

    def writing(results: DiskOutput, *arguments: object) -> None:
        genuine(results, *arguments)
        zarr.open_array(source).attrs["changed"] = True

    monkeypatch.setattr(DiskOutput, "write", writing)
    assert segment(source, out) == 1
    error = capfd.readouterr().err
    assert "tile [0:32, 32:64]: " in error
    assert "was changed by another program" in error
    assert finished_tiles(out) == 1
    monkeypatch.setattr(DiskOutput, "write", genuine)
    assert segment(source, out) == 1
    assert "the image changed" in capfd.readouterr().err
    assert segment(source, out, "--overwrite") == 0
    check_result(source, out, model)

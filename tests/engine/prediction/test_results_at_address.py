"""Tests of results in object storage: as on disk, and on with what is finished."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from faulty_storage import FaultyStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.cli import main
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import Image, open_image, read_labels
from unet_engine.images.zarr import retrying
from unet_engine.images.zarr.addresses import Address
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.prediction import tile_records
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.finished_tiles import FinishedTiles
from unet_engine.prediction.segmentation import iter_predict, predict
from unet_engine.prediction.tile_records import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

CONFIG = PredictConfig(device="cpu", tile=32)
BOTH = dataclasses.replace(CONFIG, probabilities=True)
LABELS = "faulty://bucket/l.ome.zarr"


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an empty bucket, and do not wait between tries."""
    FaultyStorage.start()
    monkeypatch.setattr(retrying, "WAITS_S", (0.0,) * 5)


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable) -> Checkpoint:
    return make_checkpoint()


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record each tile at once."""
    monkeypatch.setattr(ObjectRecord, "commit_interval", -1.0)


def noise(*shape: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, "ZYX"[-len(shape) :], name="noise")


def run_some(tiles: int, image: Image, model: Checkpoint, **options: object) -> None:
    """Predict to the address and stop after some tiles."""
    seen: list[object] = []
    run = iter_predict(
        image,
        model,
        CONFIG,
        into=DiskOutput(LABELS, **options),
        stop=lambda: len(seen) >= tiles,
    )
    assert not drain(run, seen.append).complete
    assert len(seen) == tiles


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("works_after", [1, 3])
def test_objects_are_the_files_of_a_folder(
    model: Checkpoint, tmp_path: Path, version: str, works_after: int
) -> None:
    image = noise(2, 40, 1100)
    predict(
        image,
        model,
        BOTH,
        into=DiskOutput(
            tmp_path / "l.ome.zarr", tmp_path / "p.ome.zarr", ome_zarr=version
        ),
    )
    FaultyStorage.works_after = works_after
    there = DiskOutput(LABELS, "faulty://bucket/p.ome.zarr", ome_zarr=version)
    assert predict(image, model, BOTH, into=there).complete
    assert FaultyStorage.contents("bucket") == files_in(tmp_path)
    FaultyStorage.works_after = 1
    expected = read_labels(tmp_path / "l.ome.zarr")
    np.testing.assert_array_equal(open_image(LABELS).read((1,))[0], expected[1])


def test_a_run_goes_on_at_its_finished_tiles(model: Checkpoint, noted: None) -> None:
    image = noise(70, 80)
    assert predict(image, model, CONFIG, into=DiskOutput(LABELS)).complete
    whole = FaultyStorage.contents("bucket")
    FaultyStorage.start()
    run_some(4, image, model)
    record = FaultyStorage.contents("bucket/l.ome.zarr/.napari-unet-run")
    assert json.loads(record["run.json"])["tiles"] == [32, 32]
    seen: list[object] = []
    drain(iter_predict(image, model, CONFIG, into=DiskOutput(LABELS)), seen.append)
    assert len(seen) == 9 - 4
    assert FaultyStorage.contents("bucket") == whole
    with pytest.raises(DataError, match="is there already"):
        predict(image, model, CONFIG, into=DiskOutput(LABELS))
    again = DiskOutput(LABELS, resume=True)
    assert predict(image, model, CONFIG, into=again).complete
    with pytest.raises(DataError, match=r"another one: .*the image changed"):
        predict(noise(70, 81), model, CONFIG, into=DiskOutput(LABELS, resume=True))


def test_another_run_is_refused_and_anew_it_takes_over(
    model: Checkpoint, noted: None
) -> None:
    run_some(2, noise(70, 80), model)
    with pytest.raises(DataError, match=r"unfinished run that is not this one"):
        predict(noise(70, 81), model, CONFIG, into=DiskOutput(LABELS))
    first = iter_predict(noise(70, 80), model, CONFIG, into=DiskOutput(LABELS))
    next(first)
    other = iter_predict(
        noise(70, 81), model, CONFIG, into=DiskOutput(LABELS, overwrite=True)
    )
    next(other)
    with pytest.raises(DataError, match=r"another run began anew at faulty://bucket"):
        drain(first)
    assert drain(other).complete


def test_storage_that_stays_away_is_one_line_and_loses_nothing(
    model: Checkpoint, noted: None
) -> None:
    image = noise(70, 80)
    run = iter_predict(image, model, CONFIG, into=DiskOutput(LABELS))
    for _ in range(3):
        next(run)
    FaultyStorage.away = "bucket"
    with pytest.raises(DataError) as caught:
        drain(run)
    assert "cannot be written: the bucket is away, 6 times in a row; check the" in str(
        caught.value
    )
    FaultyStorage.away = ""
    seen: list[object] = []
    drain(iter_predict(image, model, CONFIG, into=DiskOutput(LABELS)), seen.append)
    assert len(seen) <= 9 - 2


def test_a_chunk_that_was_lost_is_named_before_levels_are_made(
    model: Checkpoint, noted: None
) -> None:
    image = noise(40, 1100)
    run_some(3, image, model)
    del FaultyStorage.store["/bucket/l.ome.zarr/0/0/0"]
    with pytest.raises(DataError, match=r"the chunk .*0/0 is missing"):
        predict(image, model, CONFIG, into=DiskOutput(LABELS))


def test_what_cannot_be_a_place_for_results_is_refused() -> None:
    with pytest.raises(DataError, match=r"takes no results; give the address of a"):
        DiskOutput("https://host/m.zarr")
    with pytest.raises(DataError, match=r"let it end in \.zarr"):
        DiskOutput("faulty://bucket/m.tif")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["add", "drop", "reopen", "stuck"]), max_size=40))
def test_a_record_of_objects_keeps_what_was_added(steps: list[str]) -> None:
    FaultyStorage.start()
    most, tile_records._MOST_OBJECTS = tile_records._MOST_OBJECTS, 3
    try:
        expected = set[int]()
        tiles = FinishedTiles(Address("faulty://bucket/a.zarr"))
        tiles.open({"image": "a"})
        for number, step in enumerate(steps):
            if step == "reopen":
                tiles = FinishedTiles(Address("faulty://bucket/a.zarr"))
                assert set(tiles.open({"image": "a"})) == expected
                continue
            if step == "stuck":
                # Killed after the objects were put together and one was deleted.
                kept = dict(FaultyStorage.store)
                tiles._record.replace([f"{n}" for n in sorted(expected)])
                left = sorted(name for name in kept if "/tiles/" in name)
                for name in left[: number % 3] + left[1 + number % 3 :]:
                    FaultyStorage.store[name] = kept[name]
                tiles = FinishedTiles(Address("faulty://bucket/a.zarr"))
                tiles.open({"image": "a"})
                continue
            if step == "drop" and expected:
                # As of a tile that was made from a chunk that changed.
                lost = min(expected)
                tiles._record.append([f"-{lost}"])
                tiles._finished.discard(lost)
                expected.discard(lost)
                continue
            tiles.append([2 * number, 2 * number + 1])
            expected |= {2 * number, 2 * number + 1}
        again = FinishedTiles(Address("faulty://bucket/a.zarr"))
        assert set(again.open({"image": "a"})) == expected
        assert len(FaultyStorage.contents("bucket/a.zarr")) <= 2 * 3 + len(steps)
        again.remove()
        assert not FaultyStorage.store
    finally:
        tile_records._MOST_OBJECTS = most


def test_a_long_record_becomes_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_records, "_MOST_OBJECTS", 5)
    tiles = FinishedTiles(Address("faulty://bucket/a.zarr"))
    tiles.open({})
    for number in range(100):
        tiles.append([number])
        assert len(FaultyStorage.contents("bucket/a.zarr")) <= 5 + 2
    assert set(FinishedTiles(Address("faulty://bucket/a.zarr")).open({})) == {
        *range(100)
    }


def test_the_command_writes_to_an_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(2).integers(1, 255, (60, 70)).astype(np.uint8)
    image = Multiscale(
        path=tmp_path / "a.ome.zarr",
        axes="YX",
        shape=pixels.shape,
        chunks=(64, 64),
        dtype=pixels.dtype,
    )
    image.open(anew=True)[...] = pixels
    assert image.finish(lambda: False, {})
    words = ["--model=nuclei", "--device=cpu", "--object-size=off", "-q"]
    source = str(image.path)
    assert main(["predict", source, str(tmp_path / "m.ome.zarr"), *words]) == 0
    assert main(["predict", source, "faulty://bucket/m.ome.zarr", *words]) == 0
    assert FaultyStorage.contents("bucket/m.ome.zarr") == files_in(
        tmp_path / "m.ome.zarr"
    )
    # An image in the bucket, and its mask inside it.
    for name, content in files_in(image.path).items():
        FaultyStorage().pipe_file(f"/bucket/a.ome.zarr/{name}", content)
    inside = "faulty://bucket/a.ome.zarr/labels/nuclei"
    assert main(["predict", "faulty://bucket/a.ome.zarr", inside, *words]) == 0
    assert "labels/.zattrs" in FaultyStorage.contents("bucket/a.ome.zarr")
    capsys.readouterr()
    there = "faulty://bucket/a.ome.zarr"
    assert main(["predict", there, there, "--overwrite", *words]) == 1
    assert "is read by this run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["predict", source, "-o", "faulty://bucket/m.tif", *words])
    assert "let it end in .zarr" in capsys.readouterr().err

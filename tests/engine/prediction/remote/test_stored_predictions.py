"""Workers that open image and results themselves give the files of one process."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from local_processes import end_scheduler_of, threads_of, workers_of

from unet_engine import ModelSpec, PredictConfig
from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import Normalisation, open_image
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.empty_tiles import EmptyRule
from unet_engine.prediction.remote import predictor, storage
from unet_engine.prediction.remote.storage import WrittenTile
from unet_engine.prediction.segmentation import iter_predict, predict

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = "local:2"
TILES = 2 * 4 * 9


@pytest.fixture(autouse=True)
def as_many_threads():
    """As many as each of the processes has: their number decides the last bits."""
    with threads_of(2):
        yield


@pytest.fixture(scope="module")
def model(make_checkpoint):
    return make_checkpoint(ModelSpec(depth=2, width=4))


@pytest.fixture(scope="module")
def image_path(tmp_path_factory) -> Path:
    """Write an image of 72 tiles of 128; of a part of it nothing is found."""
    pixels = np.random.default_rng(0).integers(0, 1000, (2, 500, 1100), np.uint16)
    image = Multiscale(
        path=tmp_path_factory.mktemp("images") / "i.ome.zarr",
        axes="ZYX",
        shape=pixels.shape,
        chunks=(1, 256, 256),
        dtype=pixels.dtype,
    )
    image.open(anew=True)[...] = pixels
    assert image.finish(lambda: False, {})
    return image.path


@pytest.fixture(scope="module")
def expected(image_path, model, tmp_path_factory) -> dict[str, bytes]:
    """Predict in this process, with as many threads as a worker has."""
    folder = tmp_path_factory.mktemp("here")
    into = DiskOutput(folder / "l.ome.zarr", folder / "p.ome.zarr")
    with threads_of(2):
        predict(open_image(image_path), model, _config("cpu"), into=into)
    return _files(folder)


def _config(device: str = DEVICE) -> PredictConfig:
    return PredictConfig(tile=128, probabilities=True, device=device)


def _output(folder: Path, **options: object) -> DiskOutput:
    return DiskOutput(folder / "l.ome.zarr", folder / "p.ome.zarr", **options)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def no_pixels_sent(monkeypatch):
    """Let no pixel of the image leave this process."""

    def refuse(*_: object) -> None:
        raise AssertionError("pixels were sent")

    monkeypatch.setattr(predictor.PixelSender, "cut", refuse)


@pytest.mark.slow
def test_workers_write_the_files_of_one_process(
    image_path, model, tmp_path, expected, monkeypatch, no_pixels_sent
):
    monkeypatch.chdir(image_path.parent)
    tiles = []
    result = drain(
        iter_predict(
            open_image(image_path.name), model, _config(), into=_output(tmp_path)
        ),
        tiles.append,
    )
    assert result.complete
    assert result.notes == ()
    assert _files(tmp_path) == expected
    assert [tile.done for tile in tiles] == list(range(1, TILES + 1))
    for tile in tiles[::20]:
        assert isinstance(tile.labels, WrittenTile)
        where = (*tile.index, *tile.inner)
        np.testing.assert_array_equal(tile.labels, result.labels[where])
        whole = (slice(0, 2), *where)
        np.testing.assert_array_equal(tile.probabilities, result.probabilities[whole])
        np.testing.assert_array_equal(tile.labels[2:5], result.labels[where][2:5])


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_file(
    image_path, model, tmp_path, expected, no_pixels_sent
):
    run = iter_predict(open_image(image_path), model, _config(), into=_output(tmp_path))
    next(run)
    workers_of(2)[0].kill()
    assert drain(run).complete
    assert _files(tmp_path) == expected


def test_a_run_that_was_stopped_goes_on_where_workers_ended(
    image_path, model, tmp_path, expected
):
    first, second = [], []
    run = iter_predict(
        open_image(image_path),
        model,
        _config(),
        into=_output(tmp_path),
        stop=lambda: len(first) >= 20,
    )
    assert not drain(run, first.append).complete
    assert 20 <= len(first) < TILES
    # By this process: it is the same run.
    run = iter_predict(
        open_image(image_path), model, _config("cpu"), into=_output(tmp_path)
    )
    assert drain(run, second.append).complete
    assert len(first) + len(second) == TILES
    assert _files(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("differs", ["pixels", "results"])
def test_tiles_are_sent_where_workers_see_others(
    image_path, model, tmp_path, expected, monkeypatch, differs
):
    made = storage.stored_run

    def other(*arguments: object) -> storage.StoredRun:
        changed = {"pixels": {"probe": ""}, "results": {"identity": b"{}"}}[differs]
        return storage.replace(made(*arguments), **changed)

    monkeypatch.setattr(predictor, "stored_run", other)
    result = predict(open_image(image_path), model, _config(), into=_output(tmp_path))
    (note,) = result.notes
    assert "The tiles were sent to the workers, which do not all see i.ome.zarr" in note
    assert _files(tmp_path) == expected


def test_a_chunk_that_is_missing_is_named_with_its_tile(
    image_path, model, tmp_path, no_pixels_sent
):
    image = open_image(shutil.copytree(image_path, tmp_path / "i.ome.zarr"))
    brightness = Normalisation.measure(image, model.spec.preparation)
    (tmp_path / "i.ome.zarr/0/1/0/0").unlink()
    output = _output(tmp_path)
    run = iter_predict(image, model, _config(), into=output, normalisation=brightness)
    with pytest.raises(DataError, match=r"of plane 1: .*chunk 1/0/0 .*missing"):
        drain(run)
    assert output.unfinished == tmp_path / "l.ome.zarr"


def test_results_that_cannot_be_written_are_named(
    image_path, model, tmp_path, no_pixels_sent
):
    output = _output(tmp_path)
    run = iter_predict(open_image(image_path), model, _config(), into=output)
    next(run)
    # What root, too, cannot write to.
    target = tmp_path / "p.ome.zarr/0"
    target.rename(tmp_path / "moved")
    target.write_bytes(b"")
    with pytest.raises(DataError, match=r"p\.ome\.zarr|l\.ome\.zarr"):
        drain(run)


def test_what_a_killed_worker_left_half_written_is_removed(
    image_path, model, tmp_path, expected, no_pixels_sent
):
    run = iter_predict(open_image(image_path), model, _config(), into=_output(tmp_path))
    next(run)
    (tmp_path / "p.ome.zarr" / "0" / "5.0123.partial").write_bytes(b"half")
    drain(run)
    assert _files(tmp_path) == expected


def test_without_the_scheduler_this_process_ends_the_run(
    image_path, model, tmp_path, expected, monkeypatch, no_pixels_sent
):
    monkeypatch.setattr(predictor, "FIND_AGAIN_S", 0.0)
    run = iter_predict(open_image(image_path), model, _config(), into=_output(tmp_path))
    next(run)
    end_scheduler_of(2)
    result = drain(run)
    assert result.complete
    assert "this machine finished" in " ".join(result.notes)
    assert _files(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("stored", [True, False])
def test_workers_skip_what_this_process_would(
    image_path, model, tmp_path, stored, monkeypatch
):
    if not stored:
        monkeypatch.setattr(predictor, "stored_run", lambda *_: None)
    mask = np.zeros((4, 9), np.uint8)
    mask[1:3, 2] = 1
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    monkeypatch.chdir(tmp_path)
    notes = []
    for device in ("cpu", DEVICE):
        result = predict(
            open_image(image_path),
            model,
            _config(device),
            into=_output(tmp_path / device[:3]),
            skip=EmptyRule(mask="mask.tif", below=999),
        )
        notes.append(result.notes)
    assert "tiles were taken for background" in notes[0][0]
    assert notes[0] == notes[1]
    assert _files(tmp_path / "cpu") == _files(tmp_path / "loc")

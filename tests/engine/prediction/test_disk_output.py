"""Tests of results on disk: written as tiles finish, resumed, never mixed up."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from full_disk import full_disk

from unet_engine.errors import DataError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation, PixelSize, open_image, read_labels
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import iter_predict, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint
    from unet_engine.prediction.events import Prediction, TileDone

CPU = PredictConfig(device="cpu", tile=32)
COMMAND = "import sys; from unet_engine.cli import main; sys.exit(main())"
BOTH = dataclasses.replace(CPU, probabilities=True)


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable) -> Checkpoint:
    return make_checkpoint()


def plane(*shape: int, axes: str = "YX", **options: object) -> Image:
    pixels = np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, axes, name="noise", **options)


def stopped_after(tiles: int, *arguments: object, **options: object) -> Prediction:
    """Predict and stop after some tiles."""
    events: list[TileDone] = []
    run = iter_predict(*arguments, **options, stop=lambda: len(events) >= tiles)
    result = drain(run, events.append)
    assert len(events) == tiles
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_an_ome_zarr_holds_what_memory_would(model: Checkpoint, tmp_path: Path):
    image = plane(2, 70, 80, axes="ZYX", pixel_size_um=0.5, slice_step_um=2.0)
    expected = predict(image, model, BOTH)
    labels, maps = tmp_path / "l.ome.zarr", tmp_path / "p.ome.zarr"
    result = predict(image, model, BOTH, into=DiskOutput(labels, maps))
    assert result.complete
    everything = (slice(0, 2), slice(0, 70), slice(0, 80))
    np.testing.assert_array_equal(result.labels[everything], expected.labels)
    np.testing.assert_array_equal(read_labels(labels), expected.labels)
    back = open_image(maps)
    assert (back.axes, back.channels) == ("CZYX", 2)
    assert (back.pixel_size_um, back.slice_step_um) == (0.5, 2.0)
    for z in range(2):
        np.testing.assert_array_equal(back.read((z,)), expected.probabilities[:, z])
    attributes = dict(zarr.open_group(labels).attrs)
    assert attributes["image-label"]["properties"] == [
        {"label-value": 1, "class": model.spec.classes[1]}
    ]
    assert not list(tmp_path.rglob(".napari-unet-run"))


def test_levels_are_halves_of_each_other(tmp_path: Path):
    rng = np.random.default_rng(0)
    for labels, dtype in ((True, "u1"), (False, "f4")):
        image = Multiscale(
            path=tmp_path / f"{dtype}.ome.zarr",
            axes="TYX",
            shape=(2, 2100, 35),
            chunks=(1, 512, 35),
            dtype=np.dtype(dtype),
            pixel_size=PixelSize.of_micrometres(x=0.5, y=0.5),
            labels=labels,
        )
        pixels = rng.integers(0, 9, image.shape).astype(dtype)
        image.open(anew=True)[...] = pixels
        assert image.finish(lambda: False, {})
        group = zarr.open_group(image.path)
        (multiscale,) = group.attrs["multiscales"]
        assert [d["path"] for d in multiscale["datasets"]] == ["0", "1", "2"]
        assert [group[str(n)].shape[1:] for n in range(3)] == [
            (2100, 35),
            (1050, 18),
            (525, 9),
        ]
        scales = [
            d["coordinateTransformations"][0]["scale"] for d in multiscale["datasets"]
        ]
        assert scales == [[1, 0.5, 0.5], [1, 1, 1], [1, 2, 2]]
        if labels:
            halved = pixels[:, ::2, ::2]
        else:
            even = np.pad(pixels, [(0, 0), (0, 0), (0, 1)], mode="edge")
            halved = even.reshape(2, 1050, 2, 18, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(group["1"][...], halved)


def test_axes_on_disk_are_in_the_order_of_ome_zarr(
    make_checkpoint: Callable, tmp_path: Path
):
    volumes = make_checkpoint(ModelSpec(depth=2, width=4, ndim=3))
    image = plane(2, 1, 10, 40, 36, axes="TCZYX")
    expected = predict(image, volumes, BOTH)
    labels, maps = tmp_path / "l.ome.zarr", tmp_path / "p.ome.zarr"
    result = predict(image, volumes, BOTH, into=DiskOutput(labels, maps))
    assert open_image(labels).axes == "TZYX"
    array = zarr.open_array(maps / "0")
    assert array.shape == (2, 2, 10, 40, 36)
    np.testing.assert_array_equal(np.moveaxis(array[...], 1, 0), expected.probabilities)
    key = (1, 1, slice(2, 9), slice(0, 40), slice(3, 30))
    np.testing.assert_array_equal(
        result.probabilities[key], expected.probabilities[key]
    )


def test_a_run_goes_on_at_its_finished_tiles(model: Checkpoint, tmp_path: Path):
    image = plane(100, 90)
    whole = tmp_path / "whole"
    whole.mkdir()
    paths = whole / "a.ome.zarr", whole / "b.ome.zarr"
    predict(image, model, BOTH, into=DiskOutput(*paths))
    part = tmp_path / "part"
    part.mkdir()
    paths = part / "a.ome.zarr", part / "b.ome.zarr"
    first = stopped_after(5, image, model, BOTH, into=DiskOutput(*paths))
    assert not first.complete
    again = list(iter_predict(image, model, BOTH, into=DiskOutput(*paths)))
    assert [event.done for event in again] == list(range(6, 13))
    assert contents(part) == contents(whole)


def test_a_run_begun_by_an_earlier_version_goes_on(model: Checkpoint, tmp_path: Path):
    stopped_after(2, plane(100, 90), model, CPU, into=DiskOutput(tmp_path / "a.zarr"))
    (begun,) = tmp_path.rglob("run.json")
    assert json.loads(begun.read_text())["program"] == "0.1.0"


def test_a_tile_whose_chunk_was_lost_is_predicted_again(
    model: Checkpoint, tmp_path: Path
):
    path = tmp_path / "a.ome.zarr"
    stopped_after(5, plane(100, 90), model, CPU, into=DiskOutput(path))
    (path / "0" / "0" / "1").unlink()
    again = list(iter_predict(plane(100, 90), model, CPU, into=DiskOutput(path)))
    assert again[0].inner == (slice(0, 32), slice(32, 64))
    assert len(again) == 12 - 4
    expected = predict(plane(100, 90), model, CPU)
    np.testing.assert_array_equal(read_labels(path), expected.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model", "the model changed"),
        ("tile", r"the tile size changed \(\[32, 32\] then, \[64, 64\] now\)"),
        ("image", "the image changed"),
        ("brightness", "the brightness of the image changed"),
        ("flips", r"the mean over the flips changed \(auto then, on now\)"),
        ("precision", r"the precision changed \(full then, half now\)"),
    ],
)
def test_another_run_is_refused(
    model: Checkpoint,
    make_checkpoint: Callable,
    tmp_path: Path,
    change: str,
    message: str,
):
    path = tmp_path / "a.ome.zarr"
    image = plane(100, 90)
    stopped_after(2, image, model, CPU, into=DiskOutput(path))
    before = contents(path)
    config, checkpoint = CPU, model
    if change == "model":
        checkpoint = make_checkpoint(seed=1)
    elif change == "tile":
        config = dataclasses.replace(CPU, tile=64)
    elif change == "flips":
        config = dataclasses.replace(CPU, average_flips="on")
    elif change == "precision":
        config = dataclasses.replace(CPU, precision="half")
    elif change == "brightness":
        image = Image.from_array(image.data + 1, "YX", name="noise")
    else:
        image = Image.from_array(image.data[:90], "YX", name="noise")
    with pytest.raises(DataError, match=message + r".*--overwrite"):
        predict(image, checkpoint, config, into=DiskOutput(path))
    assert contents(path) == before
    anew = DiskOutput(path, overwrite=True)
    assert predict(image, checkpoint, config, into=anew).complete
    expected = predict(image, checkpoint, config).labels
    np.testing.assert_array_equal(read_labels(path), expected)


def test_a_file_that_changed_between_two_runs_is_refused(
    model: Checkpoint, tmp_path: Path
):
    source, path = tmp_path / "a.tif", tmp_path / "a.ome.zarr"
    tifffile.imwrite(source, plane(100, 90).data)
    stopped_after(2, open_image(source), model, CPU, into=DiskOutput(path))
    os.utime(source, ns=(0, 0))
    with pytest.raises(DataError, match="the image changed"):
        predict(open_image(source), model, CPU, into=DiskOutput(path))


def write_zarr(path: Path, *shape: int) -> np.ndarray:
    """Write noise in chunks of the size of a tile."""
    pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    chunks = (*(1,) * (len(shape) - 2), 32, 32)
    zarr.create_array(path, shape=shape, chunks=chunks, dtype="u1")[...] = pixels
    return pixels


def tiles_again(
    source: Path, path: Path, model: Checkpoint, known: Normalisation
) -> int:
    """Run to the end and return how many tiles that took."""
    into, image = DiskOutput(path), open_image(source)
    count = len(list(iter_predict(image, model, CPU, normalisation=known, into=into)))
    whole = predict(open_image(source), model, CPU, normalisation=known)
    np.testing.assert_array_equal(read_labels(path), whole.labels)
    return count


@pytest.mark.parametrize("content", [None, b"no chunk"], ids=["missing", "corrupt"])
def test_a_run_goes_on_when_a_chunk_was_mended(
    model: Checkpoint, tmp_path: Path, content: bytes | None
):
    source, path = tmp_path / "a.zarr", tmp_path / "a.ome.zarr"
    write_zarr(source, 96, 96)
    known = Normalisation.measure(open_image(source))
    chunk = source / "c" / "1" / "2"
    good = chunk.read_bytes()
    chunk.unlink()
    if content is not None:
        chunk.write_bytes(content)
    # The halo of the second tile reaches into the last chunk of the second row.
    run = iter_predict(
        open_image(source), model, CPU, normalisation=known, into=DiskOutput(path)
    )
    next(run)
    with pytest.raises(
        DataError, match=r"tile \[0:32, 32:64\]: .*pixels \[32:64, 64:96"
    ):
        next(run)
    chunk.write_bytes(good)
    assert tiles_again(source, path, model, known) == 8


def test_only_tiles_of_changed_chunks_are_predicted_again(
    model: Checkpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    source, path = tmp_path / "a.zarr", tmp_path / "a.ome.zarr"
    write_zarr(source, 2, 96, 96)
    image = open_image(source, axes="ZYX")
    known = Normalisation.measure(image)
    stopped_after(14, image, model, CPU, normalisation=known, into=DiskOutput(path))
    zarr.open_array(source)[0, 64:, 64:] = 7
    (source / "c" / ".DS_Store").write_bytes(b"not a chunk")
    into, again = DiskOutput(path), open_image(source, axes="ZYX")
    run = iter_predict(again, model, CPU, normalisation=known, into=into)
    places = {(e.index[0], *(part.start for part in e.inner)) for e in run}
    halo = model.spec.footprint.halo[0]
    assert 0 < halo < 32, "the tiles beside the chunk see it, no others"
    changed = {(0, y, x) for y in (32, 64) for x in (32, 64)}
    assert places == changed | {(1, 32, 64), (1, 64, 0), (1, 64, 32), (1, 64, 64)}
    assert "4 finished tiles are predicted again" in caplog.text
    whole = predict(again, model, CPU, normalisation=known)
    np.testing.assert_array_equal(read_labels(path), whole.labels)


def test_changed_metadata_are_another_image(model: Checkpoint, tmp_path: Path):
    source, path = tmp_path / "a.zarr", tmp_path / "a.ome.zarr"
    write_zarr(source, 96, 96)
    stopped_after(2, open_image(source), model, CPU, into=DiskOutput(path))
    zarr.open_array(source).attrs["anything"] = "else"
    with pytest.raises(DataError, match=r"the image changed.*--overwrite"):
        predict(open_image(source), model, CPU, into=DiskOutput(path))


def test_finished_results_are_not_written_over(model: Checkpoint, tmp_path: Path):
    path = tmp_path / "a.ome.zarr"
    # Of two levels: the metadata of the second one must stay.
    image, config = plane(1100, 40), dataclasses.replace(CPU, tile=512)
    predict(image, model, config, into=DiskOutput(path))
    before = contents(path)
    with pytest.raises(DataError, match="is there already"):
        predict(image, model, config, into=DiskOutput(path))
    events = list(
        iter_predict(image, model, config, into=DiskOutput(path, resume=True))
    )
    assert events == []
    other = dataclasses.replace(CPU, tile=64)
    with pytest.raises(DataError, match=r"is finished.*tile size changed"):
        predict(image, model, other, into=DiskOutput(path, resume=True))
    assert contents(path) == before


def test_a_folder_of_others_is_never_deleted(model: Checkpoint, tmp_path: Path):
    precious = tmp_path / "thesis.zarr"
    precious.mkdir()
    (precious / "chapter.txt").write_text("all of it")
    for overwrite in (False, True):
        with pytest.raises(DataError, match="choose another name"):
            predict(
                plane(40, 40),
                model,
                CPU,
                into=DiskOutput(precious, overwrite=overwrite),
            )
    assert contents(precious) == {"chapter.txt": b"all of it"}


def test_two_runs_do_not_write_to_one_place(model: Checkpoint, tmp_path: Path):
    path = tmp_path / "a.ome.zarr"
    run = iter_predict(plane(100, 90), model, CPU, into=DiskOutput(path))
    next(run)
    with pytest.raises(DataError, match="another run is writing"):
        predict(plane(100, 90), model, CPU, into=DiskOutput(path))
    run.close()
    assert predict(plane(100, 90), model, CPU, into=DiskOutput(path)).complete


def test_a_large_tiff_is_made_of_the_tiles(model: Checkpoint, tmp_path: Path):
    image = plane(2, 600, 520, axes="TYX", pixel_size_um=0.25)
    config = dataclasses.replace(BOTH, tile=256)
    expected = predict(image, model, config)
    labels, maps = tmp_path / "l.tif", tmp_path / "p.tif"
    labels.write_bytes(b"an older result")
    stopped_after(3, image, model, config, into=DiskOutput(labels, maps))
    assert labels.read_bytes() == b"an older result"
    result = predict(image, model, config, into=DiskOutput(labels, maps))
    assert sorted(os.listdir(tmp_path)) == ["l.tif", "p.tif"]
    np.testing.assert_array_equal(read_labels(labels), expected.labels)
    with tifffile.TiffFile(maps) as tif:
        assert tif.series[0].axes == "CTYX"
        assert tif.pages.first.is_tiled
        np.testing.assert_array_equal(tif.asarray(), expected.probabilities)
    assert open_image(maps).pixel_size_um == pytest.approx(0.25)
    assert np.asarray(result.labels[1, :5, :7]).shape == (5, 7)


def test_stop_while_a_tiff_is_put_together_leaves_nothing_half(
    model: Checkpoint, tmp_path: Path
):
    path = tmp_path / "l.tif"
    events: list[TileDone] = []
    run = iter_predict(
        plane(60, 60), model, CPU, into=DiskOutput(path), stop=lambda: len(events) == 4
    )
    events.extend(run)
    assert len(events) == 4
    assert os.listdir(tmp_path) == [".l.tif.unfinished.zarr"]
    assert list(iter_predict(plane(60, 60), model, CPU, into=DiskOutput(path))) == []
    assert os.listdir(tmp_path) == ["l.tif"]


def test_a_full_disk_keeps_the_finished_tiles(model: Checkpoint, tmp_path: Path):
    path, image = tmp_path / "p.ome.zarr", plane(100, 90)
    labels = tmp_path / "l.ome.zarr"
    whole = predict(image, model, BOTH)
    run = iter_predict(image, model, BOTH, into=DiskOutput(labels, path))
    next(run)
    with (
        full_disk(2000),
        pytest.raises(DataError, match=r"tile \[0:32, 32:64\]: .*free space"),
    ):
        next(run)
    again = DiskOutput(labels, path)
    assert len(list(iter_predict(image, model, BOTH, into=again))) == 11
    np.testing.assert_array_equal(read_labels(labels), whole.labels)


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_anywhere_ends_in_the_same_files(
    tmp_path: Path, every: int
):
    script = Path(__file__).with_name("kill_points.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(every)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 90 / every


@pytest.mark.slow
def test_kill_9_during_a_command_and_the_same_command_again(
    make_checkpoint: Callable, tmp_path: Path
):
    make_checkpoint(ModelSpec(depth=3, width=8)).save(tmp_path / "m.safetensors")
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, plane(640, 640).data)

    def command(out: str) -> list[str]:
        options = [f"--model={tmp_path / 'm.safetensors'}", "--device=cpu", "--tile=64"]
        start = [sys.executable, "-c", COMMAND, "predict", str(source)]
        return [*start, f"--output={tmp_path / out}", *options]

    subprocess.run(command("whole.ome.zarr"), check=True, capture_output=True)
    killed = subprocess.Popen(command("killed.ome.zarr"), stderr=subprocess.PIPE)
    finished_log = tmp_path / "killed.ome.zarr" / ".napari-unet-run" / "tiles"
    while killed.poll() is None and not (
        finished_log.exists() and finished_log.stat().st_size
    ):
        time.sleep(0.002)
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL, "it was killed while it ran"
    finished = finished_log.read_text().count("\n")
    assert 0 < finished < 100
    again = subprocess.run(
        command("killed.ome.zarr"), check=True, capture_output=True, text=True
    )
    assert "killed.ome.zarr (" in again.stdout
    whole, found = (
        contents(tmp_path / f"{name}.ome.zarr") for name in ("whole", "killed")
    )
    for name in (".zattrs",):
        one, other = json.loads(whole.pop(name)), json.loads(found.pop(name))
        one["multiscales"][0]["name"] = other["multiscales"][0]["name"] = ""
        assert one == other
    assert found == whole

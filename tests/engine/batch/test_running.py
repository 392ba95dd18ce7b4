"""Tests of batches: results, what goes on after an end, and what is not replaced."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from batch_runs import CONFIG, SEED, contents, rows_of, run, write_image
from skimage.measure import regionprops_table

from unet_engine.batch import (
    BatchConfig,
    ImageDone,
    ImageFailed,
    ImageProgress,
    ImageStarted,
    iter_run_batch,
    one_image,
    plan_batch,
    run_batch,
)
from unet_engine.errors import DataError, DeviceError, SpecError
from unet_engine.files.locking import FolderLock
from unet_engine.objects import ObjectConfig
from unet_engine.prediction import segmentation
from unet_engine.remote.seeking import Reconnecting
from unet_engine.stopping import never

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint


def test_sums_of_the_tables_are_those_of_scikit_image(images: Path, model: Checkpoint):
    result, _ = run(images, model)
    assert (result.done, result.before, result.complete) == (4, 0, True)
    table, summary = rows_of(result.table), rows_of(result.summary)
    assert len(table) == result.objects > 10
    for row in summary:
        stem = row["file"].removesuffix(".tif")
        out = images.parent / "out"
        mask = tifffile.imread(out / f"{stem}_mask.tif")
        ids = tifffile.imread(out / f"{stem}_objects.tif")
        pixels = tifffile.imread(images / row["file"])
        expected = regionprops_table(ids, pixels, ("label", "area", "mean_intensity"))
        own = [r for r in table if r["file"] == row["file"]]
        assert [int(r["area (px)"]) for r in own] == expected["area"].tolist()
        np.testing.assert_allclose(
            [float(r["mean intensity"]) for r in own],
            expected["mean_intensity"],
            rtol=1e-6,
        )
        assert int(row["pixels"]) == np.count_nonzero(mask)
        assert int(row["objects"]) == ids.max()
        assert float(row["total area (px)"]) == expected["area"].sum()
        assert float(row["median area (px)"]) == np.median(expected["area"])
        assert {r["condition"] for r in own} == {row["condition"]}


def test_it_is_shown_that_a_line_is_tried_again(
    images: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    genuine = segmentation.iter_predict

    def breaking(*arguments, **named):
        yield Reconnecting(device="tcp://gpu:8786", seconds=9.0, done=0, total=1)
        return (yield from genuine(*arguments, **named))

    monkeypatch.setattr(segmentation, "iter_predict", breaking)
    result, events = run(images, model)
    shown = [event.what for event in events if isinstance(event, ImageProgress)]

    assert result.complete
    assert shown.count("reconnecting") == 4
    assert shown.count("predicting") >= 4


def test_a_second_run_gives_the_same_bytes_and_does_nothing(
    images: Path, model: Checkpoint
):
    run(images, model)
    out = images.parent / "out"
    first = contents(out)
    again, events = run(images, model)
    assert (again.done, again.before) == (0, 4)
    assert not [e for e in events if isinstance(e, ImageProgress)]
    assert contents(out) == first
    shutil.rmtree(out)
    run(images, model)
    assert contents(out) == first
    assert len(first) == 2 * 4 + 2


def test_an_image_that_fails_is_named_and_done_later(images: Path, model: Checkpoint):
    broken = images / "control" / "b.tif"
    good = broken.read_bytes()
    broken.write_bytes(b"II*\0 is no image")
    result, events = run(images, model)
    assert result.done == 3
    assert list(result.failed) == [broken]
    assert str(broken) in result.failed[broken]
    assert [e.item.name for e in events if isinstance(e, ImageFailed)] == [
        "control/b.tif"
    ]
    assert {r["file"] for r in rows_of(result.summary)} == {
        "control/a.tif",
        "treated/a.tif",
        "treated/c.tif",
    }
    broken.write_bytes(good)
    result, _ = run(images, model)
    assert (result.done, result.before, dict(result.failed)) == (1, 3, {})
    assert [r["file"] for r in rows_of(result.summary)][1] == "control/b.tif"


def test_rows_of_an_image_that_fails_now_are_not_in_the_tables(
    images: Path, model: Checkpoint
):
    run(images, model)
    (images / "control" / "b.tif").write_bytes(b"II*\0 is no image")
    result, _ = run(images, model)
    assert (result.before, len(result.failed)) == (3, 1)
    for path in (result.table, result.summary):
        assert "control/b.tif" not in {row["file"] for row in rows_of(path)}


@pytest.mark.slow
def test_three_broken_images_among_many_are_named_alone(
    tmp_path: Path, model: Checkpoint
):
    for number in range(40):
        write_image(tmp_path / "many" / f"{number}.tif", number, (24, 24))
    broken = [tmp_path / "many" / f"{number}.tif" for number in (0, 17, 39)]
    for path in broken:
        path.write_bytes(path.read_bytes()[:150])
    result = run_batch(plan_batch([tmp_path / "many"], tmp_path / "out"), model, CONFIG)
    assert list(result.failed) == broken
    assert (result.done, result.complete) == (37, True)
    assert all(str(path) in reason for path, reason in result.failed.items())
    assert len(rows_of(result.summary)) == 37


def test_a_stopped_batch_goes_on_and_ends_like_one_that_was_not(
    images: Path, model: Checkpoint
):
    run(images, model)
    out = images.parent / "out"
    expected = contents(out)
    shutil.rmtree(out)
    started: list[ImageStarted] = []
    plan = plan_batch([images / "control", images / "treated"], out)
    batch = iter_run_batch(plan, model, CONFIG, stop=lambda: len(started) == 3)
    while True:
        try:
            event = next(batch)
        except StopIteration as end:
            result = end.value
            break
        started += [event] if isinstance(event, ImageStarted) else []
    assert not result.complete
    assert result.done == 2
    assert len({r["file"] for r in rows_of(result.table)}) == 2
    result, _ = run(images, model)
    assert (result.done, result.before, result.complete) == (2, 2, True)
    assert contents(out) == expected


@pytest.mark.slow
def test_another_setting_model_or_image_is_done_anew(
    images: Path, model: Checkpoint, make_checkpoint
):
    run(images, model)
    write_image(images / "control" / "a.tif", 77)
    assert run(images, model)[0].done == 1
    other = replace(CONFIG, finding=ObjectConfig(min_size=0, method="components"))
    assert run(images, model, other)[0].done == 4
    assert run(images, make_checkpoint(seed=5), other)[0].done == 4
    fewer = replace(other, masks=False)
    assert run(images, make_checkpoint(seed=5), fewer)[0].before == 4


def test_a_result_that_was_changed_is_kept(images: Path, model: Checkpoint):
    run(images, model)
    mask = images.parent / "out" / "control" / "a_mask.tif"
    tifffile.imwrite(mask, np.full((48, 56), 7, np.uint8))
    result, _ = run(images, model)
    assert "changed since" in result.failed[images / "control" / "a.tif"]
    assert "--overwrite" in result.failed[images / "control" / "a.tif"]
    assert tifffile.imread(mask).min() == 7
    assert run(images, model, overwrite=True)[0].done == 4
    assert tifffile.imread(mask).max() <= 1


@pytest.mark.parametrize("name", ["objects.csv", "summary.csv"])
def test_a_table_of_the_user_is_kept(images: Path, model: Checkpoint, name: str):
    out = images.parent / "out"
    out.mkdir()
    (out / name).write_text("mine\n")
    with pytest.raises(DataError, match=rf"{name} is there already.*--overwrite"):
        run(images, model)
    assert (out / name).read_text() == "mine\n"
    assert run(images, model, overwrite=True)[0].done == 4
    (out / name).write_text("mine, too\n")
    with pytest.raises(DataError, match="changed since"):
        run(images, model)


def test_results_beside_the_images_replace_none(images: Path, model: Checkpoint):
    folder = images / "control"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    result = run_batch(plan_batch([folder]), model, CONFIG)
    assert result.table == folder / "objects.csv"
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name in before} == (
        before
    )
    assert run_batch(plan_batch([folder]), model, CONFIG).before == 2
    named = plan_batch([folder / "a.tif", folder / "a_mask.tif"])
    failed = run_batch(named, model, CONFIG, overwrite=True).failed
    assert "would replace the image" in failed[folder / "a.tif"]


def test_a_folder_that_was_moved_with_its_images_is_finished(
    images: Path, model: Checkpoint
):
    run(images, model)
    home = images.parent / "elsewhere"
    home.mkdir()
    shutil.move(images, home / "images")
    shutil.move(images.parent / "out", home / "out")
    result, _ = run(home / "images", model)
    assert (result.done, result.before) == (0, 4)


def test_results_of_other_images_are_not_replaced(images: Path, model: Checkpoint):
    out = images.parent / "out"
    run_batch(plan_batch([images / "control" / "a.tif"], out), model, CONFIG)
    plan = plan_batch([images / "treated" / "a.tif"], out)
    [reason] = run_batch(plan, model, CONFIG).failed.values()
    assert "is the result of another image" in reason
    assert str(images / "control" / "a.tif") in reason


def test_a_later_run_adds_to_the_table(images: Path, model: Checkpoint):
    out = images.parent / "out"
    folder = images / "control"
    run_batch(plan_batch([folder / "a.tif"], out), model, CONFIG)
    result = run_batch(plan_batch([folder / "b.tif"], out), model, CONFIG)
    assert result.earlier == 1
    assert [r["file"] for r in rows_of(result.summary)] == ["b.tif", "a.tif"]


def test_a_disk_that_goes_away_ends_the_batch(images: Path, model: Checkpoint):
    out = images.parent / "out"
    plan = plan_batch([images / "control", images / "treated"], out)
    batch = iter_run_batch(plan, model, CONFIG)
    done: list = []
    with pytest.raises(DataError, match=r"cannot be written.*1 of 4 images are done"):
        for event in batch:
            if isinstance(event, ImageDone):
                done.append(event)
                out.rename(images.parent / "unplugged")
                out.write_text("a mount point that is no folder")
    out.unlink()
    (images.parent / "unplugged").rename(out)
    result, _ = run(images, model)
    assert (result.before, result.done) == (1, 3)


def test_a_disk_of_images_that_goes_away_ends_the_batch(
    images: Path, model: Checkpoint
):
    out = images.parent / "out"
    plan = plan_batch([images / "control", images / "treated"], out)
    with pytest.raises(DataError, match=r"treated is not there any more.*2 of 4"):
        for event in iter_run_batch(plan, model, CONFIG):
            if isinstance(event, ImageStarted) and event.number == 3:
                (images / "treated").rename(images / "unplugged")
    (images / "unplugged").rename(images / "treated")
    assert run(images, model)[0].before == 2


def test_a_full_disk_ends_the_batch(
    images: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unet_engine.batch.running.write_labels", full)
    with pytest.raises(DataError, match=r"has no free space.*0 of 4 images are done"):
        run(images, model)


@pytest.mark.parametrize("device", ["cuda:7", "tcp://127.0.0.1:1", "local:100"])
def test_a_device_that_is_not_there_is_an_error_of_the_run(
    images: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch, device: str
):
    monkeypatch.setenv("NAPARI_UNET_TOKEN", "A" * 43)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    config = replace(CONFIG, prediction=replace(CONFIG.prediction, device=device))
    plan = plan_batch([images / "control", images / "treated"], images.parent / "out")
    events: list = []
    with pytest.raises(DeviceError, match=r"^[^;]*; (use|start)") as caught:
        run_batch(plan, model, config, on_event=events.append)
    assert "images are done" not in str(caught.value)
    assert len(events) <= 2
    assert isinstance(events[0], ImageStarted)
    assert not [event for event in events if isinstance(event, ImageFailed)]
    assert run(images, model)[0].done == 4
    # What is done needs no device; only the settings are others.
    plan = plan_batch([images / "control", images / "treated"], images.parent / "out")
    assert run_batch(plan, model, CONFIG).before == 4


def test_a_line_that_goes_away_ends_the_batch_which_goes_on_later(
    images: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    lost = "nothing listens at gpu:8786; start napari-unet worker there"
    calls: list[bool] = []

    def iter_device(item, checkpoint, device, stop, *, worked=False):
        calls.append(worked)
        yield from ()
        if len(calls) == 3:
            raise DeviceError(lost)

    monkeypatch.setattr("unet_engine.batch.running.iter_device", iter_device)
    plan = plan_batch([images / "control", images / "treated"], images.parent / "out")
    events: list = []
    with pytest.raises(DeviceError) as caught:
        run_batch(plan, model, CONFIG, on_event=events.append)
    assert str(caught.value).startswith(f"{lost}; 2 of 4 images are done")
    assert calls == [False, True, True]
    assert not [event for event in events if isinstance(event, ImageFailed)]
    # The tables are those of what is there.
    assert len(rows_of(images.parent / "out" / "summary.csv")) == 2
    monkeypatch.undo()
    result, _ = run(images, model)
    assert (result.before, result.done) == (2, 2)


def test_a_line_that_broke_between_two_images_is_sought(
    images: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    tried: list[str] = []

    def connect(device, stop):
        tried.append(device)
        if len(tried) < 3:
            raise DeviceError("not yet")

    monkeypatch.setattr(one_image, "connect", connect)
    monkeypatch.setattr(one_image, "is_connected", lambda device: False)
    monkeypatch.setattr("unet_engine.remote.seeking._RETRY_S", 0.0)
    monkeypatch.setattr(one_image, "iter_prepare", lambda *_, **__: iter(()))
    item = plan_batch([images / "control"], images.parent / "out").items[0]
    for worked, count in ((False, 0), (True, 3)):
        device = one_image.iter_device(
            item, model, "tcp://gpu:8786", never, worked=worked
        )
        assert [event.what for event in device] == ["reconnecting"] * count
        assert len(tried) == count


def test_one_batch_at_a_time_writes_to_a_folder(images: Path, model: Checkpoint):
    records = images.parent / "out" / ".napari-unet-batch"
    records.mkdir(parents=True)
    lock = FolderLock(records)
    try:
        with pytest.raises(DataError, match="another batch is writing"):
            run(images, model)
    finally:
        lock.release()
    assert run(images, model)[0].done == 4


@pytest.mark.slow
def test_a_damaged_record_is_one_of_nothing(images: Path, model: Checkpoint):
    run(images, model)
    records = images.parent / "out" / ".napari-unet-batch"
    for path, text in zip(
        sorted(records.rglob("*.json")),
        ("", "[]", "{}", json.dumps({"version": 99})),
        strict=True,
    ):
        path.write_text(text)
    assert run(images, model)[0].done == 4


def test_volumes_have_objects_through_their_planes_or_in_each(
    tmp_path: Path, make_checkpoint
):
    path = tmp_path / "stack.tif"
    values = np.random.default_rng(0).integers(0, 255, (3, 40, 40)).astype(np.uint8)
    tifffile.imwrite(path, values, metadata={"axes": "ZYX"}, imagej=True)
    model, plan = make_checkpoint(seed=SEED), plan_batch([path], tmp_path / "out")
    whole = run_batch(plan, model, CONFIG)
    assert "volume (voxels)" in rows_of(whole.table)[0]
    flat = run_batch(plan, model, replace(CONFIG, planes=True))
    assert "area (px)" in rows_of(flat.table)[0]
    assert {r["z"] for r in rows_of(flat.table)} <= {"0", "1", "2"}


def test_a_stated_size_of_pixels_is_in_tables_and_files(
    images: Path, model: Checkpoint
):
    result, _ = run(images, model, replace(CONFIG, scale=(0.5,)))
    for row in rows_of(result.summary):
        area = float(row["total area (px)"])
        assert float(row["total area (µm²)"]) == pytest.approx(area / 4, rel=1e-5)
    from unet_engine import open_image

    mask = open_image(images.parent / "out" / "control" / "a_mask.tif", labels=True)
    assert mask.pixel_size_um == pytest.approx(0.5)


def test_what_cannot_be_is_refused_before_the_first_image(
    images: Path, model: Checkpoint, make_checkpoint
):
    from unet_engine.models.spec import ModelSpec

    with pytest.raises(SpecError, match="nothing is wanted"):
        BatchConfig(masks=False, objects=False, table=False)
    with pytest.raises(SpecError, match="method keep"):
        BatchConfig(finding=ObjectConfig(method="keep"))
    with pytest.raises(SpecError, match="class 5 cannot be the boundary"):
        run(images, model, replace(CONFIG, boundary=5))
    restoring = make_checkpoint(ModelSpec(depth=2, width=4, classes=()))
    with pytest.raises(SpecError, match="choose a model with classes"):
        run(images, restoring)
    assert not (images.parent / "out").exists()

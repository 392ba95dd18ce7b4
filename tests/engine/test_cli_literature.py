"""The networks, recipes and scores of the papers on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from unet_engine import training
from unet_engine.cli import main
from unet_engine.config import PredictConfig
from unet_engine.images import open_image
from unet_engine.inference import predict
from unet_engine.metrics import average_reports, report
from unet_engine.spec import ModelSpec
from unet_engine.store import FOLDER_VARIABLE, Checkpoint, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TINY = ("--crop=32", "--batch=2", "--device=cpu", "--quiet")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the user's own, empty folder of models."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    return ModelStore()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return three images with touching objects and the ids of those."""
    for part in "images", "ids", "masks":
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        ids = np.zeros((64, 64), np.uint16)
        for i in range(8):
            y, x = 16 * (i // 3) + number, 16 * (i % 3) + 4 * (i // 3)
            ids[y : y + 16, x : x + 16] = i + 1
        image = (ids > 0) * 100 + rng.normal(50, 8, ids.shape)
        name = f"cell_{number}.tif"
        tifffile.imwrite(tmp_path / "images" / name, image.astype(np.uint8))
        tifffile.imwrite(tmp_path / "ids" / name, ids)
        tifffile.imwrite(tmp_path / "masks" / name, (ids > 0).astype(np.uint8))
    return tmp_path


def data(folder: Path, labels: str) -> tuple[str, str]:
    return f"--images={folder / 'images'}", f"--labels={folder / labels}"


def evaluate(folder: Path, labels: str, *options: str) -> int:
    return main(["evaluate", *data(folder, labels), "--model=tiny", "-q", *options])


def finetune(folder: Path, labels: str, *options: str) -> int:
    return main(
        ["finetune", *data(folder, labels), *TINY, "--steps=2", "--out=new", *options]
    )


def expected(folder: Path, checkpoint: Checkpoint, labels: str, kind: str) -> dict:
    reports = []
    for path in sorted((folder / "images").iterdir()):
        config = PredictConfig(device="cpu")
        found = predict(open_image(path), checkpoint, config).labels
        if kind == "instances":
            found = ndimage.label(found)[0]
        reports.append(
            report(tifffile.imread(folder / labels / path.name), found, kind)
        )
    return average_reports(reports)


def test_scores_of_objects_fit_object_ids(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    store.save("tiny", make_checkpoint())
    assert evaluate(folder, "ids", "--instances", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    scores = expected(folder, make_checkpoint(), "ids", "instances")
    assert figures["scores"] == pytest.approx(scores)
    assert {"ap_50", "aji", "seg"} <= set(scores)
    assert set(figures) > {"pixel_error", "iou", "dice", "classes"}


@pytest.mark.parametrize(
    "classes, options",
    [
        (("inside", "Membrane"), ()),
        (("background", "foreground"), ("--scores=membranes",)),
    ],
)
def test_scores_of_membranes(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    classes: tuple[str, str],
    options: tuple[str, ...],
):
    checkpoint = make_checkpoint(ModelSpec(depth=2, width=4, classes=classes))
    store.save("tiny", checkpoint)
    assert evaluate(folder, "masks", "--json", *options) == 0
    found = json.loads(capsys.readouterr().out)["scores"]
    scores = expected(folder, checkpoint, "masks", "membranes")
    kept = {"v_rand", "v_info", "rand_error", "warping_error", "split_merge_error"}
    assert {k: found[k] for k in kept} == pytest.approx({k: scores[k] for k in kept})
    assert evaluate(folder, "masks", *options) == 0
    assert f"v_rand                 {scores['v_rand']:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "labels, options",
    [("masks", ["--scores=instances"]), ("ids", ["--instances", "--scores=classes"])],
)
def test_scores_that_do_not_fit_the_labels_are_refused(
    folder: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
    labels: str,
    options: list[str],
):
    store.save("tiny", make_checkpoint())
    assert evaluate(folder, labels, *options) == 1
    assert "leave --scores out" in capsys.readouterr().err


def test_objects_of_a_stack_go_on_along_z_and_not_along_t(
    tmp_path: Path,
    store: ModelStore,
    make_checkpoint: Callable[..., Checkpoint],
    capsys: pytest.CaptureFixture,
):
    store.save("tiny", make_checkpoint())
    ids = np.zeros((3, 64, 64), np.uint8)
    ids[:, 10:30, 10:30], ids[:, 40:60, 40:60] = 1, 2
    for name, values in (("images", ids * 90), ("ids", ids)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", values, photometric="minisblack")
    counts = []
    for axes in "ZYX", "TYX":
        assert evaluate(tmp_path, "ids", "--instances", "--json", f"--axes={axes}") == 0
        figures = json.loads(capsys.readouterr().out)
        assert figures["scores"]["true_objects"] == 2
        counts.append(figures["scores"]["predicted_objects"])
    found = predict(
        open_image(tmp_path / "images" / "a.tif", axes="ZYX"),
        make_checkpoint(),
        PredictConfig(device="cpu"),
    ).labels
    frames = [ndimage.label(plane)[1] for plane in found]
    assert counts == [ndimage.label(found)[1], np.mean(frames)]


def test_border_weight_takes_the_gaps_from_object_ids(
    folder: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def spy(checkpoint, pairs, config, **options):
        seen.extend(pairs)
        return genuine(checkpoint, pairs, config, **options)

    genuine = training.fine_tune
    monkeypatch.setattr(training, "fine_tune", spy)
    tiny = ("--depth=2", "--width=4")
    finetune(folder, "ids", "--instances", "--border-weight=10", *tiny)
    for pair in seen:
        ids = tifffile.imread(folder / "ids" / f"{pair.name}.tif")
        gaps = (pair.target == 0) & (ids > 0)
        assert gaps.any()
        assert pair.pixel_weights[gaps].min() > 9
    seen.clear()
    finetune(folder, "ids", "--instances", *tiny)
    assert all(pair.pixel_weights is None for pair in seen)
    assert len(seen) == 3

"""A model measured on images with labels, in Python as on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from unet_engine import (
    Cancelled,
    DataError,
    FineTuneConfig,
    Image,
    ModelSpec,
    ModelStore,
    PredictConfig,
    evaluate,
    fine_tune,
    open_labelled,
    pair_folders,
    start_checkpoint,
)
from unet_engine.cli import main
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from pathlib import Path

SPEC = ModelSpec(depth=2, width=4, classes=("background", "nucleus"))
CPU = PredictConfig(device="cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two images with object ids, of which one pixel each is not labelled."""
    root = tmp_path_factory.mktemp("data")
    images, labels = root / "images", root / "labels"
    for folder in (images, labels):
        folder.mkdir()
    for seed in range(2):
        pixels, truth = nuclei((64, 80), seed=seed)
        truth[0, 0] = -1
        tifffile.imwrite(images / f"{seed}.tif", pixels)
        tifffile.imwrite(labels / f"{seed}.tif", truth)
    return images, labels


def test_the_figures_are_those_of_the_command(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ModelStore().save("tiny", start_checkpoint(SPEC, seed=1))
    data = open_labelled(pair_folders(*folders), values="objects")
    measured = evaluate(ModelStore().load("tiny"), data, CPU, kind="instances")
    command = ["evaluate", "--images", str(folders[0]), "--labels", str(folders[1])]
    command += ["--model=tiny", "--label-values=objects", "--device=cpu", "--json"]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    assert measured.confusion.pixels == 2 * 64 * 80 - 2 == figures["pixels"]
    assert figures["iou"] == pytest.approx(measured.iou)
    assert figures["dice"] == pytest.approx(measured.dice)
    assert figures["pixel_error"] == pytest.approx(measured.pixel_error)
    assert figures["scores"] == pytest.approx(dict(measured.scores))
    assert measured.scores["true_objects"] > 1


def test_a_perfect_prediction_has_no_error(folders: tuple[Path, Path]) -> None:
    from unet_engine.training.evaluation import Evaluator

    for kind in ("classes", "instances"):
        evaluator = Evaluator(2, kind)
        for one in open_labelled(pair_folders(*folders), values="objects"):
            truth = one.target()
            evaluator.add(one, np.where(truth == 1, 1, 0).astype(np.uint8))
        measured = evaluator.result()
        assert measured.iou == measured.dice == 1
        assert measured.pixel_error == 0
        expected = {"classes": "mean_accuracy", "instances": "iou"}
        assert measured.scores[expected[kind]] == 1


def test_stopping_and_labels_of_nothing_are_refused() -> None:
    model = start_checkpoint(SPEC)
    image = Image.from_array(np.zeros((32, 32), np.uint8), "YX", name="empty")
    labels = np.zeros((32, 32), np.uint8)
    labels[:5] = 1
    data = open_labelled([(image, labels)], values="classes")
    with pytest.raises(Cancelled, match="stopped"):
        evaluate(model, data, CPU, stop=lambda: True)
    with pytest.raises(DataError, match="no pixel of these images is labelled"):
        evaluate(model, [], CPU)


def test_labels_of_another_shape_are_refused() -> None:
    image = Image.from_array(np.zeros((32, 48), np.uint8), "YX", name="cells")
    with pytest.raises(DataError, match=r"labels of cells have the shape \(32, 32\)"):
        open_labelled([(image, np.zeros((32, 32), np.uint8))])


def test_what_values_mean_is_decided_for_all_images_together() -> None:
    image = Image.from_array(np.zeros((32, 48), np.uint8), "YX")
    few, many = np.zeros((2, 32, 48), np.uint8)
    few[:4] = 1
    many[:4], many[8:12] = 1, 2
    data = open_labelled([(image, few), (image, many)], values="classes")
    assert [one.rule.classes for one in data] == [3, 3]


def test_ambiguous_values_are_refused_with_advice_that_works() -> None:
    image = Image.from_array(np.zeros((64, 64), np.uint8), "YX", name="cells")
    labels = np.zeros((64, 64), np.uint8)
    for number in range(1, 9):
        labels[6 * number : 6 * number + 3, 5:9] = number
    with pytest.raises(DataError, match='values="objects"'):
        open_labelled([(image, labels)])
    (one,) = open_labelled([(image, labels)], values="objects")
    assert set(np.unique(one.target())) == {0, 1}


@pytest.mark.slow
def test_fine_tune_learns_from_labels_and_strokes(folders: tuple[Path, Path]) -> None:
    from unet_engine import Annotations, PaintedImage

    config = FineTuneConfig(
        device="cpu", steps=30, minutes=0, crop=32, batch=2, learning_rate=0.01
    )
    start = start_checkpoint(SPEC, seed=1)
    labelled = open_labelled(pair_folders(*folders), values="objects")
    tuned = fine_tune(start, labelled, config)
    assert tuned.improved
    before, after = (
        evaluate(model, labelled, CPU).iou for model in (start, tuned.checkpoint)
    )
    assert after > before
    strokes = Annotations(labelled[0].image.plane_shape)
    rows, columns = np.nonzero(labelled[0].target() != 255)
    strokes.set((rows, columns), labelled[0].target()[rows, columns])
    painted = PaintedImage(image=labelled[0].image, strokes=strokes)
    assert fine_tune(start, [painted], config).improved


def test_fine_tune_reports_what_happens_and_stops() -> None:
    pixels, truth = nuclei((64, 64), seed=0)
    data = open_labelled([(Image.from_array(pixels, "YX"), truth)], values="objects")
    events: list[object] = []
    config = FineTuneConfig(device="cpu", steps=50, minutes=0, crop=32, batch=1)
    result = fine_tune(
        start_checkpoint(SPEC),
        data,
        config,
        stop=lambda: len(events) > 4,
        on_event=events.append,
    )
    assert result.stopped
    assert 4 < len(events) < 50

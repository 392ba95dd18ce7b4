"""Tests of texts of runs: command and script write the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from batch_runs import contents, save_model, write_image, write_images

from unet_engine import ImageIdentity, ModelStore, StrokeStore, open_image
from unet_engine.batch import BatchConfig, plan_batch, run_batch
from unet_engine.cli import main
from unet_engine.cli.app import parse_command
from unet_engine.images.choice import ImageChoice
from unet_engine.objects import ObjectConfig
from unet_engine.prediction.config import PredictConfig
from unet_engine.scripting import (
    batch_texts,
    fine_tuning_texts,
    objects_texts,
    prediction_texts,
)
from unet_engine.training.config import FineTuneConfig

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

PREDICTION = PredictConfig(device="cpu", object_size="off")


@pytest.fixture
def model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint
) -> Checkpoint:
    """Return a model that the store has as ``tiny``."""
    return save_model(tmp_path / "models", monkeypatch, make_checkpoint)


def execute(python: str) -> None:
    exec(compile(python, "script", "exec"), {})


@pytest.mark.parametrize(
    ("config", "overwrite"),
    [
        (BatchConfig(prediction=PREDICTION), False),
        (
            BatchConfig(
                prediction=PREDICTION,
                finding=ObjectConfig(min_size=3, fill_holes=False),
                masks=False,
                planes=True,
                scale=(0.3, 0.25),
                images=ImageChoice(axes="YX", channel=0),
            ),
            True,
        ),
    ],
)
def test_a_batch_as_command_and_script(
    tmp_path: Path,
    model: Checkpoint,
    config: BatchConfig,
    overwrite: bool,
):
    folder = write_images(tmp_path / "it's images")
    sources = [folder / "control", folder / "treated" / "a.tif"]
    run_batch(plan_batch(sources, tmp_path / "out"), model, config)
    expected = contents(tmp_path / "out")
    for name in ("cli", "python"):
        out = tmp_path / name
        texts = batch_texts(sources, out, "tiny", config, overwrite=overwrite)
        if name == "cli":
            assert main(texts.words) == 0
        else:
            execute(texts.python)
        assert contents(out) == expected
    assert len(expected) == 2 + 3 * (1 + config.masks)


def test_a_batch_beside_its_images_as_command(tmp_path: Path):
    texts = batch_texts([tmp_path / "a"], None, "mine", BatchConfig())
    arguments = parse_command(texts.words)[1].arguments
    assert arguments["images"] == (tmp_path / "a",)
    assert arguments["options"].model == "mine"
    assert arguments["options"].output is None
    assert "None)" in texts.python


def test_a_prediction_and_its_objects_as_command_and_script(
    tmp_path: Path, model: Checkpoint
):
    image = write_image(tmp_path / "image.tif", 3)
    files: dict[str, dict[str, bytes]] = {}
    for kind in ("cli", "python"):
        mask = tmp_path / kind / "image_mask.tif"
        mask.parent.mkdir()
        first = prediction_texts(image, mask, "tiny", PREDICTION)
        finding = ObjectConfig(min_size=2)
        second = objects_texts(
            image, mask, "tiny", PREDICTION, finding, model.spec, scale=(0.5, 0.5)
        )
        assert "image_mask.tif" in second.note
        for texts in (first, second):
            if kind == "cli":
                assert main(texts.words) == 0
            else:
                execute(texts.python)
        files[kind] = contents(mask.parent)
    assert files["cli"] == files["python"]
    assert set(files["cli"]) == {
        "image_mask.tif",
        "image_mask_objects.tif",
        "image_mask_objects.csv",
    }


def test_objects_that_the_bundled_model_shows_as_command_and_script(tmp_path: Path):
    image = write_image(tmp_path / "image.tif", 3)
    spec = ModelStore().info("nuclei").spec
    config = PredictConfig(device="cpu", object_size=10.0)
    files = []
    for kind in ("cli", "python"):
        mask = tmp_path / kind / "m.tif"
        mask.parent.mkdir()
        finding = ObjectConfig(merging=0.4)
        first = prediction_texts(image, mask, "nuclei", config)
        second = objects_texts(image, mask, "nuclei", config, finding, spec)
        for texts in (first, second):
            if kind == "cli":
                assert main(texts.words) == 0
            else:
                execute(texts.python)
        files.append(contents(mask.parent))
    assert files[0] == files[1]


def test_a_training_as_command_and_script(
    tmp_path: Path, model: Checkpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NAPARI_UNET_STROKES", str(tmp_path / "strokes"))
    path = write_image(tmp_path / "image.tif", 3)
    image = open_image(path)
    strokes = StrokeStore().open(ImageIdentity.of(image, path))
    rows, columns = np.mgrid[4:10, 4:40].reshape(2, -1)
    for shift, label in ((0, 1), (20, 0)):
        values = np.full(rows.size, label, np.uint8)
        strokes.set((rows + shift, columns), values)
    strokes.close()
    config = FineTuneConfig(steps=2, minutes=0, crop=32, batch=1, device="cpu")
    texts = fine_tuning_texts([path], "tiny", "tiny tuned", config, model.spec)
    found = parse_command(texts.words)[1].arguments
    assert FineTuneConfig(**found["settings"]) == config
    assert found["options"].strokes == (path,)
    assert (found["options"].parent, found["options"].out) == ("tiny", "tiny tuned")
    execute(texts.python)
    more = fine_tuning_texts(
        [path], "tiny", "x", config, model.spec, classes=("background", "a", "b")
    )
    assert "--classes=background,a,b" in more.words
    assert "with_classes(model, ('background', 'a', 'b'))" in more.python

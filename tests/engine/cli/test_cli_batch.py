"""Tests of ``napari-unet batch``: files as from Python, and what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from batch_runs import contents, run, save_model, write_image, write_images

from unet_engine.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

FIXED = ("--model=tiny", "--device=cpu", "--min-size=0")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with two conditions of two images each."""
    return write_images(tmp_path / "images")


@pytest.fixture
def model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint
) -> Checkpoint:
    """Return a model that the store has as ``tiny``."""
    return save_model(tmp_path / "models", monkeypatch, make_checkpoint)


def batch(images: Path, *arguments: object) -> int:
    sources = [str(images / name) for name in ("control", "treated")]
    return main(["batch", *sources, *FIXED, *map(str, arguments)])


@pytest.mark.slow
def test_the_command_writes_the_same_bytes_as_python(images: Path, model: Checkpoint):
    run(images, model)
    expected = contents(images.parent / "out")
    assert batch(images, "-o", images.parent / "cli") == 0
    assert contents(images.parent / "cli") == expected
    assert len(expected) == 10


def test_masks_are_those_of_predict_and_objects_those_of_objects(
    images: Path, model: Checkpoint
):
    out = images.parent / "out"
    batch(images, "-o", out)
    masks, ids = images.parent / "masks", images.parent / "ids"
    table = images.parent / "all.csv"
    control = images / "control"
    main(["predict", str(control), str(masks), *FIXED[:2]])
    words = [str(masks), "-o", str(ids), "--table", str(table), "--min-size=0"]
    main(["objects", *words, "--image", str(control)])
    for name in "ab":
        mask = out / "control" / f"{name}_mask.tif"
        assert mask.read_bytes() == (masks / f"{name}.tif").read_bytes()
        np.testing.assert_array_equal(
            tifffile.imread(out / "control" / f"{name}_objects.tif"),
            tifffile.imread(ids / f"{name}.tif"),
        )

    def measured(path: Path, folder: str, without: int) -> list[list[str]]:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        cells = [line.split(",") for line in lines if line.startswith(folder)]
        return [row[without:] for row in cells]

    # Without the file, the condition, the id of the object, and the class.
    assert measured(out / "objects.csv", "control/", 4) == measured(table, "", 3)


def test_lines_of_a_batch(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    (images / "control" / "b.tif").write_bytes(b"II*\0 is no image")
    assert batch(images, "-o", images.parent / "out") == 1
    captured = capsys.readouterr()
    assert "control/a.tif: " in captured.out
    assert "objects of 3 images" in captured.out
    assert "summary.csv" in captured.out
    assert "b.tif" in captured.err
    assert "1 of 4 images could not be done (3 done)" in captured.err
    write_image(images / "control" / "b.tif", 1)
    assert batch(images, "-o", images.parent / "out") == 0
    assert "1 images done, 3 finished before" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    words = ("-o", images.parent / "out", "--device")
    assert batch(images, *words, "cuda:99") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert "'cuda:99' is not usable on this machine; use auto" in line
    assert batch(images, *words, "auto") == 0


def test_results_beside_the_images_are_left_out_of_the_next_run(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    assert batch(images) == 0
    assert (images / "control" / "a_mask.tif").exists()
    assert (images / "objects.csv").exists()
    capsys.readouterr()
    assert batch(images) == 0
    assert "left out as results of batches: a_mask.tif and 7 more" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("--no-masks", "--no-objects", "--no-table"), "choose masks, objects or"),
        (("--method", "keep"), "choose watershed or components"),
        (("--scale", "1,2,3"), "give 1 or 2"),
    ],
)
def test_what_cannot_be_is_one_line(
    images: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    words: tuple[str, ...],
    advice: str,
):
    assert batch(images, "-o", images.parent / "out", *words) == 1
    assert advice in capsys.readouterr().err

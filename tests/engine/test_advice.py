"""Tests that the advice of a refusal leads on: message, advice, the command works."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

from unet_engine.cli import main
from unet_engine.runtime import Runner
from unet_engine.store import FOLDER_VARIABLE, Checkpoint, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

Command = list[str]

RNG = np.random.default_rng(0)
SQUARE = np.pad(np.ones((20, 20), np.uint8), 22)
TINY = ("--depth=2", "--width=4", "--crop=32", "--batch=2", "-q")
QUICK = ("--steps=30", "--learning-rate=0.01", "--elastic=0", "--intensity=0")


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_checkpoint: Callable[..., Checkpoint],
) -> Path:
    """Return a folder for files, with a model ``tiny`` in a store of its own."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    ModelStore().save("tiny", make_checkpoint())
    return tmp_path


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(1, 255, shape).astype(np.uint8)


def predict(source: Path, out: str, model: str = "tiny") -> Command:
    fixed = (f"--model={model}", "--device=cpu", "--tile=32")
    return ["predict", str(source), str(source.with_name(out)), *fixed]


def labelled(folder: Path, labels: np.ndarray) -> Command:
    """Return the options of two images with these labels."""
    bright = (60 + 150 * (labels > 0)).astype(np.uint8)
    for part, pixels in ("images", bright), ("labels", labels):
        (folder / part).mkdir()
        for name in "a.tif", "b.tif":
            tifffile.imwrite(folder / part / name, pixels)
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    return [*data, "--device=cpu"]


def finetune(folder: Path, labels: np.ndarray) -> Command:
    return ["finetune", *labelled(folder, labels), "--out=new", *TINY, *QUICK]


def objects_of(count: int) -> np.ndarray:
    """Return squares that are numbered from 1."""
    grid = np.arange(count).reshape(4, -1) + 1
    return np.pad(np.kron(grid, np.pad(np.ones((8, 8), int), 4)), 2).astype(np.uint16)


# What is refused, and where each finds its advice


def result_exists(folder: Path) -> Command:
    tifffile.imwrite(folder / "a.tif", noise(40, 40))
    tifffile.imwrite(folder / "m.tif", noise(40, 40))
    return predict(folder / "a.tif", "m.tif")


def zarr_result_exists(folder: Path) -> Command:
    tifffile.imwrite(folder / "a.tif", noise(40, 40))
    command = predict(folder / "a.tif", "m.ome.zarr")
    assert main(command) == 0
    return command


def table_exists(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", SQUARE)
    (folder / "t.csv").write_text("mine")
    return ["objects", str(folder / "m.tif"), f"--table={folder / 't.csv'}"]


def chunk_is_missing(folder: Path) -> Command:
    path = folder / "a.zarr"
    zarr.create_array(path, shape=(64, 64), chunks=(32, 32), dtype="u1")[...] = noise(
        64, 64
    )
    (path / "c" / "1" / "1").unlink()
    return predict(path, "m.ome.zarr")


def several_images_in_a_file(folder: Path) -> Command:
    with tifffile.TiffWriter(folder / "a.tif") as tif:
        tif.write(noise(40, 40))
        tif.write(noise(50, 60))
    return predict(folder / "a.tif", "m.tif")


def plate(folder: Path) -> Command:
    root = zarr.open_group(folder / "plate.zarr", mode="w", zarr_format=2)
    root.attrs["plate"] = {"wells": [{"path": "C/07"}]}
    well = zarr.open_group(folder / "plate.zarr/C/07", mode="w", zarr_format=2)
    well.attrs["well"] = {"images": [{"path": "4"}]}
    field = zarr.open_group(folder / "plate.zarr/C/07/4", mode="w", zarr_format=2)
    field.create_array("0", shape=(40, 40), chunks=(40, 40), dtype="u1")[...] = 7
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    scale = [{"type": "scale", "scale": [1, 1]}]
    level = {"path": "0", "coordinateTransformations": scale}
    field.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    return predict(folder / "plate.zarr", "m.tif")


def no_such_model(folder: Path) -> Command:
    tifffile.imwrite(folder / "a.tif", noise(40, 40))
    return predict(folder / "a.tif", "m.tif", model="tinny")


def model_exists(folder: Path) -> Command:
    command = finetune(folder, SQUARE)
    assert main(command) == 0
    return command


def axes_of_a_zarr(folder: Path) -> Command:
    path = folder / "a.zarr"
    zarr.create_array(path, data=noise(2, 40, 40))
    return predict(path, "m.ome.zarr")


def grey_level_mask(folder: Path) -> Command:
    return finetune(folder, SQUARE * np.uint8(128))


def object_ids(folder: Path) -> Command:
    return finetune(folder, objects_of(12))


def white_in_classes(folder: Path) -> Command:
    command = finetune(folder, SQUARE * np.uint8(255))
    return [*command, "--classes=ground,cell,rim"]


def scores_of_objects(folder: Path) -> Command:
    data = labelled(folder, SQUARE)
    return ["evaluate", *data, "--model=tiny", "--scores=instances"]


def objects_without_results(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", SQUARE)
    return ["objects", str(folder / "m.tif")]


def more(command: Command, found: re.Match[str]) -> Command:
    """Follow by appending what the message names."""
    return [*command, *found.groups()]


def table(command: Command, found: re.Match[str]) -> Command:
    """Follow by naming a table."""
    return [*command, found[1], str(Path(command[1]).with_name("t.csv"))]


def other(old: str) -> Callable[[Command, re.Match[str]], Command]:
    """Follow by writing the word of the message in place of one of the command."""
    return lambda command, found: [
        re.sub(old, lambda _: found[1], word) for word in command
    ]


CASES = [
    (result_exists, r"pass (--overwrite)", more),
    (zarr_result_exists, r"pass (--overwrite)", more),
    (table_exists, r"pass (--overwrite)", more),
    (chunk_is_missing, r"pass (--missing-chunks) (\w+)", more),
    (several_images_in_a_file, r"with (--series) (\d+)", more),
    (plate, r"such as (\S+)", other(r".*plate\.zarr$")),
    (no_such_model, r"(tiny)\b", other("tinny")),
    (model_exists, r"such as '(\S+)'", other(r"(?<=--out=)new$")),
    (axes_of_a_zarr, r"(--axes).*such as (\w+)", more),
    (grey_level_mask, r"(--label-values) (mask)", more),
    (grey_level_mask, r"(--label-values) (objects)", more),
    (object_ids, r"(--label-values) (objects)", more),
    (white_in_classes, r"(--label-values) (mask)", more),
    (scores_of_objects, r"(--label-values) (objects)", more),
    (objects_without_results, r"(--table)", table),
]


@pytest.mark.parametrize(("refused", "advice", "follow"), CASES)
def test_the_advice_of_a_refusal_leads_on(
    folder: Path,
    capfd: pytest.CaptureFixture,
    refused: Callable[[Path], Command],
    advice: str,
    follow: Callable[[Command, re.Match[str]], Command],
):
    command = refused(folder)
    capfd.readouterr()
    assert main(command) == 1
    message = capfd.readouterr().err.strip()
    found = re.search(advice, message)
    assert found, message
    assert main(follow(command, found)) == 0, capfd.readouterr().err


@pytest.mark.parametrize("before", [(), ("--overwrite",)])
def test_an_unfinished_run_goes_on_or_starts_anew_as_advised(
    folder: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    before: tuple[str, ...],
):
    genuine = Runner.__call__
    calls: list[int] = []

    def interrupted(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
        calls.append(1)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return genuine(self, block, *wanted)

    zarr.create_array(folder / "a.zarr", data=noise(96, 96), chunks=(32, 32))
    command = [*predict(folder / "a.zarr", "m.ome.zarr"), *before]
    monkeypatch.setattr(Runner, "__call__", interrupted)
    assert main(command) == 130
    message = capfd.readouterr().err
    assert "the same command" in message
    other_run = [word for word in command if word != "--overwrite"]
    assert main([*other_run, "--tile=48"]) == 1
    assert "pass --overwrite to start anew" in capfd.readouterr().err
    assert main([*command, *re.findall(r"with (--resume)", message)]) == 0
    assert len(calls) == 9 + 1, "one tile was begun twice"

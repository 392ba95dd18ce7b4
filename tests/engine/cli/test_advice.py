"""Tests that the advice of a refusal leads on: message, advice, the command works."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr

from unet_engine.cli import main
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

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
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    ModelStore().save("tiny", make_checkpoint())
    return tmp_path


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(1, 255, shape).astype(np.uint8)


def predict(source: Path, out: str, model: str = "tiny") -> Command:
    fixed = (f"--model={model}", "--device=cpu", "--tile=32")
    return ["predict", str(source), str(source.with_name(out)), *fixed]


def labelled(folder: Path, labels: np.ndarray) -> Command:
    """Return the options of two images with these labels."""
    bright = (60 + 150 * (labels > labels.min())).astype(np.uint8)
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
    return evaluate(folder, SQUARE * np.uint8(128))


def object_ids(folder: Path) -> Command:
    return evaluate(folder, objects_of(12))


def white_in_classes(folder: Path) -> Command:
    command = finetune(folder, SQUARE * np.uint8(255))
    return [*command, "--classes=ground,cell,rim"]


def scores_of_objects(folder: Path) -> Command:
    data = labelled(folder, SQUARE)
    return ["evaluate", *data, "--model=tiny", "--scores=instances"]


def objects_without_results(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", SQUARE)
    return ["objects", str(folder / "m.tif")]


def evaluate(folder: Path, labels: np.ndarray) -> Command:
    return ["evaluate", *labelled(folder, labels), "--model=tiny", "-q"]


def rewritten(
    folder: Path, labels: np.ndarray, write: Callable[[Path, np.ndarray], object]
) -> Command:
    """Return a command whose label files are written in another way."""
    command = evaluate(folder, labels)
    for path in (folder / "labels").iterdir():
        path.unlink()
        write(path.with_suffix(""), labels)
    return command


def two_images(path: Path, labels: np.ndarray) -> None:
    with tifffile.TiffWriter(path.with_suffix(".tif")) as tif:
        tif.write(labels)
        tif.write(labels[:9])


def labels_of_several_images(folder: Path) -> Command:
    return rewritten(folder, SQUARE, two_images)


def mask_of_several_images(folder: Path) -> Command:
    two_images(folder / "a", noise(64, 64))
    tifffile.imwrite(folder / "m.tif", SQUARE)
    image = f"--image={folder / 'a.tif'}"
    return ["objects", str(folder / "m.tif"), f"--table={folder / 't.csv'}", image]


def without_last_plane(path: Path, labels: np.ndarray) -> None:
    path = path.with_suffix(".tif")
    tifffile.imwrite(path, labels, ome=True, metadata={"axes": "ZYX"})
    plain = {"photometric": "minisblack", "metadata": None}
    with tifffile.TiffFile(path) as tif:
        description = tif.ome_metadata or ""
    promised = f'SizeZ="{len(labels)}"'
    assert promised in description
    tifffile.imwrite(path, labels[:-1], description=description.encode(), **plain)


def labels_without_a_plane(folder: Path) -> Command:
    return rewritten(folder, np.stack(5 * [SQUARE]), without_last_plane)


def labels_without_axes(folder: Path) -> Command:
    stack = np.stack(5 * [SQUARE])
    command = rewritten(
        folder, stack, lambda path, ids: zarr.create_array(f"{path}.zarr", data=ids)
    )
    for path in (folder / "images").iterdir():
        path.unlink()
        zarr.create_array(path.with_suffix(".zarr"), data=noise(1, *stack.shape))
    return command


def image_of_a_mask_without_axes(folder: Path) -> Command:
    zarr.create_array(folder / "a.zarr", data=noise(5, 64, 64))
    tifffile.imwrite(folder / "m.tif", np.stack(5 * [SQUARE]), metadata={"axes": "ZYX"})
    image = f"--image={folder / 'a.zarr'}"
    return ["objects", str(folder / "m.tif"), f"--table={folder / 't.csv'}", image]


def chunk_of_a_mask_is_missing(folder: Path) -> Command:
    chunk_is_missing(folder)
    command = ["objects", str(folder / "a.zarr"), f"--table={folder / 't.csv'}"]
    return [*command, "--label-values=mask"]


def white_among_ids(folder: Path) -> Command:
    ids = objects_of(12)
    ids[0] = 2**16 - 1
    return [*evaluate(folder, ids), "--instances"]


def classes_from_1(folder: Path) -> Command:
    return finetune(folder, SQUARE + np.uint8(1))


def negative_labels(folder: Path) -> Command:
    labels = SQUARE.astype(np.int16)
    labels[0] = -2
    return evaluate(folder, labels)


def more_classes_than_the_model(folder: Path) -> Command:
    labels = SQUARE.copy()
    labels[30:34, 30:34] = labels[2:5, 2:5] = 2
    return evaluate(folder, labels)


def several_channels(folder: Path) -> Command:
    tifffile.imwrite(
        folder / "a.tif", noise(2, 40, 40), ome=True, metadata={"axes": "CYX"}
    )
    return predict(folder / "a.tif", "m.tif")


def device_is_missing(folder: Path) -> Command:
    tifffile.imwrite(folder / "a.tif", noise(40, 40))
    command = predict(folder / "a.tif", "m.tif")
    # No machine has both.
    return [word.replace("=cpu", f"={absent_device()}") for word in command]


def absent_device() -> str:
    import torch

    return "mps" if torch.cuda.is_available() else "cuda"


def picture_of_a_stack(folder: Path) -> Command:
    zarr.create_array(
        folder / "a.zarr", data=noise(2, 40, 40), dimension_names=["z", "y", "x"]
    )
    return predict(folder / "a.zarr", "m.png")


def table_of_another_suffix(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", SQUARE)
    return ["objects", str(folder / "m.tif"), f"--table={folder / 't.xlsx'}"]


def result_of_another_suffix(folder: Path) -> Command:
    tifffile.imwrite(folder / "a.tif", noise(40, 40))
    return predict(folder / "a.tif", "m.jpg")


def ids_without_a_table(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", objects_of(12))
    return ["objects", str(folder / "m.tif"), "--method=keep"]


def ids_that_are_looked_for(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", objects_of(12) * np.uint16(40))
    return ["objects", str(folder / "m.tif"), f"-o={folder / 'o.tif'}"]


def table_of_something_else(folder: Path) -> Command:
    (folder / "m").mkdir()
    for name in "a.tif", "b.tif":
        tifffile.imwrite(folder / "m" / name, SQUARE)
    (folder / "t.csv").write_text("mine")
    return ["objects", str(folder / "m"), f"--table={folder / 't.csv'}", "--resume"]


def edited_objects(folder: Path) -> Command:
    command = table_of_something_else(folder)
    found = [command[1], f"-o={folder / 'o'}"]
    assert main(["objects", *found]) == 0
    tifffile.imwrite(folder / "o" / "a.tif", SQUARE * np.uint8(7))
    (folder / "t.csv").unlink()
    return [*command, *found[1:]]


def no_boundary(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", SQUARE)
    tifffile.imwrite(
        folder / "p.tif",
        np.stack([1 - SQUARE, SQUARE]).astype(np.float32),
        metadata={"axes": "CYX"},
        ome=True,
    )
    fixed = f"-o={folder / 'o.tif'}", f"--probabilities={folder / 'p.tif'}"
    return ["objects", str(folder / "m.tif"), *fixed]


def size_of_a_parent(folder: Path) -> Command:
    return [*finetune(folder, SQUARE), "--from=tiny"]


def file_and_folder(folder: Path) -> Command:
    command = evaluate(folder, SQUARE)
    return [word.replace("/images", "/images/a.tif") for word in command]


def more(command: Command, found: re.Match[str]) -> Command:
    """Follow by appending what the message names."""
    return [*command, *found.groups()]


def table(command: Command, found: re.Match[str]) -> Command:
    """Follow by naming a table."""
    return [*command, found[1], str(Path(command[1]).with_name("new.csv"))]


def other(old: str) -> Callable[[Command, re.Match[str]], Command]:
    """Follow by writing the word of the message in place of one of the command."""
    return lambda command, found: [
        re.sub(old, lambda _: found[1], word) for word in command
    ]


def keep(command: Command, found: re.Match[str]) -> Command:
    """Follow by keeping the ids, with a table."""
    return [*command, *found.groups(), f"--table={Path(command[1]).parent / 't.csv'}"]


def measure(command: Command, found: re.Match[str]) -> Command:
    """Follow by measuring the objects that were edited."""
    (out,) = (Path(word[3:]) for word in command if word.startswith("-o="))
    fixed = f"--table={out.parent / 'edited.csv'}", *found.groups()
    return ["objects", str(out / "a.tif"), *fixed]


def files(command: Command, found: re.Match[str]) -> Command:
    """Follow by naming a file of the labels, too."""
    assert found[1] == "file"
    return [re.sub("labels$", "labels/a.tif", word) for word in command]


def folders(command: Command, found: re.Match[str]) -> Command:
    """Follow by naming the folder of the images."""
    assert found[1] == "folder"
    return [word.removesuffix("/a.tif") for word in command]


def boundary(command: Command, found: re.Match[str]) -> Command:
    """Follow by naming class 1."""
    return [*command, f"{found[1]}=1"]


def without(*options: str) -> Callable[[Command, re.Match[str]], Command]:
    """Follow by leaving options out."""
    return lambda command, _: [w for w in command if w.split("=")[0] not in options]


CASES = [
    (result_exists, r"pass (--overwrite)", more),
    (zarr_result_exists, r"pass (--overwrite)", more),
    (table_exists, r"pass (--overwrite)", more),
    (chunk_is_missing, r"pass (--missing-chunks) (\w+)", more),
    (several_images_in_a_file, r"with (--series) (\d+)", more),
    (plate, r"such as (\S+)", other(r".*plate\.zarr$")),
    (no_such_model, r"(tiny)\b", other("tinny")),
    (model_exists, r"such as '(\S+)'", other(r"(?<=--out=)new$")),
    (model_exists, r"pass (--overwrite)", more),
    (labels_of_several_images, r"with (--series) (\d+)", more),
    (mask_of_several_images, r"with (--series) (\d+)", more),
    (labels_without_a_plane, r"pass (--missing-chunks) (\w+)", more),
    (labels_without_axes, r"(--axes).*such as (\w+)", more),
    (image_of_a_mask_without_axes, r"(--image-axes).*such as (\w+)", more),
    (chunk_of_a_mask_is_missing, r"pass (--missing-chunks) (\w+)", more),
    (white_among_ids, r"(--unlabelled) (65535)", more),
    (white_among_ids, r"(--unlabelled) (none)", more),
    (classes_from_1, r"(--unlabelled) (0)", more),
    (classes_from_1, r"(--label-values) (classes)", more),
    (negative_labels, r"(--unlabelled) (-2)", more),
    (more_classes_than_the_model, r"(--label-values) (mask)", more),
    (several_channels, r"(--channel) (0)", more),
    (device_is_missing, r"use auto or (cpu)", other(r"(?<=--device=)\w+$")),
    (device_is_missing, r"use (auto)", other(r"(?<=--device=)\w+$")),
    (picture_of_a_stack, r"write it to a (\.tif)", other(r"(?<=/m)\.png$")),
    (picture_of_a_stack, r"or (\.ome\.zarr)", other(r"(?<=/m)\.png$")),
    (table_of_another_suffix, r"end in (\.csv)", other(r"\.xlsx$")),
    (result_of_another_suffix, r"end in (\.tif) ", other(r"(?<=/m)\.jpg$")),
    (result_of_another_suffix, r"or (\.png)", other(r"(?<=/m)\.jpg$")),
    (ids_without_a_table, r"(--table)", table),
    (ids_that_are_looked_for, r"(--method) (keep) with --table", keep),
    (table_of_something_else, r"pass (--overwrite)", more),
    (table_of_something_else, r"another file with (--table)", table),
    (edited_objects, r"pass (--overwrite)", more),
    (edited_objects, r"(--method) (keep)", measure),
    (no_boundary, r"(--boundary)", boundary),
    (no_boundary, r"leave them out", without("--probabilities")),
    (size_of_a_parent, r"leave one of them out", without("--depth", "--width")),
    (size_of_a_parent, r"leave one of them out", without("--from")),
    (file_and_folder, r"both as (folder)s", folders),
    (file_and_folder, r"both as (file)s", files),
    (axes_of_a_zarr, r"(--axes).*such as (\w+)", more),
    (grey_level_mask, r"(--label-values) (mask)", more),
    (grey_level_mask, r"(--label-values) (objects)", more),
    (object_ids, r"(--label-values) (objects)", more),
    (white_in_classes, r"(--label-values) (mask)", more),
    (scores_of_objects, r"(--label-values) (objects)", more),
    (objects_without_results, r"(--table)", table),
]


def options(command: str) -> set[str]:
    """Return the options of a command as its help shows them."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as shown,
        contextlib.suppress(SystemExit),
    ):
        main([command, "--help"])
    return set(re.findall(r"--[a-z][a-z-]+", shown.getvalue()))


@pytest.mark.slow
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
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", message)) <= options(command[0])
    assert main(follow(command, found)) == 0, capfd.readouterr().err


@pytest.mark.parametrize("before", [(), ("--overwrite",)])
def test_an_unfinished_run_goes_on_or_starts_anew_as_advised(
    folder: Path,
    capfd: pytest.CaptureFixture,
    interrupt_at: Callable[[int], list[int]],
    before: tuple[str, ...],
):
    zarr.create_array(folder / "a.zarr", data=noise(96, 96), chunks=(32, 32))
    command = [*predict(folder / "a.zarr", "m.ome.zarr"), *before]
    calls = interrupt_at(4)
    assert main(command) == 130
    message = capfd.readouterr().err
    assert "the same command" in message
    other_run = [word for word in command if word != "--overwrite"]
    assert main([*other_run, "--tile=48"]) == 1
    assert "pass --overwrite to start anew" in capfd.readouterr().err
    assert main([*command, *re.findall(r"with (--resume)", message)]) == 0
    assert len(calls) == 9 + 1, "one tile was begun twice"


# What is printed beside a result


def size_without_unit(folder: Path) -> Command:
    command = table_exists(folder)
    tifffile.imwrite(
        folder / "m.tif",
        SQUARE,
        ome=True,
        metadata={"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "parsec"},
    )
    return [*command, "--overwrite"]


def distance_of_slices_is_unknown(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", np.stack(5 * [SQUARE]), metadata={"axes": "ZYX"})
    return ["objects", str(folder / "m.tif"), f"--table={folder / 't.csv'}"]


def small_objects(folder: Path) -> Command:
    tifffile.imwrite(folder / "m.tif", np.eye(64, dtype=np.uint8)[::-1] * SQUARE[30])
    command = ["objects", str(folder / "m.tif"), f"--table={folder / 't.csv'}"]
    return [*command, "--min-size=1000"]


def classes_taken_for_objects(folder: Path) -> Command:
    labels = (objects_of(12) > 0).astype(np.uint8)
    labels[:30] *= 2
    loud = [word for word in evaluate(folder, labels) if word != "-q"]
    return [*loud, "--instances"]


def scale(command: Command, found: re.Match[str]) -> Command:
    """Follow by a number for each axis, or one."""
    return [*command, found[1], re.sub("[ZYX]", "2", found[2]) or "2", "--overwrite"]


def again(command: Command, found: re.Match[str]) -> Command:
    """Follow by appending what the message names."""
    return [*command, *found.groups(), "--overwrite"]


NOTES = [
    (size_without_unit, r"objects (--scale)()", scale),
    (distance_of_slices_is_unknown, r"give (--scale) (Z,Y,X)", scale),
    (small_objects, r"\((--min-size) (0) keeps them\)", again),
    (classes_taken_for_objects, r"(--label-values) (mask)", more),
]


@pytest.mark.parametrize(("run", "advice", "follow"), NOTES)
def test_the_advice_beside_a_result_can_be_followed(
    folder: Path,
    capfd: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
    run: Callable[[Path], Command],
    advice: str,
    follow: Callable[[Command, re.Match[str]], Command],
):
    command = run(folder)
    capfd.readouterr()
    assert main(command) == 0
    printed = "\n".join([*capfd.readouterr(), caplog.text])
    found = re.search(advice, printed)
    assert found, printed
    caplog.clear()
    code = main(follow(command, found))
    printed = "\n".join([*capfd.readouterr(), caplog.text])
    assert code == 0, printed
    # A file that states its size wrongly does so still.
    assert run is size_without_unit or not re.search(advice, printed)

"""Tests that who mends a file as its refusal advises has a file that is read."""

from __future__ import annotations

import gzip
import os
import re
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from unet_engine.cli import main
from unet_engine.models.store import MODELS_VARIABLE, ModelStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from unet_engine.models.checkpoint import Checkpoint

RNG = np.random.default_rng(0)
SQUARE = np.pad(np.ones((20, 20), np.uint8), 22)
COLOURS = np.stack([SQUARE * np.uint8(200), SQUARE, SQUARE], axis=-1)


@pytest.fixture
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_checkpoint: Callable[..., Checkpoint],
) -> Path:
    """Return a folder of two images and labels, with a model ``tiny``."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    ModelStore().save("tiny", make_checkpoint())
    for part, pixels in ("images", noise(64, 64)), ("labels", SQUARE):
        (tmp_path / part).mkdir()
        for name in "a", "b":
            PIL.Image.fromarray(pixels).save(tmp_path / part / f"{name}.png")
    return tmp_path


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(1, 255, shape).astype(np.uint8)


def evaluate(folder: Path, *options: str) -> int:
    data = f"--images={folder / 'images'}", f"--labels={folder / 'labels'}"
    return main(["evaluate", *data, "--model=tiny", "--device=cpu", "-q", *options])


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, **options)
    else:
        PIL.Image.fromarray(pixels).save(path, **options)
    return path


# Each makes a file in place of another one, and returns how it is mended


def jpeg_labels(path: Path) -> Callable[[re.Match[str]], object]:
    jpeg = save(path.with_suffix(".jpg"), SQUARE * np.uint8(255))

    def export(found: re.Match[str]) -> None:
        save(path.with_suffix(f".{found[1].lower()}"), SQUARE)
        jpeg.unlink()

    return export


def jpeg_labels_by_another_name(path: Path) -> Callable[[re.Match[str]], object]:
    save(path, SQUARE * np.uint8(255), format="JPEG")
    return lambda found: save(path.with_suffix(f".{found[1].lower()}"), SQUARE)


def jpeg_in_a_tiff(path: Path) -> Callable[[re.Match[str]], object]:
    tiff = save(path.with_suffix(".tif"), SQUARE * np.uint8(255), compression="jpeg")
    return lambda _: save(tiff, SQUARE, compression="zlib")


def pipe(path: Path) -> Callable[[re.Match[str]], object]:
    os.mkfifo(path)

    def give_a_file(_: re.Match[str]) -> None:
        path.unlink()
        save(path, SQUARE)

    return give_a_file


def coloured_picture(path: Path) -> Callable[[re.Match[str]], object]:
    save(path, COLOURS)
    return lambda _: save(path, (COLOURS[..., 0] > 0).astype(np.uint8))


def coloured_tiff(path: Path) -> Callable[[re.Match[str]], object]:
    tiff = save(path.with_suffix(".tif"), COLOURS, photometric="rgb")
    return lambda _: save(tiff, (COLOURS[..., 0] > 0).astype(np.uint8))


def two_channels(path: Path) -> Callable[[re.Match[str]], object]:
    both = np.stack([SQUARE, 1 - SQUARE])
    tiff = save(path.with_suffix(".tif"), both, ome=True, metadata={"axes": "CYX"})
    return lambda _: save(tiff, both[0])


def transparent_picture(path: Path) -> Callable[[re.Match[str]], object]:
    empty = np.zeros_like(SQUARE)
    alpha = SQUARE * np.uint8(255)
    save(path, np.dstack([empty, empty, empty, alpha]))
    return lambda _: save(path, alpha // 255)


def probability_map(path: Path) -> Callable[[re.Match[str]], object]:
    tiff = save(path.with_suffix(".tif"), SQUARE * np.float32(0.7))
    return lambda _: save(tiff, (tifffile.imread(tiff) > 0.5).astype(np.uint8))


def inverted_labels(path: Path) -> Callable[[re.Match[str]], object]:
    tiff = save(path.with_suffix(".tif"), 255 - SQUARE, photometric="miniswhite")
    return lambda _: save(tiff, SQUARE)


def packed(path: Path) -> Callable[[re.Match[str]], object]:
    content = save(path, SQUARE).read_bytes()
    path.unlink()
    archive = path.with_name(f"{path.name}.gz")
    archive.write_bytes(gzip.compress(content))
    return lambda _: path.write_bytes(gzip.decompress(archive.read_bytes()))


def tiff_by_the_name_of_a_picture(path: Path) -> Callable[[re.Match[str]], object]:
    path.write_bytes(save(path.with_suffix(".tif"), SQUARE).read_bytes())
    path.with_suffix(".tif").unlink()
    return lambda found: path.rename(path.with_suffix(found[1]))


def picture_by_the_name_of_a_tiff(path: Path) -> Callable[[re.Match[str]], object]:
    save(path, SQUARE)
    wrong = path.rename(path.with_suffix(".tif"))
    return lambda found: wrong.rename(wrong.with_suffix(found[1]))


def unfinished_prediction(path: Path) -> Callable[[re.Match[str]], object]:
    path = path.with_suffix(".zarr")
    zarr.create_array(path, data=SQUARE, chunks=(32, 32))
    run_folder = path / ".napari-unet-run"
    run_folder.mkdir()
    (path / "c" / "1" / "1").unlink()

    def end(_: re.Match[str]) -> None:
        run_folder.rmdir()
        zarr.open_array(path)[...] = SQUARE

    return end


def link_to_nothing(path: Path) -> Callable[[re.Match[str]], object]:
    os.symlink(path.name, path)

    def check(_: re.Match[str]) -> None:
        path.unlink()
        save(path, SQUARE)

    return check


def empty_file(path: Path) -> Callable[[re.Match[str]], object]:
    path.touch()
    return lambda _: save(path, SQUARE)


OF_LABELS = [
    (jpeg_labels, r"JPEG changes .* export them as (PNG)"),
    (jpeg_labels_by_another_name, r"JPEG changes .* export them as (PNG)"),
    (jpeg_in_a_tiff, r"JPEG changes .* TIFF of another compression"),
    (coloured_picture, "convert each colour to its class"),
    (coloured_tiff, "convert each colour to its class"),
    (two_channels, "save one channel"),
    (transparent_picture, "save the alpha channel as a grey image"),
    (probability_map, "threshold a probability map"),
    (inverted_labels, "save the labels with 0 as black"),
    (packed, "unpack"),
    (tiff_by_the_name_of_a_picture, r"rename it to end in (\.\w+)$"),
    (picture_by_the_name_of_a_tiff, r"rename it to end in (\.\w+)$"),
    (unfinished_prediction, "end it with the command that began it"),
    (link_to_nothing, "check the path"),
    (empty_file, "export it again"),
    pytest.param(
        *(pipe, "give a file"),
        marks=pytest.mark.skipif(
            not hasattr(os, "mkfifo"), reason="there are no pipes with names"
        ),
    ),
]
ONLY_OF_LABELS = (inverted_labels, unfinished_prediction)
OF_IMAGES = [row for row in OF_LABELS[8:] if row[0] not in ONLY_OF_LABELS]


@pytest.mark.parametrize(("spoil", "advice"), OF_LABELS)
def test_labels_that_are_mended_as_advised_are_read(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
    spoil: Callable,
    advice: str,
):
    _follow(folder, "labels", caplog, capsys, spoil, advice)


@pytest.mark.parametrize(("spoil", "advice"), OF_IMAGES)
def test_images_that_are_mended_as_advised_are_read(
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
    spoil: Callable,
    advice: str,
):
    _follow(folder, "images", caplog, capsys, spoil, advice)


def _follow(
    folder: Path,
    part: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
    spoil: Callable,
    advice: str,
) -> None:
    path = folder / part / "b.png"
    path.unlink()
    mend = spoil(path)
    assert evaluate(folder) == 1
    lines = [*capsys.readouterr().err.strip().splitlines(), *caplog.messages]
    named = [line for line in lines if re.search(rf"{part}/b\.", line)]
    (found,) = filter(None, (re.search(advice, line) for line in named))
    mend(found)
    assert evaluate(folder) == 0, capsys.readouterr().err


def test_a_link_to_itself_does_not_stop_the_other_images(
    folder: Path, capsys: pytest.CaptureFixture
):
    images = folder / "images"
    os.symlink("c.png", images / "c.png")
    fixed = "--model=tiny", "--device=cpu", "-q"
    assert main(["predict", str(images), str(folder / "out"), *fixed]) == 1
    assert "c.png cannot be opened" in capsys.readouterr().err
    assert sorted(os.listdir(folder / "out")) == ["a.png", "b.png"]


def test_labels_that_name_no_axes_have_those_of_their_image(
    folder: Path, capsys: pytest.CaptureFixture
):
    for part in "images", "labels":
        for path in (folder / part).iterdir():
            path.unlink()
    stack = np.stack(5 * [SQUARE])
    for name in "a", "b":
        image = folder / "images" / f"{name}.tif"
        axes = {"axes": "ZCYX"}
        tifffile.imwrite(image, noise(5, 2, 64, 64), ome=True, metadata=axes)
        zarr.create_array(folder / "labels" / f"{name}.zarr", data=stack)
    assert evaluate(folder, "--channel=0") == 0
    zarr.create_array(folder / "labels" / "b.zarr", data=stack[None], overwrite=True)
    capsys.readouterr()
    assert evaluate(folder, "--channel=0") == 1
    line = capsys.readouterr().err.splitlines()[0]
    assert "b.zarr does not name its axes" in line
    assert "(ZYX); save labels that have the shape of the image" in line
    zarr.create_array(folder / "labels" / "b.zarr", data=stack, overwrite=True)
    assert evaluate(folder, "--channel=0") == 0


@pytest.mark.skipif(os.name == "nt", reason="names hold no line breaks there")
def test_a_name_of_two_lines_is_named_in_one(
    folder: Path, capsys: pytest.CaptureFixture
):
    path = folder / "a\nb.png"
    path.write_text("no picture")
    assert main(["predict", str(path), str(folder / "o.tif"), "--model=tiny"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.count("a b.png cannot be read as a picture") == 1
    assert line.startswith(f"napari-unet: error: {folder}/a b.png cannot")

"""Tests of runs over many files: one that fails is named, nothing is replaced."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from unet_engine.cli import main
from unet_engine.cli.files.batch import Batch
from unet_engine.errors import DataError, DeviceError
from unet_engine.failures import describe

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint

FIXED = ("--model=tiny", "--device=cpu")


def write(path: Path, value: int = 0, shape: tuple[int, ...] = (32, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, shape).astype(np.uint8)
    if path.suffix.lower() in (".jpg", ".png"):
        iio.imwrite(path, pixels)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack")
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of three images."""
    for number, name in enumerate("abc"):
        write(tmp_path / "images" / f"{name}.tif", number)
    return tmp_path / "images"


def segment(*arguments: object) -> int:
    return main(["predict", *FIXED, *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines_of(capsys: pytest.CaptureFixture) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize(
    "error",
    [
        IndexError("list index out of range"),
        MemoryError(),
        PermissionError(13, "Permission denied", "images/b.tif"),
        RecursionError("too deep"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_goes_wrong_with_one_image_is_its_line(
    images: Path,
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
):
    from unet_engine.images import open_image

    def failing(path: Path, **options: object) -> object:
        if path.name == "b.tif":
            raise error
        return open_image(path, **options)

    monkeypatch.setattr("unet_engine.images.choice.open_image", failing)
    out = images.parent / "out"
    assert segment(images, out) == 1
    assert names(out) == ["a.tif", "c.tif"]
    first, last = lines_of(capsys)
    assert "b.tif" in first
    assert "1 of 3 images could not be segmented (2 segmented)" in last


def test_a_device_that_is_not_there_is_one_line(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture, tmp_path: Path
):
    words = ["predict", str(images), str(tmp_path / "out"), "--model=tiny"]
    assert main([*words, "--device=cuda:99"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "'cuda:99' is not usable on this machine; use auto" in line


def test_a_device_that_goes_away_ends_the_run_and_keeps_what_is_done():
    files = Batch(3, "images", "segmented")
    files.done = 2
    with (
        pytest.raises(DeviceError, match=r"^gone; 2 of 3 images are segmented, and"),
        files.attempt(Path("c.tif")),
    ):
        raise DeviceError("gone")
    assert files.errors == {}


def test_links_to_nothing_and_damaged_zarrs_are_named(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    (images / "gone.tif").symlink_to(images / "nowhere.tif")
    (images / "empty.zarr").mkdir()
    assert segment(images, images.parent / "out") == 1
    lines = lines_of(capsys)
    assert [any(name in line for line in lines) for name in ("gone", "empty")]
    assert "2 of 5 images" in lines[-1]


def test_results_that_are_there_are_kept(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    labels = images.parent / "labels"
    by_hand = np.arange(32 * 40, dtype=np.uint16).reshape(32, 40)
    labels.mkdir()
    tifffile.imwrite(labels / "b.tif", by_hand)
    assert segment(images, labels) == 1
    first, last = lines_of(capsys)
    assert "b.tif is there already" in first
    assert "--overwrite" in first
    assert "1 of 3" in last
    np.testing.assert_array_equal(tifffile.imread(labels / "b.tif"), by_hand)
    assert names(labels) == ["a.tif", "b.tif", "c.tif"]
    assert segment(images, labels, "--overwrite") == 0
    assert tifffile.imread(labels / "b.tif").max() <= 1


@pytest.mark.parametrize("suffix", [".tif", ".png", ".ome.zarr"])
def test_one_result_that_is_there_is_kept(
    images: Path, model: Checkpoint, suffix: str, capsys: pytest.CaptureFixture
):
    out = images.parent / f"mask{suffix}"
    maps = images.parent / "maps.tif"
    maps.write_text("of another program")
    assert segment(images / "a.tif", out, "--probabilities", maps) == 1
    assert "maps.tif is there already" in lines_of(capsys)[0]
    assert not out.exists()
    assert segment(images / "a.tif", out) == 0
    if suffix == ".tif":
        # One that a run wrote is replaced, until it is changed.
        assert segment(images / "a.tif", out) == 0
        tifffile.imwrite(out, 1 - tifffile.imread(out))
    assert segment(images / "a.tif", out) == 1
    assert "is there already" in lines_of(capsys)[-1]
    assert segment(images / "a.tif", out, "--overwrite") == 0
    assert maps.read_text() == "of another program"


def test_a_link_is_the_file_that_it_leads_to(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    before = (images / "a.tif").read_bytes()
    link = images.parent / "mask.tif"
    link.symlink_to(images / "a.tif")
    assert segment(images / "a.tif", link, "--overwrite") == 1
    assert "would replace the image" in lines_of(capsys)[0]
    link.unlink()
    os.link(images / "a.tif", link)
    assert segment(images / "a.tif", link, "--overwrite") == 1
    assert (images / "a.tif").read_bytes() == before


def test_resume_skips_what_is_finished(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    out = images.parent / "out"
    assert segment(images / "b.tif", out / "b.tif") == 1, "the folder is missing"
    out.mkdir()
    assert segment(images / "b.tif", "-o", out) == 0
    before = (out / "b.tif").stat().st_mtime_ns
    capsys.readouterr()
    assert segment(images, out, "--resume") == 0
    lines = lines_of(capsys)
    assert "b.tif is there already; skipped" in lines[0]
    assert "2 images segmented, 1 finished before" in lines[-1]
    assert (out / "b.tif").stat().st_mtime_ns == before
    assert names(out) == ["a.tif", "b.tif", "c.tif"]


def test_images_of_one_stem_get_results_of_their_own(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    write(images / "a.jpg", 9)
    out, maps = images.parent / "out", images.parent / "maps"
    assert segment(images, out, "--probabilities", maps) == 0
    assert names(out) == names(maps) == ["a.jpg.tif", "a.tif", "b.tif", "c.tif"]
    assert "a.jpg" in lines_of(capsys)[0]
    alone = images.parent / "alone.tif"
    assert segment(images / "a.tif", alone) == 0
    one, other = tifffile.imread(alone), tifffile.imread(out / "a.tif")
    np.testing.assert_array_equal(one, other)


def test_results_of_two_folders_do_not_replace_each_other(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    other = write(images.parent / "more" / "a.tif", 7)
    out = images.parent / "out"
    assert segment(images, other, out) == 1
    first, _ = lines_of(capsys)
    assert "more/a.tif" in first
    assert "images/a.tif" in first
    assert names(out) == ["a.tif", "b.tif", "c.tif"]
    # The advice: two folders.
    assert segment(other, "-o", images.parent) == 0


def test_options_and_names_stand_in_any_order(images: Path, model: Checkpoint):
    a, b, root = images / "a.tif", images / "b.tif", images.parent
    for number, arguments in enumerate(
        (
            (a, *FIXED, "OUT"),
            (*FIXED, a, "--tile=32", "OUT", "--quiet"),
            ("-o", "OUT", *FIXED, a),
            (a, "-o", "OUT", *FIXED),
        )
    ):
        out = root / f"{number}.tif"
        given = [str(out) if one == "OUT" else str(one) for one in arguments]
        assert main(["predict", *given]) == 0
        assert out.is_file()
    assert main([*FIXED, "predict", str(a), str(root / "first.tif")]) == 0
    folder = root / "several"
    assert main(["predict", str(a), *FIXED, str(b), "--quiet", str(folder)]) == 0
    assert names(folder) == ["a.tif", "b.tif"]


def test_patterns_are_understood(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    write(images / "notes.png")
    out = images.parent / "out"
    assert segment(images / "[ab].tif", "-o", out) == 0
    assert names(out) == ["a.tif", "b.tif"]
    assert segment(images / "x*.tif", "-o", out) == 1
    assert "no file fits" in lines_of(capsys)[-1]


def test_a_forgotten_folder_costs_no_image(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    """``predict *.tif`` of a shell names the last image last."""
    before = (images / "c.tif").read_bytes()
    assert segment(*sorted(images.iterdir())) == 1
    assert "name the folder last, or with -o" in lines_of(capsys)[0]
    assert segment(images / "a.tif", images / "c.tif") == 1
    assert (images / "c.tif").read_bytes() == before


def test_names_in_either_unicode_form_pair_and_are_kept(
    tmp_path: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    name = "Zellkörper β.TIF"
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    image = write(tmp_path / "images" / composed)
    labels = tmp_path / "labels" / apart.replace(".TIF", ".tif")
    labels.parent.mkdir()
    tifffile.imwrite(labels, np.eye(32, 40, dtype=np.uint8))
    folders = f"--images={image.parent}", f"--labels={labels.parent}"
    assert main(["evaluate", *folders, *FIXED]) == 0
    assert segment(image.parent, tmp_path / "out") == 0
    assert names(tmp_path / "out") == [composed]


def test_a_name_that_is_no_text_is_printed(tmp_path: Path, model: Checkpoint):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/z\xfcrich.tif"))
    write(path)
    assert segment(path, "-o", tmp_path / "out.tif") == 0
    assert segment(path, "-o", path.with_name(path.stem + "_mask.tif")) == 0


def test_failures_are_one_line_that_names_the_file():
    for error in (DataError("two\nlines"), ValueError("a\n b"), MemoryError()):
        line = describe(error, Path("folder/x.tif"))
        assert "\n" not in line
        assert line.startswith("folder/x.tif: ")
    assert describe(DataError("x.tif is odd"), Path("x.tif")) == "x.tif is odd"


def test_evaluate_goes_on_without_what_cannot_be_read(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    labels = images.parent / "labels"
    labels.mkdir()
    for name in "abc":
        tifffile.imwrite(labels / f"{name}.tif", np.eye(32, 40, dtype=np.uint8))
    (images / "a.tif").write_text("no image")
    (labels / "c.tif").write_text("no labels")
    folders = f"--images={images}", f"--labels={labels}"
    assert main(["evaluate", *folders, *FIXED, "--json"]) == 1
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["images"] == 1
    assert set(figures["errors"]) == {"a.tif", "c.tif"}
    assert "2 of 3 images could not be measured" in printed.err


@pytest.fixture
def labelled(images: Path) -> tuple[str, str]:
    """Return the options of three images with labels."""
    labels = images.parent / "labels"
    labels.mkdir()
    for name in "abc":
        tifffile.imwrite(labels / f"{name}.tif", np.eye(32, 40, dtype=np.uint8))
    return f"--images={images}", f"--labels={labels}"


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_evaluate_goes_on_without_a_file_that_has_no_partner(
    images: Path,
    labelled: tuple[str, str],
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
    folder: str,
):
    lonely = images.parent / folder / "b.tif"
    other = images.parent / ({"images", "labels"} - {folder}).pop()
    (other / "b.tif").rename(images.parent / "b.tif")
    assert main(["evaluate", *labelled, *FIXED, "--json"]) == 1
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["images"] == 2
    assert set(figures["errors"]) == {"b.tif"}
    what = "labels" if folder == "images" else "image"
    assert f"{lonely} has no {what} of its name in {other}" in printed.err
    assert "1 of 3 images could not be measured (2 measured)" in printed.err
    # The figures are those of the others alone.
    lonely.unlink()
    assert main(["evaluate", *labelled, *FIXED, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone == {k: v for k, v in figures.items() if k != "errors"}


def test_evaluate_goes_on_without_two_files_of_one_name(
    images: Path,
    labelled: tuple[str, str],
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
):
    write(images / "a.png", 5)
    assert main(["evaluate", *labelled, *FIXED, "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 2
    assert "a.png has the same name as a.tif; keep one of them" in printed.err
    assert "2 of 4 images could not be measured (2 measured)" in printed.err
    (images / "a.png").unlink()
    assert main(["evaluate", *labelled, *FIXED, "--json"]) == 0


def test_pairs_are_counted_only_when_none_is_missing(
    images: Path,
    labelled: tuple[str, str],
    model: Checkpoint,
    capsys: pytest.CaptureFixture,
):
    (images.parent / "labels/a.tif").unlink()
    assert main(["evaluate", *labelled, *FIXED, "--range=1:"]) == 1
    assert "a.tif is without a partner" in lines_of(capsys)[-1]
    for name in "bc":
        (images.parent / f"labels/{name}.tif").rename(images.parent / f"labels/{name}x")
    write(images.parent / "labels/other.tif")
    assert main(["evaluate", *labelled, *FIXED]) == 1
    assert "do not pair by name" in lines_of(capsys)[-1]


def test_pretrain_goes_on_without_what_cannot_be_read(
    images: Path, model: Checkpoint, capsys: pytest.CaptureFixture
):
    for name in "ab":
        write(images / f"{name}.tif", shape=(64, 64))
    (images / "c.tif").write_text("no image")
    size = "--depth=2", "--width=4", "--crop=32", "--batch=2", "--device=cpu"
    options = "--out=new", "--steps=20", "--learning-rate=0.01", *size
    assert main(["pretrain", *options, str(images)]) == 1
    error = capsys.readouterr().err
    assert "c.tif" in error
    assert "no image" not in error
    assert "Traceback" not in error

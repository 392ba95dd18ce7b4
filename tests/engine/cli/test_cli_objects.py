"""Tests of ``napari-unet objects``."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from brightness_model import brightness_model, touching_cells
from skimage.draw import disk

from unet_engine.cli import main
from unet_engine.images import Image, read_labels, write_labels, write_probabilities
from unet_engine.models.store import MODELS_VARIABLE, ModelStore
from unet_engine.outlines import read_outlines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """Return a mask of three disks, of which two touch; its pixels are 0.5 µm."""
    values = np.zeros((60, 80), np.uint8)
    for centre in (20, 20), (20, 38), (45, 60):
        values[disk(centre, 10)] = 1
    path = tmp_path / "mask.tif"
    image = Image.from_array(values, "YX", pixel_size_um=0.5)
    write_labels(path, values, image=image)
    return path


def objects(path: Path, *options: object) -> int:
    return main(["objects", str(path), *map(str, options)])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_refused(code: int, stderr: str, *phrases: str) -> None:
    assert code == 1
    # What the values mean is printed before, where that is clear.
    printed = stderr.strip().splitlines()
    assert len([line for line in printed if not line.startswith("labels: ")]) == 1
    for phrase in ("napari-unet: error: ", *phrases):
        assert phrase in stderr


def test_labels_and_table_are_written(mask: Path, tmp_path: Path, capsys):
    brightness = tmp_path / "image.tif"
    tifffile.imwrite(brightness, np.full((60, 80), 7, np.uint16))
    out, table = tmp_path / "out.tif", tmp_path / "out.csv"
    assert objects(mask, "-o", out, "--table", table, "--image", brightness) == 0
    assert "3 objects" in capsys.readouterr().out
    labels = read_labels(out)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels > 0, read_labels(mask) > 0)
    rows = rows_of(table)
    assert [row["label"] for row in rows] == ["1", "2", "3"]
    pixels = int(rows[2]["area (px)"])
    assert float(rows[2]["area (µm²)"]) == pixels / 4
    assert rows[2]["mean intensity"] == "7"


def test_components_are_not_split_and_only_what_is_requested_is_written(
    mask: Path, tmp_path: Path, capsys
):
    table = tmp_path / "out.csv"
    options = ("--method", "components", "--table", table, "--scale", 2)
    assert objects(mask, *options) == 0
    assert "2 objects" in capsys.readouterr().out
    assert float(rows_of(table)[0]["area (µm²)"]) > 600 * 4
    assert sorted(tmp_path.iterdir()) == [mask, table]


def test_a_stack_is_one_volume_or_many_planes(tmp_path: Path, capsys):
    stack = np.zeros((3, 20, 20), np.uint8)
    stack[:, 5:12, 5:12] = 1
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZYX"})
    table = tmp_path / "out.csv"
    assert objects(path, "--table", table) == 0
    printed = capsys.readouterr()
    assert "1 object in 3-D" in printed.out
    assert "--scale Z,Y,X" in printed.err
    assert objects(path, "--table", table) == 1
    assert "is there already" in capsys.readouterr().err
    table.unlink()
    assert objects(path, "--table", table, "--scale", "2,1,1", "--axes", "ZYX") == 0
    assert float(rows_of(table)[0]["volume (µm³)"]) == 2 * 3 * 49
    assert objects(path, "--table", table, "--planes", "--overwrite") == 0
    assert [row["z"] for row in rows_of(table)] == ["0", "1", "2"]
    capsys.readouterr()
    assert objects(path, "--table", table, "--axes", "TYX", "--overwrite") == 0
    assert "3 objects in 2-D" in capsys.readouterr().out


def test_boundary_probabilities_split_objects(tmp_path: Path, capsys):
    probabilities = np.zeros((3, 20, 31), np.float32)
    probabilities[1] = 1
    probabilities[1:, :, 15] = np.array([[0.6], [0.4]])
    files = tmp_path / "mask.tif", tmp_path / "probabilities.tif"
    write_labels(files[0], np.ones((20, 31), np.uint8))
    write_probabilities(files[1], probabilities)
    options = ("-o", tmp_path / "out.tif", "--boundary", 2, "--overwrite")
    assert objects(files[0], *options) == 0
    assert "1 object " in capsys.readouterr().out
    assert objects(files[0], *options, "--probabilities", files[1]) == 0
    assert "2 objects" in capsys.readouterr().out


def test_ids_that_are_there_are_measured(tmp_path: Path, capsys):
    labels = np.zeros((20, 20), np.uint16)
    labels[2:5, 2:5], labels[10:12, 10:12] = 900, 12
    path, table = tmp_path / "ids.tif", tmp_path / "out.csv"
    tifffile.imwrite(path, labels)
    assert objects(path, "--method", "keep", "--table", table) == 0
    assert "2 objects" in capsys.readouterr().out
    assert [row["label"] for row in rows_of(table)] == ["12", "900"]
    assert "class" not in rows_of(table)[0]


def test_a_palette_picture_is_a_mask(tmp_path: Path, capsys):
    values = np.zeros((20, 30), np.uint8)
    values[3:12, 3:12] = values[3:12, 15:25] = 255
    path = tmp_path / "mask.png"
    iio.imwrite(path, values)
    assert objects(path, "-o", tmp_path / "out.png") == 0
    assert "2 objects" in capsys.readouterr().out
    assert read_labels(tmp_path / "out.png").max() == 2


def test_an_empty_mask_gives_a_header(tmp_path: Path, capsys):
    path, table = tmp_path / "mask.tif", tmp_path / "out.csv"
    tifffile.imwrite(path, np.zeros((20, 20), np.uint8))
    assert objects(path, "-o", tmp_path / "out.tif", "--table", table) == 0
    assert "0 objects" in capsys.readouterr().out
    assert len(table.read_text(encoding="utf-8").splitlines()) == 1
    assert not read_labels(tmp_path / "out.tif").any()


@pytest.mark.parametrize(
    ("values", "phrase"),
    [
        (np.full((9, 9), 0.5, np.float32), "fractions"),
        (np.full((9, 9), -3, np.int16), "negative"),
        (np.arange(81, dtype=np.uint16).reshape(9, 9), "keep"),
        (np.full((9, 9), 3000, np.uint16), "keep"),
    ],
)
def test_what_is_no_mask_is_refused(
    tmp_path: Path, capsys, values: np.ndarray, phrase: str
):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, values)
    code = objects(path, "-o", tmp_path / "out.tif")
    assert_refused(code, capsys.readouterr().err, phrase)
    assert not (tmp_path / "out.tif").exists()


def test_colours_are_refused(tmp_path: Path, capsys):
    path = tmp_path / "mask.tif"
    rng = np.random.default_rng(0)
    tifffile.imwrite(path, rng.integers(0, 9, (9, 9, 3), np.uint8), photometric="rgb")
    code = objects(path, "-o", tmp_path / "out.tif")
    assert_refused(code, capsys.readouterr().err, "colours")


def test_what_does_not_fit_is_refused(mask: Path, tmp_path: Path, capsys):
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, np.zeros((60, 81), np.uint8))
    out, table = tmp_path / "out.tif", tmp_path / "out.csv"
    for options, phrase in (
        ((), "-o"),
        (("-o", tmp_path / "out.jpg"), ".tif"),
        (("-o", mask, "--overwrite"), "replace the image"),
        (("--table", tmp_path / "out.xls"), ".csv"),
        (("--table", tmp_path / "none" / "out.csv"), "written"),
        (("--method", "keep", "-o", out), "--table"),
        (("--table", table, "--image", other), "60 x 81"),
        (("--table", table, "--scale", "1,1,1"), "--scale"),
        (("-o", out, "--probabilities", other), "boundary"),
        (("-o", out, "--probabilities", other, "--boundary", 1), "do not fit"),
        (("-o", out, "--min-size", -1), "min_size is -1; use 0 or more, or auto"),
        (("-o", out, "--axes", "YQ"), "axes"),
    ):
        assert_refused(objects(mask, *options), capsys.readouterr().err, phrase)
    assert not out.exists()
    assert not table.exists()


@pytest.fixture
def masks(mask: Path, tmp_path: Path) -> Path:
    """Return a folder of two masks and a file that is none."""
    folder = tmp_path / "masks"
    folder.mkdir()
    (folder / "a.tif").write_bytes(mask.read_bytes())
    values = np.zeros((60, 80), np.uint8)
    values[disk((30, 30), 8)] = 1
    tifffile.imwrite(folder / "b.tif", values)
    (folder / "c.tif").write_text("no mask")
    return folder


def test_a_folder_of_masks_is_one_table_and_many_images(
    masks: Path, tmp_path: Path, capsys
):
    out, table = tmp_path / "out", tmp_path / "all.csv"
    assert objects(masks, "-o", out, "--table", table) == 1
    *_, first, last = capsys.readouterr().err.strip().splitlines()
    assert "c.tif" in first
    assert "1 of 3 masks could not be measured (2 measured)" in last
    rows = rows_of(table)
    assert [row["file"] for row in rows] == ["a.tif"] * 3 + ["b.tif"]
    assert next(iter(rows[0])) == "file"
    assert [row["area (px)"] != "" for row in rows] == [True] * 4
    # The size of a pixel is known of one file only.
    assert [row["area (µm²)"] != "" for row in rows] == [True] * 3 + [False]
    assert sorted(p.name for p in out.iterdir()) == ["a.tif", "b.tif"]
    assert read_labels(out / "a.tif").max() == 3


def test_nothing_that_is_there_is_replaced_by_objects(
    masks: Path, tmp_path: Path, capsys
):
    (masks / "c.tif").unlink()
    out, table = tmp_path / "out", tmp_path / "all.csv"
    out.mkdir()
    (out / "a.tif").write_text("edited by hand")
    assert objects(masks, "-o", out) == 1
    assert "a.tif is there already" in capsys.readouterr().err
    assert (out / "a.tif").read_text() == "edited by hand"
    assert (out / "b.tif").is_file()
    table.write_text("a table")
    assert objects(masks, "--table", table) == 1
    assert "all.csv is there already" in capsys.readouterr().err
    assert table.read_text() == "a table"
    assert objects(masks, "-o", masks, "--overwrite") == 1
    assert objects(masks, "-o", out, "--table", table, "--overwrite") == 0
    assert len(rows_of(table)) == 4


def test_each_mask_has_its_own_image(masks: Path, tmp_path: Path, capsys):
    images, table = tmp_path / "images", tmp_path / "all.csv"
    images.mkdir()
    for name, value in ("a.tif", 7), ("c.png", 9):
        iio.imwrite(images / name, np.full((60, 80), value, np.uint8))
    assert objects(masks, "--image", images / "a.tif", "--table", table) == 1
    assert "give a folder" in capsys.readouterr().err
    assert objects(masks, "--image", images, "--table", table) == 1
    error = capsys.readouterr().err
    assert "b.tif: --image" in error
    assert "2 of 3" in error
    assert {row["mean intensity"] for row in rows_of(table)} == {"7"}


def test_resume_skips_finished_masks_and_keeps_their_rows(
    masks: Path, tmp_path: Path, capsys
):
    out, table = tmp_path / "out", tmp_path / "all.csv"
    options = ("-o", out, "--table", table)
    assert objects(masks, *options) == 1
    before = table.read_text()
    stamps = [(out / f"{name}.tif").stat().st_mtime_ns for name in "ab"]
    (masks / "c.tif").write_bytes((masks / "a.tif").read_bytes())
    capsys.readouterr()
    assert objects(masks, *options) == 1
    assert "all.csv is there already" in capsys.readouterr().err
    assert objects(masks, *options, "--resume") == 0
    error = capsys.readouterr().err
    for name, stamp in zip("ab", stamps, strict=True):
        assert f"{name}.tif is there already; skipped" in error
        assert (out / f"{name}.tif").stat().st_mtime_ns == stamp
    assert "1 masks measured, 2 finished before" in error
    assert table.read_text().startswith(before)
    rows = rows_of(table)
    assert [r["file"] for r in rows] == ["a.tif"] * 3 + ["b.tif"] + ["c.tif"] * 3
    assert rows[:3] == [{**row, "file": "a.tif"} for row in rows[4:]]


def test_resume_skips_a_zarr(mask: Path, tmp_path: Path, capsys):
    out = tmp_path / "out.ome.zarr"
    assert objects(mask, "-o", out) == 0
    stamps = [path.stat().st_mtime_ns for path in sorted(out.rglob("*"))]
    assert objects(mask, "-o", out, "--resume") == 0
    assert "out.ome.zarr is there already; skipped" in capsys.readouterr().err
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("*"))] == stamps
    table = tmp_path / "rows.csv"
    assert objects(mask, "-o", out, "--table", table, "--resume") == 0
    assert len(rows_of(table)) == 3
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("*"))] == stamps


def test_resume_adds_rows_that_are_missing_and_leaves_objects_alone(
    masks: Path, tmp_path: Path, capsys
):
    (masks / "c.tif").unlink()
    out, table = tmp_path / "out", tmp_path / "all.csv"
    options = ("-o", out, "--table", table)
    assert objects(masks, *options) == 0
    whole = table.read_text()
    stamp = (out / "b.tif").stat().st_mtime_ns
    table.write_text("".join(line for line in whole.splitlines(True) if line[0] != "b"))
    assert objects(masks, *options, "--resume") == 0
    assert table.read_text() == whole
    table.unlink()
    (out / "a.tif").unlink()
    assert objects(masks, *options, "--resume") == 0, "the table was lost"
    assert table.read_text() == whole
    assert (out / "b.tif").stat().st_mtime_ns == stamp
    assert objects(masks, "--table", table, "--resume") == 0
    assert f"a.tif is in {table} already; skipped" in capsys.readouterr().err


def test_resume_measures_no_objects_that_somebody_edited(
    masks: Path, tmp_path: Path, capsys
):
    (masks / "c.tif").unlink()
    out, table = tmp_path / "out", tmp_path / "all.csv"
    assert objects(masks, "-o", out) == 0
    edited = read_labels(out / "a.tif")
    edited[edited == 2] = 1
    tifffile.imwrite(out / "a.tif", edited)
    assert objects(masks, "-o", out, "--table", table, "--resume") == 1
    assert "a.tif holds other objects than this run finds" in capsys.readouterr().err
    np.testing.assert_array_equal(read_labels(out / "a.tif"), edited)
    assert {row["file"] for row in rows_of(table)} == {"b.tif"}
    # Both ways that the message names.
    assert objects(out, "--method", "keep", "--table", tmp_path / "kept.csv") == 0
    assert len(rows_of(tmp_path / "kept.csv")) == 3
    assert objects(masks, "-o", out, "--table", table, "--overwrite", "--resume") == 0
    assert len(rows_of(table)) == 4


def test_resume_takes_no_other_table_for_its_own(masks: Path, tmp_path: Path, capsys):
    table = tmp_path / "all.csv"
    for text in ("", "a,b\n1,2\n", "file,b\nx\n", "\0"):
        table.write_text(text)
        assert objects(masks, "--table", table, "--resume") == 1
        error = capsys.readouterr().err
        assert "all.csv" in error
        assert "--overwrite" in error
        assert table.read_text() == text
    alone = tmp_path / "alone.csv"
    options = ("-o", tmp_path / "alone.tif", "--table", alone)
    assert objects(masks / "a.tif", *options) == 0
    before = alone.read_text()
    assert objects(masks / "a.tif", *options, "--resume") == 0
    assert "skipped" in capsys.readouterr().err
    (tmp_path / "alone.tif").unlink()
    assert objects(masks / "b.tif", *options, "--resume") == 1
    assert "alone.csv is there already" in capsys.readouterr().err
    assert alone.read_text() == before


def test_masks_of_one_name_have_rows_of_their_own(masks: Path, tmp_path: Path):
    (masks / "c.tif").unlink()
    more, table = tmp_path / "more", tmp_path / "all.csv"
    more.mkdir()
    (more / "a.tif").write_bytes((masks / "b.tif").read_bytes())
    for options in ((), ("--resume",)):
        assert objects(masks, more, "--table", table, *options) == 0
        counts = Counter(row["file"] for row in rows_of(table))
        assert counts == {str(masks / "a.tif"): 3, "b.tif": 1, str(more / "a.tif"): 1}


def test_masks_may_be_several_and_options_anywhere(masks: Path, tmp_path: Path):
    table = tmp_path / "all.csv"
    a, b = masks / "a.tif", masks / "b.tif"
    assert objects(a, "--table", table, b, "--quiet") == 0
    assert {row["file"] for row in rows_of(table)} == {"a.tif", "b.tif"}


def test_z_away_from_the_plane_is_no_volume(tmp_path: Path, capsys):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, np.zeros((3, 2, 9, 9), np.uint8))
    options = ("--axes", "ZTYX", "-o", tmp_path / "out.tif")
    assert_refused(objects(path, *options), capsys.readouterr().err, "--planes")
    assert objects(path, *options, "--planes") == 0


def test_how_many_objects_are_too_small_is_reported_and_how_to_keep_them(
    tmp_path: Path, capsys
):
    spots = np.zeros((50, 50), np.uint8)
    spots[:3, :3] = spots[10:15, 10:15] = spots[20:30, 20:30] = 1
    path, out = tmp_path / "spots.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, spots)
    assert objects(path, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "2 objects in 2-D; 1 left out as too small" in printed
    assert "--min-size 0" in printed
    assert objects(path, "-o", out, "--min-size", 0, "--overwrite") == 0
    printed = capsys.readouterr().out
    assert "3 objects" in printed
    assert "left out" not in printed


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_grey_rims_are_no_objects(tmp_path: Path, capsys, suffix: str):
    grey = np.zeros((40, 60), np.uint8)
    for x in 4, 34:
        grey[4:24, x : x + 20] = 90
        grey[5:23, x + 1 : x + 19] = 200
        grey[6:22, x + 2 : x + 18] = 255
    path, out = tmp_path / f"grey{suffix}", tmp_path / "out.tif"
    iio.imwrite(path, grey)
    code = objects(path, "-o", out, "--min-size", 5)
    assert_refused(code, capsys.readouterr().err, path.name, "--label-values mask")
    assert objects(path, "-o", out, "--min-size", 5, "--label-values=mask") == 0
    printed = capsys.readouterr()
    assert "2 objects" in printed.out
    assert "labels: 0, 90 background" in printed.err
    np.testing.assert_array_equal(read_labels(out) > 0, grey > 127)


def test_label_values_of_a_mask_define_what_an_object_is(tmp_path: Path, capsys):
    values = np.zeros((30, 40), np.int16)
    values[2:12, 2:12], values[2:12, 20:30], values[20:29, 5:15] = 1, 2, -1
    path, out, table = tmp_path / "m.tif", tmp_path / "o.tif", tmp_path / "o.csv"
    tifffile.imwrite(path, values)
    assert objects(path, "-o", out) == 0
    printed = capsys.readouterr()
    assert "2 objects" in printed.out
    assert "-1 unlabelled 8 %" in printed.err
    other = tmp_path / "other.tif"
    assert objects(path, "-o", other, "--unlabelled", 2) == 1
    assert_refused(1, capsys.readouterr().err, "negative")
    values[values < 0] = 7
    tifffile.imwrite(path, values)
    ids = "--label-values=objects"
    assert objects(path, "--table", table, ids, "--unlabelled=7") == 0
    assert [row["label"] for row in rows_of(table)] == ["1", "2"]
    assert objects(path, "--table", table, ids, "--overwrite") == 0
    assert [row["label"] for row in rows_of(table)] == ["1", "2", "7"]
    for options, phrase in (
        ((ids, "--method=components"), "--method components looks for objects"),
        (("--method=keep", "--label-values=mask"), "leave --label-values out"),
    ):
        assert_refused(
            objects(path, "--table", table, *options), capsys.readouterr().err, phrase
        )


@pytest.fixture
def cells_and_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Return an image of a square of four touching cells, and the mask of it."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    ModelStore().save("brightness", brightness_model())
    image, mask = tmp_path / "cells.tif", tmp_path / "cells_mask.tif"
    tifffile.imwrite(image, touching_cells())
    assert main(["predict", str(image), str(mask), "--model", "brightness"]) == 0
    return image, mask


def test_a_model_with_object_maps_tells_touching_objects_apart(
    cells_and_mask: tuple[Path, Path], tmp_path: Path, capsys
):
    image, mask = cells_and_mask
    out = tmp_path / "out.tif"
    assert objects(mask, "-o", out) == 0
    assert "1 object " in capsys.readouterr().out
    model = ("--image", image, "--model", "brightness")
    assert objects(mask, "-o", out, *model, "--overwrite") == 0
    assert "4 objects" in capsys.readouterr().out
    labels = read_labels(out)
    np.testing.assert_array_equal(labels > 0, read_labels(mask) > 0)
    assert len({int(labels[y, x]) for y in (20, 42) for x in (20, 42)}) == 4


def test_a_model_that_cannot_tell_objects_apart_is_refused(
    cells_and_mask: tuple[Path, Path], tmp_path: Path, make_checkpoint, capsys
):
    image, mask = cells_and_mask
    out = ("-o", tmp_path / "out.tif")
    ModelStore().save("plain", make_checkpoint())
    for options, phrase in (
        (("--image", image, "--model", "plain"), "leave --model out"),
        (("--model", "brightness"), "give --image"),
        (
            ("--image", image, "--model", "brightness", "--method", "components"),
            "splits none",
        ),
        (("--image", mask.with_name("small.tif"), "--model", "brightness"), "pixels"),
    ):
        tifffile.imwrite(mask.with_name("small.tif"), np.zeros((9, 9), np.uint16))
        assert objects(mask, *out, *options) == 1
        assert_refused(1, capsys.readouterr().err, phrase)
        assert not out[1].exists()


@pytest.mark.parametrize("suffix", [".zip", ".geojson", ".json"])
def test_outlines_hold_the_pixels_of_the_objects(
    mask: Path, tmp_path: Path, capsys, suffix: str
):
    out, outlines = tmp_path / "out.tif", tmp_path / f"cells{suffix}"
    assert objects(mask, "-o", out, "--outlines", outlines) == 0
    assert f"{out} and {outlines}: " in capsys.readouterr().out
    labels = read_labels(out)
    found = read_outlines(outlines)
    assert {one.class_name for one in found.outlines} == {"class 1"}
    np.testing.assert_array_equal(found.labels(labels.shape, "YX")[0], labels)
    if suffix == ".geojson":
        assert all("area (px)" in one.measurements for one in found.outlines)

    before = outlines.read_bytes()
    assert objects(mask, "--outlines", outlines) == 1
    assert "is there already" in capsys.readouterr().err
    assert objects(mask, "--outlines", outlines, "--overwrite") == 0
    assert outlines.read_bytes() == before
    again = tmp_path / f"again{suffix}"
    assert objects(out, "--label-values", "objects", "--outlines", again) == 0
    np.testing.assert_array_equal(
        read_outlines(again).labels(labels.shape, "YX")[0], labels
    )


def test_outlines_of_many_masks_go_into_a_folder(masks: Path, tmp_path: Path, capsys):
    (masks / "c.tif").unlink()
    folder, one = tmp_path / "outlines", tmp_path / "all.zip"
    assert objects(masks, "--outlines", one) == 1
    error = capsys.readouterr().err
    assert "give a folder for the outlines" in error
    assert objects(masks, "--outlines", folder, "--outline-format", "qupath") == 0
    names = [path.stem for path in sorted(masks.iterdir())]
    assert [path.name for path in sorted(folder.iterdir())] == [
        f"{name}.geojson" for name in sorted(names)
    ]
    (folder / f"{names[0]}.geojson").unlink()
    kept = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    capsys.readouterr()
    options = ("--outlines", folder, "--outline-format", "qupath", "--resume")
    assert objects(masks, *options) == 0
    assert capsys.readouterr().err.count("there already; skipped") == len(names) - 1
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (folder / f"{names[0]}.geojson").exists()


def test_what_outlines_are_refused_and_what_is_advised_works(
    mask: Path, tmp_path: Path, capsys
):
    assert objects(mask, "--outlines", tmp_path / "cells.xml") == 1
    assert ".geojson (QuPath)" in capsys.readouterr().err
    stack = tmp_path / "stack.tif"
    planes = np.zeros((2, 9, 9), np.uint8)
    planes[:, 2:8, 2:8] = 1
    tifffile.imwrite(stack, planes)
    place = tmp_path / "p.zip"
    assert objects(stack, "--axes", "PYX", "--outlines", place) == 1
    assert "not of PYX" in capsys.readouterr().err
    assert objects(stack, "--axes", "TYX", "--outlines", place) == 0
    assert {one.t for one in read_outlines(place, axes="TYX").outlines} == {0, 1}


def test_a_table_as_parquet_has_the_same_rows(mask: Path, tmp_path: Path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    table, other = tmp_path / "t.csv", tmp_path / "t.parquet"
    assert objects(mask, "--table", table) == objects(mask, "--table", other) == 0
    read = parquet.read_table(other).to_pydict()
    rows = rows_of(table)
    assert list(read) == list(rows[0])
    areas = [float(row["area (px)"]) for row in rows]
    assert read["area (px)"] == areas


def test_a_result_that_is_there_is_named_before_the_mask_is_read(
    tmp_path: Path, capsys
):
    path, out = tmp_path / "mask.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, np.eye(50, dtype=np.uint8))
    assert objects(path, "-o", out) == 0
    capsys.readouterr()
    assert objects(path, "-o", out) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "--overwrite" in line
    assert objects(path, "-o", out, "--overwrite") == 0

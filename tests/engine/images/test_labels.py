"""Labels and probabilities: written whole, read back, checked, paired with images."""

import os
import re

import imageio.v3 as iio
import numpy as np
import PIL.Image
import pytest
import tifffile
from full_disk import full_disk

from unet_engine.errors import DataError
from unet_engine.files.atomic import check_writable, whole_file
from unet_engine.images import (
    Image,
    list_images,
    open_image,
    pair_folders,
    read_labels,
    write_labels,
    write_probabilities,
)

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 4, (30, 40)).astype(np.uint8)


def image_of(axes, shape, size=0.325):
    return Image.from_array(np.zeros(shape, np.uint8), axes, pixel_size_um=size)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("YX", (30, 40)),
        ("YX", (1, 40)),
        ("ZYX", (3, 30, 40)),
        ("ZYX", (4, 30, 40)),
        ("TZYX", (2, 3, 30, 40)),
        ("ZTYX", (2, 3, 30, 40)),
        ("PYX", (2, 30, 40)),
    ],
)
def test_labels_come_back_with_axes_and_pixel_size(tmp_path, axes, shape):
    path = tmp_path / "labels.tif"
    labels = RNG.integers(0, 300, shape)
    write_labels(path, labels, image=image_of(axes, shape))
    assert np.array_equal(read_labels(path), labels)
    image = open_image(path)
    assert image.axes == axes
    assert image.pixel_size_um == pytest.approx(0.325)
    assert os.listdir(tmp_path) == ["labels.tif"], "no temporary file is left"


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65536, np.uint32)],
)
def test_labels_take_the_smallest_type(tmp_path, highest, dtype):
    labels = np.array([[0, highest]], dtype=np.int64)
    write_labels(tmp_path / "labels.tif", labels)
    assert read_labels(tmp_path / "labels.tif").dtype == dtype
    assert read_labels(tmp_path / "labels.tif").max() == highest


@pytest.mark.parametrize("highest", [1, 255, 65535])
def test_labels_as_png(tmp_path, highest):
    labels = np.array([[0, highest]] * 3, dtype=np.int32)
    write_labels(tmp_path / "labels.png", labels)
    assert np.array_equal(read_labels(tmp_path / "labels.png"), labels)


def test_a_stack_without_an_image_is_a_stack(tmp_path):
    write_labels(tmp_path / "labels.tiff", np.zeros((2, 5, 30, 40), bool))
    assert open_image(tmp_path / "labels.tiff").axes == "TZYX"


def test_probabilities_keep_the_names_of_the_classes(tmp_path):
    path = tmp_path / "probabilities.tif"
    values = RNG.random((2, 3, 30, 40)).astype(np.float32)
    image = image_of("ZYX", (3, 30, 40))
    write_probabilities(path, values, image=image, classes=("background", "cell"))
    back = open_image(path)
    assert (back.channels, back.leading_axes, back.dtype) == (2, "Z", np.float32)
    assert np.array_equal(back.read((1,)), values[:, 1])
    with tifffile.TiffFile(path) as file:
        assert 'Name="cell"' in file.ome_metadata


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("labels.jpg", PLANE, r"use \.tif or \.tiff or \.png"),
        ("labels", PLANE, "without suffix"),
        ("labels.png", PLANE[None], r"write a \.tif"),
        ("labels.png", PLANE.astype(np.int32) + 70_000, r"write a \.tif"),
        ("labels.tif", PLANE / 2, "whole numbers"),
        ("labels.tif", PLANE.astype(np.int8) - 5, "renumber"),
        ("labels.tif", np.zeros((2, 2, 2, 4, 4), int), "does not fit"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, name, labels, message):
    with pytest.raises(DataError, match=message):
        write_labels(tmp_path / name, labels)
    assert os.listdir(tmp_path) == []


def test_results_must_fit_their_image(tmp_path):
    with pytest.raises(DataError, match="does not fit 'ZYX'"):
        write_labels(tmp_path / "a.tif", PLANE, image=image_of("ZYX", (2, 30, 40)))
    with pytest.raises(DataError, match=r"use \.tif or \.tiff"):
        write_probabilities(tmp_path / "a.png", np.zeros((2, 4, 4)))


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_a_full_disk_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    write_labels(path, PLANE)
    noise = RNG.integers(0, 255, (200, 200))
    with full_disk(4096), pytest.raises(DataError, match="cannot be written"):
        write_labels(path, noise)
    assert np.array_equal(read_labels(path), PLANE)
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_refuses_is_reported(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"No such file.*choose another folder"):
        write_labels(tmp_path / "missing" / "labels.tif", PLANE)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Not a directory"):
        check_writable(tmp_path / "file" / "labels.tif")
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        write_labels(tmp_path / "folder.tif", PLANE)

    def refuse(*args, **kwargs):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(DataError, match="Read-only file system"):
        write_labels(tmp_path / "labels.tif", PLANE)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.tif"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_a_link_is_followed_and_rights_are_the_usual_ones(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "labels.tif"
    target.write_text("old")
    link = tmp_path / "labels.tif"
    link.symlink_to(target)
    write_labels(link, PLANE)
    assert link.is_symlink()
    assert np.array_equal(read_labels(target), PLANE)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert target.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (PLANE > 1, np.uint8),
        (PLANE.astype(np.int16), np.int16),
        (PLANE.astype(np.float32), np.int32),
        (PLANE * 2.0**40, np.int64),
    ],
)
def test_masks_of_other_types_are_read(tmp_path, array, dtype):
    tifffile.imwrite(tmp_path / "mask.tif", array)
    found = read_labels(tmp_path / "mask.tif")
    assert found.dtype == dtype
    assert np.array_equal(found, array)


def test_negative_numbers_are_read_when_requested(tmp_path):
    values = PLANE.astype(np.int16) - 2
    tifffile.imwrite(tmp_path / "mask.tif", values)
    found = read_labels(tmp_path / "mask.tif", negative=True)
    assert np.array_equal(found, values)


def test_a_palette_mask_gives_its_indices(tmp_path):
    mask = PIL.Image.fromarray(PLANE, mode=None).convert("P")
    mask.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    mask.putdata(PLANE.ravel())
    mask.save(tmp_path / "mask.png")
    assert np.array_equal(read_labels(tmp_path / "mask.png"), PLANE)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_a_grey_mask_saved_as_colour_is_read_and_colours_are_not(tmp_path, name):
    path = tmp_path / name
    write = iio.imwrite if name.endswith("png") else tifffile.imwrite
    write(path, np.dstack([PLANE] * 3))
    assert np.array_equal(read_labels(path), PLANE)
    write(path, np.dstack([PLANE, PLANE, PLANE[::-1]]))
    with pytest.raises(DataError, match="convert each colour to its class"):
        read_labels(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (PLANE / 2, "threshold"),
        (np.where(PLANE, np.nan, 1.0), "threshold"),
        (np.full((4, 4), np.inf), "threshold"),
        (PLANE.astype(np.int16) - 2, "negative"),
    ],
)
def test_what_is_no_label_image_is_refused(tmp_path, array, message):
    tifffile.imwrite(tmp_path / "mask.tif", array)
    with pytest.raises(DataError, match=message):
        read_labels(tmp_path / "mask.tif")


def test_jpeg_labels_are_refused(tmp_path):
    iio.imwrite(tmp_path / "mask.jpg", PLANE)
    with pytest.raises(DataError, match="JPEG changes the values"):
        read_labels(tmp_path / "mask.jpg")


@pytest.fixture
def folders(tmp_path):
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()

    def fill(folder, *names):
        for name in names:
            (tmp_path / folder / name).write_bytes(b"x")
        return tmp_path / "images", tmp_path / "labels"

    return fill


def test_pairs_are_found_by_stem_in_natural_order(folders):
    folders("images", "z10.tif", "z2.tif", "a.ome.tif", "README.md", ".hidden.tif")
    both = folders("labels", "z10.png", "z2.TIF", "a.png", "Thumbs.db", ".DS_Store")
    names = [(i.name, t.name) for i, t in pair_folders(*both)]
    assert names == [
        ("a.ome.tif", "a.png"),
        ("z2.tif", "z2.TIF"),
        ("z10.tif", "z10.png"),
    ]
    assert [p.name for p in list_images(both[0])] == ["a.ome.tif", "z2.tif", "z10.tif"]


def test_files_without_a_partner_are_named_and_counted(folders):
    folders("images", *(f"cell{i}.tif" for i in range(8)))
    both = folders("labels", "cell0.tif", "other.tif")
    with pytest.raises(DataError, match=r"8 images.*2 labels.*cell1\.tif.*5 more"):
        pair_folders(*both)


def test_one_lonely_file_is_named(folders):
    folders("images", "a.tif", "b.tif")
    both = folders("labels", "a.tif")
    with pytest.raises(DataError, match=r"images/b\.tif is without a partner"):
        pair_folders(*both)


def test_two_files_of_one_name_are_refused(folders):
    folders("images", "a.tif", "a.png")
    both = folders("labels", "a.tif")
    with pytest.raises(DataError, match=r"keep one of them"):
        pair_folders(*both)


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("a1", "a2", "a3", "a10")])
def test_a_folder_of_folders_names_those_that_hold_images(tmp_path, names):
    (tmp_path / "empty").mkdir()
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.tif").touch()
    some = " and 1 more" if len(names) > 3 else ""
    named = re.escape(", ".join(names[:3]) + some)
    with pytest.raises(
        DataError, match=f"holds no image file; its folders? {named} do"
    ):
        list_images(tmp_path)
    for name in names:
        assert list_images(tmp_path / name) == [tmp_path / name / "image.tif"]


def test_empty_and_missing_folders_are_refused(folders, tmp_path):
    both = folders("images", "README.md", "a.csv")
    with pytest.raises(DataError, match="holds no image file"):
        pair_folders(*both)
    with pytest.raises(DataError, match="No such file"):
        pair_folders(tmp_path / "missing", both[1])
    with pytest.raises(DataError, match="cannot be read as a folder"):
        list_images(tmp_path / "images" / "README.md")

"""Tests of the measurements: those of blocks are those of skimage on the whole."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import perimeter as square_perimeter
from skimage.measure import regionprops

from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image
from unet_engine.objects import (
    ObjectConfig,
    Objects,
    SemanticMask,
    blocks,
    describe_left_out,
    join_tables,
    label_objects,
    measure_objects,
    read_joined_table,
    write_table,
)
from unet_engine.objects.perimeter import perimeter

if TYPE_CHECKING:
    from pathlib import Path

NO_CLASSES = np.zeros(0, np.uint8)


def random_objects(shape: tuple[int, ...], seed: int) -> Objects:
    rng = np.random.default_rng(seed)
    mask = (rng.random(shape) < 0.55).astype(np.uint8) * rng.integers(1, 3, shape)
    config = ObjectConfig(method="components", min_size=0, fill_holes=False)
    classes = mask.astype(np.uint8)
    return label_objects(SemanticMask(classes=classes, ndim=len(shape)), config)


@pytest.fixture(params=[400, 10**9], ids=["blocks", "whole"])
def block_pixels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Measure in blocks of so many pixels."""
    monkeypatch.setattr(blocks, "_PIXELS", {2: request.param, 3: request.param})


@pytest.mark.usefixtures("block_pixels")
@pytest.mark.parametrize("seed", range(3))
def test_planes_are_measured_as_by_skimage(seed: int):
    objects = random_objects((20, 26), seed)
    image = np.random.default_rng(seed).normal(1000, 3, (2, 20, 26))
    table = measure_objects(objects, image, scale=0.5)
    regions = regionprops(
        objects.labels, intensity_image=np.moveaxis(image, 0, -1), spacing=(0.5, 0.5)
    )
    assert len(table["label"]) == len(regions) > 10
    for row, region in enumerate(regions):
        measured = {name: column[row] for name, column in table.items()}
        box = region.bbox
        assert measured["label"] == region.label
        assert measured["class"] == objects.classes[row]
        assert measured["area (px)"] == region.num_pixels
        assert (box[0], box[2]) == (measured["y start (px)"], measured["y stop (px)"])
        assert (box[1], box[3]) == (measured["x start (px)"], measured["x stop (px)"])
        expected = {
            "area (µm²)": region.area,
            "centroid y (µm)": region.centroid[0],
            "centroid x (µm)": region.centroid[1],
            "centroid x (px)": region.centroid[1] / 0.5,
            "equivalent diameter (µm)": region.equivalent_diameter_area,
            "perimeter (µm)": region.perimeter,
            "eccentricity": region.eccentricity,
            "solidity": region.solidity,
            "orientation (rad)": region.orientation,
            "major axis (µm)": region.axis_major_length,
            "minor axis (µm)": region.axis_minor_length,
            "mean intensity 0": region.intensity_mean[0],
            "std intensity 1": region.intensity_std[1],
            "min intensity 1": region.intensity_min[1],
            "max intensity 0": region.intensity_max[0],
        }
        for name, value in expected.items():
            assert measured[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


@pytest.mark.usefixtures("block_pixels")
def test_volumes_are_measured_with_the_distance_of_their_slices():
    labels = np.zeros((12, 30, 40), np.uint16)
    z, y, x = np.ogrid[:12, :30, :40]
    labels[((z - 6) * 2) ** 2 + (y - 15) ** 2 + (x - 13) ** 2 <= 81] = 7
    labels[2:5, 3:9, 30:38] = 3
    objects = Objects(labels=labels, classes=NO_CLASSES, ndim=3)
    table = measure_objects(objects, scale=(2.0, 1.0, 1.0))
    np.testing.assert_array_equal(table["label"], [3, 7])
    assert table["volume (voxels)"][0] == 3 * 6 * 8
    assert table["volume (µm³)"][0] == 2 * 3 * 6 * 8
    assert table["centroid z (µm)"][1] == pytest.approx(12)
    assert table["equivalent diameter (µm)"][1] == pytest.approx(18, rel=0.03)
    assert table["surface (µm²)"][1] == pytest.approx(4 * np.pi * 81, rel=0.2)
    assert table["sphericity"][1] == pytest.approx(1, abs=0.2)
    assert "class" not in table


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_ids_of_planes_are_kept_apart(seed: int, planes: int):
    labels = np.random.default_rng(seed).integers(0, 4, (planes, 9, 8))
    objects = Objects(labels=labels, classes=NO_CLASSES, ndim=2)
    table = measure_objects(objects, axes="TYX")
    for t in range(planes):
        here = table["t"] == t
        ids, sizes = np.unique(labels[t][labels[t] > 0], return_counts=True)
        np.testing.assert_array_equal(table["label"][here], ids)
        np.testing.assert_array_equal(table["area (px)"][here], sizes)


def test_an_image_with_axes_is_read_by_channel():
    labels = np.zeros((2, 3, 10, 12), np.uint8)
    labels[1, :, 2:5, 3:6] = 1
    data = np.random.default_rng(0).integers(0, 4000, (2, 3, 10, 12, 2), np.uint16)
    image = Image.from_array(np.moveaxis(data, -1, 2), "TZCYX")
    objects = Objects(labels=labels, classes=np.array([2], np.uint8), ndim=3)
    names = ("background", "cell", "nucleus")
    table = measure_objects(objects, image, class_names=names)
    assert table["class"].tolist() == ["nucleus"]
    assert table["t"].tolist() == [1]
    inside = data[1, :, 2:5, 3:6, 1]
    assert table["mean intensity 1"][0] == pytest.approx(inside.mean())
    assert table["std intensity 1"][0] == pytest.approx(inside.std())


@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.0, 1.0), (0.2, 0.8), (0.5, 0.3)])
def test_shapes_are_those_of_the_specimen_whatever_the_pixels(scale):
    # A disk of radius 12 µm, sampled by pixels of any shape.
    y, x = (np.arange(-15, 15, step) for step in scale)
    labels = (y[:, None] ** 2 + x**2 < 144).astype(np.uint8)
    objects = Objects(labels=labels, classes=NO_CLASSES, ndim=2)
    row = {name: c[0] for name, c in measure_objects(objects, scale=scale).items()}
    area = labels.sum() * scale[0] * scale[1]
    (expected,) = regionprops(labels, spacing=scale)
    assert row["area (µm²)"] == pytest.approx(area)
    assert row["area (µm²)"] == pytest.approx(expected.area)
    assert row["area (µm²)"] == pytest.approx(144 * np.pi, rel=0.05)
    centroid = [row["centroid y (µm)"], row["centroid x (µm)"]]
    assert centroid == pytest.approx(expected.centroid)
    assert row["perimeter (µm)"] == pytest.approx(24 * np.pi, rel=0.1)
    for name in ("major axis (µm)", "minor axis (µm)", "equivalent diameter (µm)"):
        assert row[name] == pytest.approx(24, rel=0.05)
    assert row["eccentricity"] < 0.3
    assert row["solidity"] > 0.9


def test_the_perimeter_of_square_pixels_is_that_of_skimage():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((12, 15)) < 0.7
        found = perimeter(mask, (0.5, 0.5))
        assert found == pytest.approx(square_perimeter(np.pad(mask, 1)) / 2)
    assert np.isnan(perimeter(np.ones((4000, 4000), bool), (1.0, 1e-3)))


def test_a_ball_of_flat_voxels_is_a_ball():
    scale = (2.0, 0.5, 0.8)
    z, y, x = (np.arange(-12, 12.5, step) for step in scale)
    distance = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2
    labels = (distance < 100).astype(np.uint8)
    objects = Objects(labels=labels, classes=NO_CLASSES, ndim=3)
    row = {name: c[0] for name, c in measure_objects(objects, scale=scale).items()}
    (expected,) = regionprops(labels, spacing=scale)
    assert row["volume (µm³)"] == pytest.approx(expected.area)
    assert row["volume (µm³)"] == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03)
    centroid = [row[f"centroid {axis} (µm)"] for axis in "zyx"]
    assert centroid == pytest.approx(expected.centroid)
    assert row["equivalent diameter (µm)"] == pytest.approx(20, rel=0.02)
    assert row["surface (µm²)"] == pytest.approx(400 * np.pi, rel=0.2)
    assert row["sphericity"] > 0.8


def test_without_objects_there_is_a_header(tmp_path: Path):
    objects = label_objects(SemanticMask(classes=np.zeros((9, 9), np.uint8)))
    table = measure_objects(objects, np.zeros((9, 9)), scale=1.0)
    write_table(tmp_path / "empty.csv", table)
    header, *rows = (tmp_path / "empty.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("label,class,centroid y (px)")
    assert "mean intensity" in header
    assert not rows


def test_tables_are_read_back(tmp_path: Path):
    table = {
        "label": np.array([1, 2]),
        "class": np.array(["a, b", "c"]),
        "area (µm²)": np.array([1.5, np.nan]),
    }
    write_table(tmp_path / "table.csv", table)
    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"label": "1", "class": "a, b", "area (µm²)": "1.5"},
        {"label": "2", "class": "c", "area (µm²)": ""},
    ]
    with pytest.raises(DataError, match=r"\.csv"):
        write_table(tmp_path / "table.xlsx", table)


def test_a_long_table_is_written_to_its_end(tmp_path: Path):
    table = {"label": np.arange(1, 10_000), "area": np.arange(9999) / 2}
    write_table(tmp_path / "table.csv", table)
    found = np.loadtxt(tmp_path / "table.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(found, np.stack([*table.values()], axis=1))


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        ({"image": np.zeros((4, 5))}, "4 x 5"),
        ({"scale": (1.0, 1.0, 1.0)}, "scale"),
        ({"scale": 0.0}, "scale"),
        ({"axes": "ZYX"}, "axes"),
        ({"class_names": ("background",)}, "names"),
        ({"stop": lambda: True}, "stopped"),
    ],
)
def test_what_does_not_fit_the_objects_is_refused(
    options: dict[str, object], phrase: str
):
    labels = np.ones((4, 4), np.uint8)
    objects = Objects(labels=labels, classes=np.ones(1, np.uint8), ndim=2)
    with pytest.raises((DataError, Cancelled), match=phrase):
        measure_objects(objects, **options)


@pytest.mark.usefixtures("block_pixels")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_left_out_of_the_brightness(bad: float):
    objects = random_objects((20, 26), 0)
    image = np.random.default_rng(5).normal(1000, 3, (2, 20, 26))
    lost = np.random.default_rng(6).random((20, 26)) < 0.1
    lost |= objects.labels == 3
    image[1, lost] = bad
    table = measure_objects(objects, image)
    plain = measure_objects(objects, image[:1])
    for name in ("mean", "std", "min", "max"):
        other = plain[f"{name} intensity"]
        np.testing.assert_array_equal(table[f"{name} intensity 0"], other)
    for row, label in enumerate(table["label"]):
        of_object = objects.labels == label
        assert table["pixels without intensity 1"][row] == (of_object & lost).sum()
        values = image[1, of_object & ~lost]
        for name in ("mean", "std", "min", "max"):
            expected = getattr(values, name)() if values.size else np.nan
            found = table[f"{name} intensity 1"][row]
            np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.isnan(table["mean intensity 1"][list(table["label"]).index(3)])
    count = (lost & (objects.labels > 0)).sum()
    assert describe_left_out(table).startswith(f"{count} NaN or infinite pixels of")
    assert "pixels without intensity 0" not in table, "nothing is lost in it"
    assert not describe_left_out(plain)


def test_a_table_of_a_recorded_image_has_no_column_of_lost_pixels():
    objects = random_objects((2, 12, 12), 0)
    table = measure_objects(objects, np.ones((2, 12, 12), np.uint16))
    assert not [name for name in table if "without" in name]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_joined_table_that_is_read_is_written_as_it_was(tmp_path: Path, suffix: str):
    one = {
        "label": np.array([1, 20_000_001]),
        "class": np.array(["a, b", "c"]),
        "area (µm²)": np.array([1 / 3, np.nan]),
    }
    other = {"label": np.array([7]), "z": np.array([0]), "area (µm²)": np.array([2.0])}
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write_table(first, join_tables({"x.tif": one, "y, z.tif": other}))
    read = read_joined_table(first)
    assert list(read) == ["x.tif", "y, z.tif"]
    assert set(read["y, z.tif"]) == {"label", "z", "area (µm²)"}
    write_table(second, join_tables(read))
    assert second.read_bytes() == first.read_bytes()


def test_parquet_keeps_numbers_words_and_what_is_missing(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {
        "label": np.array([1, 4_000_000_000], np.uint32),
        "class": np.array(["a, b", "c"]),
        "area (µm²)": np.array([1 / 3, np.nan]),
    }
    write_table(tmp_path / "a.parquet", table)
    read = parquet.read_table(tmp_path / "a.parquet")
    assert read.to_pydict() == {
        "label": [1, 4_000_000_000],
        "class": ["a, b", "c"],
        "area (µm²)": [1 / 3, None],
    }
    write_table(tmp_path / "b.parquet", table)
    assert (tmp_path / "b.parquet").read_bytes() == (
        tmp_path / "a.parquet"
    ).read_bytes()
    with pytest.raises(DataError, match="no table of several masks"):
        read_joined_table(tmp_path / "a.parquet")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"c\.parquet cannot be read as a table"):
        read_joined_table(tmp_path / "c.parquet")


def test_parquet_needs_pyarrow_and_csv_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("unet_engine.objects.parquet.find_spec", lambda name: None)
    table = {"label": np.array([1])}
    with pytest.raises(DataError, match=r"\[parquet\].*end in \.csv"):
        write_table(tmp_path / "a.parquet", table)
    write_table(tmp_path / "a.csv", table)
    with pytest.raises(DataError, match=r"let it end in \.csv or \.parquet"):
        write_table(tmp_path / "a.xlsx", table)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]

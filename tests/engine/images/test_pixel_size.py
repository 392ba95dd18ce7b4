"""The size of a pixel: what files state, what it becomes, and what is written."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from unet_engine.cli import main
from unet_engine.images import (
    Image,
    PixelSize,
    open_image,
    write_labels,
    write_pixels,
    write_probabilities,
)
from unet_engine.images.pixel_size import Spacing
from unet_engine.images.tiff.writing import write_large_tiff
from unet_engine.images.units import is_no_unit, micrometres, seconds
from unet_engine.images.zarr.ome_zarr import open_levels
from unet_engine.images.zarr.writing import Multiscale

PLANE = np.zeros((6, 8), np.uint8)
STACK = np.zeros((3, 6, 8), np.uint8)

LENGTHS = {
    "um": 1, "µm": 1, "\u03bcm": 1, "\\u00B5m": 1, "\u00c2\u00b5m": 1, "micron": 1,
    "Microns": 1, "micrometer": 1, "micrometers": 1, "Micrometre": 1, "UM": 1,
    " um\0": 1, "nm": 1e-3, "nanometer": 1e-3, "pm": 1e-6, "mm": 1e3, "cm": 1e4,
    "m": 1e6, "meter": 1e6, "metres": 1e6, "km": 1e9, "Mm": 1e12, "\u00c5": 1e-4,
    "\u212b": 1e-4, "A\u030a": 1e-4, "angstrom": 1e-4, "Angstroms": 1e-4,
    "inch": 25400, "in": 25400, "thou": 25.4,
}  # fmt: skip
sizes = st.floats(1e-4, 1e4, allow_nan=False)


@pytest.mark.parametrize(("text", "factor"), LENGTHS.items())
def test_lengths_are_known_in_every_spelling(text, factor):
    assert float(micrometres(text)) == pytest.approx(factor, rel=1e-15)
    assert not is_no_unit(text)


@pytest.mark.parametrize("text", ["MM", "parsnip", "?m", "s", "pixel", "", "mum", "M"])
def test_what_is_no_known_length_is_not_assumed(text):
    assert micrometres(text) is None


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("s", 1),
        ("sec", 1),
        ("ms", 1e-3),
        ("min", 60),
        ("Hours", 3600),
        ("\u00b5s", 1e-6),
    ],
)
def test_times_are_known(text, factor):
    assert float(seconds(text)) == pytest.approx(factor)
    assert seconds("\u00b5m") is None


@given(sizes, st.sampled_from(sorted(LENGTHS)))
def test_a_size_in_any_unit_is_the_same_length(size, unit):
    found = PixelSize.stated({"X": (size, unit), "Y": (size, unit)})
    assert found.micrometres("X") == pytest.approx(size * LENGTHS[unit], rel=1e-12)
    assert (found.note, found.z, found.t) == ("", None, None)


def test_decimal_numbers_stay_as_they_are():
    for size in (200, 325, 65, 100.3):
        step = PixelSize.stated({"X": (size, "nm")}).x
        assert step == Spacing(float(f"{size}e-3"), "µm")


@given(
    st.sampled_from([0, 0.0, -1.5, float("nan"), float("inf"), "0,2", "x", True, [1]]),
    st.sampled_from("ZYXT"),
)
def test_what_is_no_size_is_noted_and_left_out(value, axis):
    steps = {a: (0.5, "s" if a == "T" else "um") for a in "TZYX"}
    found = PixelSize.stated({**steps, axis: (value, steps[axis][1])})
    assert found.step(axis) is None
    assert f"{value!s}, no number above 0" in found.note
    assert all(found.step(a).size == 0.5 for a in set("TZYX") - {axis})


def test_units_of_other_kinds_are_noted():
    found = PixelSize.stated({"X": (1, "s"), "Y": (1, "um"), "T": (2, "mm")})
    assert (found.x, found.t, found.y) == (None, None, Spacing(1.0, "µm"))
    assert "along X is in 's', no known unit of length" in found.note
    assert "frames is in 'mm', no known unit of time" in found.note
    assert found.lengths("YX") is None


def test_sizes_without_unit_only_compare_the_axes():
    found = PixelSize.stated({"Y": (0.8, "pixel"), "X": (0.2, "")})
    assert found.lengths("YX") is None
    assert found.proportions("YX") == (0.8, 0.2)
    assert "Y and X (0.8, 0.2) has no unit" in found.note
    assert PixelSize.stated({"Y": (1, "pixel"), "X": (1, "")}) == PixelSize()
    mixed = PixelSize.stated({"Y": (0.8, "um"), "X": (0.2, "")})
    assert mixed.proportions("YX") is None


def ome_tiff(path: Path, **attributes: object) -> PixelSize:
    metadata = {"axes": "ZYX", **attributes}
    tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", metadata=metadata)
    return open_image(path).pixel_size


def test_ome_tiff_states_every_axis_in_its_own_unit(tmp_path, caplog):
    found = ome_tiff(
        tmp_path / "a.ome.tif",
        PhysicalSizeX=0.2,
        PhysicalSizeY=8000,
        PhysicalSizeYUnit="Å",
        PhysicalSizeZ=300,
        PhysicalSizeZUnit="nm",
    )
    assert found.lengths("ZYX") == (0.3, 0.8, 0.2)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("attributes", "phrase"),
    [
        ({"PhysicalSizeXUnit": "furlong"}, "X is in 'furlong', no known unit"),
        ({"PhysicalSizeX": 0}, "X is 0, no number above 0"),
        ({"PhysicalSizeY": -0.5}, "Y is -0.5, no number above 0"),
        ({"PhysicalSizeZ": float("nan")}, "Z is nan, no number above 0"),
        ({"PhysicalSizeY": None}, "Y is missing"),
        ({"PhysicalSizeXUnit": "nm"}, "X is in nm and that along Y and Z without"),
        ({"PhysicalSizeXUnit": "pixel"}, "X (0.5) has no unit"),
    ],
)
def test_one_line_names_what_an_ome_tiff_states_wrongly(
    tmp_path, caplog, attributes, phrase
):
    sound = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2}
    given = {k: v for k, v in {**sound, **attributes}.items() if v is not None}
    ome_tiff(tmp_path / "bad.ome.tif", **given)
    (record,) = caplog.records
    line = record.getMessage()
    assert phrase in line
    assert "bad.ome.tif: " in line
    assert "\n" not in line


def test_every_image_of_a_file_has_its_own_sizes(tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for shape, size in (((6, 8), 0.5), ((4, 5), 0.2)):
            metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": 1.0}
            tif.write(np.ones(shape, np.uint8), metadata=metadata)
    for number, size in enumerate((0.5, 0.2)):
        found = open_image(path, series=number).pixel_size
        assert found.lengths("YX") == (1.0, size)


def imagej(
    path: Path, resolution: tuple[float, float], **metadata: object
) -> PixelSize:
    tifffile.imwrite(
        path,
        STACK,
        imagej=True,
        resolution=resolution,
        metadata={"axes": "ZYX", **metadata},
    )
    return open_image(path).pixel_size


def test_imagej_states_edges_in_tags_and_the_rest_in_words(tmp_path):
    path = tmp_path / "ij.tif"
    found = imagej(path, (5, 1.25), unit="\\u00B5m", spacing=3, finterval=1.5)
    assert found.lengths("ZYX") == pytest.approx((3, 0.8, 0.2))
    assert found.t == Spacing(1.5, "s")
    found = imagej(
        path, (5, 0.00125), unit="micron", yunit="nm", zunit="mm", spacing=0.004,
        finterval=500, tunit="ms",
    )  # fmt: skip
    assert found.lengths("ZYX") == pytest.approx((4, 0.8, 0.2))
    assert found.t == Spacing(0.5, "s")
    assert imagej(path, (1, 1), unit="pixel", spacing=1) == PixelSize()


@pytest.mark.parametrize(
    ("resolution", "unit", "edges"),
    [
        ((50_000, 12_500), "CENTIMETER", (0.8, 0.2)),
        ((127_000, 31_750), "INCH", (0.8, 0.2)),
        ((5, 1.25), 5, (0.8, 0.2)),
        ((300, 300), "INCH", None),
        ((72, 72), "INCH", None),
        ((4, 2), "INCH", None),
        ((4, 4), "NONE", None),
    ],
)
def test_resolution_tags_are_sizes_unless_they_are_those_of_prints(
    tmp_path, resolution, unit, edges
):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, resolution=resolution, resolutionunit=unit)
    found = open_image(path).pixel_size
    assert found.lengths("YX") == (edges and pytest.approx(edges))
    assert bool(found.printed) == (unit == "INCH" and edges is None)


def ome_zarr(path: Path, axes: list, transforms: list, whole: list) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for level in range(len(transforms)):
        array = group.create_array(str(level), shape=(3, 6, 8), dtype="u1")
        array[...] = 1
    datasets = [
        {"path": str(level), "coordinateTransformations": [one] if one else []}
        for level, one in enumerate(transforms)
    ]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": axes,
            "datasets": datasets,
            "coordinateTransformations": whole,
        }
    ]
    return path


def space(*units: str | None) -> list[dict[str, str]]:
    return [
        {"name": name, "type": "space", **({"unit": unit} if unit else {})}
        for name, unit in zip("zyx", units, strict=True)
    ]


def scaled(*scale: float) -> dict[str, object]:
    return {"type": "scale", "scale": list(scale)}


def test_scales_of_an_ome_zarr_multiply_level_by_level(tmp_path):
    path = ome_zarr(
        tmp_path / "a.ome.zarr",
        space("nanometer", "micrometer", "micrometer"),
        [scaled(100, 0.4, 0.1), scaled(100, 0.8, 0.2)],
        [scaled(3, 2, 2), {"type": "translation", "translation": [1, 1, 1]}],
    )
    full, half = (level.pixel_size for level in open_levels(path))
    assert full.lengths("ZYX") == pytest.approx((0.3, 0.8, 0.2))
    assert half.lengths("ZYX") == pytest.approx((0.3, 1.6, 0.4))


@pytest.mark.parametrize(
    ("units", "transform", "phrase"),
    [
        (("micrometer", "micrometer", "cubit"), scaled(1, 2, 3), "'cubit'"),
        (("micrometer",) * 3, scaled(1, 0, 3), "Y is 0, no number above 0"),
        (("micrometer",) * 3, scaled(1, 2), "[1, 2] for 3 axes"),
        (("micrometer",) * 3, {"type": "scale", "path": "s"}, "None for 3 axes"),
        (("micrometer", "micrometer", None), scaled(1, 2, 3), "X (3) has no unit"),
        ((None,) * 3, scaled(1, 2, 3), "Z and Y and X (1, 2, 3) has no unit"),
    ],
)
def test_an_ome_zarr_opens_whatever_its_scale_is(
    tmp_path, caplog, units, transform, phrase
):
    path = ome_zarr(tmp_path / "odd.ome.zarr", space(*units), [transform] * 2, [])
    image = open_levels(path)[0]
    assert image.read((0,)).shape == (1, 6, 8)
    assert image.pixel_size.lengths("ZYX") is None
    (record,) = caplog.records
    assert phrase in record.getMessage()


steps = st.builds(
    PixelSize.of_micrometres, x=sizes, y=sizes, z=st.none() | sizes
) | st.builds(
    lambda x, y: PixelSize.stated({"X": (x, "pixel"), "Y": (y, "pixel")}), sizes, sizes
)


def write_zarr(path: Path, size: PixelSize) -> None:
    levels = Multiscale(
        path=path,
        axes="ZYX",
        shape=STACK.shape,
        chunks=STACK.shape,
        dtype=STACK.dtype,
        pixel_size=size,
        labels=True,
    )
    levels.open(anew=True)[...] = STACK
    assert levels.finish(lambda: False, {})


class Chunked(np.ndarray):
    chunks = (1, 6, 8)


WRITERS = {
    "labels.tif": lambda path, image: write_labels(path, STACK, image=image),
    "maps.tif": lambda path, image: write_probabilities(
        path, np.stack([STACK, STACK]), image=image
    ),
    "pixels.tif": lambda path, image: write_pixels(path, STACK[None], image=image),
    "large.tif": lambda path, image: write_large_tiff(
        path, STACK.view(Chunked), "ZYX", image, stop=lambda: False
    ),
    "labels.ome.zarr": lambda path, image: write_zarr(path, image.pixel_size),
}


@pytest.mark.parametrize("name", WRITERS)
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(size=steps)
def test_what_is_written_is_read_with_the_same_sizes(tmp_path, name, size):
    image = Image.from_array(STACK, "ZYX", pixel_size=size)
    path = tmp_path / name
    WRITERS[name](path, image)
    found = open_image(path).pixel_size
    for axis in "ZYX":
        # A scale of an OME-Zarr has to have a number for each axis.
        one, other = (s.step(axis) or Spacing(1.0, "") for s in (size, found))
        assert one.unit == other.unit
        assert one.size == pytest.approx(other.size)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(x=st.floats(0.01, 10), y=st.floats(0.01, 10))
def test_a_png_keeps_the_edges_of_its_pixels(tmp_path, x, y):
    size = PixelSize.of_micrometres(x=x, y=y)
    path = tmp_path / "a.png"
    write_labels(path, PLANE, image=Image.from_array(PLANE, "YX", pixel_size=size))
    found = open_image(path).pixel_size
    assert found.lengths("YX") == pytest.approx((y, x), rel=1e-4)


def test_time_and_unknown_axes_keep_their_sizes(tmp_path):
    size = PixelSize.stated(
        {"T": (1.5, "s"), "Z": (2, "um"), "Y": (0.8, "um"), "X": (0.2, "um")}
    )
    movie = np.zeros((2, *STACK.shape), np.uint8)
    for axes in ("TZYX", "PZYX"):
        path = tmp_path / f"{axes}.tif"
        image = Image.from_array(movie, axes, pixel_size=size)
        write_labels(path, movie, image=image)
        found = open_image(path, axes=axes).pixel_size
        assert found.lengths("ZYX") == size.lengths("ZYX")
        assert found.t == (size.t if "T" in axes else None)


def objects(*options: object) -> tuple[int, dict[str, str]]:
    table = Path(str(options[0])).parent / "table.csv"
    code = main(
        ["objects", *map(str, options), "--table", str(table), "-q", "--overwrite"]
    )
    with table.open(encoding="utf-8", newline="") as file:
        return code, next(csv.DictReader(file))


@pytest.fixture
def ball(tmp_path: Path) -> tuple[Path, np.ndarray]:
    z, y, x = (np.arange(-8, 8.1, step) for step in (2.0, 0.8, 0.4))
    mask = (z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 < 49).astype(np.uint8)
    path = tmp_path / "ball.ome.tif"
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 400,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.8,
        "PhysicalSizeYUnit": "um",
        "PhysicalSizeZ": 0.002,
        "PhysicalSizeZUnit": "mm",
    }
    tifffile.imwrite(path, mask, photometric="minisblack", metadata=metadata)
    return path, mask


@pytest.mark.parametrize("out", ["o.tif", "o.ome.zarr"])
def test_objects_are_measured_and_written_in_every_axis_own_size(ball, tmp_path, out):
    path, mask = ball
    code, row = objects(path, "-o", tmp_path / out)
    (expected,) = regionprops(mask, spacing=(2.0, 0.8, 0.4))
    assert code == 0
    assert float(row["volume (µm³)"]) == pytest.approx(expected.area, rel=1e-6)
    centroid = [float(row[f"centroid {axis} (µm)"]) for axis in "zyx"]
    assert centroid == pytest.approx(expected.centroid, rel=1e-6)
    assert open_image(tmp_path / out).pixel_size.lengths("ZYX") == (2.0, 0.8, 0.4)
    code, row = objects(path, "--planes")
    assert float(row["area (µm²)"]) == pytest.approx(int(row["area (px)"]) * 0.32)


def test_sizes_given_by_hand_are_those_of_what_is_written(ball, tmp_path):
    path, _ = ball
    out = tmp_path / "o.tif"
    objects(path, "-o", out, "--scale", "3,1,0.5")
    assert open_image(out).pixel_size.lengths("ZYX") == (3.0, 1.0, 0.5)
    mask = tmp_path / "mask.png"
    write_labels(mask, np.pad(np.ones((9, 9), np.uint8), 3))
    source = tmp_path / "image.tif"
    size = PixelSize.of_micrometres(x=0.2, y=0.8)
    image = Image.from_array(np.zeros((15, 15)), "YX", pixel_size=size)
    write_pixels(source, np.zeros((1, 15, 15)), image=image)
    code, row = objects(mask, "-o", out, "--image", source)
    assert code == 0
    assert float(row["area (µm²)"]) == pytest.approx(81 * 0.16)
    assert open_image(out).pixel_size.lengths("YX") == (0.8, 0.2)


def test_the_command_names_a_resolution_for_prints_and_its_advice_helps(
    tmp_path, capsys
):
    path = tmp_path / "print.tif"
    mask = np.pad(np.ones((9, 9), np.uint8), 3)
    tifffile.imwrite(path, mask, resolution=(300, 300), resolutionunit="INCH")
    assert main(["objects", str(path), "-o", str(tmp_path / "o.tif")]) == 0
    lines = capsys.readouterr().err.strip().splitlines()
    (line,) = [line for line in lines if "print" in line]
    assert "300 pixels per inch are a resolution for prints" in line
    assert "--scale Y,X" in line
    _, row = objects(path, "--scale", "0.8,0.2")
    assert float(row["area (µm²)"]) == pytest.approx(81 * 0.16)

"""Colour spaces, palettes, inverted and packed pixels of TIFF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest
import tifffile
from skimage import data as samples
from skimage.color import rgb2lab

from unet_engine.errors import DataError
from unet_engine.images import open_image, read_labels

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = samples.astronaut()[:60:2, 100:180:2]
IDS = np.random.default_rng(3).integers(0, 7, (30, 40)).astype(np.uint8)


def read(path: Path):
    return np.moveaxis(open_image(path).read(), 0, -1)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str):
    path = tmp_path / "colours.tif"
    if mode == "LAB":
        lab = rgb2lab(COLOUR)
        lab[..., 0] *= 2.55
        stored = np.rint(lab).astype(np.int16).astype(np.uint8)
        tifffile.imwrite(path, stored, photometric="cielab", software="x")
    else:
        stored = np.asarray(PIL.Image.fromarray(COLOUR).convert(mode))
        kind = "separated" if mode == "CMYK" else "ycbcr"
        tifffile.imwrite(path, stored, photometric=kind, software="x")
    image = open_image(path)
    assert image.rgb
    difference = np.abs(read(path).astype(int) - COLOUR)
    assert np.median(difference) <= 1
    assert difference.max() <= 12
    part = image.read((), (slice(3, 9), slice(5, 20)))
    assert np.array_equal(np.moveaxis(part, 0, -1), read(path)[3:9, 5:20])


def test_colours_of_16_bits_keep_them(tmp_path: Path):
    path = tmp_path / "deep.tif"
    inks = np.random.default_rng(0).integers(0, 65536, (20, 30, 4)).astype(np.uint16)
    tifffile.imwrite(path, inks, photometric="separated", software="x")
    kept = 1 - inks / 65535
    expected = np.rint(kept[..., :3] * kept[..., 3:] * 65535)
    assert open_image(path).dtype == np.uint16
    assert np.array_equal(read(path), expected)


@pytest.mark.parametrize("kind", [32803, 32845, 10])
def test_colours_that_are_not_converted_are_refused(tmp_path: Path, kind: int):
    path = tmp_path / "colours.tif"
    tifffile.imwrite(path, COLOUR, photometric="rgb", software="x")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages.first.tags[262].overwrite(kind)
    with pytest.raises(DataError, match=r"colours\.tif holds .* export it as RGB"):
        open_image(path)


def shuffled_palette() -> PIL.Image.Image:
    picture = PIL.Image.fromarray(COLOUR).quantize(32)
    order = np.random.default_rng(1).permutation(32).tolist()
    return picture.remap_palette(order)


def test_a_palette_is_colours_as_image_and_indices_as_labels(tmp_path: Path):
    picture = shuffled_palette()
    for suffix in (".tif", ".png"):
        path = tmp_path / f"p{suffix}"
        picture.save(path)
        assert np.array_equal(read(path), np.asarray(picture.convert("RGB"))), suffix
        assert np.array_equal(read_labels(path), np.asarray(picture)), suffix
        part = open_image(path).read((), (slice(2, 5), slice(1, 9)))
        assert np.array_equal(part, open_image(path).read()[:, 2:5, 1:9])


def test_the_display_table_of_imagej_is_no_palette(tmp_path: Path):
    path = tmp_path / "lut.tif"
    table = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    tifffile.imwrite(path, IDS, imagej=True, colormap=table)
    assert np.array_equal(open_image(path).read()[0], IDS)


def test_white_that_is_zero_is_turned_over(tmp_path: Path):
    path = tmp_path / "white.tif"
    for dtype in (np.uint8, np.uint16):
        grey = COLOUR[..., 1].astype(dtype)
        stored = np.iinfo(dtype).max - grey
        tifffile.imwrite(path, stored, photometric="miniswhite", software="x")
        assert np.array_equal(open_image(path).read()[0], grey)
        with pytest.raises(DataError, match=r"white\.tif is marked with 0 as white"):
            read_labels(path)
    mask = IDS > 3
    tifffile.imwrite(path, ~mask, photometric="miniswhite", software="x")
    assert np.array_equal(open_image(path).read()[0], mask)
    assert np.array_equal(read_labels(path), mask)


def test_arrays_of_bool_are_as_they_were_written(tmp_path: Path):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, IDS > 3)
    assert np.array_equal(open_image(path).read()[0], IDS > 3)


def test_alpha_is_taken_out_of_colours_that_were_multiplied_by_it(tmp_path: Path):
    path = tmp_path / "alpha.tif"
    alpha = np.full(COLOUR.shape[:2], 128, np.uint8)
    alpha[:5] = 0
    stored = np.dstack([np.rint(COLOUR * (alpha[..., None] / 255)), alpha])
    tifffile.imwrite(
        path, stored.astype(np.uint8), photometric="rgb", extrasamples=["assocalpha"]
    )
    found = read(path)
    assert found.shape == COLOUR.shape
    assert np.abs(found[5:].astype(int) - COLOUR[5:]).max() <= 1
    assert not found[:5].any()


def test_alpha_beside_grey_is_no_channel(tmp_path: Path):
    path = tmp_path / "alpha.tif"
    stored = np.dstack([IDS, np.full_like(IDS, 255)])
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(path, stored, extrasamples=["unassalpha"], **options)
    assert np.array_equal(open_image(path).read(), IDS[None])
    assert np.array_equal(read_labels(path), IDS)


def test_a_fourth_sample_of_unknown_meaning_is_refused(tmp_path: Path):
    path = tmp_path / "infrared.tif"
    stored = np.dstack([COLOUR, IDS])
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(DataError, match=r"fourth sample .*--axes YXC"):
        open_image(path)
    image = open_image(path, axes="YXC")
    assert image.channels == 4
    assert np.array_equal(image.read()[3], IDS)


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_packed_pixels_are_unpacked(tmp_path: Path, bits: int, tile):
    path = tmp_path / "packed.tif"
    values = np.random.default_rng(bits).integers(0, 2**bits, (32, 48))
    values = values.astype(np.uint8 if bits <= 8 else np.uint16)
    options = {"photometric": "minisblack", "software": "x", "metadata": None}
    try:
        tifffile.imwrite(path, values, bitspersample=bits, tile=tile, **options)
    except NotImplementedError:
        pytest.skip("the oldest imagecodecs unpacks pixels and packs none")
    found = open_image(path).read()[0]
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    "options",
    [
        {"byteorder": ">"},
        {"byteorder": ">", "compression": "zlib", "predictor": True},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd", "tile": (16, 32)},
        {"compression": "packbits"},
        {"compression": "jpeg2000", "compressionargs": {"reversible": True}},
        {"compression": "jpegxl", "compressionargs": {"lossless": True}},
        {"bigtiff": True, "tile": (16, 16)},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.uint64, np.float32]
)
def test_stored_ways_are_read_alike(tmp_path: Path, options, dtype):
    if "jpeg" in str(options) and dtype not in (np.uint8, np.uint16):
        pytest.skip("the codec stores small unsigned integers")
    if "predictor" in options and dtype in (np.uint64, np.float32):
        options = {**options, "predictor": False}
    path = tmp_path / "stored.tif"
    values = np.random.default_rng(5).integers(0, 200, (33, 50)).astype(dtype)
    if dtype == np.int16:
        values -= 100
    tifffile.imwrite(path, values, **options)
    image = open_image(path)
    assert image.dtype == dtype
    assert np.array_equal(image.read()[0], values)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_read_in_both_orders(tmp_path: Path, planar: str):
    path = tmp_path / "rgb.tif"
    stored = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, software="x")
    assert np.array_equal(read(path), COLOUR)

"""Images of every kind: opened, read by region, normalised, refused when unusable."""

import imageio.v3 as iio
import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data as samples

from unet_engine.errors import DataError
from unet_engine.images import (
    Image,
    Normalisation,
    Preparation,
    match_channels,
    open_image,
)
from unet_engine.images.brightness.sample import _SAMPLE_PIXELS

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 60_000, (3, 2, 40, 50)).astype(np.uint16)
COLOUR = RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8)
PART = (slice(7, 31), slice(33, 50))


class Counting:
    """An array-like that counts the pixels that are taken from it."""

    def __init__(self, array):
        self.array, self.taken = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key):
        block = self.array[key]
        self.taken += block.size
        return block

    def __array__(self, *args, **kwargs):
        raise AssertionError("the whole image was read")


@st.composite
def axes_and_shapes(draw):
    leading = draw(st.lists(st.sampled_from("TZPR"), max_size=2, unique=True))
    channel = draw(st.sampled_from(["", "C", "S"]))
    axes = "".join(draw(st.permutations([*leading, *channel, "Y", "X"])))
    sizes = {a: draw(st.integers(1, 4)) for a in axes} | {"Y": 9, "X": 11}
    return axes, tuple(sizes[a] for a in axes)


@settings(deadline=None, max_examples=80)
@given(axes_and_shapes())
def test_any_order_of_axes_is_read_as_channels_rows_columns(case):
    axes, shape = case
    array = np.arange(np.prod(shape)).reshape(shape)
    image = Image.from_array(array, axes)
    assert image.plane_shape == (9, 11)
    assert image.leading_axes == "".join(a for a in axes if a not in "CSYX")
    count = dict(zip(axes, shape, strict=True)).get("C", None)
    if "S" in axes:
        samples_ = shape[axes.index("S")]
        count = {1: 1, 2: 1, 3: 3, 4: 3}[samples_]
        assert image.rgb == (samples_ >= 3)
    assert image.channels == (count or 1)
    for index in image.indices():
        block = image.read(index, (slice(2, 7), slice(4, 5)))
        assert block.shape == (image.channels, 5, 1)
        where = dict(zip(image.leading_axes, index, strict=True)) | {"Y": 6, "X": 4}
        for channel in range(image.channels):
            key = tuple(where.get(a, channel) for a in axes)
            assert block[channel, 4, 0] == array[key]
    assert len(list(image.indices())) == np.prod(image.leading_shape, dtype=int)


def test_reading_a_region_takes_only_that_region():
    counting = Counting(np.zeros((5, 3, 400, 300), dtype=np.uint8))
    image = Image.from_array(counting, "ZCYX")
    assert counting.taken == 0, "wrapping reads nothing"
    image.read((2,), (slice(10, 20), slice(0, 30)))
    assert counting.taken == 3 * 10 * 30


def test_dask_is_computed_block_by_block():
    dask_array = pytest.importorskip("dask.array")
    computed = []

    def block(block_info=None):
        computed.append(block_info[None]["chunk-location"])
        return np.ones((1, 64, 64), dtype=np.uint8)

    lazy = dask_array.map_blocks(
        block, chunks=((1,) * 6, (64, 64), (64, 64)), dtype=np.uint8, meta=np.empty(0)
    )
    image = Image.from_array(lazy, "ZYX")
    assert image.read((3,), (slice(0, 10), slice(70, 90))).all()
    assert computed == [(3, 0, 1)]


def test_alpha_is_dropped():
    rgba = np.dstack([COLOUR, np.full((40, 50), 9, np.uint8)])
    image = Image.from_array(rgba, "YXS")
    assert image.rgb
    assert np.array_equal(image.read(), np.moveaxis(COLOUR, -1, 0))
    grey = Image.from_array(rgba[..., :2], "YXS")
    assert (grey.channels, grey.rgb) == (1, False)


def test_one_channel_and_luminance_are_views():
    image = Image.from_array(Counting(COLOUR), "YXS")
    green = image.select_channel(1)
    assert np.array_equal(green.read((), PART)[0], COLOUR[..., 1][PART])
    grey = match_channels(image, 1)
    assert grey.channels == 1
    assert grey.dtype == np.float32
    expected = COLOUR[PART] @ np.array([0.2125, 0.7154, 0.0721])
    assert np.allclose(grey.read((), PART)[0], expected, atol=1e-3)


def test_a_single_channel_is_grey_for_a_model_of_colour():
    image = match_channels(Image.from_array(STACK, "ZCYX").select_channel(1), 3)
    block = image.read((2,), PART)
    assert np.array_equal(block, np.stack(3 * [STACK[(2, 1, *PART)]]))
    limits = Normalisation.measure(image)
    alone = Normalisation.measure(Image.from_array(STACK[:, 1], "ZYX"))
    assert limits.low == 3 * alone.low
    assert limits.high == 3 * alone.high
    with pytest.raises(DataError, match="not a single channel"):
        Image.from_array(COLOUR, "YXS").to_colour()


def test_matching_channels_are_the_same_image():
    image = Image.from_array(STACK, "ZCYX")
    assert match_channels(image, 2) is image


@pytest.mark.parametrize(
    ("array", "axes", "wanted", "advice"),
    [
        (STACK, "ZCYX", 1, r"2 channels.*1 channel;.*choose one channel"),
        (STACK, "ZCYX", 3, r"2 channels.*3 channels;.*train a model"),
        (STACK[0, 0], "YX", 2, r"1 channel,.*2 channels;.*train a model"),
        (COLOUR, "YXS", 2, r"colour image.*3 channels.*2 channels"),
    ],
)
def test_a_channel_count_the_model_was_not_made_for(array, axes, wanted, advice):
    with pytest.raises(DataError, match=advice):
        match_channels(Image.from_array(array, axes, name="cells"), wanted)


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (STACK, "ZYX", "names 3"),
        (STACK, "ZZYX", "each letter once"),
        (STACK, "ZCTX", "needs Y and X"),
        (STACK, "zcyx", "letter"),
        (np.zeros((2, 3, 4, 4)), "CSYX", "colour samples"),
        (np.zeros((0, 4)), "YX", "no pixels"),
        (np.zeros((4, 4), complex), "YX", r"np\.abs.*np\.angle"),
        (np.zeros((4, 4), object), "YX", "not numbers"),
        (np.array([["a", "b"]]), "YX", "not numbers"),
        (np.zeros((4, 4), "datetime64[s]"), "YX", "not numbers"),
    ],
)
def test_unusable_arrays_are_refused(array, axes, message):
    with pytest.raises(DataError, match=message):
        Image.from_array(array, axes)


def test_rgb_needs_three_channels():
    with pytest.raises(DataError, match="RGB needs 3"):
        Image.from_array(STACK, "ZCYX", rgb=True)


def test_an_index_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="does not fit"):
        Image.from_array(STACK, "ZCYX").read(())
    with pytest.raises(DataError, match="no channel 2"):
        Image.from_array(STACK, "ZCYX").select_channel(2)
    with pytest.raises(DataError, match="choose a channel"):
        Image.from_array(STACK, "ZCYX").to_grey()


TIFFS = {
    "plain": {"metadata": {"axes": "ZCYX"}},
    "big-endian": {"byteorder": ">", "metadata": {"axes": "ZCYX"}},
    "zlib": {"compression": "zlib", "metadata": {"axes": "ZCYX"}},
    "strips": {"compression": "zlib", "rowsperstrip": 7, "metadata": {"axes": "ZCYX"}},
    "big-endian zlib": {
        "byteorder": ">",
        "compression": "zlib",
        "metadata": {"axes": "ZCYX"},
    },
    "predictor": {
        "compression": "zlib",
        "predictor": True,
        "metadata": {"axes": "ZCYX"},
    },
    "tiles": {"compression": "zlib", "tile": (16, 32), "metadata": {"axes": "ZCYX"}},
    "bigtiff": {"bigtiff": True, "compression": "zlib", "metadata": {"axes": "ZCYX"}},
    "ome": {"ome": True, "compression": "zlib", "metadata": {"axes": "ZCYX"}},
    "imagej": {"imagej": True, "metadata": {"axes": "ZCYX"}},
    "imagej zlib": {
        "imagej": True,
        "compression": "zlib",
        "metadata": {"axes": "ZCYX"},
    },
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiff_stacks_keep_axes_and_values(tmp_path, kind):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS[kind])
    image = open_image(path)
    assert image.axes == "ZCYX"
    assert not isinstance(image.data, np.ndarray)
    for z in range(3):
        assert np.array_equal(image.read((z,)), STACK[z])
        block = image.read((z,), PART)
        assert np.array_equal(block, STACK[z][:, *PART])
        assert block.dtype == np.uint16
        assert block.dtype.isnative


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "rowsperstrip": 7},
        {"compression": "zlib", "tile": (16, 16)},
        # Of tifffile itself it may be an assumption, see test_tiff_axes.
        {"planarconfig": "separate", "rowsperstrip": 9, "software": "another"},
    ],
)
def test_colour_tiffs(tmp_path, options):
    path = tmp_path / "colour.tif"
    array = COLOUR
    if options.get("planarconfig") == "separate":
        array = np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(path, array, photometric="rgb", **options)
    image = open_image(path)
    assert (image.rgb, image.channels) == (True, 3)
    assert np.array_equal(image.read((), PART), np.moveaxis(COLOUR, -1, 0)[:, *PART])


def test_samples_that_are_no_colour_are_channels(tmp_path):
    path = tmp_path / "four.tif"
    four = np.moveaxis(RNG.integers(0, 9, (4, 30, 20)).astype(np.uint8), 0, -1)
    tifffile.imwrite(path, four, photometric="minisblack", planarconfig="contig")
    image = open_image(path)
    assert (image.channels, image.rgb) == (4, False)


def test_missing_tiles_are_read_as_zero(tmp_path):
    path = tmp_path / "sparse.tif"
    tile = np.full((16, 16), 7, np.uint8)
    tiles = iter([tile, None, None, tile])
    tifffile.imwrite(
        path, tiles, shape=(32, 32), dtype=np.uint8, tile=(16, 16), compression="zlib"
    )
    expected = np.kron(np.eye(2), np.full((16, 16), 7))
    assert np.array_equal(open_image(path).read()[0], expected)


def test_jpeg_tiles(tmp_path):
    path = tmp_path / "slide.tif"
    smooth = np.dstack([np.add.outer(np.arange(64), np.arange(96))] * 3).astype(
        np.uint8
    )
    tifffile.imwrite(path, smooth, photometric="rgb", compression="jpeg", tile=(32, 32))
    block = open_image(path).read((), (slice(20, 50), slice(40, 90)))
    expected = np.moveaxis(smooth, -1, 0)[:, 20:50, 40:90]
    assert np.abs(block.astype(int) - expected).max() < 9


def test_volumetric_tiles(tmp_path):
    path = tmp_path / "volume.tif"
    volume = STACK[:, 0]
    tifffile.imwrite(
        path, volume, volumetric=True, tile=(1, 16, 16), photometric="minisblack"
    )
    assert np.array_equal(open_image(path).read((2,))[0], volume[2])


def test_the_cache_forgets_what_was_used_longest_ago(tmp_path, monkeypatch):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS["zlib"])
    monkeypatch.setattr(
        "unet_engine.images.zarr.chunks._CACHE_BYTES", 3 * STACK[0, 0].nbytes
    )
    image = open_image(path)
    for z in (0, 1, 2, 0):
        assert np.array_equal(image.read((z,)), STACK[z])
    assert len(image.data._cache) <= 3


def test_the_cache_does_not_mix_up_pages(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS["tiles"])
    image = open_image(path)
    for _ in range(2):
        for z in (2, 0, 1):
            assert np.array_equal(image.read((z,)), STACK[z])


def test_a_region_of_a_tiled_page_decodes_only_its_tiles(tmp_path, monkeypatch):
    path = tmp_path / "large.tif"
    plane = RNG.integers(0, 255, (512, 512)).astype(np.uint8)
    tifffile.imwrite(path, plane, tile=(64, 64), compression="zlib")
    image = open_image(path)
    decoded = []
    decode = image.data._decode
    monkeypatch.setattr(
        image.data, "_decode", lambda page, i: decoded.append(i) or decode(page, i)
    )
    region = (slice(60, 70), slice(130, 140))
    assert np.array_equal(image.read((), region)[0], plane[region])
    assert decoded == [2, 10]
    image.read((), region)
    assert decoded == [2, 10], "the second time they come from the cache"


def test_unknown_axes_are_depth_and_the_caller_knows_better(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK[:, 0], photometric="minisblack")
    assert open_image(path).axes == "ZYX"
    assert open_image(path, axes="CYX").channels == 3
    assert open_image(path, axes="TYX").leading_axes == "T"
    with pytest.raises(DataError, match="names 2"):
        open_image(path, axes="YX")


def test_an_assumption_is_logged_and_two_are_not_made(tmp_path, caplog):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK[:, 0], photometric="minisblack")
    open_image(path)
    assert (
        "does not record what its 3 planes are; they are taken for depth" in caplog.text
    )
    caplog.clear()
    open_image(path, axes="TYX")
    assert caplog.text == ""
    tifffile.imwrite(path, STACK, photometric="minisblack")
    with pytest.raises(DataError, match=r"does not name its axes.*--axes"):
        open_image(path)
    assert open_image(path, axes="TZYX").leading_axes == "TZ"


def test_axes_of_length_one_are_dropped_unless_named(tmp_path):
    path = tmp_path / "one.ome.tif"
    tifffile.imwrite(
        path, STACK[:1, :1], metadata={"axes": "ZCYX"}, photometric="minisblack"
    )
    assert open_image(path).axes == "YX"
    image = open_image(path, axes="TCZYX")
    assert image.leading_shape == (1, 1)
    assert np.array_equal(image.read((0, 0))[0], STACK[0, 0])
    assert open_image(path, axes="ZYX").leading_shape == (1,)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (
            {
                "ome": True,
                "metadata": {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25},
            },
            0.25,
        ),
        (
            {
                "ome": True,
                "metadata": {
                    "PhysicalSizeX": 250,
                    "PhysicalSizeXUnit": "nm",
                    "PhysicalSizeY": 0.25,
                },
            },
            0.25,
        ),
        (
            {
                "ome": True,
                "metadata": {"PhysicalSizeX": 3, "PhysicalSizeXUnit": "pixel"},
            },
            None,
        ),
        ({"ome": True}, None),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}, 0.25),
        (
            {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "\\u00B5m"}},
            0.25,
        ),
        ({"imagej": True, "resolution": (4, 4), "metadata": {"unit": "pixel"}}, None),
        ({"imagej": True}, None),
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({}, None),
    ],
)
def test_pixel_size_is_known_only_where_its_unit_is(tmp_path, options, size):
    path = tmp_path / "plane.tif"
    tifffile.imwrite(path, STACK[0, 0], **options)
    assert open_image(path).pixel_size_um == (size and pytest.approx(size))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_pictures(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    iio.imwrite(path, COLOUR, extension=suffix.lower())
    image = open_image(path)
    assert (image.axes, image.rgb) == ("YXS", True)
    if suffix == ".png":
        assert np.array_equal(image.read(), np.moveaxis(COLOUR, -1, 0))


def test_sixteen_bit_pictures(tmp_path):
    path = tmp_path / "deep.png"
    iio.imwrite(path, STACK[0, 0])
    assert np.array_equal(open_image(path).read()[0], STACK[0, 0])


def test_palette_pictures_show_their_colours(tmp_path):
    path = tmp_path / "palette.png"
    palette = PIL.Image.fromarray(COLOUR).quantize(16)
    palette.save(path)
    expected = np.moveaxis(np.asarray(palette.convert("RGB")), -1, 0)
    assert np.array_equal(open_image(path).read(), expected)


def test_a_picture_too_large_to_be_read_whole_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    iio.imwrite(path, COLOUR)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 500)
    with pytest.raises(DataError, match="tiled TIFF"):
        open_image(path)


@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (1, 1), (3, 2)])
@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_tiny_images_open(tmp_path, shape, suffix):
    path = tmp_path / f"tiny{suffix}"
    array = RNG.integers(0, 255, shape).astype(np.uint8)
    iio.imwrite(path, array) if suffix == ".png" else tifffile.imwrite(
        path, array, compression="zlib"
    )
    image = open_image(path)
    assert image.plane_shape == shape
    assert np.array_equal(image.read()[0], array)


@pytest.mark.parametrize("kind", ["plain", "zlib", "ome", "imagej", "tiles", "bigtiff"])
def test_a_tiff_that_was_cut_anywhere_is_refused(tmp_path, kind):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS[kind])
    content = path.read_bytes()
    for part in (0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(DataError, match=r"truncated|empty file|holds no image"):
            open_image(path)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), kind=st.sampled_from(sorted(TIFFS)))
def test_damage_never_escapes_as_another_error(tmp_path_factory, data, kind):
    path = tmp_path_factory.mktemp("damage") / "stack.tif"
    tifffile.imwrite(path, STACK[:, :, :9, :9], photometric="minisblack", **TIFFS[kind])
    content = bytearray(path.read_bytes())
    for position in data.draw(
        st.lists(st.integers(0, min(600, len(content) - 1)), min_size=1, max_size=8)
    ):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        image = open_image(path)
        for index in list(image.indices())[:3]:
            image.read(index, (slice(0, 9), slice(0, 9)))
    except DataError:
        pass


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_that_was_cut_is_refused(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    iio.imwrite(path, samples.coins()[:64, :64])
    content = path.read_bytes()
    for part in (0.01, 0.2, 0.8):
        path.write_bytes(content[: int(part * len(content))])
        with pytest.raises(DataError, match="damaged, truncated"):
            open_image(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.tif", b"these are not the pixels you are looking for", "as a TIFF"),
        ("text.png", b"nor are these", "as a picture"),
        ("empty.tif", b"", "empty file"),
        ("table.csv", b"1,2,3", r"use one of \.tif"),
        ("noname", b"1,2,3", r"use one of \.tif"),
    ],
)
def test_files_that_are_no_images_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_image(tmp_path / name)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        open_image(tmp_path / "missing.tif")
    with pytest.raises(DataError, match="is a folder"):
        open_image(tmp_path)


def test_a_complex_tiff_is_refused_with_advice(tmp_path):
    path = tmp_path / "wave.tif"
    tifffile.imwrite(path, np.ones((8, 8), np.complex64))
    with pytest.raises(DataError, match=r"np\.abs"):
        open_image(path)


def test_a_file_that_vanished_is_reported(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS["zlib"])
    image = open_image(path)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        image.read((0,))


def test_opening_leaves_no_file_open(tmp_path):
    psutil = pytest.importorskip("psutil")
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **TIFFS["zlib"])
    image = open_image(path)
    image.read((0,))
    assert str(path) not in [f.path for f in psutil.Process().open_files()]


def brightness(array, axes="YX", **options):
    image = Image.from_array(array, axes, name="cells")
    return Normalisation.measure(image, Preparation(**options)), image


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [
        (np.uint8, 200, 20),
        (np.uint16, 3000, 0),
        (np.uint16, 3000, 32768),
        (np.int16, 3000, -1000),
        (np.uint32, 2**31, 2**31 - 1),
        (np.int32, 2**30, -(2**30)),
        (np.float16, 1, 0),
        (np.float32, 2, -1),
        (np.float64, 1e200, 0),
        (np.float64, 1e-20, 1.0e-19),
        (">u2", 3000, 100),
    ],
)
def test_every_kind_of_number_normalises_alike(dtype, scale, offset):
    base = np.random.default_rng(1).random((128, 128))
    array = (base * scale + offset).astype(dtype)
    norm, image = brightness(array, low=0.0, high=100.0)
    values = norm.apply(image.read())
    assert values.dtype == np.float32
    assert values.shape == (1, 128, 128)
    assert np.allclose(values[0], base, atol=0.01)
    assert norm.notes == ()


def test_bool_becomes_zero_and_one():
    norm, image = brightness(np.eye(32, dtype=bool))
    assert np.array_equal(norm.apply(image.read())[0], np.eye(32, dtype=np.float32))


def test_a_picture_of_one_bit_is_bool(tmp_path):
    mask = RNG.random((64, 64)) > 0.9
    PIL.Image.fromarray(mask).save(tmp_path / "mask.png")
    image = open_image(tmp_path / "mask.png")
    norm = Normalisation.measure(image)
    assert (norm.low, norm.high) == ((0.0,), (1.0,))
    assert np.array_equal(norm.apply(image.read())[0], mask.astype(np.float32))


def test_the_percentiles_are_those_of_all_planes_together():
    array = RNG.random((4, 3, 32, 32)).astype(np.float32)
    array *= np.array([1, 5, 2, 9], np.float32)[:, None, None, None]
    norm, _ = brightness(array, "ZCYX", low=2.0, high=97.0)
    expected = np.percentile(array, (2, 97), axis=(0, 2, 3))
    assert np.allclose([norm.low, norm.high], expected)


def test_colours_keep_their_balance():
    array = samples.colorwheel()[::4, ::4]
    norm, image = brightness(array, "YXS")
    assert len(set(norm.low)) == len(set(norm.high)) == 1
    assert norm.apply(image.read()).shape[0] == 3


def test_what_lies_beyond_the_percentiles_is_kept_up_to_a_limit():
    array = RNG.random((100, 100))
    array[0, 0] = 1e6
    array[0, 1] = 1.002
    norm, image = brightness(array)
    values = norm.apply(image.read())[0]
    assert values[0, 0] == 5.0
    assert 1.0 < values[0, 1] < 1.1


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_becomes_zero_with_a_note(value):
    norm, image = brightness(np.full((16, 16), value, np.uint16))
    assert not norm.apply(image.read()).any()
    [note] = norm.notes
    assert "constant" in note
    assert str(value) in note


def test_a_constant_channel_is_named():
    array = np.stack([RNG.random((16, 16)), np.zeros((16, 16))])
    norm, image = brightness(array, "CYX")
    assert "channel 1 of the image is constant" in norm.notes[0]
    assert norm.apply(image.read())[0].max() > 0.9


def test_a_few_bright_pixels_are_no_constant_image():
    array = np.zeros((100, 100), np.uint8)
    array[50, 50:53] = 200
    norm, image = brightness(array)
    assert norm.notes == ()
    assert norm.apply(image.read()).max() == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_become_the_median_and_are_counted(bad):
    array = RNG.random((20, 20)).astype(np.float32)
    clean, _ = brightness(array)
    array[3, :5] = bad
    norm, image = brightness(array)
    values = norm.apply(image.read())[0]
    assert np.isfinite(values).all()
    assert np.allclose(values[3, :5], np.median(values), atol=0.02)
    assert np.allclose(norm.high, clean.high, rtol=0.05)
    assert norm.notes == (
        "5 of 400 pixels are NaN or infinite: no data, so background",
    )


def test_an_image_without_any_number_is_refused():
    with pytest.raises(DataError, match="no finite pixel"):
        brightness(np.full((8, 8), np.nan))


def test_a_block_of_another_view_is_refused():
    norm, _ = brightness(STACK, "ZCYX")
    with pytest.raises(DataError, match="2; measure"):
        norm.apply(np.zeros((3, 4, 4), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [(2, 30_000, 30_000), (3000, 500, 400), (200, 2000, 2000), (1, 2, 2**24)],
)
def test_a_huge_image_is_sampled_evenly(shape):
    """Broadcast ramps stand for images that would not fit the memory."""
    for axis in (0, 1, 2):
        if shape[axis] < 100:
            continue
        along = [-1 if i == axis else 1 for i in range(3)]
        ramp = np.linspace(0, 1, shape[axis], dtype=np.float32).reshape(along)
        counting = Counting(np.broadcast_to(ramp, shape))
        norm = Normalisation.measure(Image.from_array(counting, "ZYX"))
        assert counting.taken <= 1.1 * _SAMPLE_PIXELS
        assert "million pixels" in norm.notes[0]
        assert norm.low[0] == pytest.approx(0.01, abs=0.02)
        assert norm.high[0] == pytest.approx(0.998, abs=0.02)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["u1", "i1", "u2", "i2"]).flatmap(
        lambda dtype: arrays(dtype, st.integers(1, 99))
    ),
    st.floats(0, 50),
    st.floats(50, 100),
)
def test_counting_finds_the_percentiles_of_numpy(values, low, high):
    # Between two bytes that are far apart numpy overflows.
    wide = values.astype(np.int64)
    expected = [float(limit) for limit in np.percentile(wide, (low, high))]
    if expected[0] == expected[1]:
        expected = [float(values.min()), float(values.max())]
    image = Image.from_array(values[None], "YX")
    found = Normalisation.measure(image, Preparation(low=low, high=high))
    assert [*found.low, *found.high] == expected

"""Borders that were never recorded: found, left out, predicted as background."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import dask.array
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import rotate
from skimage import data as samples

from unet_engine.errors import DataError
from unet_engine.images import Image, Normalisation, match_channels, no_data
from unet_engine.images.no_data import RUN, missing
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.segmentation import predict
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CPU = PredictConfig(device="cpu", tile=32, probabilities=True)


def noise(*shape: int, level: float = 400, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(level, 10, shape).astype("u2")


def measured(pixels: np.ndarray, axes: str = "YX", **options: bool) -> Normalisation:
    return Normalisation.measure(Image.from_array(pixels, axes, name="x", **options))


def lost(pixels: np.ndarray, axes: str = "YX", index: tuple = ()) -> np.ndarray:
    image = Image.from_array(pixels, axes, name="x")
    return np.isnan(Normalisation.measure(image).marked(image).read(index)).all(axis=0)


@pytest.mark.parametrize("value", [0, 65535, 1000])
def test_a_padded_image_has_the_brightness_of_its_inside(value: int):
    inside = noise(120, 150)
    padded = np.pad(inside, 40, constant_values=value)

    found, plain = measured(padded), measured(inside)
    assert (found.low, found.high) == (plain.low, plain.high)
    assert found.fills == (((float(value),),),)
    where = np.pad(np.zeros(inside.shape, bool), 40, constant_values=True)
    assert np.array_equal(lost(padded), where)
    assert [note for note in found.notes if "no data" in note]


@pytest.mark.parametrize("angle", [1, 17, 45])
def test_corners_of_a_rotation_are_no_data(angle: float):
    image = rotate(noise(160, 160), angle, order=0, cval=0)
    assert np.array_equal(lost(image), image == 0)


def test_each_slice_of_a_registration_has_its_own_border():
    stack = noise(5, 80, 90)
    shifts = [(-7, 3), (0, 0), (5, -9), (1, 1), (0, 20)]
    moved = np.zeros_like(stack)
    for z, (dy, dx) in enumerate(shifts):
        moved[z] = np.roll(stack[z], (dy, dx), (0, 1))
        moved[z, : max(dy, 0)] = moved[z, 80 + min(dy, 0) :] = 0
        moved[z, :, : max(dx, 0)] = moved[z, :, 90 + min(dx, 0) :] = 0
    moved[3] = 0
    for z in range(5):
        assert np.array_equal(lost(moved, "ZYX", (z,)), moved[z] == 0), z


def test_black_scan_lines_are_no_data():
    image = noise(100, 100)
    image[[20, 55, 56]] = 0
    assert np.array_equal(lost(image), image == 0)


def test_black_corners_within_a_white_margin_of_a_colour_image():
    colour = np.random.default_rng(0).normal(150, 20, (120, 120, 3)).clip(30, 220)
    turned = rotate(colour.astype("u1"), 20, order=0, cval=0)
    framed = np.pad(turned, ((25, 25), (25, 25), (0, 0)), constant_values=255)
    whole = ((framed == 0) | (framed == 255)).all(axis=-1)
    assert np.array_equal(lost(framed, "YXS"), whole)

    grey = match_channels(Image.from_array(framed, "YXS", name="x"), 1)
    found = Normalisation.measure(grey)
    assert np.array_equal(np.isnan(found.marked(grey).read()[0]), whole)


def test_a_channel_may_have_a_border_of_its_own():
    pixels = np.stack([noise(90, 90), noise(90, 90, level=2000, seed=1)])
    pixels[1, :12] = 0
    found = measured(pixels, "CYX")
    assert found.fills == ((), ((0.0,),))
    image = Image.from_array(pixels, "CYX", name="x")
    read = found.marked(image).read()
    assert np.isnan(read[1, :12]).all()
    assert np.isfinite(read[0]).all()


def objects_on_black(count: int, soft: bool) -> np.ndarray:
    """Return disks on true zeros, with sharp or with soft rims."""
    yy, xx = np.mgrid[:200, :200]
    image, random = np.zeros((200, 200)), np.random.default_rng(1)
    for y, x in random.integers(15, 185, (count, 2)):
        far = np.hypot(yy - y, xx - x)
        disk = np.clip((12 - far) / 8, 0, 1) if soft else far < 10
        image = np.maximum(image, disk * random.normal(200, 20, image.shape))
    return image.clip(0, 255).astype("u1")


@pytest.mark.parametrize(
    "image",
    [
        *(objects_on_black(n, soft) for n in (1, 3, 20, 80) for soft in (True, False)),
        np.random.default_rng(0).normal(0, 10, (128, 128)).clip(0).astype("u1"),
        np.random.default_rng(0).poisson(2, (128, 128)).astype("u1"),
        np.random.default_rng(0).normal(250, 6, (128, 128)).clip(0, 255).astype("u1"),
        np.tri(64, dtype="u1") * 255,
        np.zeros((64, 64), "u1"),
        samples.coins(),
        samples.camera(),
        samples.page(),
    ],
)
def test_a_dark_or_saturated_background_is_image(image: np.ndarray):
    assert measured(image).fills == ()
    assert not lost(image).any()


def test_tissue_on_saturated_glass_is_image():
    tissue = samples.immunohistochemistry()
    bright = (tissue.astype(float) * 1.35).clip(0, 255).astype("u1")
    for pixels in (tissue, bright):
        assert measured(pixels, "YXS").fills == ()


def test_one_infinite_pixel_and_scattered_nan_are_no_data(make_checkpoint: Callable):
    pixels = noise(64, 64).astype("f4")
    plain = measured(pixels)
    pixels[30, 30], pixels[5, 40] = np.inf, np.nan
    found = measured(pixels)
    assert found.low == pytest.approx(plain.low, rel=1e-3)
    applied = found.apply(pixels[None])[0]
    assert abs(applied[30, 30] - np.median(applied)) < 0.01

    result = predict(Image.from_array(pixels, "YX"), make_checkpoint(), CPU)
    assert result.probabilities[:, 30, 30].tolist() == [1, 0]
    assert np.isfinite(result.probabilities).all()


def test_an_image_of_nothing_but_nan_is_refused(make_checkpoint: Callable):
    with pytest.raises(DataError, match="all are NaN"):
        predict(Image.from_array(np.full((64, 64), np.nan), "YX"), make_checkpoint())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_region_is_the_same_however_it_is_read(draw: st.DataObject):
    shape = draw.draw(st.tuples(*2 * [st.integers(3, 60)]))
    seed = draw.draw(st.integers(0, 99))
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 3, (1, *shape))
    for _ in range(draw.draw(st.integers(0, 4))):
        y, x = (int(random.integers(-10, n)) for n in shape)
        pixels[0, max(y, 0) : y + 30, max(x, 0) : x + 30] = 0
    image = Image.from_array(pixels.astype("u1")[0], "YX", name="x")
    marked = replace(image, fills=(((0.0,),),))
    whole = np.isnan(marked.read()[0])

    rows, columns = (
        slice(*sorted(draw.draw(st.tuples(*2 * [st.integers(0, n)])))) for n in shape
    )
    part = marked.read((), (rows, columns))[0]
    assert np.array_equal(np.isnan(part), whole[rows, columns])


@given(st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_runs_are_those_that_a_walk_finds(seed: int):
    random = np.random.default_rng(seed)
    same = random.random((25, 40)) < 0.9
    sides = tuple(bool(side) for side in random.integers(0, 2, 4))
    top, bottom, left, right = (RUN * side for side in sides)
    padded = np.pad(same, ((top, bottom), (left, right)), constant_values=True)
    # Rows beyond the border count for columns and columns for rows only.
    expected = np.zeros_like(padded)
    lines = [*padded, *padded.T]
    for line, out in zip(lines, [*expected, *expected.T], strict=True):
        start = 0
        for at in range(len(line) + 1):
            if at == len(line) or not line[at]:
                if at - start >= RUN:
                    out[start:at] = True
                start = at + 1
    inner = expected[top : top + 25, left : left + 40]
    found = missing(np.where(same, 7, 1)[None], ((7.0,),), sides)
    assert np.array_equal(found, inner & same)


def pictures() -> dict[str, tuple[Image, ModelSpec]]:
    plain, volume = ModelSpec(depth=2, width=4), ModelSpec(depth=2, width=4, ndim=3)
    colour = ModelSpec(depth=2, width=4, in_channels=3)
    turned = rotate(noise(90, 90), 25, order=0, cval=0)
    nan = np.where(turned == 0, np.nan, turned)
    rgb = rotate(noise(90, 90, 3, level=120).astype("u1"), 25, order=0, cval=255)
    stack = np.pad(noise(6, 60, 60), ((0, 0), (9, 0), (0, 23)))
    return {
        "corners": (Image.from_array(turned, "YX", name="x"), plain),
        "NaN": (Image.from_array(nan, "YX", name="x"), plain),
        "dask": (Image.from_array(dask.array.from_array(turned), "YX"), plain),
        "colour": (Image.from_array(rgb, "YXS", name="x"), colour),
        "grey": (Image.from_array(rgb, "YXS", name="x"), plain),
        "volume": (Image.from_array(stack, "ZYX", name="x"), volume),
    }


@pytest.mark.parametrize("name", list(pictures()))
def test_tiles_equal_the_whole(make_checkpoint: Callable, name: str):
    image, spec = pictures()[name]
    model = make_checkpoint(spec)
    tiled = predict(image, model, CPU)
    whole = predict(image, model, replace(CPU, tile=256))
    assert np.abs(tiled.probabilities - whole.probabilities).max() < 1e-4

    pixels = np.asarray(image.data)
    empty = np.isnan(pixels) if name == "NaN" else (pixels == 0) | (pixels == 255)
    empty = empty.all(axis=-1) if image.rgb else empty
    assert empty.any()
    assert (tiled.probabilities[0][empty] == 1).all()
    assert not tiled.labels[empty].any()


def test_a_run_to_disk_that_goes_on_gives_the_same_bytes(
    make_checkpoint: Callable, tmp_path: Path
):
    image, model = pictures()["corners"][0], make_checkpoint()
    config = replace(CPU, probabilities=False)
    done: list[int] = []

    def stop() -> bool:
        done.append(1)
        return len(done) > 30

    predict(image, model, config, into=DiskOutput(tmp_path / "a.ome.zarr"), stop=stop)
    for name in "a", "b":
        path = tmp_path / f"{name}.ome.zarr"
        assert predict(image, model, config, into=DiskOutput(path)).complete
    files = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name != ".zattrs"
        }
        for name in ("a.ome.zarr", "b.ome.zarr")
    ]
    assert files[0] == files[1]


@pytest.mark.slow
def test_the_mask_inside_stays_what_it_was():
    pixels, _ = nuclei((160, 160), seed=3, diameter=16)
    pixels = (pixels / pixels.max() * 3000 + 300).astype("u2")
    model = ModelStore().load("nuclei")
    plain = predict(Image.from_array(pixels, "YX"), model).labels > 0
    for fill in (0, 65535, np.nan):
        kind = "f4" if np.isnan(fill) else "u2"
        padded = np.pad(pixels.astype(kind), 48, constant_values=fill)
        found = predict(Image.from_array(padded, "YX"), model).labels > 0
        inside = found[48:-48, 48:-48]
        assert not np.pad(~inside, 48)[found].any()
        assert (inside & plain).sum() / (inside | plain).sum() > 0.93


def reached_by_steps(same: np.ndarray) -> np.ndarray:
    """What `_straight_from_sides` means: from each side as far as all are such."""
    found = np.zeros_like(same)
    for turns in range(4):
        view, out = np.rot90(same, turns), np.rot90(found, turns)
        out |= np.logical_and.accumulate(view, axis=0)
    return found


@given(st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_what_a_straight_line_reaches_is_what_steps_from_the_sides_find(seed: int):
    random = np.random.default_rng(seed)
    share = random.choice([0.5, 0.9, 0.99, 0.9999])
    same = random.random(random.integers(1, 300, 2)) < share
    assert np.array_equal(no_data._straight_from_sides(same), reached_by_steps(same))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "u8", "f2", "f4"])
def test_values_are_compared_as_numbers_of_any_type(dtype: str):
    random = np.random.default_rng(1)
    bits = random.integers(0, 256, (2, 8, 8 * np.dtype(dtype).itemsize), "u1")
    pixels = bits.view(dtype)
    pixels[:, :3] = 1
    for number in (1.0, 0.5, -1.0, 300.0, 6e4, float(pixels[0, 5, 5])):
        value = (number, 1.0)
        with np.errstate(invalid="ignore"):
            # A number of 64 bits counts for the float that is nearest to it.
            expected = (pixels[0] == number) & (pixels[1] == 1)
        assert np.array_equal(no_data.equals(pixels, (value,)), expected)


@given(seed=st.integers(0, 1000), dtype=st.sampled_from(["u1", "u2", "i2", "f4"]))
@settings(max_examples=40, deadline=None)
def test_brightness_is_that_of_the_plain_definition(seed: int, dtype: str):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(20, 150, 2))
    pixels = random.normal(100, 9, shape).astype(dtype)
    pixels[random.random(shape) < random.choice([0, 0.3])] = 0
    top, left = random.integers(0, 18, 2)
    pixels[:top], pixels[:, :left] = random.choice([0, 127, 30], 2)

    def equals(pixels: np.ndarray, fill: no_data.Fill) -> np.ndarray:
        each = [(pixels == np.array(v)[:, None, None]).all(axis=0) for v in fill]
        return np.any([np.zeros(pixels.shape[1:], bool), *each], axis=0)

    image = Image.from_array(pixels, "YX", name="x")
    found = Normalisation.measure(image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(no_data, "equals", equals)
        patch.setattr(no_data, "_straight_from_sides", reached_by_steps)
        assert Normalisation.measure(image) == found
    lost = equals(pixels[None], found.fills[0] if found.fills else ())
    inside = pixels[~lost]
    if np.ptp(np.percentile(inside, (1, 99.8))):
        assert (found.low[0], found.high[0]) == tuple(np.percentile(inside, (1, 99.8)))


def test_a_narrow_image_has_no_border():
    assert measured(np.repeat(np.arange(3, dtype="u1"), 40)[None]).fills == ()

"""Tiles that are empty are background, without being predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.cli import main
from unet_engine.errors import DataError, SpecError
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.images.zarr.writing import Multiscale
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.empty_tiles import EmptyRule, EmptyTiles
from unet_engine.prediction.model_predictor import ModelPredictor
from unet_engine.prediction.segmentation import iter_predict, predict
from unet_engine.tiling.tiles import Tile

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = PredictConfig(device="cpu", tile=32, probabilities=True)


@pytest.fixture(scope="module")
def model(make_checkpoint):
    return make_checkpoint()


@pytest.fixture(scope="module")
def image() -> Image:
    """Two planes of 3 x 3 tiles, of which some are dark."""
    pixels = np.random.default_rng(0).integers(0, 100, (2, 96, 96), np.uint16)
    pixels[0, 40, 40] = pixels[1, 95, 0] = pixels[1, 0, 32] = 500
    return Image.from_array(pixels, "ZYX", name="dark")


def _bright(image: Image, least: int) -> set[tuple[int, int, int]]:
    blocks = np.asarray(image.data).reshape(2, 3, 32, 3, 32).max(axis=(2, 4))
    return {tuple(map(int, place)) for place in np.argwhere(blocks >= least)}


def _check(result, image: Image, model, predicted) -> None:
    """See that some tiles are as in a prediction of all, and the others background."""
    whole = predict(image, model, CONFIG)
    for place in np.ndindex(2, 3, 3):
        z, *corner = place
        where = (z, *(slice(32 * part, 32 * part + 32) for part in corner))
        found = result.probabilities[(slice(None), *where)]
        if place in predicted:
            np.testing.assert_array_equal(
                found, whole.probabilities[(slice(None), *where)]
            )
            np.testing.assert_array_equal(result.labels[where], whole.labels[where])
        else:
            assert (found[0] == 1).all()
            assert not found[1:].any()
            assert not result.labels[where].any()


@pytest.mark.parametrize("least", [99, 500, 501])
def test_tiles_below_a_value_are_background(image, model, least, monkeypatch):
    bright = _bright(image, least)
    asked = []
    genuine = ModelPredictor.predict

    def counted(self, index, tile):
        asked.append((*index, *(start // 32 for start, _ in tile.inner)))
        return genuine(self, index, tile)

    monkeypatch.setattr(ModelPredictor, "predict", counted)
    result = predict(image, model, CONFIG, skip=EmptyRule(below=least))
    assert set(asked) == bright
    monkeypatch.undo()
    _check(result, image, model, bright)
    left = 18 - len(bright)
    expected = "1 tile was" if left == 1 else f"{left} tiles were"
    noted = f"{expected} taken for background without a prediction." in result.notes
    assert noted == (left > 0)


def test_tiles_outside_of_a_mask_are_background(image, model, tmp_path):
    # At a sixteenth of the scale, for all planes.
    small = np.zeros((6, 6), np.uint8)
    small[0, 1] = 1
    small[5, 5] = 7
    tifffile.imwrite(tmp_path / "mask.tif", small)
    rule = EmptyRule(mask=str(tmp_path / "mask.tif"))
    result = predict(image, model, CONFIG, skip=rule)
    _check(result, image, model, {(z, *p) for z in (0, 1) for p in [(0, 0), (2, 2)]})
    # A zarr of one of the planes, which lacks its empty chunks.
    array = zarr.create_array(
        tmp_path / "mask.zarr",
        shape=(2, 96, 96),
        chunks=(1, 32, 32),
        dtype="u1",
        dimension_names=["z", "y", "x"],
    )
    array[1, 40, 70] = 1
    both = EmptyRule(mask=str(tmp_path / "mask.zarr"), below=99)
    result = predict(image, model, CONFIG, skip=both)
    expected = {(1, 1, 2)} & _bright(image, 99)
    _check(result, image, model, expected)


def test_of_a_volume_every_slice_of_a_tile_counts(make_checkpoint):
    volumes = make_checkpoint(ModelSpec(depth=2, width=4, ndim=3))
    pixels = np.zeros((40, 40, 44), np.uint8)
    pixels[35, 3, 43] = 9
    image = Image.from_array(pixels, "ZYX")
    config = PredictConfig(device="cpu", tile=32, probabilities=True)
    tiles = []
    run = iter_predict(image, volumes, config, skip=EmptyRule(below=9))
    drain(run, tiles.append)
    found = [t for t in tiles if not (t.probabilities[0] == 1).all()]
    assert len(found) == 1
    (only,) = found
    assert all(part.start <= place < part.stop for part, place in
               zip(only.inner, (35, 3, 43), strict=True))  # fmt: skip


@st.composite
def masked_tiles(draw):
    """Draw a plane, a mask of it with one pixel, and a tile."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    factor = draw(st.integers(1, 8))
    small = -(-height // factor), -(-width // factor)
    pixel = tuple(draw(st.integers(0, size - 1)) for size in small)
    intervals = []
    for size in (height, width):
        start = draw(st.integers(0, size - 1))
        intervals.append((start, draw(st.integers(start + 1, size))))
    return (height, width), small, pixel, tuple(intervals)


@settings(deadline=None, max_examples=60)
@given(masked_tiles())
def test_no_pixel_of_a_mask_is_passed_over(tmp_path_factory, drawn):
    """A tile is empty only if no pixel of the mask lies on one of its own."""
    plane, small, pixel, intervals = drawn
    mask = np.zeros(small, np.uint8)
    mask[pixel] = 1
    path = tmp_path_factory.getbasetemp() / "small.tif"
    tifffile.imwrite(path, mask, photometric="minisblack")
    image = Image.from_array(np.zeros(plane, np.uint8), "YX")
    empty = EmptyTiles(image, EmptyRule(mask=str(path)), 2)
    touches = all(
        # In pixels of the mask, by whole numbers: start < pixel + 1 and pixel < stop.
        start * n < (at + 1) * size and at * size < stop * n
        for (start, stop), at, n, size in zip(
            intervals, pixel, small, plane, strict=True
        )
    )
    assert empty.holds((), Tile(intervals, intervals)) == (not touches)


def test_a_run_with_another_rule_is_another_run(image, model, tmp_path):
    seen = []
    run = iter_predict(
        image,
        model,
        CONFIG,
        into=DiskOutput(tmp_path / "l.zarr", tmp_path / "p.zarr"),
        skip=EmptyRule(below=99),
        stop=lambda: len(seen) >= 5,
    )
    drain(run, seen.append)
    into = DiskOutput(tmp_path / "l.zarr", tmp_path / "p.zarr")
    with pytest.raises(DataError, match=r"not this one: which tiles are not predicted"):
        predict(image, model, CONFIG, into=into)
    into = DiskOutput(tmp_path / "l.zarr", tmp_path / "p.zarr")
    rule = EmptyRule(below=99)
    result = predict(image, model, CONFIG, into=into, skip=rule)
    assert result.complete


def test_masks_of_other_images_are_refused(image, tmp_path):
    for shape, axes in [((96, 48), "YX"), ((3, 96, 96), "TYX"), ((192, 192), "YX")]:
        path = tmp_path / "mask.tif"
        tifffile.imwrite(
            path,
            np.zeros(shape, np.uint8),
            photometric="minisblack",
            metadata={"axes": axes},
        )
        with pytest.raises(DataError, match=r"give one that was made of dark"):
            EmptyTiles(image, EmptyRule(mask=str(path)), 2)
    with pytest.raises(SpecError, match="give a value of pixels"):
        EmptyRule(below=float("nan"))


def test_the_command_skips_and_its_advice_works(tmp_path: Path, capsys):
    pixels = np.full((64, 96), 20, np.uint8)
    pixels[:32, :32] = np.random.default_rng(0).integers(0, 255, (32, 32))
    image = Multiscale(
        path=tmp_path / "i.ome.zarr",
        axes="YX",
        shape=pixels.shape,
        chunks=(32, 32),
        dtype=pixels.dtype,
    )
    image.open(anew=True)[...] = pixels
    assert image.finish(lambda: False, {})
    words = ["predict", str(image.path), "--device=cpu", "--tile=32"]
    words.append("--object-size=off")
    out = str(tmp_path / "m.ome.zarr")
    assert main([*words, out, "--skip-below=200"]) == 0
    assert "5 tiles were taken for background" in capsys.readouterr().err
    mask = zarr.open_array(tmp_path / "m.ome.zarr/0")[...]
    assert not mask[32:].any()
    assert not mask[:, 32:].any()
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, np.zeros((9, 96), np.uint8))
    again = str(tmp_path / "n.ome.zarr")
    assert main([*words, again, f"--mask={other}"]) == 1
    assert "give one that was made of i.ome.zarr" in capsys.readouterr().err
    tifffile.imwrite(other, np.ones((32, 48), np.uint8))
    assert main([*words, again, f"--mask={other}"]) == 0

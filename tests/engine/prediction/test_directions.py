"""Tests of volumes that a model of planes predicts in three directions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from classifier_parts import live_learner, striped

from unet_engine.errors import DataError, SpecError
from unet_engine.images import Image, read_labels
from unet_engine.interactive.live_model import live_model
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction import directions_predictor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.directions import turned
from unet_engine.prediction.directions_predictor import KeptVolume
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.plan import plan_prediction
from unet_engine.prediction.segmentation import iter_predict, predict

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

ONE = PredictConfig(device="cpu", probabilities=True)
THREE = replace(ONE, directions="three")
SHAPE = (8, 24, 20)


@pytest.fixture(scope="module")
def model(make_checkpoint: Callable) -> Checkpoint:
    return make_checkpoint()


def volume(shape: tuple[int, ...] = SHAPE, axes: str = "ZYX", seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, axes, name="noise")


def mean_of_directions(image: Image, model: Checkpoint) -> np.ndarray:
    """Return the mean of three predictions of stacks that were turned before."""
    found = []
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0)):
        stack = Image.from_array(image.data.transpose(order), "ZYX")
        known = predict(stack, model, ONE).probabilities
        found.append(known.transpose(0, *(1 + axis for axis in order)))
    return np.mean(found, axis=0)


@pytest.mark.parametrize("tile", [0, 32])
def test_it_is_the_mean_of_the_directions_whatever_the_tiles_are(model, tile):
    image = volume()
    config = replace(THREE, tile=tile)
    tiles = list(iter_predict(image, model, config))
    found = predict(image, model, config)
    assert found.complete
    assert len(tiles) == (1 if not tile else 2 * 2)
    expected = mean_of_directions(image, model)
    np.testing.assert_allclose(found.probabilities, expected, atol=2e-6)
    alone = predict(image, model, ONE).probabilities
    assert np.abs(found.probabilities - alone).max() > 0.01
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(axis=0))


def test_each_time_is_a_volume_of_its_own(model):
    image = volume((2, *SHAPE), "TZYX")
    found = predict(image, model, replace(THREE, tile=32)).probabilities
    for t in (0, 1):
        alone = Image.from_array(image.data[t], "ZYX")
        expected = mean_of_directions(alone, model)
        # The brightness is that of both.
        whole = predict(alone, model, THREE).probabilities
        np.testing.assert_allclose(whole, expected, atol=2e-6)
        np.testing.assert_allclose(found[:, t], expected, atol=0.02)


@pytest.mark.slow
def test_pixel_classifiers_give_the_same_bits_in_any_tiles():
    pixels = np.repeat(striped((40, 36))[None], 5, axis=0)
    learner, _ = live_learner(pixels, axes="ZYX")
    model = live_model(learner, ("background", "stripes"), ModelSpec())
    image = Image.from_array(pixels, "ZYX", name="stripes")
    whole = predict(image, model, THREE)
    tiles = predict(image, model, replace(THREE, tile=32))
    np.testing.assert_array_equal(tiles.probabilities, whole.probabilities)
    assert 0.1 < whole.labels.mean() < 0.9


def test_a_run_to_disk_goes_on_where_it_was_stopped(model, tmp_path):
    image, config = volume(), replace(THREE, tile=32, probabilities=False)
    expected = predict(image, model, config).labels
    out = tmp_path / "mask.ome.zarr"
    done = []
    run = iter_predict(
        image, model, config, into=DiskOutput(out), stop=lambda: len(done) >= 2
    )
    done.extend(run)
    assert len(done) == 2
    with pytest.raises(DataError, match="the directions of the planes"):
        other = replace(config, directions="one")
        predict(image, model, other, into=DiskOutput(out, resume=True))
    result = predict(image, model, config, into=DiskOutput(out, resume=True))
    assert result.complete
    np.testing.assert_array_equal(read_labels(out), expected)


def test_a_time_series_is_no_volume(model):
    series = volume(axes="TYX")
    with pytest.raises(DataError) as error:
        predict(series, model, THREE)
    assert "noise has no Z before its planes (axes 'TYX')" in str(error.value)
    assert "\n" not in str(error.value)
    # As the message advises.
    assert predict(series, model, ONE).complete
    named = Image.from_array(series.data, "ZYX", name="noise")
    assert predict(named, model, THREE).complete


def test_models_of_volumes_have_no_directions(make_checkpoint):
    model = make_checkpoint(ModelSpec(ndim=3, depth=1, width=2))
    image = volume((8, 16, 16))
    found = predict(image, model, THREE).probabilities
    np.testing.assert_array_equal(found, predict(image, model, ONE).probabilities)


def test_pixels_of_no_data_are_background(model):
    pixels = volume().data.astype(np.float32)
    pixels[:5, :9] = np.nan
    found = predict(Image.from_array(pixels, "ZYX"), model, THREE).probabilities
    assert (found[0, :5, :9] == 1).all()
    assert (found[0, 5:] < 1).all()


def test_a_border_of_zeros_is_background(model):
    pixels = np.random.default_rng(0).integers(100, 1000, (6, 96, 64), np.uint16)
    pixels[:, :, :40] = 0
    found = predict(Image.from_array(pixels, "ZYX"), model, THREE)
    assert (found.probabilities[0, :, :, :40] == 1).all()
    assert (found.probabilities[0, :, :, 40:] < 1).all()


def test_a_measured_halo_is_used(model):
    config = replace(THREE, halo="measured")
    found = predict(volume((6, 66, 40)), model, config)
    exact = predict(volume((6, 66, 40)), model, THREE)
    assert any("measured halo" in note for note in found.notes)
    np.testing.assert_allclose(found.probabilities, exact.probabilities, atol=0.005)


def test_a_slice_that_follows_others_is_read_once():
    class Counted:
        def __init__(self, data):
            self.data, self.reads = data, 0
            self.shape, self.dtype = data.shape, data.dtype

        def __getitem__(self, key):
            self.reads += 1
            return self.data[key]

    source = Counted(volume((2, *SHAPE), "TZYX").data)
    image = Image.from_array(source, "TZYX")
    view = turned(replace(image, data=KeptVolume(image)), "X")
    assert view.leading_shape == (2, 20)
    for t in (0, 1):
        for x in range(20):
            expected = source.data[t, :, :, x].T
            np.testing.assert_array_equal(view.read((t, x))[0], expected)
    assert source.reads == 2


def test_a_volume_beyond_the_memory_is_read_in_parts(monkeypatch):
    monkeypatch.setattr(directions_predictor, "_VOLUME_BYTES", 100)
    image = volume()
    view = turned(replace(image, data=KeptVolume(image)), "Y")
    part = view.read((3,), (slice(2, 5), slice(4, 9)))[0]
    np.testing.assert_array_equal(part, image.data[2:5, 3, 4:9])


def test_the_plan_of_a_large_volume_needs_no_more_than_its_tiles(model):
    huge = Image.from_array(np.broadcast_to(np.uint8(0), (600, 900, 900)), "ZYX")
    plan = plan_prediction(huge, model.spec, THREE, on_disk=True)
    assert plan.tiles.tile == (256, 256, 256)
    assert plan.nbytes < 2**30
    watched = plan_prediction(huge, model.spec, THREE, on_disk=True, watched=True)
    assert max(watched.tiles.tile) <= 64


def test_other_directions_are_refused():
    with pytest.raises(SpecError, match="directions is 'two'; use one or three"):
        PredictConfig(directions="two")

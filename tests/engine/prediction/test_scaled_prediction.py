"""Predictions at the scale of a model, on the pixels of the image."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.data import immunohistochemistry

from unet_engine.compute.runner import Runner
from unet_engine.errors import DataError, SpecError
from unet_engine.images import Image, PixelSize, open_image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.plan import plan_prediction
from unet_engine.prediction.scale import scale_of
from unet_engine.prediction.segmentation import predict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


FLAT = ModelSpec(depth=2, width=4, object_size_px=20)
DEEP = ModelSpec(ndim=3, depth=1, width=4, object_size_px=20)
CONFIG = PredictConfig(device="cpu", probabilities=True)


def image_of(*shape: int, axes: str, **options: object) -> Image:
    pixels = np.random.default_rng(3).integers(0, 1000, shape).astype(np.uint16)
    return Image.from_array(pixels, axes, **options)


def config(size: float | str, tile: int = 0, **settings: object) -> PredictConfig:
    return dataclasses.replace(CONFIG, object_size=size, tile=tile, **settings)


@pytest.mark.parametrize("size", [8, 14, 33, 60])
@pytest.mark.parametrize("halo", ["exact", "measured"])
def test_tiles_equal_the_whole_at_any_scale(
    make_checkpoint: Callable, size: float, halo: str
):
    checkpoint = make_checkpoint(FLAT)
    image = image_of(230, 171, axes="YX")
    whole = predict(image, checkpoint, config(size, 8192, halo=halo))
    tiled = predict(image, checkpoint, config(size, 32, halo=halo))
    plan = plan_prediction(image, checkpoint.spec, config(size, 32))
    assert plan.total > 1
    assert whole.labels.shape == (230, 171)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)
    np.testing.assert_allclose(whole.probabilities.sum(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("size", [12, 40])
def test_tiles_of_a_volume_equal_the_whole(make_checkpoint: Callable, size: float):
    checkpoint = make_checkpoint(dataclasses.replace(DEEP, elongation=1.0))
    image = image_of(14, 50, 45, axes="ZYX", pixel_size_um=0.5, slice_step_um=1.0)
    whole = predict(image, checkpoint, config(size, 512))
    tiled = predict(image, checkpoint, config(size, 60))
    assert plan_prediction(image, checkpoint.spec, config(size, 60)).total > 1
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)


def test_tiles_of_planes_in_three_directions_equal_the_whole(make_checkpoint: Callable):
    checkpoint = make_checkpoint(FLAT)
    image = image_of(11, 40, 36, axes="ZYX", pixel_size_um=0.5, slice_step_um=1.0)
    whole = predict(image, checkpoint, config(30, 4096, directions="three"))
    tiled = predict(image, checkpoint, config(30, 90, directions="three"))
    assert scale_of(image, FLAT, config(30, directions="three")) == pytest.approx(
        (4 / 3, 2 / 3, 2 / 3)
    )
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)


@pytest.mark.parametrize("colour", ["haematoxylin", "nuclear dye"])
@pytest.mark.parametrize("size", [12, 50])
def test_tiles_of_a_stain_equal_the_whole_with_brightness_of_its_nuclei(
    make_checkpoint: Callable, size: float, colour: str
):
    spec = dataclasses.replace(FLAT, colour=colour, brightness="foreground")
    checkpoint = make_checkpoint(spec)
    image = Image.from_array(immunohistochemistry()[:150, :170], "YXS")
    whole = predict(image, checkpoint, config(size, 8192))
    tiled = predict(image, checkpoint, config(size, 32))
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-4)
    assert np.ptp(whole.probabilities) > 0.3
    plain = predict(image, make_checkpoint(FLAT), config(size, 8192))
    assert abs(plain.probabilities - whole.probabilities).max() > 0.1


def test_it_equals_the_prediction_of_a_resampled_image(make_checkpoint: Callable):
    """The network sees the smaller image, whose result is interpolated back."""
    from skimage.transform import resize

    from unet_engine.images import Normalisation
    from unet_engine.images.resampled import resampled_image

    checkpoint = make_checkpoint(FLAT)
    image = image_of(200, 240, axes="YX")
    brightness = Normalisation.measure(image)
    found = predict(image, checkpoint, config(40), normalisation=brightness)
    small = resampled_image(image, {"Y": 0.5, "X": 0.5})
    there = predict(small, checkpoint, CONFIG, normalisation=brightness)
    expected = resize(there.probabilities[1], (200, 240), order=1, mode="edge")
    np.testing.assert_allclose(found.probabilities[1], expected, atol=1e-3)
    assert np.ptp(expected) > 0.3


@pytest.mark.parametrize(("size", "factor"), [(60, 1 / 3), (10, 2.0)])
def test_the_network_computes_as_many_pixels_as_its_grid_has(
    make_checkpoint: Callable,
    monkeypatch: pytest.MonkeyPatch,
    size: float,
    factor: float,
):
    pixels: list[int] = []
    genuine = Runner.__call__

    def counted(self: Runner, block: np.ndarray, *wanted: object) -> np.ndarray:
        pixels.append(block[0].size)
        return genuine(self, block, *wanted)

    monkeypatch.setattr(Runner, "__call__", counted)
    predict(image_of(600, 600, axes="YX"), make_checkpoint(FLAT), config(size))
    assert sum(pixels) < 1.3 * factor**2 * 600**2


def test_the_own_scale_is_the_prediction_of_before(make_checkpoint: Callable):
    image = image_of(90, 70, axes="YX")
    checkpoint = make_checkpoint(FLAT)
    off = predict(image, checkpoint, config("off"))
    alike = predict(image, checkpoint, config(18))
    before = predict(
        image, make_checkpoint(dataclasses.replace(FLAT, object_size_px=None)), CONFIG
    )
    for other in (alike, before):
        np.testing.assert_array_equal(other.probabilities, off.probabilities)


def test_pixels_without_data_are_background_at_any_scale(make_checkpoint: Callable):
    pixels = np.random.default_rng(0).random((120, 150)).astype(np.float32)
    pixels[:, 90:] = np.nan
    image = Image.from_array(pixels, "YX")
    for size in (10, 50):
        found = predict(image, make_checkpoint(FLAT), config(size))
        assert (found.probabilities[0, :, 90:] == 1).all()
        assert not found.labels[:, 90:].any()
        assert found.probabilities[1, :, :90].max() > 0.1


def test_an_interrupted_run_goes_on_at_its_scale_and_at_no_other(
    make_checkpoint: Callable, tmp_path: Path
):
    checkpoint = make_checkpoint(FLAT)
    image = image_of(300, 310, axes="YX")
    settings = config(33, 64, probabilities=False)
    calls = iter(range(100))
    into = DiskOutput(tmp_path / "mask.ome.zarr")
    stopped = predict(
        image, checkpoint, settings, into=into, stop=lambda: next(calls) > 20
    )
    assert not stopped.complete
    with pytest.raises(DataError, match="the scale at which it is predicted"):
        other = DiskOutput(tmp_path / "mask.ome.zarr")
        predict(
            image,
            checkpoint,
            dataclasses.replace(settings, object_size=34.0),
            into=other,
        )
    finished = predict(
        image, checkpoint, settings, into=DiskOutput(tmp_path / "mask.ome.zarr")
    )
    assert finished.complete
    expected = predict(image, checkpoint, settings).labels
    found = open_image(tmp_path / "mask.ome.zarr")
    np.testing.assert_array_equal(found.read()[0], expected)


def test_the_size_of_pixels_gives_the_scale():
    spec = dataclasses.replace(FLAT, pixel_size_um=0.5)
    image = image_of(50, 60, axes="YX", pixel_size_um=0.2)
    assert scale_of(image, spec, config("pixel-size")) == pytest.approx((0.4, 0.4))
    stated = config("pixel-size", pixel_size=1.5)
    assert scale_of(image, spec, stated) == pytest.approx((3, 3))
    oblong = Image.from_array(
        image.data, "YX", pixel_size=PixelSize.of_micrometres(y=0.25, x=0.5)
    )
    assert scale_of(oblong, spec, config("pixel-size")) == pytest.approx((0.5, 1))


@pytest.mark.parametrize(
    ("spec", "settings", "error", "text", "advice"),
    [
        (FLAT, {"object_size": 61.0}, DataError, "no object of 61 pixels fits", 30.0),
        (
            ModelSpec(),
            {"object_size": 30.0},
            SpecError,
            "does not know the size",
            "off",
        ),
        (FLAT, {"object_size": "pixel-size"}, SpecError, "records no size", 30.0),
        (
            dataclasses.replace(FLAT, pixel_size_um=0.5),
            {"object_size": "pixel-size"},
            DataError,
            "states no size of its pixels",
            30.0,
        ),
        (
            dataclasses.replace(FLAT, pixel_size_um=0.5),
            {"object_size": "pixel-size", "pixel_size": 500.0},
            DataError,
            "cannot both be",
            30.0,
        ),
    ],
)
def test_a_scale_that_cannot_be_is_refused_with_advice_that_works(
    spec: ModelSpec,
    settings: dict,
    error: type[Exception],
    text: str,
    advice: float | str,
):
    image = image_of(50, 60, axes="YX", name="plate.tif")
    with pytest.raises(error, match=text) as caught:
        scale_of(image, spec, PredictConfig(**settings))
    assert "\n" not in str(caught.value)
    assert error is SpecError or "plate.tif" in str(caught.value)
    assert len(scale_of(image, spec, PredictConfig(object_size=advice))) == 2


@pytest.mark.parametrize("size", [0.0, 1.5, -3, float("nan"), float("inf"), "big"])
def test_an_object_size_that_is_none_is_refused(size: float | str):
    with pytest.raises(
        SpecError, match=r"use auto, off, pixel-size or a diameter of 2"
    ):
        PredictConfig(object_size=size)


@pytest.mark.parametrize("size", [-1.0, float("nan"), float("inf")])
def test_a_size_of_pixels_that_is_none_is_refused(size: float):
    with pytest.raises(SpecError, match="use micrometres above 0"):
        PredictConfig(pixel_size=size)

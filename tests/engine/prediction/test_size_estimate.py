"""The size of objects, estimated from the image."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from unet_engine.images import Image, Normalisation
from unet_engine.models.spec import ModelSpec
from unet_engine.models.store import ModelStore
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.scale import (
    SizeEstimate,
    config_for,
    describe_scale,
    scale_of,
)
from unet_engine.prediction.segmentation import predict
from unet_engine.prediction.size_estimate import (
    ScaleSample,
    agreed_size,
    estimate_object_size,
)
from unet_engine.synthetic.nuclei import nuclei as generated_nuclei

if TYPE_CHECKING:
    from unet_engine.models.checkpoint import Checkpoint

AUTO = PredictConfig(device="cpu", object_size="auto", probabilities=True)
SPEC = ModelSpec(object_size_px=20)


@lru_cache(maxsize=1)
def nuclei() -> Checkpoint:
    checkpoint = ModelStore().load("nuclei")
    spec = dataclasses.replace(checkpoint.spec, object_size_px=20)
    return dataclasses.replace(checkpoint, spec=spec)


@lru_cache(maxsize=3)
def scene(diameter: float) -> tuple[Image, np.ndarray]:
    """Nuclei of a size, and their ids."""
    pixels, truth = generated_nuclei((320, 320), seed=2, diameter=diameter)
    return Image.from_array(pixels, "YX", name="plate.tif"), truth


def sample(
    scale: float, count: int, diameter: float, confidence: float = 0.95, **more: float
):
    return ScaleSample(
        scale=scale, count=count, diameter=diameter, confidence=confidence, **more
    )


def mean_iou(labels: np.ndarray, truth: np.ndarray) -> float:
    found, wanted = labels > 0, truth > 0
    return np.count_nonzero(found & wanted) / np.count_nonzero(found | wanted)


@pytest.mark.parametrize("diameter", [9.0, 70.0])
def test_an_image_is_predicted_at_the_scale_of_its_objects(diameter: float):
    image, truth = scene(diameter)
    found = predict(image, nuclei(), AUTO)
    (note,) = [each for each in found.notes if each.startswith("objects about")]
    size = float(note.split()[2])
    areas = np.bincount(truth.ravel())[1:]
    assert size == pytest.approx(np.sqrt(4 * np.median(areas) / np.pi), rel=0.4)
    assert f"predicted at {20 / size:.2f}x" in note
    assert mean_iou(found.labels, truth) > 0.7


def test_an_image_without_objects_is_predicted_at_its_own_scale():
    noise = np.random.default_rng(0).normal(100, 3, (200, 220)).astype(np.float32)
    image = Image.from_array(noise, "YX", name="empty.tif")
    found = predict(image, nuclei(), AUTO)
    expected = predict(image, nuclei(), dataclasses.replace(AUTO, object_size="off"))
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    (note,) = [each for each in found.notes if "cannot be estimated" in each]
    assert "\n" not in note
    assert "--object-size 30" in note
    stated = dataclasses.replace(AUTO, object_size=30.0)
    assert predict(image, nuclei(), stated).complete


def test_of_a_constant_image_it_is_said_only_that_it_is_constant():
    image = Image.from_array(np.full((80, 90), 7, np.uint8), "YX")
    found = predict(image, nuclei(), AUTO)
    (note,) = found.notes
    assert "the image is constant (every pixel is 7)" in note
    assert not found.labels.any()


def test_scales_agree_on_one_size():
    found = agreed_size(
        [sample(0.25, 9, 14), sample(0.5, 9, 27), sample(1, 4, 60), sample(2, 4, 128)],
        20,
    )
    assert found.sure
    assert found.diameter_px == pytest.approx(55, rel=0.05)


def test_scales_that_differ_agree_on_none():
    found = agreed_size([sample(0.5, 5, 20), sample(1, 5, 20), sample(2, 5, 20)], 20)
    assert not found.sure


def test_objects_with_a_middle_outweigh_more_texture_within_them():
    nuclei_of_60, texture_of_15 = sample(0.4, 5, 24, depth=0.7), sample(1.5, 40, 24)
    found = agreed_size(
        [nuclei_of_60, dataclasses.replace(texture_of_15, depth=0.5)], 24
    )
    assert found.sure
    assert found.diameter_px == pytest.approx(60)
    deep = agreed_size([nuclei_of_60, texture_of_15], 24)
    assert deep.diameter_px == pytest.approx(16)


def test_nuclei_with_texture_are_not_measured_by_it():
    """Grains in large nuclei: at the image's own scale the network finds only these."""
    _, truth = scene(90.0)
    grains = np.random.default_rng(1).random(truth.shape)
    grains = ndimage.gaussian_filter(grains, 3)
    pixels = (truth > 0) * (1 + 12 * (grains - grains.mean()))
    image = Image.from_array(pixels.astype(np.float32), "YX")
    brightness = Normalisation.measure(image, nuclei().spec.preparation)
    found = estimate_object_size(image, nuclei(), brightness, AUTO)
    assert found.diameter_px == pytest.approx(90, rel=0.4)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [sample(1, 0, float("nan"))],
        [sample(1, 1, 20, 0.6)],
        [sample(1, 9, 200), sample(2, 9, 400)],
    ],
)
def test_few_or_faint_objects_or_others_are_no_estimate(samples: list[ScaleSample]):
    assert not agreed_size(samples, 20).sure


def test_an_unsure_estimate_leaves_it_to_the_pixels():
    spec = dataclasses.replace(SPEC, pixel_size_um=0.5)
    pixels = np.zeros((40, 40), np.uint8)
    known = Image.from_array(pixels, "YX", pixel_size_um=0.25)
    unknown = Image.from_array(pixels, "YX")
    unsure = SizeEstimate(diameter_px=10, sure=False)
    assert config_for(known, spec, AUTO, unsure).object_size == "pixel-size"
    assert config_for(unknown, spec, AUTO, unsure).object_size == "off"
    assert config_for(known, SPEC, AUTO, unsure).object_size == "off"


def test_sizes_that_contradict_each_other_are_named():
    spec = dataclasses.replace(SPEC, pixel_size_um=0.5)
    image = Image.from_array(np.zeros((90, 90), np.uint8), "YX", pixel_size_um=0.25)
    found = SizeEstimate(diameter_px=60, sure=True)
    config = config_for(image, spec, AUTO, found)
    assert scale_of(image, spec, config) == pytest.approx((1 / 3, 1 / 3))
    note = describe_scale(image, spec, config, found)
    assert "the sizes of pixels would give 0.50x" not in note or "0.33x" in note
    far = SizeEstimate(diameter_px=80, sure=True)
    note = describe_scale(image, spec, config_for(image, spec, AUTO, far), far)
    assert "objects about 80 px, predicted at 0.25x" in note
    assert "the sizes of pixels would give 0.50x" in note
    advised = dataclasses.replace(AUTO, object_size="pixel-size")
    assert scale_of(image, spec, advised) == pytest.approx((0.5, 0.5))
    given = dataclasses.replace(advised, pixel_size=2.0)
    assert "the image states pixels of 0.25 µm" in describe_scale(image, spec, given)


def test_of_a_large_plane_only_parts_are_read():
    pixels, _ = generated_nuclei((256, 256), seed=2, diameter=25.0)
    areas: list[int] = []

    class Large:
        """Nuclei somewhere in a plane of 100 megapixels."""

        shape, dtype = (10_000, 10_000), np.dtype(np.uint16)

        def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
            rows, columns = (np.arange(*part.indices(10_000)[:2]) for part in key)
            areas.append(len(rows) * len(columns))
            return pixels[np.ix_(rows % 256, columns % 256)]

    image = Image.from_array(Large(), "YX")
    brightness = Normalisation.measure(Image.from_array(pixels, "YX"))
    found = estimate_object_size(image, nuclei(), brightness, AUTO)
    assert found.sure
    assert found.diameter_px == pytest.approx(25, rel=0.35)
    assert max(areas) < 20e6
    assert sum(areas) < 40e6


def test_models_that_know_no_size_and_models_of_volumes_estimate_none():
    image, _ = scene(9.0)
    checkpoint = nuclei()
    unknown = dataclasses.replace(
        checkpoint, spec=dataclasses.replace(checkpoint.spec, object_size_px=None)
    )
    assert not predict(image, unknown, AUTO).notes

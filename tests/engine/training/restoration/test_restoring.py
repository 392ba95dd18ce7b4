"""A U-Net learns to restore a stack, and is kept only where it beats filters."""

import dataclasses
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from unet_engine.errors import DataError, SpecError
from unet_engine.generators import drain
from unet_engine.images import Image
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint, start_from
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.denoising import denoise
from unet_engine.training.config import PretrainConfig
from unet_engine.training.events import Preparing
from unet_engine.training.pretraining import iter_pretrain
from unet_engine.training.pretraining_start import start_spec, usual_settings

CPU = PredictConfig(device="cpu", tile=64)
LIMITS = {"device": "cpu", "minutes": 0, "crop": 32, "batch": 4, "learning_rate": 5e-3}


@cache
def stack(edge=96, slices=8):
    """Return sharp-edged columns that go on through all slices, and noise of light."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:edge, :edge]
    clean = np.full((slices, edge, edge), 20.0)
    for _ in range(40):
        cy, cx = random.integers(0, edge, 2)
        radius, drift = random.integers(4, 9), random.uniform(-1, 1, 2)
        for z in range(slices):
            far = np.hypot(y - cy - drift[0] * z, x - cx - drift[1] * z)
            clean[z][far < radius] = 90.0
    clean = ndimage.gaussian_filter(clean, (0, 0.5, 0.5))
    noisy = random.poisson(clean) + random.normal(0, 8, clean.shape)
    return clean, noisy.astype(np.float32)


def opened(pixels=None, axes="ZYX"):
    return Image.from_array(stack()[1] if pixels is None else pixels, axes, name="mine")


def spec_of(image, depth=2, width=8):
    return start_spec("restore", [image], depth=depth, width=width)


def train(image, steps, **changes):
    config = PretrainConfig(**{**LIMITS, "steps": steps, **changes})
    start = start_checkpoint(spec_of(image))
    events = []
    result = drain(iter_pretrain(start, [image], config), events.append)
    return events, result, start


@cache
def trained():
    return train(opened(), 300, crop=64, batch=8)


@pytest.mark.slow
def test_it_beats_the_best_gaussian_on_a_stack():
    events, result, _ = trained()
    assert result.improved
    assert "has not seen" in result.notes[-1]
    assert any(isinstance(e, Preparing) and "filters" in e.what for e in events)
    judged = result.checkpoint.history[-1]["judgement"]
    assert judged["network"] < judged["filter_error"]
    restored = denoise(opened(), result.checkpoint, CPU).image[0]
    clean, noisy = stack()
    error = np.mean((restored - clean) ** 2)
    gaussians = [
        np.mean((ndimage.gaussian_filter(noisy, (z, s, s)) - clean) ** 2)
        for s in (0.5, 0.7, 1.0, 1.5, 2.0)
        for z in (0, 0.5, 0.7, 1.0)
    ]
    assert error < 0.8 * min(gaussians)


@pytest.mark.slow
def test_the_start_is_a_fitted_filter_already():
    _, result, _ = train(opened(), 1)
    # The average of the weights is near those that were fitted.
    assert result.after.loss < 0.5 * result.before.loss


def test_noise_alone_is_refused():
    noise = np.random.default_rng(0).normal(100, 10, (6, 64, 64)).astype(np.float32)
    _, result, start = train(opened(noise), 20)
    assert not result.improved
    assert result.checkpoint is start
    assert "noise alone" in result.notes[-1]


def test_tiles_equal_the_whole():
    _, result, _ = train(opened(), 8)
    # Kept or not does not matter here: what was learned differs from nothing.
    spec = result.checkpoint.spec
    random = np.random.default_rng(0)
    weights = {
        name: (w + random.normal(0, 0.1, w.shape)).astype(w.dtype)
        if name.startswith(("mix", "unet.head"))
        else w
        for name, w in result.checkpoint.weights.items()
    }
    model = Checkpoint(spec, weights, ())
    whole = denoise(opened(), model, dataclasses.replace(CPU, tile=512)).image
    tiled = denoise(opened(), model, dataclasses.replace(CPU, tile=32)).image
    scale = np.ptp(whole)
    assert scale > 1
    np.testing.assert_allclose(tiled / scale, whole / scale, atol=1e-4)


def test_an_image_is_restored_on_its_own_grid(make_checkpoint):
    model = make_checkpoint(ModelSpec(classes=(), depth=2, width=2, pixel_size_um=1.0))
    plain = denoise(opened(), model, CPU).image
    scaled = dataclasses.replace(CPU, object_size="pixel-size", pixel_size=0.5)
    np.testing.assert_array_equal(denoise(opened(), model, scaled).image, plain)


def test_slices_see_their_neighbours():
    spec = ModelSpec(architecture="unet", classes=(), depth=1, width=2, slices=3)
    model = start_checkpoint(spec)
    weights = {n: w.copy() for n, w in model.weights.items()}
    # The narrowest Gaussian of the slice below alone.
    weights["mix.weight"][0, 0] = 1
    pixels = np.zeros((4, 40, 40), np.float32)
    pixels[1, 20, 20] = pixels[3, 10, 10] = 100
    found = denoise(opened(pixels), Checkpoint(spec, weights, ()), CPU).image[0]
    assert found[2, 20, 20] > 5 * abs(found[2, 10, 10])
    # Beyond the first slice the one above is taken once more.
    assert found[0, 20, 20] == pytest.approx(found[2, 20, 20], rel=1e-4)


def test_no_data_stays_as_it_is():
    pixels = stack()[1].copy()
    pixels[3, 10:20, 10:20] = np.nan
    _, result, _ = train(opened(pixels), 2)
    restored = denoise(opened(pixels), result.checkpoint, CPU).image[0]
    assert np.isnan(restored[3, 12:18, 12:18]).all()
    assert np.isfinite(restored[2]).all()


class TestRefusals:
    def test_too_few_slices(self):
        spec = spec_of(opened())
        assert spec.slices == 5
        plane = opened(stack()[1][0], "YX")
        for run in (
            lambda: denoise(plane, start_checkpoint(spec), CPU),
            lambda: drain(
                iter_pretrain(
                    start_checkpoint(spec), [plane], PretrainConfig(**LIMITS, steps=1)
                )
            ),
        ):
            with pytest.raises(DataError, match="is one slice along Z"):
                run()
        # As the advice says: a model of single slices.
        assert denoise(plane, start_checkpoint(spec_of(plane)), CPU).complete

    def test_it_starts_no_network_of_classes(self):
        model = start_checkpoint(spec_of(opened()))
        with pytest.raises(SpecError, match="start from one that was pretrained"):
            start_from(model)

    @pytest.mark.parametrize(
        "values, message",
        [
            ({"slices": 2}, "odd number"),
            ({"slices": 17}, "from 1 to 15"),
            ({"ndim": 3}, "use ndim 2"),
            ({"slices": 3, "classes": ("a", "b")}, "leave slices out"),
            ({"slices": 3, "architecture": "autoencoder"}, "leave slices out"),
        ],
    )
    def test_specs(self, values, message):
        with pytest.raises(SpecError, match=message):
            ModelSpec(**{"architecture": "unet", "classes": (), **values})

    def test_settings(self):
        with pytest.raises(SpecError, match="auto, yes, no"):
            PretrainConfig(neighbours_share_noise="perhaps")
        with pytest.raises(SpecError, match="restore or start"):
            start_spec("please", [opened()])


@pytest.mark.parametrize(
    "slices, wanted", [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (9, 5)]
)
def test_slices_are_those_that_the_thinnest_stack_has(slices, wanted):
    images = [opened(np.zeros((n, 8, 8), np.float32)) for n in (slices, 12)]
    assert start_spec("restore", images).slices == wanted


def test_a_start_is_an_encoder_decoder_with_its_usual_settings():
    spec = start_spec("start", [opened()], width=4)
    assert (spec.architecture, spec.slices, spec.width) == ("autoencoder", 1, 4)
    usual = usual_settings("start")
    assert PretrainConfig(**usual) == PretrainConfig()
    assert PretrainConfig(**usual_settings("restore")).crop < PretrainConfig().crop


def test_a_denoiser_is_saved_and_opened_again(tmp_path):
    model = start_checkpoint(spec_of(opened()))
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = Checkpoint.load(path)
    assert again.spec == model.spec
    assert again.spec.slices == 5


def test_files_without_slices_stay_as_they_were():
    old = ModelSpec(architecture="autoencoder", classes=())
    assert "slices" not in old.to_dict()
    assert ModelSpec.from_dict(old.to_dict()) == old

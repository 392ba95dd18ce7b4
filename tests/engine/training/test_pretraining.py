"""Pretraining without labels, and the denoised image it gives."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy import ndimage

from unet_engine.errors import DataError, SpecError
from unet_engine.generators import drain
from unet_engine.images import Image, Normalisation
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint, start_from
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.denoising import denoise, iter_denoise
from unet_engine.prediction.segmentation import predict
from unet_engine.training.config import FineTuneConfig, PretrainConfig
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.events import Step, Validation
from unet_engine.training.fine_tuning import iter_fine_tune
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.pretraining import iter_pretrain
from unet_engine.training.restoration.blind_spots import blind
from unet_engine.training.restoration.optimisation import DenoisingOptimisation

SPEC = ModelSpec(architecture="autoencoder", depth=2, width=8, classes=())
CONFIG = PretrainConfig(
    device="cpu", minutes=0, steps=300, crop=48, batch=4, learning_rate=1e-2
)
CPU = PredictConfig(device="cpu", tile=64)


def scene(seed, edge=96):
    """Return blurred discs as an ideal microscope would show them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:edge, :edge]
    clean = np.zeros((edge, edge))
    for _ in range(14):
        cy, cx, r = *rng.integers(0, edge, 2), rng.integers(5, 10)
        clean[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = rng.uniform(60, 120)
    return ndimage.gaussian_filter(clean, 1.0) + 20


def noisy(seed, edge=96):
    noise = np.random.default_rng(seed + 100).normal(0, 25, (edge, edge))
    return (scene(seed, edge) + noise).astype(np.float32)


def image(seed, **options):
    return Image.from_array(noisy(seed), "YX", name=f"scene{seed}", **options)


IMAGES = [image(seed) for seed in range(6)]


def drained(run):
    """Return the events and the result."""
    events = []
    result = drain(run, events.append)
    return events, result


def train(images=IMAGES, spec=SPEC, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return drained(iter_pretrain(start_checkpoint(spec), images, config))


@cache
def trained():
    return train()


class TestRun:
    @pytest.mark.slow
    def test_noise_is_lowered_on_an_image_it_never_saw(self):
        restored = denoise(image(50), trained()[1].checkpoint, CPU)
        assert restored.complete
        assert restored.image.shape == (1, 96, 96)
        assert restored.image.dtype == np.float32
        before = np.sqrt(np.mean((noisy(50) - scene(50)) ** 2))
        after = np.sqrt(np.mean((restored.image[0] - scene(50)) ** 2))
        assert after < 0.65 * before
        # It is the image, and not only its mean.
        seen, found = (
            np.corrcoef(pixels.ravel(), scene(50).ravel())[0, 1]
            for pixels in (noisy(50), restored.image[0])
        )
        assert found > max(0.9, seen + 0.05)

    @pytest.mark.slow
    def test_events_are_those_of_a_training(self):
        events, result = trained()
        steps = [e for e in events if isinstance(e, Step)]
        looks = [e for e in events if isinstance(e, Validation)]
        assert [e.step for e in steps] == list(range(1, 301))
        assert result.improved
        assert result.after.loss == min(look.loss for look in looks)
        assert result.after.loss < 0.2 * result.before.loss
        assert all(math.isnan(look.iou) for look in looks)
        assert looks[0].step == 0

    @pytest.mark.slow
    def test_history_holds_no_nan_and_is_marked_as_pretraining(self, tmp_path):
        model = trained()[1].checkpoint
        record = model.history[-1]
        assert record["pretrained"]
        assert record["data"] == [f"scene{i}" for i in range(6)]
        assert set(record["after"]) == {"loss"}
        assert not model.trained
        model.save(tmp_path / "model.safetensors")
        assert Checkpoint.load(tmp_path / "model.safetensors").history == model.history

    def test_stopped_run_returns_the_best_so_far(self):
        polls = iter(range(1000))
        start = start_checkpoint(SPEC)
        run = iter_pretrain(start, IMAGES, CONFIG, stop=lambda: next(polls) >= 40)
        events, result = drained(run)
        assert result.stopped
        assert result.steps == 40
        assert isinstance(events[-1], Validation)
        assert result.improved

    def test_infinite_loss_ends_the_run_and_keeps_the_model(self, monkeypatch):
        monkeypatch.setattr(DenoisingOptimisation, "_step", lambda self, rate: math.nan)
        start = start_checkpoint(SPEC)
        _, result = drained(iter_pretrain(start, IMAGES, CONFIG))
        assert result.steps == 1
        assert result.checkpoint is start
        assert any("infinite" in note for note in result.notes)
        assert any("pretraining did not" in note for note in result.notes)

    def test_same_seed_same_weights(self):
        one, other = (train(steps=6)[1].checkpoint for _ in range(2))
        assert all(np.array_equal(w, other.weights[n]) for n, w in one.weights.items())

    @pytest.mark.slow
    def test_it_can_go_on(self):
        _, result = drained(
            iter_pretrain(
                trained()[1].checkpoint,
                IMAGES,
                dataclasses.replace(CONFIG, steps=8, learning_rate=1e-3),
            )
        )
        assert result.before.loss == pytest.approx(trained()[1].after.loss, rel=1e-3)

    def test_stacks_and_channels_are_learned_from(self):
        stack = np.stack([noisy(s, 48) for s in range(4)])
        colour = np.stack([stack, stack[::-1]])
        spec = dataclasses.replace(SPEC, in_channels=2)
        _, result = train([Image.from_array(colour, "CZYX")], spec, steps=10)
        assert result.improved
        restored = denoise(
            Image.from_array(colour, "CZYX"), result.checkpoint, CPU, indices=[(1,)]
        )
        assert restored.image.shape == (2, 4, 48, 48)
        assert restored.image[:, 1].any()
        assert not restored.image[:, 0].any()

    def test_tiny_image_validates_on_itself_with_a_note(self):
        _, result = train([Image.from_array(noisy(0, 8), "YX")], steps=3)
        assert any("too small" in note for note in result.notes)


class TestRefusals:
    @pytest.mark.parametrize(
        "spec, message",
        [
            (ModelSpec(depth=2, width=4), "unet with classes"),
            (dataclasses.replace(SPEC, ndim=3), "use ndim 2"),
        ],
    )
    def test_models_that_cannot_be_pretrained(self, spec, message):
        with pytest.raises(SpecError, match=message):
            next(iter_pretrain(start_checkpoint(spec), IMAGES, CONFIG))

    def test_no_image(self):
        with pytest.raises(DataError, match="at least one"):
            next(iter_pretrain(start_checkpoint(SPEC), [], CONFIG))

    def test_channels_that_do_not_fit(self):
        spec = dataclasses.replace(SPEC, in_channels=2)
        with pytest.raises(DataError, match="channel"):
            next(iter_pretrain(start_checkpoint(spec), IMAGES, CONFIG))

    def test_settings_are_checked(self):
        with pytest.raises(SpecError, match="never end"):
            PretrainConfig(minutes=0, steps=0)
        with pytest.raises(SpecError, match="crop"):
            PretrainConfig(crop=8)

    def test_prediction_of_classes_and_of_images_are_distinct(self):
        with pytest.raises(SpecError, match="cannot segment"):
            predict(image(0), start_checkpoint(SPEC), CPU)
        with pytest.raises(SpecError, match="background, foreground"):
            denoise(image(0), start_checkpoint(ModelSpec(depth=2, width=4)), CPU)


class TestBlindSpots:
    @pytest.mark.parametrize("shape", [(3, 3), (5, 7), (40, 33), (1, 9)])
    def test_a_spot_shows_a_neighbour_and_never_itself(self, shape):
        numbers = torch.arange(math.prod(shape)).float().reshape(1, 1, *shape)
        images = numbers.repeat(64, 2, 1, 1)
        known = torch.ones(64, *shape, dtype=torch.bool)
        blinded, spots = blind(images, known, torch.Generator().manual_seed(0))
        where = spots[:, 0] > 0
        assert 0.01 < where.float().mean() < 0.12
        shown = blinded[:, 0][where].long()
        own = images[:, 0][where].long()
        if min(shape) >= 3:
            assert (shown != own).all()
        rows = (shown // shape[1] - own // shape[1]).abs()
        columns = (shown % shape[1] - own % shape[1]).abs()
        assert max(rows.max(), columns.max()) <= 2
        assert torch.equal(blinded[:, 0], blinded[:, 1])
        assert torch.equal(blinded[:, 0][~where], images[:, 0][~where])

    def test_only_known_pixels_become_spots(self):
        known = torch.zeros(2, 40, 40, dtype=torch.bool)
        known[:, :20] = True
        _, spots = blind(torch.rand(2, 1, 40, 40), known, torch.Generator())
        assert spots[:, :, :20].any()
        assert not spots[:, :, 20:].any()

    def test_only_spots_have_a_loss(self):
        pair = TrainingPair(noisy(0)[None] / 100, np.zeros((96, 96), np.uint8))
        optimisation = DenoisingOptimisation(
            start_checkpoint(SPEC), [pair], CONFIG.for_training(), "cpu"
        )
        batch = optimisation._draw()
        images, targets, weights, *_ = batch
        assert weights is None
        output = torch.zeros_like(images, requires_grad=True)
        loss = optimisation._loss(output, batch)
        loss.backward()
        spots = targets[:, -1:] > 0
        assert (output.grad[spots] != 0).all()
        assert not output.grad[~spots].any()
        assert loss.item() == pytest.approx(float((targets[:, :-1][spots] ** 2).mean()))

    def test_crops_are_pixels_of_the_image(self):
        pair = TrainingPair(noisy(0)[None] / 100, np.zeros((96, 96), np.uint8))
        optimisation = DenoisingOptimisation(
            start_checkpoint(SPEC), [pair], CONFIG.for_training(), "cpu"
        )
        values = set(np.round(pair.image.ravel(), 4))
        _, targets, *_ = optimisation._draw()
        drawn = set(np.round(targets[:, 0].numpy().ravel(), 4))
        assert len(drawn - values) < 0.02 * len(drawn)


class TestDenoising:
    @pytest.mark.slow
    def test_tiles_equal_the_whole(self):
        model = trained()[1].checkpoint
        whole = denoise(image(3), model, dataclasses.replace(CPU, tile=512))
        tiles, tiled = drained(iter_denoise(image(3), model, CPU))
        assert len(tiles) == tiles[0].total > 1
        assert tiles[-1].done == len(tiles)
        np.testing.assert_allclose(tiled.image, whole.image, atol=0.02)
        first = tiles[0]
        assert np.array_equal(first.image, tiled.image[:, *first.inner])

    @pytest.mark.slow
    def test_what_is_looked_at_comes_first(self):
        stack = Image.from_array(np.stack([noisy(0), noisy(1), noisy(2)]), "ZYX")
        model, place = trained()[1].checkpoint, ((1,), (90.0, 90.0))
        tiles, result = drained(iter_denoise(stack, model, CPU, near=place))
        assert tiles[0].index == (1,)
        assert all(part.stop == 96 for part in tiles[0].inner)
        assert np.array_equal(result.image, denoise(stack, model, CPU).image)

    def test_stopped_run_is_not_complete(self):
        stopped = denoise(image(3), trained()[1].checkpoint, CPU, stop=lambda: True)
        assert not stopped.complete
        assert not stopped.image.any()

    @pytest.mark.slow
    def test_range_of_the_image_is_kept(self):
        wide = Image.from_array(noisy(3) * 100 + 5000, "YX")
        model = trained()[1].checkpoint
        one, other = denoise(image(3), model, CPU), denoise(wide, model, CPU)
        np.testing.assert_allclose(other.image, one.image * 100 + 5000, rtol=1e-3)

    def test_normalisation_is_undone(self):
        source = Image.from_array(noisy(3), "YX")
        normalisation = Normalisation.measure(source)
        pixels = source.read(())
        block = normalisation.apply(pixels)
        np.testing.assert_allclose(normalisation.undo(block), pixels, atol=1e-3)
        constant = Normalisation((7.0, 1.0), (7.0, 3.0))
        restored = constant.undo(np.ones((2, 3, 4, 4), np.float32))
        assert np.all(restored[0] == 7)
        assert np.all(restored[1] == 3)


@pytest.mark.slow
def test_pretrained_model_starts_a_unet_that_learns():
    start = start_from(trained()[1].checkpoint)
    rng = np.random.default_rng(0)
    truth = (scene(7) > 50).astype(np.uint8)
    pixels = truth + rng.normal(0, 0.3, (1, 96, 96)).astype(np.float32)
    pair = TrainingPair(pixels.astype(np.float32), truth, "labelled")
    config = FineTuneConfig(
        device="cpu", minutes=0, steps=40, crop=48, learning_rate=1e-2, elastic=0
    )
    assert not Optimisation(start, [pair], config, "cpu").frozen
    _, result = drained(iter_fine_tune(start, [pair], config))
    assert result.improved
    assert result.checkpoint.trained
    assert len(result.checkpoint.history) == 2

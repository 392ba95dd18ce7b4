"""Object maps are learned where objects are labelled, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.images import Image, Normalisation
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.object_maps import (
    with_fresh_object_maps,
    without_object_maps,
)
from unet_engine.models.spec import OBJECT_MAPS, ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.stopping import never
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.crops import CropSampler
from unet_engine.training.data.labelled_files import open_labelled
from unet_engine.training.data.labelled_images import training_pairs
from unet_engine.training.data.objects.object_targets import (
    object_targets,
    with_object_maps,
)
from unet_engine.training.data.pairs import TrainingPair, check_pairs
from unet_engine.training.data.teacher_targets import with_teacher_targets
from unet_engine.training.losses import masked_map_entropy
from unet_engine.training.optimisation import Optimisation
from unet_engine.training.rounds import fine_tune

SPEC = ModelSpec(depth=2, width=4, object_maps=OBJECT_MAPS)
ids_of_planes = hnp.arrays(
    np.int32,
    hnp.array_shapes(min_dims=2, max_dims=3, max_side=9),
    elements=st.integers(0, 4),
)


def grid(edge: int = 96, cell: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return a noisy image of round objects and their ids."""
    y, x = np.mgrid[:edge, :edge]
    inside = (
        np.hypot(y % cell - cell / 2 + 0.5, x % cell - cell / 2 + 0.5) < cell / 2 - 1
    )
    ids = np.where(inside, y // cell * (edge // cell) + x // cell + 1, 0)
    noise = np.random.default_rng(0).normal(0, 8, ids.shape)
    image = np.clip(40 + 150 * (ids > 0) + noise, 0, 255)
    return image.astype(np.uint8), ids.astype(np.int32)


@settings(deadline=None, max_examples=60)
@given(ids_of_planes)
def test_maps_are_those_of_each_object_alone(ids: np.ndarray):
    distance, boundary = object_targets(ids)
    expected = np.zeros((2, *ids.shape), np.float32)
    for number in np.unique(ids[ids > 0]):
        inside = ids == number
        eroded = ndimage.binary_erosion(inside, border_value=1)
        expected[1][inside & ~eroded] = 1
        if inside.all():
            expected[0] = 1
        else:
            found = ndimage.distance_transform_edt(inside)
            expected[0] += found / found.max()
    np.testing.assert_allclose(distance, expected[0], atol=1e-6)
    np.testing.assert_array_equal(boundary, expected[1])


def test_one_object_has_maps():
    for ids in (
        np.ones((5, 5), np.int64),
        np.full((5, 5), 2**40),
        np.eye(5, dtype=int),
    ):
        maps = object_targets(ids)
        assert (maps[0][ids > 0] > 0).all()
        assert maps.max() == 1


def test_unknown_pixels_have_no_gradient():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    maps = torch.full((1, 2, 4, 4), torch.nan)
    maps[0, 0, :2] = 1
    mask = torch.ones(1, 4, 4, dtype=torch.bool)
    mask[0, 0] = False
    loss = masked_map_entropy(logits, maps, mask)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(np.log(2))
    touched = torch.zeros(1, 2, 4, 4, dtype=torch.bool)
    touched[0, 0, 1] = True
    assert ((logits.grad != 0) == touched).all()
    assert float(masked_map_entropy(logits, maps * torch.nan, mask).detach()) == 0


def test_labels_of_objects_have_maps_and_other_labels_have_none():
    pixels, ids = grid()
    image = Image.from_array(pixels, "YX")
    for labels, values, known in (
        (ids, "objects", True),
        ((ids > 0).astype(np.uint8), "classes", False),
    ):
        (pair,) = training_pairs(
            open_labelled([(image, labels)], values=values), SPEC, FineTuneConfig()
        )
        assert (pair.object_maps is not None) == known
    partial = np.where(np.arange(96) < 40, ids, -1)
    (pair,) = training_pairs(
        open_labelled([(image, partial)], values="objects"), SPEC, FineTuneConfig()
    )
    unlabelled = pair.target == IGNORE
    assert unlabelled.any()
    np.testing.assert_array_equal(np.isnan(pair.object_maps[0]), unlabelled)


def pair_of(labelled: bool = True) -> TrainingPair:
    pixels, ids = grid()
    pair = TrainingPair(
        (pixels[None] / 255).astype(np.float32), (ids > 0).astype(np.uint8), "grid"
    )
    return with_object_maps(pair, ids, OBJECT_MAPS) if labelled else pair


def test_crops_hold_the_maps_of_their_place():
    pair = pair_of()
    # Its image is the place of each pixel.
    places = np.arange(pair.target.size, dtype=np.float32).reshape(1, 96, 96)
    sampler = CropSampler(
        [replace(pair, image=places), replace(pair_of(labelled=False), image=places)],
        shape=(32, 32),
        jitter=(20, 20),
        generator=np.random.default_rng(0),
    )
    crops = sampler.draw(12)
    known = ~np.isnan(crops.object_maps)
    assert known.any(axis=(1, 2, 3)).any()
    assert not known.any(axis=(1, 2, 3)).all()
    at = crops.images.astype(int)[:, 0]
    for number, maps in enumerate(crops.object_maps):
        inside = known[number]
        expected = pair.object_maps.reshape(2, -1)[:, at[number]]
        np.testing.assert_array_equal(maps[inside], expected[inside])


def test_maps_move_with_the_image_in_a_step():
    pair = pair_of()
    config = FineTuneConfig(device="cpu", crop=64, batch=4, intensity=0)
    optimisation = Optimisation(start_checkpoint(SPEC), [pair], config, "cpu")
    batch = optimisation._draw()
    inside = (batch.targets == 1) & ~torch.isnan(batch.object_maps[:, 0])
    outside = (batch.targets == 0) & ~torch.isnan(batch.object_maps[:, 0])
    assert batch.object_maps.shape == (4, 2, 64, 64)
    assert batch.soft_targets is None
    assert float(batch.object_maps[:, 0][inside].mean()) > 0.4
    assert float(batch.object_maps[:, 0][outside].mean()) < 0.05


def test_held_out_pixels_are_not_learned_from():
    pair = pair_of()
    config = FineTuneConfig(device="cpu", crop=64, batch=2)
    held_out = replace(pair, target=np.full_like(pair.target, HELD_OUT))
    held_out.target[:8, :8] = pair.target[:8, :8]
    config = replace(config, elastic=0.0)
    without = np.where(held_out.target == HELD_OUT, 0, pair.object_maps)
    losses = [
        Optimisation(
            start_checkpoint(SPEC), [replace(held_out, object_maps=maps)], config, "cpu"
        ).step(1e-3)
        for maps in (pair.object_maps, without)
    ]
    # Warped maps take in a pixel beyond the border of what is held out.
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_what_a_model_showed_stays_its_target_far_from_strokes():
    model = replace(start_checkpoint(SPEC), history=({"name": "old"},))
    pair = pair_of(labelled=False)
    target = np.full_like(pair.target, IGNORE)
    target[:4, :4] = pair.target[:4, :4]
    (found,) = with_teacher_targets([replace(pair, target=target)], model, "cpu", never)
    far = ~np.isnan(found.object_maps[0])
    assert 0.5 < far.mean() < 1
    assert not far[:10, :10].any()
    config = PredictConfig(device="cpu", object_maps=True)
    image = Image.from_array(pair.image[0], "YX")
    as_it_is = Normalisation(low=(0.0,), high=(1.0,))
    expected = predict(image, model, config, normalisation=as_it_is).object_maps
    np.testing.assert_allclose(
        found.object_maps[:, 40:60, 40:60], expected[:, 40:60, 40:60], atol=2e-2
    )
    bare = without_object_maps(model)
    (found,) = with_teacher_targets([replace(pair, target=target)], bare, "cpu", never)
    assert found.object_maps is None


@pytest.mark.slow
def test_a_new_model_learns_maps_from_labels_of_objects():
    pixels, ids = grid()
    image = Image.from_array(pixels, "YX")
    start = start_checkpoint(ModelSpec(depth=2, width=8))
    config = FineTuneConfig(
        device="cpu",
        steps=60,
        minutes=0,
        crop=64,
        batch=2,
        learning_rate=1e-2,
        elastic=0.0,
        validation=0.1,
    )
    data = open_labelled([(image, ids)], values="objects")
    trained = fine_tune(start, data, config).checkpoint
    assert trained.spec.object_maps == OBJECT_MAPS
    found = predict(image, trained, PredictConfig(device="cpu", object_maps=True))
    truth = object_targets(ids)
    for mine, true in zip(found.object_maps, truth, strict=True):
        assert np.corrcoef(mine.ravel(), true.ravel())[0, 1] > 0.7
    classes = open_labelled([(image, (ids > 0).astype(np.uint8))], values="classes")
    quick = replace(config, steps=2)
    assert not fine_tune(start, classes, quick).checkpoint.spec.object_maps


def test_networks_that_cannot_give_maps_stay_as_they_are():
    for spec in (
        ModelSpec(architecture="unet-valid", depth=2, width=4),
        ModelSpec(architecture="autoencoder", classes=(), depth=2, width=4),
    ):
        model = start_checkpoint(spec)
        assert with_fresh_object_maps(model) is model
    able = start_checkpoint(SPEC)
    assert with_fresh_object_maps(able) is able


def test_maps_that_the_model_does_not_give_are_refused():
    plain = ModelSpec(depth=2, width=4)
    with pytest.raises(DataError, match="2 object maps but the model gives 0; leave"):
        check_pairs([pair_of()], plain)
    check_pairs([pair_of()], SPEC)
    check_pairs([pair_of(labelled=False)], SPEC)

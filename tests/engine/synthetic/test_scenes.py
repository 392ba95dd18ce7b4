"""Procedural scenes: true to their seed, and their targets to what they show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.labels import IGNORE
from unet_engine.synthetic.scenes import (
    FAMILIES,
    TASKS,
    Scene,
    degrade,
    distance_target,
    draw_scene,
    objects_target,
)
from unet_engine.synthetic.scenes.scene import BACKGROUND, BOUNDARY, INTERIOR

SEEDS = range(4)


def contrast(scene: Scene, mask: np.ndarray) -> float:
    """Return how far a mask stands out from what is near it, in standard deviations."""
    brightness = scene.pixels.mean(axis=0)
    near = ndimage.binary_dilation(mask, iterations=4) & ~mask
    if not mask.any() or not near.any():
        return 0.0
    off = brightness[mask].mean() - brightness[near].mean()
    return float(abs(off) / brightness[mask | near].std())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_scene_depends_on_its_seed_and_on_nothing_else(family):
    scene, again = (draw_scene(family, 64, seed=5) for _ in range(2))
    assert np.array_equal(scene.pixels, again.pixels)
    assert np.array_equal(scene.target, again.target)
    assert np.array_equal(scene.task_targets(), again.task_targets())
    assert not np.array_equal(scene.pixels, draw_scene(family, 64, seed=6).pixels)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [16, 33, 96])
def test_scenes_are_whole_at_any_size(family, size):
    for seed in SEEDS:
        scene = draw_scene(family, size, seed=seed)
        assert scene.pixels.shape in {(1, size, size), (3, size, size)}
        assert scene.pixels.dtype == np.float32
        assert np.isfinite(scene.pixels).all()
        assert scene.target.shape == (size, size)
        assert scene.target.dtype == np.uint8
        assert set(np.unique(scene.target)) <= {0, 1, 2, IGNORE}
        targets = scene.task_targets()
        assert targets.shape == (len(TASKS), size, size)
        assert set(np.unique(targets)) <= {0, 1, IGNORE}
        assert not set(scene.absent) & set(scene.masks)


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_something_to_find_and_something_around_it(family):
    scenes = [draw_scene(family, 96, seed=seed) for seed in range(8)]
    for name in scenes[0].masks:
        shares = [scene.masks[name].mean() for scene in scenes]
        assert max(shares) > 0.002, name
        assert min(shares) < 0.95, name


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("transmission_section", "membrane"),
        ("transmission_section", "mitochondrion"),
        ("milled_block", "membrane"),
        ("milled_block", "mitochondrion"),
        ("cell_walls", "membrane"),
        ("vessels", "filament"),
        ("fibre_net", "filament"),
        ("fluorescent_nuclei", "nucleus"),
        ("fluorescent_cells", "cell"),
        ("rods", "cell"),
        ("blood_smear", "nucleus"),
        ("tissue_section", "nucleus"),
        ("granules", "granule"),
    ],
)
def test_what_is_named_stands_out_inside_the_mask(family, task):
    scenes = [draw_scene(family, 128, seed=seed) for seed in range(6)]
    here = np.median([contrast(scene, scene.masks[task]) for scene in scenes])
    # The same mask a quarter of the image away lies on anything.
    elsewhere = np.median(
        [
            contrast(scene, np.roll(scene.masks[task], (32, 32), axis=(0, 1)))
            for scene in scenes
        ]
    )
    assert here > 0.35
    assert here > 2 * elsewhere


@pytest.mark.parametrize("family", ["differential_contrast", "bright_field"])
def test_cells_in_transmitted_light_are_rougher_and_not_brighter(family):
    ratios, offsets = [], []
    for seed in range(12):
        scene = draw_scene(family, 128, seed=seed)
        inside = ndimage.binary_erosion(scene.masks["cell"], iterations=3)
        outside = ndimage.binary_erosion(~scene.masks["cell"], iterations=6)
        if min(inside.sum(), outside.sum()) < 200:
            continue
        image = scene.pixels[0]
        ratios.append(image[inside].std() / image[outside].std())
        offsets.append(abs(image[inside].mean() - image[outside].mean()) / image.std())
    assert len(ratios) >= 4
    assert np.median(ratios) > 1.5
    assert np.median(offsets) < 0.6


def test_textures_differ_in_detail():
    found = []
    for seed in range(10):
        scene = draw_scene("textures", 128, seed=seed)
        mask = scene.masks["texture"]
        fine = scene.pixels[0] - ndimage.gaussian_filter(scene.pixels[0], 2)
        if 0.02 < mask.mean() < 0.98:
            found.append(fine[mask].std() / fine[~mask].std())
        assert (scene.target == IGNORE).all()
    assert len(found) >= 4
    assert min(found) > 1.3


def test_membranes_are_the_boundary_and_divide_cells():
    scene = draw_scene("transmission_section", 128, seed=2)
    membrane = scene.masks["membrane"]
    assert np.array_equal(scene.target == BOUNDARY, membrane)
    assert ndimage.label(~membrane)[1] > 2


def test_cytoplasm_and_nucleus_exclude_each_other():
    for family in "blood_smear", "differential_contrast", "fluorescent_cells":
        masks = draw_scene(family, 96, seed=1).masks
        assert not (masks["cytoplasm"] & masks["nucleus"]).any()


def test_objects_have_a_rim_on_the_inside():
    ids = np.zeros((60, 60), np.int32)
    ids[5:15, 5:15] = 1
    ids[5:15, 15:25] = 2
    ids[20:55, 20:55] = 3
    target = objects_target(ids)
    assert ((target > 0) == (ids > 0)).all()
    small, large = target[5:15, 5:15], target[20:55, 20:55]
    assert (small == INTERIOR).sum() == 8 * 8
    assert (large == INTERIOR).sum() == 31 * 31
    # Two that touch are parted, from both sides.
    assert (target[6:14, 14:16] == BOUNDARY).all()
    thin = objects_target(ids, rimless=True)
    assert np.array_equal(thin, (ids > 0).astype(np.uint8))


def test_distance_grows_from_the_edges():
    target = np.full((80, 80), BACKGROUND, np.uint8)
    target[:, 40] = BOUNDARY
    distance = distance_target(target)
    assert distance[10, 40] == 0
    assert distance[10, 44] == pytest.approx(4 / 16)
    assert distance[10, 0] == 1
    thin = np.zeros((20, 20), np.uint8)
    thin[8:12] = INTERIOR
    assert (distance_target(thin)[8] == 0).all()
    assert (distance_target(np.zeros((9, 9), np.uint8)) == 1).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["vessels", "rods", "textures"]))
def test_pictures_are_normalised_as_for_prediction(seed, family):
    scene = draw_scene(family, 48, seed=seed)
    picture, clean = degrade(scene.pixels, np.random.default_rng(seed))
    again, _ = degrade(scene.pixels, np.random.default_rng(seed))
    assert np.array_equal(picture, again)
    assert picture.shape == (3, 48, 48)
    assert clean.shape == (48, 48)
    assert (picture.dtype, clean.dtype) == (np.float32, np.float32)
    assert np.isfinite(picture).all()
    low, high = np.percentile(picture, (1, 99.8))
    assert -0.6 < low < high < 2.0
    assert 0.1 < high - low < 2.0


def test_the_clean_picture_is_the_picture_without_noise():
    correlations = []
    for seed in range(10):
        scene = draw_scene("transmission_section", 96, seed=seed)
        picture, clean = degrade(scene.pixels, np.random.default_rng(seed))
        smooth = ndimage.gaussian_filter(picture.mean(axis=0), 1)
        correlations.append(np.corrcoef(smooth.ravel(), clean.ravel())[0, 1])
    assert np.median(correlations) > 0.8


def test_unknown_families_are_answered_with_the_known_ones():
    with pytest.raises(DataError, match=r"no family 'clouds'; use one of .*vessels"):
        draw_scene("clouds", 64, seed=0)


@pytest.mark.parametrize("size", [0, -5, 15])
def test_a_scene_too_small_is_refused(size):
    with pytest.raises(DataError, match="use 16 or more"):
        draw_scene("vessels", size, seed=0)

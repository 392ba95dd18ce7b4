"""Objects told apart by the maps of a network: of true maps, blurred and noisy ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.draw import ellipse

from unet_engine.errors import DataError, SpecError
from unet_engine.metrics import count_overlaps, match_objects
from unet_engine.models.spec import OBJECT_MAPS
from unet_engine.objects import ObjectConfig, SemanticMask, label_objects
from unet_engine.training.data.objects.object_targets import object_targets

CONFIG = ObjectConfig(min_size=0, fill_holes=False)


def ellipses(
    seed: int, shape: tuple[int, int] = (128, 128), count: int = 24
) -> np.ndarray:
    """Return ids of ellipses, many of which touch."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.int32)
    for number in range(1, count + 1):
        centre, radii = rng.uniform(0, shape[0], 2), rng.uniform(7, 14, 2)
        inside = ellipse(*centre, *radii, shape=shape, rotation=rng.uniform(0, np.pi))
        if (ids[inside] > 0).mean() < 0.15:
            free = ids[inside] == 0
            ids[inside[0][free], inside[1][free]] = number
    pieces = np.zeros_like(ids)
    for number in np.unique(ids)[1:]:
        # The largest piece of what others left of it.
        parts, found = ndimage.label(ids == number)
        if found:
            largest = np.bincount(parts.ravel())[1:].argmax() + 1
            pieces[parts == largest] = number
    return pieces


def cells(seed: int, edge: int = 128, count: int = 40) -> np.ndarray:
    """Return ids of Voronoi cells in a disc: no neck lies between them."""
    rng = np.random.default_rng(seed)
    pixels = np.stack(np.mgrid[:edge, :edge], axis=-1)
    _, nearest = cKDTree(rng.uniform(0, edge, (count, 2))).query(pixels)
    inside = np.hypot(*(pixels - edge / 2).T) < edge / 2 - 4
    return np.where(inside, nearest + 1, 0)


def mask_of(ids: np.ndarray, maps: np.ndarray, **rest: object) -> SemanticMask:
    return SemanticMask(
        classes=(ids > 0).astype(np.uint8), object_maps=maps, ndim=ids.ndim, **rest
    )


def matched(found: np.ndarray, truth: np.ndarray, threshold: float = 0.8) -> float:
    return match_objects(count_overlaps(truth, np.asarray(found)), threshold).f1


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000))
def test_true_maps_give_back_the_objects(seed: int):
    truth = ellipses(seed)
    found = label_objects(mask_of(truth, object_targets(truth)), CONFIG).labels
    assert matched(found, truth) > 0.9


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.integers(33, 70))
def test_objects_of_blocks_are_those_of_the_whole(seed: int, edge: int):
    truth = ellipses(seed)
    rng = np.random.default_rng(seed)
    maps = object_targets(truth) + rng.normal(0, 0.1, (2, *truth.shape))
    mask = mask_of(truth, maps.astype(np.float32))
    config = ObjectConfig(min_size=0, fill_holes=False, overlap=128)
    whole = label_objects(mask, config)
    parts = label_objects(mask, config, block=(edge, edge))
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.classes, whole.classes)


@pytest.mark.parametrize("names", [("distance",), ("boundary",), OBJECT_MAPS])
def test_noisy_maps_split_what_necks_do_not_show(names: tuple[str, ...]):
    truth = cells(3)
    maps = object_targets(truth, names)
    noise = np.random.default_rng(0).normal(0, 0.08, maps.shape)
    blurred = ndimage.gaussian_filter(maps + noise, (0, 1, 1)).astype(np.float32)
    mask = mask_of(truth, blurred, map_names=names)
    by_maps = label_objects(mask, CONFIG).labels
    by_necks = label_objects(SemanticMask(classes=mask.classes), CONFIG).labels
    assert matched(by_maps, truth, 0.5) > 0.85
    assert matched(by_necks, truth, 0.5) < 0.2


def test_merging_merges_and_splits():
    truth = ellipses(3)
    noise = np.random.default_rng(0).normal(0, 0.05, (2, *truth.shape))
    mask = mask_of(truth, object_targets(truth) + noise)
    necks = SemanticMask(classes=mask.classes)
    for one in (mask, necks):
        counts = [
            label_objects(
                one, ObjectConfig(min_size=0, fill_holes=False, merging=merging)
            ).classes.size
            for merging in (0.0, 0.25, 0.5, 0.75, 1.0)
        ]
        assert counts == sorted(counts, reverse=True)
        assert counts[0] > counts[-1]


def test_the_middle_of_the_slider_changes_nothing():
    config = ObjectConfig(neck_depth=2.5, map_depth=0.3, seed_threshold=0.97)
    assert config.shifted == config


def test_a_piece_without_a_peak_is_one_object():
    classes = np.zeros((20, 30), np.uint8)
    classes[3:9, 3:12] = 1
    classes[12:17, 15:25] = 2
    found = label_objects(
        SemanticMask(classes=classes, object_maps=np.zeros((2, 20, 30), np.uint8)),
        CONFIG,
    )
    np.testing.assert_array_equal(found.labels > 0, classes > 0)
    assert found.classes.tolist() == [1, 2]


def test_objects_of_a_volume_go_on_from_plane_to_plane():
    truth = np.stack([ellipses(5, (64, 64), 8)] * 6)
    planes = np.stack([object_targets(plane) for plane in truth], axis=1)
    found = label_objects(mask_of(truth, planes), CONFIG)
    assert found.classes.size == np.unique(truth).size - 1
    assert matched(found.labels, truth) == 1


def test_differences_in_the_last_bits_change_no_object():
    truth = ellipses(7)
    maps = object_targets(truth)
    apart = maps + np.random.default_rng(0).uniform(-2e-6, 2e-6, maps.shape)
    first, second = (
        label_objects(mask_of(truth, each), CONFIG).labels for each in (maps, apart)
    )
    assert (first != second).mean() < 1e-3


@pytest.mark.parametrize(
    ("shape", "names"),
    [((1, 8, 8), OBJECT_MAPS), ((2, 8, 9), OBJECT_MAPS), ((0, 8, 8), ())],
)
def test_maps_that_do_not_fit_are_refused(
    shape: tuple[int, ...], names: tuple[str, ...]
):
    with pytest.raises(DataError, match=r"object maps of shape.*predicted with it"):
        SemanticMask(
            classes=np.zeros((8, 8), np.uint8),
            object_maps=np.zeros(shape, np.uint8),
            map_names=names,
        )


@pytest.mark.parametrize("name", ["merging", "map_depth"])
def test_settings_out_of_range_are_refused(name: str):
    with pytest.raises(SpecError, match=f"{name} is 1.5; use 0 to 1"):
        ObjectConfig(**{name: 1.5})


def balls(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ids of balls in a volume, some above each other, and of their slices."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[:14, :60, :60]
    ids = np.zeros((14, 60, 60), np.int32)
    for number, at in enumerate(np.ndindex(3, 3), start=1):
        row, column = (18 * n + 10 + rng.integers(-1, 2) for n in at)
        for height, label in ((3, number), (10, number + 20)):
            ball = 4 * (z - height) ** 2 + (y - row) ** 2 + (x - column) ** 2 <= 49
            shift = 6 if label > 20 else 0
            ids[np.roll(ball, shift, axis=2)] = label
    return ids, np.stack([object_targets(plane) for plane in ids], axis=1)


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 1000), st.integers(25, 60))
def test_slices_are_linked_to_objects_of_the_volume(seed: int, edge: int):
    truth, maps = balls(seed)
    config = ObjectConfig(min_size=0, fill_holes=False, volumes="linked")
    found = label_objects(mask_of(truth, maps), config)
    assert found.ndim == 3
    assert found.classes.tolist() == [1] * found.classes.size
    assert matched(found.labels, truth, 0.6) > 0.9
    assert set(np.unique(found.labels)) == set(range(found.classes.size + 1))
    parts = label_objects(mask_of(truth, maps), config, block=(4, edge, edge))
    np.testing.assert_array_equal(parts.labels, found.labels)


def test_what_does_not_overlap_enough_is_not_linked():
    classes = np.zeros((3, 20, 40), np.uint8)
    classes[0, 5:15, 5:15] = classes[1, 5:15, 12:22] = classes[2, 5:15, 13:23] = 1
    config = ObjectConfig(min_size=0, volumes="linked", method="components")
    found = label_objects(SemanticMask(classes=classes, ndim=3), config)
    assert [np.unique(plane[plane > 0]).tolist() for plane in found.labels] == [
        [1],
        [2],
        [2],
    ]
    large = ObjectConfig(min_size=150, volumes="linked", method="components")
    found = label_objects(SemanticMask(classes=classes, ndim=3), large)
    assert (found.classes.size, found.small) == (1, 1)
    assert found.labels.max() == 1

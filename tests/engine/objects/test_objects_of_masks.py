"""Tests of object ids: those of blocks are those of the whole image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.draw import disk

from unet_engine.errors import Cancelled, DataError, SpecError
from unet_engine.objects import (
    ObjectConfig,
    SemanticMask,
    blocks,
    iter_label_objects,
    label_objects,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    Ints = npt.NDArray[np.integer]

COMPONENTS = ObjectConfig(method="components", min_size=0, fill_holes=False)
WATERSHED = ObjectConfig(method="watershed", min_size=0, fill_holes=False, overlap=24)


def find(
    classes: object,
    config: ObjectConfig,
    *,
    block: Sequence[int] | None = None,
    **mask: object,
) -> tuple[Ints, Ints]:
    """Return the labels and the classes of the objects."""
    objects = label_objects(SemanticMask(classes=classes, **mask), config, block=block)
    return np.asarray(objects.labels), objects.classes


def by_class(classes: Ints, structure: Ints) -> Ints:
    """Number the components of every class with scipy, in raster order."""
    found = np.zeros(classes.shape, np.int64)
    for number in np.unique(classes[classes > 0]):
        labels = ndimage.label(classes == number, structure)[0]
        found += np.where(labels, labels + found.max(), 0)
    return in_raster_order(found)


def in_raster_order(labels: Ints) -> Ints:
    ids, first = np.unique(labels, return_index=True)
    first, ids = first[ids > 0], ids[ids > 0]
    order = np.zeros(labels.max() + 1, np.int64)
    order[ids[np.argsort(first)]] = np.arange(1, ids.size + 1)
    return order[labels]


def touching_disks(shape: tuple[int, int], count: int, seed: int) -> Ints:
    """Return a mask of disks of radius 4 to 6 in clumps of one or two."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, np.uint8)
    taken = np.zeros(shape, bool)
    for _ in range(count):
        y, x = rng.integers(8, shape[0] - 8), rng.integers(8, shape[1] - 18)
        if taken[max(y - 9, 0) : y + 9, max(x - 9, 0) : x + 19].any():
            continue
        for step in (0, int(rng.integers(8, 10))):
            mask[disk((y, x + step), rng.integers(4, 7), shape=shape)] = 1
        taken[max(y - 9, 0) : y + 9, max(x - 9, 0) : x + 19] = True
    return mask


small_masks = hnp.arrays(
    np.uint8,
    st.one_of(
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14),
        hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
    ),
    elements=st.sampled_from([0, 0, 1, 1, 2]),
)


@settings(deadline=None, max_examples=40)
@given(small_masks, st.data())
def test_components_of_blocks_are_those_of_scipy(classes: Ints, data: st.DataObject):
    ndim = data.draw(st.integers(2, classes.ndim))
    block = [data.draw(st.integers(1, n)) for n in classes.shape[-ndim:]]
    connectivity = data.draw(st.sampled_from(["faces", "full"]))
    config = ObjectConfig(
        method="components", min_size=0, fill_holes=False, connectivity=connectivity
    )
    reach = 1 if connectivity == "faces" else ndim
    structure = ndimage.generate_binary_structure(ndim, reach)
    if ndim < classes.ndim:
        # Planes are not connected with each other.
        structure = np.pad(structure[None], ((1, 1), (0, 0), (0, 0)))
    labels, found = find(classes, config, block=block, ndim=ndim)
    np.testing.assert_array_equal(labels, by_class(classes, structure))
    assert all(
        (classes[labels == number] == class_id).all()
        for number, class_id in enumerate(found, start=1)
    )


@settings(deadline=None, max_examples=40)
@given(small_masks, st.data())
def test_holes_of_blocks_are_those_of_scipy(classes: Ints, data: st.DataObject):
    mask = np.minimum(classes, 1)
    block = [data.draw(st.integers(1, n)) for n in mask.shape]
    connectivity = data.draw(st.sampled_from(["faces", "full"]))
    config = ObjectConfig(
        method="components", min_size=0, fill_holes=True, connectivity=connectivity
    )
    labels, _ = find(mask, config, block=block, ndim=mask.ndim)
    reach = mask.ndim if connectivity == "faces" else 1
    structure = ndimage.generate_binary_structure(mask.ndim, reach)
    filled = ndimage.binary_fill_holes(mask, structure)
    np.testing.assert_array_equal(labels > 0, filled)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.integers(12, 60), st.integers(12, 60))
def test_a_watershed_of_blocks_is_that_of_the_whole(seed: int, high: int, wide: int):
    mask = touching_disks((70, 90), 25, seed)
    whole, _ = find(mask, WATERSHED, block=mask.shape)
    blocks, _ = find(mask, WATERSHED, block=(high, wide))
    np.testing.assert_array_equal(blocks, whole)


@settings(deadline=None, max_examples=15)
@given(
    hnp.arrays(np.uint8, (30, 34), elements=st.sampled_from([0, 1, 1, 2])),
    st.integers(6, 34),
    st.integers(6, 34),
)
def test_a_watershed_of_blocks_is_exact_on_any_mask_that_fits_the_overlap(
    classes: Ints, high: int, wide: int
):
    config = ObjectConfig(neck_depth=0.5, min_size=0, fill_holes=False, overlap=34)
    whole, kinds = find(classes, config, block=classes.shape)
    blocks, same_kinds = find(classes, config, block=(high, wide))
    np.testing.assert_array_equal(blocks, whole)
    np.testing.assert_array_equal(same_kinds, kinds)
    np.testing.assert_array_equal(whole > 0, classes > 0)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.integers(3, 9), st.integers(14, 30))
def test_a_watershed_of_an_anisotropic_volume_is_exact(seed: int, deep: int, wide: int):
    rng = np.random.default_rng(seed)
    mask = np.stack(
        [touching_disks((40, 48), 6, int(s)) for s in rng.integers(0, 3, 9)]
    )
    spacing = (2.3, 0.7, 0.7)
    config = ObjectConfig(min_size=0, fill_holes=False, overlap=48)
    whole, _ = find(mask, config, block=mask.shape, ndim=3, spacing=spacing)
    blocks, _ = find(mask, config, block=(deep, wide, wide), ndim=3, spacing=spacing)
    np.testing.assert_array_equal(blocks, whole)


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.integers(8, 30))
def test_seeds_between_boundaries_are_flooded_alike_in_blocks(seed: int, wide: int):
    rng = np.random.default_rng(seed)
    scores = ndimage.gaussian_filter(rng.normal(size=(3, 34, 40)), (0, 2, 2))
    scores = np.exp(30 * scores)
    probabilities = (scores / scores.sum(axis=0)).astype(np.float32)
    classes = probabilities.argmax(axis=0).astype(np.uint8)
    mask = {"boundary": 2, "probabilities": probabilities}
    config = ObjectConfig(min_size=0, fill_holes=False, overlap=40)
    whole, kinds = find(classes, config, block=classes.shape, **mask)
    blocks, _ = find(classes, config, block=(wide, wide + 2), **mask)
    np.testing.assert_array_equal(blocks, whole)
    np.testing.assert_array_equal(whole > 0, classes > 0)
    assert set(kinds) <= {1, 2}


def test_two_disks_that_touch_are_two_objects():
    mask = np.zeros((40, 60), np.uint8)
    mask[disk((20, 20), 10)] = mask[disk((20, 38), 10)] = 1
    assert find(mask, COMPONENTS)[0].max() == 1
    labels, classes = find(mask, ObjectConfig())
    assert labels.max() == 2
    assert labels[20, 12] == 1
    assert labels[20, 46] == 2
    np.testing.assert_array_equal(labels > 0, mask)
    np.testing.assert_array_equal(classes, [1, 1])


def test_boundary_pixels_go_to_the_objects_they_part():
    classes = np.ones((9, 21), np.uint8)
    classes[:, 10] = 2
    labels, kinds = find(classes, WATERSHED, boundary=2)
    assert (labels[:, :10] == 1).all()
    assert (labels[:, 11:] == 2).all()
    assert set(labels[:, 10]) <= {1, 2}
    np.testing.assert_array_equal(kinds, [1, 1])
    parted, _ = find(classes, COMPONENTS, boundary=2)
    assert not parted[:, 10].any()
    assert parted.max() == 2


def test_probabilities_part_what_the_mask_does_not():
    classes = np.ones((9, 21), np.uint8)
    probabilities = np.zeros((3, 9, 21), np.float32)
    probabilities[1], probabilities[2] = 0.9, 0.1
    probabilities[1, :, 10], probabilities[2, :, 10] = 0.6, 0.4
    mask = {"boundary": 2, "probabilities": probabilities}
    assert find(classes, WATERSHED, boundary=2)[0].max() == 1
    assert find(classes, WATERSHED, **mask)[0].max() == 2


def test_an_object_larger_than_the_overlap_keeps_one_id():
    mask = np.zeros((50, 400), np.uint8)
    mask[10:40, 5:395] = 1
    config = ObjectConfig(min_size=0, overlap=16)
    labels, _ = find(mask, config, block=(50, 64))
    assert labels.max() == find(mask, config, block=mask.shape)[0].max() == 1


@pytest.mark.parametrize("dtype", [bool, np.float64, np.int16, np.uint32])
def test_whole_numbers_of_any_type_are_classes(dtype: type):
    mask = touching_disks((40, 50), 6, 1)
    expected, _ = find(mask, COMPONENTS)
    np.testing.assert_array_equal(find(mask.astype(dtype), COMPONENTS)[0], expected)


def test_255_is_the_foreground_only_where_nothing_else_is():
    mask = np.zeros((6, 12), np.uint8)
    mask[1:3, 1:3] = mask[1:3, 6:9] = 255
    labels, classes = find(mask, COMPONENTS)
    assert labels.max() == 2
    np.testing.assert_array_equal(classes, [1, 1])
    mask[4, 4] = 3
    labels, classes = find(mask, COMPONENTS)
    np.testing.assert_array_equal(labels, mask == 3)
    np.testing.assert_array_equal(classes, [3])


def test_small_objects_are_left_out_and_the_others_numbered_on():
    mask = np.zeros((6, 12), np.uint8)
    mask[0, 0] = 1
    mask[2:4, 2:4] = mask[2:5, 8:11] = 1
    config = ObjectConfig(method="components", min_size=4)
    labels, _ = find(mask, config, block=(3, 5))
    assert labels[0, 0] == 0
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], [4, 9])


def test_a_hole_between_two_classes_stays():
    classes = np.zeros((5, 5), np.uint8)
    classes[1:4, 1:4] = 1
    classes[2, 2] = 0
    filled = find(classes, ObjectConfig(method="components", min_size=0))[0]
    assert filled[2, 2] == 1
    classes[1:4, 3] = 2
    filled = find(classes, ObjectConfig(method="components", min_size=0))[0]
    assert filled[2, 2] == 0


def test_dask_arrays_and_own_outputs_are_taken():
    da = pytest.importorskip("dask.array")
    mask = touching_disks((60, 80), 12, 3)
    lazy = da.from_array(mask, chunks=(20, 20))
    out = np.zeros(mask.shape, np.uint32)
    objects = label_objects(
        SemanticMask(classes=lazy), WATERSHED, block=(20, 20), out=out
    )
    assert objects.labels is out
    np.testing.assert_array_equal(out, find(mask, WATERSHED)[0])


def test_only_blocks_are_read():
    class Watched:
        def __init__(self, data: Ints) -> None:
            self.data, self.shape, self.largest = data, data.shape, 0

        def __getitem__(self, key: tuple[slice, ...]) -> Ints:
            part = self.data[key]
            self.largest = max(self.largest, part.size)
            return part

    watched = Watched(touching_disks((200, 200), 30, 5))
    find(watched, ObjectConfig(overlap=10, fill_holes=False), block=(20, 20))
    assert watched.largest == 40 * 40


def test_a_large_result_lies_in_a_temporary_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "_IN_MEMORY_BYTES", 1000)
    mask = touching_disks((60, 80), 12, 3)
    objects = label_objects(SemanticMask(classes=mask), ObjectConfig(), block=(20, 30))
    assert isinstance(objects.labels, np.memmap)
    whole, _ = find(mask, ObjectConfig(), block=mask.shape)
    np.testing.assert_array_equal(objects.labels, whole)


def test_what_was_written_to_a_private_copy_of_a_file_stays(tmp_path: Path):
    np.zeros((30, 40), np.uint8).tofile(tmp_path / "mask.raw")
    mask = np.memmap(tmp_path / "mask.raw", np.uint8, mode="c", shape=(30, 40))
    mask[5:15, 5:15] = 1
    labels, _ = find(mask, ObjectConfig(fill_holes=False), block=(10, 10))
    assert labels.max() == 1
    assert mask.sum() == np.count_nonzero(labels) == 100


def test_an_empty_mask_has_no_objects():
    labels, classes = find(np.zeros((3, 20, 20), np.uint8), ObjectConfig())
    assert not labels.any()
    assert classes.size == 0


def test_planes_have_their_own_objects_and_volumes_share_them():
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[:, 2:5, 2:5] = 1
    assert find(mask, COMPONENTS)[0].max() == 3
    assert find(mask, COMPONENTS, ndim=3)[0].max() == 1


def test_stopping_and_counting():
    mask = SemanticMask(classes=np.ones((30, 30), np.uint8))
    steps = list(iter_label_objects(mask, ObjectConfig(), block=(10, 10)))
    assert [s.done for s in steps] == list(range(1, 37))
    assert {s.total for s in steps} == {36}
    with pytest.raises(Cancelled):
        label_objects(mask, COMPONENTS, stop=lambda: True)


@pytest.mark.parametrize(
    ("classes", "phrase"),
    [
        (np.full((4, 4), 0.5), "fractions"),
        (np.full((4, 4), np.nan), "fractions"),
        (np.full((4, 4), -1), "negative"),
        (np.full((4, 4), 300), "method keep"),
        (np.arange(25, dtype=np.uint8).reshape(5, 5), "method keep"),
        (np.full((4, 4), 1j), "whole numbers"),
        (np.zeros((0, 4), np.uint8), "no objects"),
        (np.zeros(4, np.uint8), "no objects"),
    ],
)
def test_what_is_no_mask_is_refused(classes: Ints, phrase: str):
    with pytest.raises(DataError, match=phrase):
        find(classes, COMPONENTS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing": (1.0,)},
        {"spacing": (1.0, 0.0)},
        {"boundary": 0},
        {"probabilities": np.zeros((2, 4, 4))},
        {"probabilities": np.zeros((2, 4, 5)), "boundary": 1},
        {"probabilities": np.zeros((2, 4, 4)), "boundary": 2},
    ],
)
def test_what_does_not_fit_the_mask_is_refused(wrong: dict[str, object]):
    with pytest.raises(DataError):
        SemanticMask(classes=np.zeros((4, 4), np.uint8), **wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"min_size": -1}, {"neck_depth": np.nan}, {"overlap": 0}, {"seed_threshold": 1}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]):
    with pytest.raises(SpecError):
        ObjectConfig(**wrong)


def test_an_output_of_another_shape_is_refused():
    mask = SemanticMask(classes=np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="output"):
        label_objects(mask, out=np.zeros((4, 5), np.uint32))


def test_a_disk_without_room_is_named_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(blocks, "_IN_MEMORY_BYTES", 0)
    usage = SimpleNamespace(free=4 * 64 * 64 - 1)
    monkeypatch.setattr(blocks.shutil, "disk_usage", lambda _: usage)
    mask = SemanticMask(classes=np.eye(64, dtype=np.uint8))
    with pytest.raises(DataError, match=r"No space left.*set TMPDIR"):
        label_objects(mask)
    usage.free += 1
    label_objects(mask)


@pytest.mark.parametrize(("edge", "kept"), [(3, True), (20, False)])
def test_how_small_is_too_small_follows_the_usual_object(edge: int, kept: bool):
    classes = np.zeros((120, 120), np.uint8)
    for y in range(5, 85, 25):
        for x in range(5, 105, 25):
            classes[y : y + edge, x : x + edge] = 1
    classes[110:112, 110:112] = 1
    components = ObjectConfig(method="components")
    found = label_objects(SemanticMask(classes=classes), components)
    assert bool(np.asarray(found.labels)[110, 110]) is kept
    stated = ObjectConfig(method="components", min_size=30)
    found = label_objects(SemanticMask(classes=classes), stated)
    assert not np.asarray(found.labels)[110, 110]

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.errors import DataError
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.training.data.crops import CropSampler
from unet_engine.training.data.pairs import (
    TrainingPair,
    check_pairs,
    class_counts,
    recorded_pairs,
    targets_from_instances,
)

SPEC = ModelSpec(depth=2, width=4)


def pair(target, channels=1, name="", weight=1.0):
    target = np.asarray(target, np.uint8)
    image = np.zeros((channels, *target.shape), np.float32)
    return TrainingPair(image, target, name, weight)


def both(shape=(8, 8)):
    target = np.zeros(shape, np.uint8)
    target[: shape[0] // 2] = 1
    return target


def unlabelled(shape=(64, 64)):
    return np.full(shape, IGNORE, np.uint8)


class TestPair:
    def test_labels_of_another_shape_are_refused(self):
        with pytest.raises(DataError, match=r"a\.tif: the labels are 8 x 9 .* 8 x 8"):
            TrainingPair(
                np.zeros((1, 8, 8), np.float32), np.zeros((8, 9), np.uint8), "a.tif"
            )

    def test_image_that_is_not_prepared_is_refused(self):
        with pytest.raises(DataError, match="normalise it"):
            TrainingPair(np.zeros((1, 8, 8), np.uint16), both(), "a")

    def test_target_of_another_type_is_refused(self):
        with pytest.raises(DataError, match="uint8 class ids"):
            TrainingPair(np.zeros((1, 8, 8), np.float32), both().astype(np.int32))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite_are_refused(self, value):
        image = np.zeros((1, 8, 8), np.float32)
        image[0, 3, 3] = value
        with pytest.raises(DataError, match="NaN or infinite"):
            TrainingPair(image, both())

    def test_weight_must_be_above_zero(self):
        with pytest.raises(DataError, match="weight"):
            pair(both(), weight=0)

    @pytest.mark.parametrize(
        "weights, message",
        [
            (np.ones((4, 4), np.float32), "4 x 4 float32.* 8 x 8"),
            (np.ones((8, 8)), "float64"),
            (np.full((8, 8), -1, np.float32), "negative"),
            (np.full((8, 8), np.nan, np.float32), "not finite"),
        ],
    )
    def test_pixel_weights_must_fit_the_labels(self, weights, message):
        with pytest.raises(DataError, match=message):
            replace(pair(both()), pixel_weights=weights)


class TestCheck:
    def test_good_pairs_pass(self):
        check_pairs([pair(both()), pair(unlabelled())], SPEC)

    def test_two_classes_may_lie_in_two_images(self):
        check_pairs([pair(np.zeros((8, 8))), pair(np.ones((8, 8)))], SPEC)

    @pytest.mark.parametrize(
        "pairs, message",
        [
            ([], "nothing to learn from"),
            ([pair(unlabelled())], "no pixel is labelled"),
            ([pair(np.ones((8, 8)))], "at least one stroke of two classes"),
            ([pair(both() * 2)], "have class 2 but the model has 2 classes"),
            ([pair(both()), pair(both() * HELD_OUT)], "have class 254"),
            ([pair(both()), pair(both(), 3, "rgb")], "rgb has 3 channels"),
        ],
    )
    def test_what_cannot_be_learned_from_is_refused(self, pairs, message):
        with pytest.raises(DataError, match=message):
            check_pairs(pairs, SPEC)


def test_object_ids_become_two_classes():
    labels = np.array([[0, 7, 300], [-1, 0, 65535]])
    assert targets_from_instances(labels).tolist() == [[0, 1, 1], [0, 0, 1]]
    assert targets_from_instances(labels).dtype == np.uint8


def test_counts_leave_out_what_is_not_labelled():
    counts = class_counts(np.array([[0, 1, 1, HELD_OUT, IGNORE]], np.uint8))
    assert counts[:2].tolist() == [1, 2]
    assert counts.sum() == 3


def sampler(pairs, size=16, jitter=0, seed=0):
    ndim = pairs[0].target.ndim
    return CropSampler(
        pairs,
        shape=(size,) * ndim,
        jitter=(jitter,) * ndim,
        generator=np.random.default_rng(seed),
    )


class TestCrops:
    def test_every_crop_holds_a_labelled_pixel(self):
        target = unlabelled((200, 300))
        target[150, 20], target[3, 290] = 0, 1
        _, targets, *_ = sampler([pair(target)], jitter=7).draw(64)
        assert np.all((targets < HELD_OUT).any(axis=(1, 2)))

    def test_rare_class_is_seen_in_every_second_pair_of_crops(self):
        target = np.zeros((400, 400), np.uint8)
        target[200, 200] = 1
        _, targets, *_ = sampler([pair(target)]).draw(400)
        share = np.mean((targets == 1).any(axis=(1, 2)))
        assert 0.18 < share < 0.32

    def test_image_smaller_than_the_crop_is_mirrored_and_its_target_is_not(self):
        image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
        small = TrainingPair(image, np.array([[0, 1, 0, 1]] * 3, np.uint8))
        images, targets, *_ = sampler([small], size=20).draw(4)
        assert images.shape == (4, 1, 20, 20)
        assert set(np.unique(images)) == set(range(12))
        assert np.all((targets != IGNORE).sum(axis=(1, 2)) == 12)
        known = targets != IGNORE
        assert np.array_equal(images[:, 0][known] % 4 % 2, targets[known])

    def test_images_count_by_weight_and_not_by_size(self):
        small, large = pair(both((8, 8))), pair(both((512, 512)), weight=3)
        marked = TrainingPair(small.image + 1, small.target)
        images, *_ = sampler([marked, large]).draw(400)
        assert np.mean(images[:, 0, 8, 8]) == pytest.approx(0.25, abs=0.08)

    def test_pixel_weights_are_cut_like_the_target(self):
        target = np.random.default_rng(0).integers(0, 2, (30, 40)).astype(np.uint8)
        weighed = replace(pair(target), pixel_weights=target.astype(np.float32) + 2)
        _, targets, weights, *_ = sampler([weighed, pair(both())], size=20).draw(30)
        known = targets != IGNORE
        plain = (weights == 1).all(axis=(1, 2))
        assert 0 < plain.sum() < 30
        inside = known & ~plain[:, None, None]
        assert np.array_equal(weights[inside], targets[inside] + 2)
        assert sampler([pair(both())]).draw(2).weights is None

    def test_a_share_of_the_crops_may_lie_anywhere(self):
        target = unlabelled((100, 100))
        target[50, 50] = 1
        crops = CropSampler(
            [pair(target)],
            shape=(9, 9),
            jitter=(0, 0),
            generator=np.random.default_rng(0),
            anywhere=0.5,
        ).draw(200)
        without = np.all(crops.targets == IGNORE, axis=(1, 2))
        assert 0.35 < without.mean() < 0.65

    def test_of_a_pair_with_soft_targets_they_lie_on_these(self):
        target = unlabelled((400, 400))
        target[50, 50] = 1
        soft_target = np.zeros((2, 400, 400), np.float16)
        soft_target[1, 40:60, 40:60] = 1
        crops = CropSampler(
            [replace(pair(target), soft_target=soft_target)],
            shape=(9, 9),
            jitter=(0, 0),
            generator=np.random.default_rng(0),
            anywhere=1.0,
        ).draw(100)
        assert (crops.soft_targets[:, 1, 4, 4] == 1).all()
        # Not on the stroke alone.
        assert (crops.targets[:, 4, 4] == IGNORE).mean() > 0.9

    def test_of_a_pair_with_empty_soft_targets_they_lie_at_its_labels(self):
        target = unlabelled((400, 400))
        target[50, 50] = 1
        crops = CropSampler(
            [replace(pair(target), soft_target=np.zeros((2, 400, 400), np.float16))],
            shape=(9, 9),
            jitter=(0, 0),
            generator=np.random.default_rng(0),
            anywhere=1.0,
        ).draw(20)
        assert (crops.targets[:, 4, 4] == 1).all()

    def test_held_out_pixels_are_no_centres(self):
        target = np.full((64, 64), HELD_OUT, np.uint8)
        target[10, 10], target[20, 20] = 0, 1
        _, targets, *_ = sampler([pair(target)], size=1).draw(50)
        assert set(np.unique(targets)) == {0, 1}

    def test_same_seed_same_crops(self):
        pairs = [pair(both((40, 40)))]
        for one, other in zip(
            sampler(pairs, jitter=9).draw(8),
            sampler(pairs, jitter=9).draw(8),
            strict=True,
        ):
            assert np.array_equal(one, other)

    @settings(deadline=None, max_examples=30)
    @given(
        shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
        size=st.integers(1, 50),
        jitter=st.integers(0, 10),
    )
    def test_crops_of_any_size_from_any_image(self, shape, size, jitter):
        image = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
        target = (image[0] > 0.5).astype(np.uint8)
        images, targets, *_ = sampler(
            [TrainingPair(image, target)], size=size, jitter=jitter
        ).draw(2)
        assert images.shape == (2, 2, size, size)
        known = targets != IGNORE
        assert np.array_equal((images[:, 0] > 0.5)[known], targets[known] == 1)


def test_pairs_whose_labels_have_no_data_are_left_out_and_counted():
    some = replace(pair(both()), unrecorded=3)
    lost = replace(pair(unlabelled((8, 8))), unrecorded=9)
    whole, empty = pair(both()), pair(unlabelled((8, 8)))
    kept, note = recorded_pairs([some, whole, lost, empty])
    assert kept == [some, whole, empty]
    assert note.startswith("12 labelled pixels without data")
    assert recorded_pairs([whole]) == ([whole], "")
    assert recorded_pairs([]) == ([], "")
    with pytest.raises(DataError, match=r"9 labelled pixels.*label where data are"):
        recorded_pairs([lost])

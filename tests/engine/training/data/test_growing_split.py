from dataclasses import replace

import numpy as np

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.splits.growing_split import GrowingSplit
from unet_engine.training.data.splits.held_out_split import Split, split_pairs

IMAGE = np.random.default_rng(0).random((1, 256, 256), dtype=np.float32)


def pair(target, name="a", box=None):
    rows, columns = box or (slice(0, 256), slice(0, 256))
    return TrainingPair(
        np.ascontiguousarray(IMAGE[:, rows, columns]),
        target[rows, columns],
        name,
        origin=(rows.start, columns.start),
    )


def strokes(*places):
    target = np.full((256, 256), IGNORE, np.uint8)
    for label, y, x in places:
        target[y : y + 4, x : x + 4] = label
    return target


FIRST = strokes(*((n % 2, 20 + 30 * (n // 4), 20 + 40 * (n % 4)) for n in range(16)))


def growing(target=FIRST, **kwargs):
    pairs = [pair(target, **kwargs)]
    split = split_pairs(pairs, fraction=0.3, seed=0)
    return GrowingSplit(pairs, split, fraction=0.3, near=(12, 12)), split


def held(split, name="a"):
    return sum(
        (np.count_nonzero(one.target < HELD_OUT))
        for one in split.validation
        if one.name == name
    )


def test_what_was_held_out_stays_so_and_what_was_learned_too():
    grown, before = growing()
    later = FIRST.copy()
    later[200:204, 200:204] = 1
    after = grown.extended([pair(later)])
    was_held = before.validation[0].target < HELD_OUT
    is_held = after.validation[0].target < HELD_OUT
    assert was_held.any()
    assert (is_held & (FIRST != IGNORE) == was_held).all()
    learned = after.training[0].target
    assert (learned[is_held] == HELD_OUT).all()
    assert ((learned < HELD_OUT) | is_held == (later < HELD_OUT)).all()


def test_a_region_that_grows_with_the_strokes_keeps_its_division():
    box = slice(10, 150), slice(10, 180)
    grown, before = growing(box=box)
    later = FIRST.copy()
    later[240:244, 240:244] = 1
    after = grown.extended([pair(later)])
    was_held = np.zeros((256, 256), bool)
    was_held[box] = before.validation[0].target < HELD_OUT
    is_held = after.validation[0].target < HELD_OUT
    assert (is_held & (FIRST != IGNORE) == was_held).all()


def test_neighbours_of_a_stroke_are_on_its_side():
    grown, before = growing()
    was_held = before.validation[0].target < HELD_OUT
    for mask, on_held in ((was_held, True), (before.training[0].target == 1, False)):
        y, x = np.argwhere(mask)[0]
        later = FIRST.copy()
        later[y, x - 5 : x - 2] = 1
        after = growing()[0].extended([pair(later)])
        new = (later != IGNORE) & (FIRST == IGNORE)
        assert (after.validation[0].target[new] < HELD_OUT).all() == on_held
    assert grown is not None


def test_new_strokes_are_held_out_up_to_the_share():
    grown, _ = growing()
    places = [(n % 2, 8 + 34 * (n // 7), 2 + 36 * (n % 7)) for n in range(49)]
    image = replace(pair(strokes(*places), "b"), image=IMAGE[:, ::-1].copy())
    after = grown.extended([pair(FIRST), image])
    share = held(after, "b") / np.count_nonzero(image.target != IGNORE)
    assert 0.2 < share < 0.35


def test_a_new_class_is_learned_before_any_of_it_is_held_out():
    grown, _ = growing()
    later = FIRST.copy()
    later[200:204, 200:204] = 2
    after = grown.extended([pair(later)])
    assert (after.training[0].target == 2).sum() == 16


def test_a_removed_image_is_neither_learned_nor_held_out():
    other = TrainingPair(IMAGE[:, ::-1].copy(), FIRST, "b")
    pairs = [pair(FIRST), other]
    split = split_pairs(pairs, fraction=0.3, seed=0)
    grown = GrowingSplit(pairs, split, fraction=0.3, near=(12, 12))
    after = grown.extended([pair(FIRST)])
    assert {one.name for one in (*after.training, *after.validation)} == {"a"}


def test_another_image_of_the_name_is_divided_anew():
    grown, _ = growing()
    other = TrainingPair(IMAGE[:, ::-1].copy(), FIRST, "a", origin=(0, 0))
    after = grown.extended([other])
    learned = after.training[0].target
    assert {0, 1} <= set(np.unique(learned[learned < HELD_OUT]).tolist())


def test_where_too_little_was_labelled_all_is_learned_and_evaluated():
    few = strokes((0, 20, 20), (1, 20, 60))
    pairs = [pair(few)]
    grown = GrowingSplit(
        pairs, Split(tuple(pairs), tuple(pairs)), fraction=0.2, near=(12, 12)
    )
    same = grown.extended(pairs)
    assert np.array_equal(same.training[0].target, few)
    assert np.array_equal(same.validation[0].target, few)

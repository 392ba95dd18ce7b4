import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.pairs import TrainingPair, class_counts
from unet_engine.training.data.splits.held_out_split import FEW_IMAGES, split_pairs


def pair(target, name=""):
    image = np.zeros((1, *target.shape), np.float32)
    return TrainingPair(image, target.astype(np.uint8), name)


def labelled(seed=0, shape=(96, 96)):
    target = np.zeros(shape, np.uint8)
    target[:, np.random.default_rng(seed).permutation(shape[1])[: shape[1] // 3]] = 1
    return pair(target, str(seed))


def blank(shape=(256, 256)):
    return np.full(shape, IGNORE, np.uint8)


def classes(pairs):
    return set(np.flatnonzero(sum(class_counts(p.target) for p in pairs)))


def count(pairs):
    return sum(int(class_counts(p.target).sum()) for p in pairs)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 9, 10, 23])
def test_neither_side_is_ever_empty(number):
    pairs = [labelled(seed) for seed in range(number)]
    split = split_pairs(pairs, fraction=0.2)
    assert classes(split.training) == classes(split.validation) == {0, 1}
    assert count(split.training) + count(split.validation) == count(pairs)
    assert 0.1 < count(split.validation) / count(pairs) < 0.35
    assert not split.notes


@pytest.mark.parametrize("number", [5, 10, 23])
def test_of_many_images_whole_ones_are_held_out(number):
    pairs = [labelled(seed) for seed in range(number)]
    split = split_pairs(pairs, fraction=0.2)
    names = {p.name for p in split.training}, {p.name for p in split.validation}
    assert not names[0] & names[1]
    assert len(names[0] | names[1]) == number
    assert len(names[1]) == max(1, round(0.2 * number))


def test_of_few_images_blocks_are_held_out():
    split = split_pairs([labelled(s) for s in range(FEW_IMAGES - 1)], fraction=0.2)
    assert all(np.any(p.target == IGNORE) for p in split.validation)
    for validate in split.validation:
        learn = next(p for p in split.training if p.name == validate.name)
        assert np.all((validate.target != IGNORE) == (learn.target == HELD_OUT))


@pytest.mark.parametrize("number", [1, 4, 9])
def test_same_seed_same_split_other_seed_another(number):
    pairs = [labelled(seed) for seed in range(number)]

    def drawn(seed):
        split = split_pairs(pairs, fraction=0.2, seed=seed)
        return [p.target.tobytes() for p in split.validation]

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1


def test_one_stroke_of_each_class_is_shared_by_both_sides():
    target = blank()
    target[40:46, 20:200] = 0
    target[150:156, 20:200] = 1
    split = split_pairs([pair(target)], fraction=0.2)
    assert classes(split.training) == classes(split.validation) == {0, 1}


def test_one_tiny_spot_validates_on_what_it_learns_with_a_note():
    target = blank()
    target[100, 100:103] = 0
    target[101, 100:103] = 1
    split = split_pairs([pair(target)], fraction=0.2)
    assert count(split.training) == count(split.validation) == 6
    assert "evaluated on the pixels it learned from" in split.notes[0]


def wrong_in(region, shape=(256, 256)):
    wrong = np.zeros(shape, bool)
    wrong[region] = True
    return wrong


def test_corrections_are_on_both_sides_as_what_was_right_is():
    target = blank()
    target[100:, :] = 0
    target[200:, :] = 1
    target[20:24, 20:120] = 1
    wrong = wrong_in(np.s_[20:24, 20:120])
    for seed in range(4):
        split = split_pairs([pair(target)], fraction=0.1, seed=seed, mistakes=[wrong])
        assert 0 < (split.validation[0].target[wrong] == 1).sum() <= 200
        assert (split.training[0].target[wrong] == 1).sum() >= 200


def test_single_correction_is_held_out_and_learned_from():
    target = blank()
    target[100:, :] = 0
    target[200:, :] = 1
    target[20:24, 20:24] = 1
    wrong = wrong_in(np.s_[20:24, 20:24])
    split = split_pairs([pair(target)], fraction=0.1, mistakes=[wrong])
    assert "evaluated on the pixels it learned from" in split.notes[0]
    assert np.all(split.validation[0].target[wrong] == 1)
    assert np.all(split.training[0].target[wrong] == 1)


def test_strokes_beside_whole_images_are_held_out_in_part():
    target = blank()
    target[40:46, 20:200] = 0
    target[150:156, 20:200] = 1
    pairs = [*(labelled(s) for s in range(6)), pair(target, "strokes")]
    split = split_pairs(pairs, fraction=0.2)
    assert "strokes" in {p.name for p in split.training}
    assert "strokes" in {p.name for p in split.validation}


def test_class_of_a_single_image_stays_in_training():
    rare = labelled(0)
    rare.target[0, 0] = 2
    pairs = [rare, *(labelled(seed) for seed in range(1, 8))]
    for seed in range(8):
        split = split_pairs(pairs, fraction=0.4, seed=seed)
        assert classes(split.training) == {0, 1, 2}


def test_pairs_without_labels_are_on_neither_side():
    split = split_pairs([labelled(0), pair(blank(), "blank")], fraction=0.2)
    assert {p.name for p in (*split.training, *split.validation)} == {"0"}


def test_pairs_that_come_in_are_not_changed():
    one = labelled(0)
    before = one.target.copy()
    split_pairs([one], fraction=0.2)
    assert np.array_equal(one.target, before)


@settings(deadline=None, max_examples=60)
@given(
    strokes=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.integers(0, 119),
            st.integers(0, 119),
            st.integers(1, 60),
        ),
        min_size=1,
        max_size=6,
    ),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 5),
)
def test_any_strokes_leave_labels_on_both_sides(strokes, fraction, seed):
    target = blank((120, 120))
    for label, y, x, length in strokes:
        target[y : y + 3, x : x + length] = label
    pairs = [pair(target)]
    split = split_pairs(pairs, fraction=fraction, seed=seed)
    assert count(split.validation) > 0
    assert classes(split.training) == classes(pairs)
    if not any("evaluated on the pixels" in note for note in split.notes):
        assert count(split.training) + count(split.validation) == count(pairs)
        assert count(split.training) >= count(pairs) / 2


@pytest.mark.parametrize(
    ("corners", "noted"),
    [([(10, 10), (40, 20)], True), ([(10, 10), (150, 20)], False)],
)
def test_labels_all_in_one_spot_are_noted(corners, noted):
    target = np.full((200, 240), IGNORE, np.uint8)
    for label, (y, x) in enumerate(corners):
        target[y : y + 9, x : x + 30] = label
    pair = TrainingPair(np.zeros((1, 200, 240), np.float32), target)
    notes = split_pairs([pair], fraction=0.2).notes
    assert any(
        "within 39 x 40 pixels of an image of 200 x 240" in n for n in notes
    ) == (noted)
    # Of two images no spot is all there is.
    assert not any("within" in n for n in split_pairs([pair] * 2, fraction=0.2).notes)

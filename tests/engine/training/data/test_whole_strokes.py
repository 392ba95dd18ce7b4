import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from unet_engine.interactive.stroke_numbers import stroke_map
from unet_engine.labels import HELD_OUT, IGNORE
from unet_engine.training.data.pairs import TrainingPair
from unet_engine.training.data.splits.held_out_split import split_pairs
from unet_engine.training.data.splits.whole_strokes import keep_strokes_whole

SIZE = 256


def strokes(seed: int, count: int) -> npt.NDArray[np.uint8]:
    """Paint strokes 24 px long and 3 px wide of two classes in turn."""
    random = np.random.default_rng(seed)
    target = np.full((SIZE, SIZE), IGNORE, np.uint8)
    for number in range(count):
        y, x = random.integers(0, SIZE - 24, 2)
        target[y : y + 3, x : x + 24] = number % 2
    return target


def cut(target: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_]) -> list[int]:
    numbers = stroke_map(target, HELD_OUT)
    labelled = target < HELD_OUT
    return np.intersect1d(numbers[held & labelled], numbers[~held & labelled]).tolist()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(10, 40))
def test_a_split_cuts_no_stroke_of_many(seed: int, count: int):
    target = strokes(seed, count)
    pair = TrainingPair(np.zeros((1, SIZE, SIZE), np.float32), target, "a")
    split = split_pairs([pair], fraction=0.2, seed=seed)
    held = split.validation[0].target < HELD_OUT
    learned = split.training[0].target < HELD_OUT
    assert held.any()
    assert (held ^ learned)[target < HELD_OUT].all()
    left = cut(target, held)
    # A stroke stays cut only where it is most of what a side has of its class.
    for number in left:
        where = stroke_map(target, HELD_OUT) == number
        label = target[where][0]
        sides = [(target[m] == label).sum() for m in (held, learned)]
        parts = [(where & m).sum() for m in (held, learned)]
        assert np.ptp(np.nonzero(where)[1]) >= 16 or sides == parts


def test_most_of_a_stroke_decides():
    target = np.full((40, 40), IGNORE, np.uint8)
    target[5, 0:10] = target[20, 0:10] = target[30, 20:30] = 1
    held = np.zeros(target.shape, bool)
    held[5, 3:10] = held[20, 6:10] = held[30, 20:30] = True
    (found,) = keep_strokes_whole([target], [held], 20)
    assert found[5, 0:10].all()
    assert not found[20].any()
    assert found[30, 20:30].all()
    assert found.sum() == 20


def test_long_strokes_and_the_last_of_a_class_stay_cut():
    target = np.full((40, 40), IGNORE, np.uint8)
    target[5, 0:30] = 1
    target[20, 0:10] = 2
    held = np.zeros(target.shape, bool)
    held[5, 0:20] = held[20, 0:8] = True
    (found,) = keep_strokes_whole([target], [held], 20)
    assert np.array_equal(found, held)


def test_areas_of_a_labelled_slice_stay_cut():
    target = np.full((3, 40, 40), IGNORE, np.uint8)
    target[1] = 0
    target[1, 5, 0:10] = target[2, 5, 20:30] = 1
    held = np.zeros(target.shape, bool)
    held[:, :, 0:8] = held[:, :, 20:28] = True
    held &= target < HELD_OUT
    (found,) = keep_strokes_whole([target], [held], 20)
    assert np.array_equal(found[1], held[1])
    assert found[2, 5, 20:30].all()


def test_the_only_stroke_on_a_mistake_stays_cut():
    target = np.full((40, 40), IGNORE, np.uint8)
    target[5, 0:10] = target[20, 0:10] = 1
    wrong = np.zeros(target.shape, bool)
    wrong[5] = True
    strata = np.where(target < HELD_OUT, 1 + wrong.astype(np.int16), -1)
    held = np.zeros(target.shape, bool)
    held[5, 3:10] = held[20, 3:10] = True
    (found,) = keep_strokes_whole([target], [held], 20)
    assert found[5, 0:10].all()
    (found,) = keep_strokes_whole([target], [held], 20, [strata])
    assert np.array_equal(found, held)
    # With another one on each side it is whole again.
    target[30, 0:10] = 1
    strata[30, 0:5], strata[30, 5:10], strata[35, 0:5] = 2, 1, 1
    target[35, 0:5] = 1
    held[30, 0:9] = True
    (found,) = keep_strokes_whole([target], [held], 20, [strata])
    assert found[30, 0:10].all()
    assert found[5].sum() == 7


def test_a_class_on_another_image_lets_a_stroke_move():
    target = np.full((40, 40), IGNORE, np.uint8)
    target[20, 0:10] = 2
    held = np.zeros(target.shape, bool)
    held[20, 0:8] = True
    nothing = np.zeros(target.shape, bool)
    found, other = keep_strokes_whole([target, target], [held, nothing], 20)
    assert found[20, 0:10].all()
    assert not other.any()

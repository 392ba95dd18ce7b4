"""Tests of what label values mean: one rule for all files of a run."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from unet_engine.errors import DataError
from unet_engine.images import LabelRule, Tally, class_ids, decide_labels
from unet_engine.images.labels.choices import Wording
from unet_engine.labels import IGNORE
from unet_engine.synthetic.nuclei import nuclei

if TYPE_CHECKING:
    from unet_engine.images.labels.choices import LabelValues, Unlabelled

RNG = np.random.default_rng(0)


def squares(*values: int, ground: int = 0) -> np.ndarray:
    """Return squares of these values, apart from each other on a plane."""
    plane = np.full((40, 40), ground, np.int32)
    for number, value in enumerate(values):
        y, x = 10 * (number // 4), 10 * (number % 4)
        plane[y + 1 : y + 7, x + 1 : x + 7] = value
    return plane


def regions(count: int) -> np.ndarray:
    """Return class ids in many scattered pieces each."""
    return RNG.integers(0, count, (64, 64)).astype(np.uint8)


def enlarged(mask: np.ndarray, levels: int) -> np.ndarray:
    """Return a mask twice as large, with grey rims."""
    step = 255 / levels
    grey = ndimage.zoom(np.where(mask > 0, 255.0, 0), 2, order=1)
    return np.clip(np.round(np.round(grey / step) * step), 0, 255).astype(np.uint8)


def compressed(mask: np.ndarray) -> np.ndarray:
    """Return a mask of 0 and 255 with the noise of a lossy compression."""
    noise = np.random.default_rng(3).integers(-7, 8, mask.shape)
    return np.clip(np.where(mask > 0, 255, 0) + noise, 0, 255).astype(np.uint8)


def decide(*labels: np.ndarray, **options: Any) -> LabelRule:
    tallies = [Tally.of(f"{'abcdef'[i]}.tif", one) for i, one in enumerate(labels)]
    return decide_labels(tallies, **options)


def advice_of(error: DataError) -> list[dict[str, Any]]:
    """Return every choice that a message names."""
    text = str(error)
    option = r"(?:--label-values (\w+))?(?: with )?(?:--unlabelled (-?\w+))?"
    found = []
    for values, unlabelled in re.findall(option, text):
        choice: dict[str, Any] = {"values": values} if values else {}
        if unlabelled:
            choice["unlabelled"] = (
                unlabelled if unlabelled == "none" else int(unlabelled)
            )
        if choice:
            found.append(choice)
    return found


# what is decided


@pytest.mark.parametrize(
    ("labels", "meaning", "unlabelled"),
    [
        ([squares(1, 1, 1)], "classes", None),
        ([squares(1, 2, 1, 2)], "classes", None),
        ([squares(255, 255)], "mask", None),
        ([squares(65535, 65535)], "mask", None),
        ([squares(1, 255)], "classes", 255),
        ([squares(1, 255), squares(255)], "classes", 255),
        ([squares(1, 1), np.full((9, 9), 255)], "classes", 255),
        ([squares(1, 2, 2, 1, -1)], "classes", -1),
        ([squares(1, 1).astype(bool)], "classes", None),
        ([squares(1, 2, 1, 2).astype(np.float32)], "classes", None),
        ([regions(3), np.where(regions(2) == 0, IGNORE, 1)], "classes", 255),
        ([regions(2), regions(6)], "classes", None),
        ([squares(1, 2, 3, ground=255)], "classes", 255),
    ],
)
def test_what_values_can_only_mean(
    labels: list[np.ndarray], meaning: str, unlabelled: int | None
):
    if 0 not in labels[0]:
        labels[0][0, 0] = 0
    rule = decide(*labels)
    assert (rule.meaning, rule.unlabelled, rule.above) == (meaning, unlabelled, 0)
    for one in labels:
        target = rule.apply(one)
        assert target.dtype == np.uint8
        void = one == (-999 if unlabelled is None else unlabelled)
        assert (target[void] == IGNORE).all()
        expected = one > 0 if meaning == "mask" else one
        assert np.array_equal(target[~void], expected[~void])


AMBIGUOUS = {
    "masks of 0/1 and 0/255": [squares(1, 1), squares(255, 255)],
    "masks of 0/1 and 0/65535": [squares(1, 1), squares(65535)],
    "three ids": [squares(1, 2, 3)],
    "four ids beside unlabelled": [squares(1, 2, 3, 4, 255)],
    "ids up to 300": [squares(*range(20, 320, 30))],
    "ids of many nuclei": [nuclei((256, 256), seed=0)[1]],
    "ids of a stack of stacks": [np.stack([np.stack([squares(1, 2, 3, 4)] * 2)] * 2)],
    "classes from 1": [squares(1, 1) + 1],
    "classes from 1, with unlabelled": [squares(1, 1, 255) + np.int32(0) + 1],
    "grey rims": [enlarged(squares(1, 1, 1, 1), 4)],
    "many grey rims": [enlarged(squares(1, 1, 1, 1), 255)],
    "noise of compression": [compressed(squares(1, 1, 1, 1))],
    "grey rims beside an empty mask": [enlarged(squares(1), 4), squares()],
    "65535 beside classes": [squares(1, 2, 1, 2, 65535)],
    "-7 beside classes": [squares(1, 2, 1, 2, -7)],
    "one other value": [squares(128, 128)],
    "only 1 and 255": [squares(1, 1, ground=255), squares(1, ground=255)],
}


@pytest.mark.parametrize("labels", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_values_are_refused_and_each_choice_works(
    labels: list[np.ndarray],
):
    with pytest.raises(DataError) as refused:
        decide(*labels)
    advice = advice_of(refused.value)
    assert advice, refused.value
    for choice in advice:
        rule = decide(*labels, **choice)
        targets = np.concatenate([rule.apply(one).ravel() for one in labels])
        assert set(np.unique(targets)) <= {*range(10), IGNORE}


def test_255_everywhere_is_the_foreground_only_where_one_class_is_of_use():
    white = squares(ground=255)
    with pytest.raises(DataError, match="label some pixels") as refused:
        decide(white)
    assert not advice_of(refused.value)
    with pytest.raises(DataError, match="label some pixels") as refused:
        decide(white, wording=Wording(one_class=True))
    (choice,) = advice_of(refused.value)
    assert (decide(white, **choice).apply(white) == 1).all()


def test_grey_levels_of_a_mask_part_at_half():
    mask = squares(1, 1, 1, 1)
    for grey in enlarged(mask, 4), enlarged(mask, 255):
        target = decide(grey, values="mask").apply(grey)
        assert np.array_equal(target, grey > 127)
        assert ndimage.label(target)[1] == 4
    noisy = compressed(mask)
    assert np.array_equal(decide(noisy, values="mask").apply(noisy), mask)


def test_noise_of_an_empty_mask_is_no_foreground():
    empty = compressed(squares())
    rule = decide(compressed(squares(1, 1)), empty, values="mask")
    assert not rule.apply(empty).any()


def test_a_mask_of_1_beside_grey_levels_would_be_lost_and_is_refused():
    with pytest.raises(DataError, match=r"b\.tif holds only 0 and 1.*with 255 for"):
        decide(enlarged(squares(1), 4), squares(1), values="mask")


def test_object_ids_are_no_grey_levels():
    with pytest.raises(DataError, match="--label-values objects"):
        decide(squares(*range(20, 320, 30)), values="mask")


def test_more_values_than_classes_may_be_objects_in_pieces():
    crossing = squares(*range(1, 7)) + squares(0, 0, 0, 0, 0, 0, *range(1, 7))
    with pytest.raises(DataError) as refusal:
        decide(crossing, classes=2)
    assert advice_of(refusal.value)[:2] == [{"values": "objects"}, {"values": "mask"}]
    with pytest.raises(DataError) as refusal:
        decide(regions(3), classes=2)
    assert advice_of(refusal.value)[:1] == [{"values": "mask"}]


def test_large_ids_may_be_objects_beside_grey_levels():
    with pytest.raises(DataError) as refusal:
        decide(squares(*range(301, 309)))
    assert "grey levels" in str(refusal.value)
    assert {"values": "objects"} in advice_of(refusal.value)
    with pytest.raises(DataError) as refusal:
        decide(enlarged(squares(*[1] * 8), 4))
    assert {"values": "objects"} not in advice_of(refusal.value)


@pytest.mark.parametrize("void", [-1, 255])
def test_classes_from_1_beside_unlabelled_pixels_are_to_be_renumbered(void: int):
    labels = regions(2).astype(np.int32) + 1
    labels[:9] = void
    with pytest.raises(DataError, match=r"renumber .*1 is then the background") as no:
        decide(labels)
    assert advice_of(no.value) == [{"values": "classes"}]
    assert decide(labels, values="classes").unlabelled == void
    renumbered = np.where(labels == void, void, labels - 1)
    assert decide(renumbered).classes == 2


def test_classes_from_1_lose_nothing():
    labels = squares(1, 1) + 1
    rule = decide(labels, unlabelled=0)
    assert np.array_equal(rule.apply(labels), labels - 1)
    assert rule.classes == 2
    holes = np.where(np.eye(40) > 0, 0, labels)
    target = decide(holes, unlabelled=0).apply(holes)
    assert (target[holes == 0] == IGNORE).all()
    assert np.array_equal(target[holes > 0], holes[holes > 0] - 1)


@pytest.mark.parametrize("value", [-1, -5, 3, 200, 255, 65535])
def test_a_named_value_is_not_labelled(value: int):
    labels = squares(1, 2, 1, 2, value)
    rule = decide(labels, unlabelled=value, values="classes")
    assert np.array_equal(rule.apply(labels) == IGNORE, labels == value)
    assert rule.classes == 3
    missing = decide(squares(1, 2, 1, 2), unlabelled=value)
    assert str(value) in missing.notes[0]


def test_objects_are_the_foreground_and_keep_their_ids():
    labels = squares(*range(1, 13))
    rule = decide(labels, values="objects")
    assert np.array_equal(rule.apply(labels), labels > 0)
    assert np.array_equal(rule.object_ids(labels), labels)
    rule = decide(labels, values="objects", unlabelled=12)
    assert np.array_equal(rule.object_ids(labels), np.where(labels == 12, 0, labels))
    assert (rule.apply(labels)[labels == 12] == IGNORE).all()
    assert decide(squares(1)).object_ids(labels) is None


def test_255_among_strokes_is_no_object_without_a_word():
    for labels in (squares(1, 2, 3, 255), squares(1, 2, 3, 65535)):
        with pytest.raises(DataError, match="--unlabelled none"):
            decide(labels, values="objects")
    many = np.arange(400).reshape(20, 20)
    assert decide(many, values="objects").unlabelled is None


def test_classes_taken_for_objects_are_noted():
    [note] = decide(squares(1, 1, 1, 1, 1), values="objects").notes
    assert "5 pieces" in note
    assert "--label-values mask" in note
    assert not decide(squares(1, 2, 3), values="objects").notes


def test_known_classes_are_no_objects():
    labels = squares(1, 2, 3)
    assert decide(labels, classes=4).meaning == "classes"
    with pytest.raises(DataError, match=r"value 3 .* 0 to 1; --label-values objects"):
        decide(labels, classes=2, values="classes")
    with pytest.raises(DataError, match=r"value 2 .* 0 to 1; --label-values mask"):
        decide(regions(3), classes=2)


def test_white_alone_is_no_class_of_three():
    labels = squares(255)
    assert decide(labels, classes=2).meaning == "mask"
    with pytest.raises(DataError, match="--unlabelled 255") as refused:
        decide(labels, classes=3)
    for choice in advice_of(refused.value):
        decide(labels, classes=3, **choice)


def test_a_file_that_would_be_a_mask_alone_is_named():
    [note] = decide(squares(1, 255), squares(255)).notes
    assert note.startswith("b.tif")


# what is reported


def test_the_line_names_values_classes_and_shares():
    labels = np.zeros((10, 10), np.uint8)
    labels.ravel()[:17], labels.ravel()[17:29] = 1, 255
    rule = decide(labels)
    assert rule.describe(("background", "nucleus")) == (
        "labels: 0 background 71 %, 1 nucleus 17 %, 255 unlabelled 12 %"
    )
    assert "2 mitosis 0 %" in rule.describe(("background", "nucleus", "mitosis"))


@pytest.mark.parametrize(
    ("labels", "options", "line"),
    [
        (squares(255), {}, "0 background 98 %, 255 foreground 2 %"),
        (
            squares(1, 2, 3),
            {"values": "objects"},
            "0 background 93 %, 1, 2, 3 object ids 7 %",
        ),
        (
            squares(1, 1) + 1,
            {"unlabelled": 0},
            "1 background 96 %, 2 foreground 4 %, 0 unlabelled 0 %",
        ),
    ],
)
def test_the_line_of_other_meanings(labels: np.ndarray, options: dict, line: str):
    assert decide(labels, **options).describe() == f"labels: {line}"


def test_classes_without_a_pixel_are_named():
    names = ("background", "nucleus", "mitosis")
    [sentence] = decide(squares(1), classes=3).unused(names)
    assert "'mitosis'" in sentence
    assert not decide(squares(255)).unused(names[:2])


# properties

VALUES = st.sampled_from([0, 1, 2, 3, 5, 17, 64, 128, 254, 255, 300, 65535, -1, -2])
FILES = st.lists(
    st.lists(VALUES, min_size=1, max_size=6).map(
        lambda values: squares(*values, ground=values[0])
    ),
    min_size=1,
    max_size=3,
)
CHOICES = st.sampled_from(["auto", "classes", "objects", "mask"])
UNLABELLED = st.sampled_from(["auto", "none", 0, 255, -1, 65535])


@given(FILES, CHOICES, UNLABELLED, st.sampled_from([None, 2, 3, 5]))
def test_the_order_of_files_changes_nothing_and_targets_are_classes(
    files: list[np.ndarray],
    values: LabelValues,
    unlabelled: Unlabelled,
    classes: int | None,
):
    options = {"values": values, "unlabelled": unlabelled, "classes": classes}
    tallies = [Tally.of(f"{i}.tif", one) for i, one in enumerate(files)]
    try:
        rule = decide_labels(tallies, **options)
    except DataError as error:
        assert "\n" not in str(error)
        with pytest.raises(DataError):
            decide_labels(tallies[::-1], **options)
        return
    other = decide_labels(tallies[::-1], **options)
    kept = ("meaning", "unlabelled", "first", "above", "pixels", "classes")
    for name in kept:
        assert getattr(rule, name) == getattr(other, name)
    for one in files:
        target = rule.apply(one)
        labelled = target[target != IGNORE]
        assert (labelled < (classes or rule.classes)).all()
        void = one == rule.unlabelled if rule.unlabelled is not None else False
        assert np.array_equal(target == IGNORE, np.broadcast_to(void, one.shape))


@given(FILES, CHOICES, st.sampled_from([None, 2, 4]))
def test_advice_of_a_refusal_is_an_answer(
    files: list[np.ndarray], values: LabelValues, classes: int | None
):
    """Following the advice never leads to the same refusal again."""
    options = {"values": values, "classes": classes}
    try:
        decide(*files, **options)
    except DataError as error:
        for choice in advice_of(error):
            try:
                decide(*files, **{**options, **choice})
            except DataError as next_error:
                assert str(next_error) != str(error)


@given(st.lists(VALUES, min_size=1, max_size=16))
def test_blocks_are_counted_as_the_whole(values: list[int]):
    plane = squares(*values)
    tally = Tally("a.tif", Counter())
    for block in np.array_split(plane, 3):
        tally.add(block)
    assert tally.pixels == Tally.of("a.tif", plane).pixels


# the arrays of Python


def test_class_ids_follow_the_rule():
    _, objects = nuclei((256, 256), seed=0)
    with pytest.raises(DataError, match="--label-values objects"):
        class_ids([objects])
    [foreground] = class_ids([objects], label_values="objects")
    assert np.array_equal(foreground, objects > 0)
    [found] = class_ids([squares(1, 9)], unlabelled=9)
    assert set(np.unique(found)) == {0, 1, IGNORE}


def test_what_is_no_number_is_refused():
    with pytest.raises(DataError, match="fractions"):
        Tally.of("a.tif", np.full((4, 4), 0.5))
    with pytest.raises(DataError, match="complex"):
        Tally.of("a.tif", np.ones((4, 4), complex))

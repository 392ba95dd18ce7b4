"""Two label arrays compared block by block say the same as compared at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unet_engine.errors import Cancelled, DataError
from unet_engine.generators import drain
from unet_engine.labels import IGNORE
from unet_engine.metrics import Confusion, count_overlaps, match_objects
from unet_engine.metrics.comparison import (
    BlockCompared,
    Comparison,
    ConnectedPieces,
    comparing,
    iter_compare,
    pixels,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small arrays have many blocks and squares."""
    monkeypatch.setattr(comparing, "BLOCK", 8)
    monkeypatch.setattr(pixels, "CELL", 4)


def compare(truth: Any, predicted: Any, *args: Any, **options: Any) -> Comparison:
    return drain(iter_compare(truth, predicted, *args, **options))


def pairs_of(values: list[int]) -> st.SearchStrategy[Any]:
    """Two arrays of one shape, with or without leading axes."""
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 21), st.integers(1, 21)).map(
        lambda shape: shape[1:] if shape[0] == 1 else shape
    )
    each = st.sampled_from(values)
    return shapes.flatmap(
        lambda shape: st.tuples(
            arrays.arrays(np.uint16, shape, elements=each),
            arrays.arrays(np.uint16, shape, elements=each),
        )
    )


@settings(deadline=None, max_examples=60)
@given(pair=pairs_of([0, 1, 2]), hidden=st.integers(0, 2**20))
def test_classes_are_those_of_the_whole_array(pair: Any, hidden: int):
    truth, predicted = pair
    truth = truth.copy()
    random = np.random.default_rng(hidden)
    truth[random.random(truth.shape) < 0.2] = IGNORE
    found = compare(truth, predicted, names=("background", "cell"))
    whole = Confusion(3)
    whole.add(truth, predicted)
    assert found.pixels == whole.pixels
    assert found.wrong_pixels == whole.counts.sum() - np.trace(whole.counts)
    for one in found.classes:
        assert (one.iou, one.dice) == (whole.iou[one.value], whole.dice[one.value])
        assert one.true_pixels == whole.counts[one.value].sum()
        assert one.predicted_pixels == whole.counts[:, one.value].sum()
    assert [one.name for one in found.classes[:2]] == ["background", "cell"]
    if found.wrong_pixels:
        check_worst(found, truth, predicted)
    else:
        assert not found.worst


def check_worst(found: Comparison, truth: Any, predicted: Any) -> None:
    """The first square has most wrong pixels; each says what is wrong in it."""
    wrong = (truth != predicted) & (truth != IGNORE)
    most = max(
        int(wrong[(*index, slice(y, y + 4), slice(x, x + 4))].sum())
        for index in np.ndindex(*wrong.shape[:-2])
        for y in range(0, wrong.shape[-2], 4)
        for x in range(0, wrong.shape[-1], 4)
    )
    assert found.worst[0].pixels == most
    for place in found.worst:
        part = (*place.index, place.rows, place.columns)
        assert wrong[part].sum() == place.pixels
        assert wrong[part][0].any() and wrong[part][:, -1].any(), "no wider than it is"
        seen = (truth[part] == place.true[0]) & (predicted[part] == place.predicted[0])
        assert (seen & wrong[part]).any()


@settings(deadline=None, max_examples=60)
@given(pair=pairs_of([0, 3, 7, 900]), ndim=st.sampled_from([2, 3]))
def test_objects_are_those_of_whole_frames(pair: Any, ndim: int):
    truth, predicted = pair
    if truth.ndim == 2 and ndim == 3:
        truth, predicted = truth[None], predicted[None]
    found = compare(truth, predicted, "instances", ndim=ndim).objects
    frames = (
        truth.reshape(-1, *truth.shape[-ndim:]),
        predicted.reshape(-1, *truth.shape[-ndim:]),
    )
    whole = [
        match_objects(count_overlaps(t, p), 0.5) for t, p in zip(*frames, strict=True)
    ]
    assert found is not None
    assert found.matches.true_positives == sum(m.true_positives for m in whole)
    assert found.matches.false_positives == sum(m.false_positives for m in whole)
    assert found.matches.false_negatives == sum(m.false_negatives for m in whole)
    if not sum(found.mistakes.values()):
        assert found.ap_50 == 1


def disc(shape: tuple[int, ...], y: int, x: int, size: int = 6) -> Any:
    part = np.zeros(shape, bool)
    part[..., y : y + size, x : x + size] = True
    return part


@pytest.fixture
def mistaken() -> tuple[Any, Any]:
    """One object of each kind of mistake, and one that is right; ids above a table."""
    shape = (40, 60)
    truth, predicted = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    big = 2**40
    truth[disc(shape, 1, 1)] = big + 1  # right
    predicted[disc(shape, 1, 1)] = 5
    truth[disc(shape, 1, 20)] = big + 2  # merged
    truth[disc(shape, 1, 26)] = big + 3
    predicted[1:7, 20:32] = 6
    truth[12:18, 20:32] = big + 4  # split
    predicted[12:18, 20:26] = 7
    predicted[12:18, 26:32] = 8
    truth[disc(shape, 25, 1)] = big + 5  # missed
    predicted[disc(shape, 25, 20, 4)] = 9  # extra
    truth[disc(shape, 25, 40)] = big + 6  # inexact
    predicted[25:31, 43:52] = 10
    return truth, predicted


def test_each_kind_of_mistake_is_found_where_it_is(mistaken: Any):
    truth, predicted = mistaken
    found = compare(truth, predicted, "instances")
    assert found.objects is not None
    assert set(found.objects.mistakes.values()) == {1}
    places = {place.kind: place for place in found.worst}
    spans = {
        kind: (p.rows.start, p.rows.stop, p.columns.start, p.columns.stop)
        for kind, p in places.items()
    }
    assert spans == {
        "merged": (1, 7, 20, 32),
        "split": (12, 18, 20, 32),
        "missed": (25, 31, 1, 7),
        "extra": (25, 29, 20, 24),
        "inexact": (25, 31, 40, 52),
    }
    assert places["merged"].true == (2**40 + 2, 2**40 + 3)
    assert places["merged"].predicted == (6,)
    assert places["split"].predicted == (7, 8)
    sizes = [place.pixels for place in found.worst]
    assert sizes == sorted(sizes, reverse=True)
    assert (found.objects.true_objects, found.objects.predicted_objects) == (6, 6)
    texts = {kind: place.describe() for kind, place in places.items()}
    assert texts["merged"] == "36 px, 2 objects are merged"
    assert texts["missed"] == "36 px, an object is missed"


def test_an_object_of_a_volume_is_one_and_lies_in_its_middle_plane():
    truth = np.zeros((2, 7, 10, 10), np.uint8)
    truth[1, 1:6, 2:5, 3:8] = 4
    found = compare(truth, np.zeros_like(truth), "instances", ndim=3)
    (place,) = found.worst
    assert place.kind == "missed" and place.index == (1, 3)
    assert (place.rows, place.columns) == (slice(2, 5), slice(3, 8))
    assert place.pixels == 75
    planes = compare(truth, np.zeros_like(truth), "instances")
    assert planes.objects is not None and planes.objects.true_objects == 5


def test_what_nobody_labelled_is_no_object(mistaken: Any):
    truth, predicted = mistaken
    truth = np.where(disc(truth.shape, 25, 20), 255, truth)
    found = compare(truth, predicted, "instances", ignore=255)
    assert found.objects is not None
    assert found.objects.mistakes["extra"] == 0
    assert found.pixels == truth.size - 36


@pytest.mark.parametrize("ndim", [2, 3])
def test_pieces_of_a_mask_are_its_objects(ndim: int):
    mask = np.zeros((3, 20, 20), np.uint8)
    mask[:, 1:4, 1:12] = 1
    mask[1, 8:12, 8:12] = 2
    mask[2, 15:, 15:] = 200
    pieces = ConnectedPieces(mask, ndim, ignore=200)
    truth = np.zeros(mask.shape, np.int32)
    truth[:, 1:4, 1:12] = 70
    truth[1, 8:12, 8:12] = 71
    found = compare(truth, pieces, "instances", ndim=ndim)
    assert found.objects is not None and found.objects.ap_50 == 1
    assert found.objects.true_objects == (2 if ndim == 3 else 4)


class Lazy:
    """An array of a terabyte of which only what is asked for is made."""

    shape = (1000, 30_000, 30_000)

    def __init__(self) -> None:
        self.read: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        index, rows, columns = key
        made = np.full((rows.stop - rows.start, columns.stop - columns.start), index)
        self.read.append(made.size)
        return made


def test_a_large_array_is_read_in_parts_and_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(comparing, "BLOCK", 1024)
    truth = Lazy()
    stopping = iter([False, False, True])
    run = iter_compare(truth, Lazy(), stop=lambda: next(stopping))
    assert next(run) == BlockCompared(done=1, total=900_000)
    assert next(run).done == 2
    with pytest.raises(Cancelled):
        next(run)
    assert truth.read == [1024**2] * 2


def test_worst_places_do_not_touch_and_are_no_more_than_wanted():
    truth = np.zeros((40, 40), np.uint8)
    predicted = np.ones_like(truth)
    found = compare(truth, predicted, most=5)
    assert len(found.worst) == 5
    corners = [(p.rows.start // 4, p.columns.start // 4) for p in found.worst]
    for at, one in enumerate(corners):
        for other in corners[:at]:
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 1
    assert found.worst[0].describe(["back"]) == "16 px, back read as class 1"


@pytest.mark.parametrize(
    ("truth", "predicted", "kind", "message"),
    [
        (np.zeros((3, 4), int), np.zeros((4, 3), int), "classes", "differ in shape"),
        (np.zeros((0, 4), int), np.zeros((0, 4), int), "classes", "no pixel"),
        (np.zeros(4, int), np.zeros(4, int), "classes", "no pixel"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "classes", "whole numbers"),
        (np.zeros((2, 2), int), np.full((2, 2), 300), "classes", "'instances'"),
        (np.full((2, 2), -1), np.zeros((2, 2), int), "instances", "start at 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    truth: Any, predicted: Any, kind: Any, message: str
):
    with pytest.raises(DataError, match=message):
        compare(truth, predicted, kind)

"""Strokes as users make them: very many, in one place, a class on one image only."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.annotations.blocks import Blocks
from unet_engine.errors import DataError
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.labels import IGNORE
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.training.config import FineTuneConfig
from unet_engine.training.data.labelled_images import PaintedImage, training_pairs
from unet_engine.training.data.pairs import check_pairs
from unet_engine.training.data.saved_strokes import SavedStrokes, painted_classes
from unet_engine.training.rounds import fine_tune

SPEC = ModelSpec(depth=2, width=4, classes=("background", "cell", "wall"))
CONFIG = FineTuneConfig(steps=2, minutes=0, crop=32, batch=2)
MANY = 1000


def grey(shape=(96, 96), name="image"):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    return Image.from_array(pixels, "ZYX"[-len(shape) :], name=name)


def painted(*strokes, shape=(96, 96), name="image"):
    """Return an image with horizontal strokes, each ``(y, x, class id)``."""
    notes = Annotations(shape)
    for y, x, label in strokes:
        notes.accept((), (slice(y, y + 9), slice(x, x + 30)), np.full((9, 30), label))
    return PaintedImage(image=grey(shape, name), strokes=notes)


def pairs_of(*data):
    return list(training_pairs(data, SPEC, CONFIG))


def paint_many(notes):
    """Paint many strokes all over an image."""
    rng = np.random.default_rng(0)
    for number in range(MANY):
        index = tuple(int(rng.integers(n)) for n in notes.shape[:-2])
        y, x = (int(rng.integers(n - 10)) for n in notes.shape[-2:])
        region = slice(y, y + 2), slice(x, x + 10)
        notes.accept(index, region, np.full((2, 10), number % 3))


@pytest.fixture(scope="module")
def many():
    """An image of which a plane has four blocks, and many strokes on it."""
    notes = Annotations((512, 512))
    paint_many(notes)
    return notes


def peak_of(function):
    """Return the most memory in bytes that a call has at once, and its result."""
    tracemalloc.start()
    result = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, result


def test_times_of_many_strokes_are_read_block_by_block(many, monkeypatch):
    found, find = [], Blocks.find

    def counting(self, index, key):
        found.append(key)
        return find(self, index, key)

    monkeypatch.setattr(Blocks, "find", counting)
    peak, times = peak_of(lambda: many.times(()))
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert peak < 2 * times.nbytes
    distinct = np.unique(times[~np.isnan(times)])
    assert 0.9 * MANY < len(distinct) <= MANY, "some strokes were painted over"
    latest = np.zeros(many.shape)
    for number, time in enumerate(distinct):
        latest[times == time] = number
    assert latest.max() == len(distinct) - 1


def test_times_of_many_strokes_take_as_much_memory_as_class_ids(many):
    blocks = [block for *_, block in many._blocks.items()]
    ids = sum(block.ids.nbytes for block in blocks)
    times = sum(block.times.rows.nbytes for block in blocks)
    assert times <= 2 * ids
    assert sum(len(block.times.table) for block in blocks) < 2 * MANY
    assert many._blocks._history._bytes < 2**20


def test_many_strokes_are_trained_on_as_one_pair_a_plane(many):
    image = PaintedImage(image=grey((512, 512)), strokes=many)
    peak, (pair,) = peak_of(lambda: pairs_of(image))
    assert np.count_nonzero(pair.target != IGNORE) == many.count()
    assert peak < 8 * pair.image.nbytes


def test_many_strokes_on_a_stack_are_pairs_that_are_read_one_by_one():
    notes = Annotations((12, 64, 64))
    paint_many(notes)
    read = training_pairs(
        [PaintedImage(image=grey(notes.shape), strokes=notes)], SPEC, CONFIG
    )
    assert next(read).image.shape == (1, 64, 64)
    assert len(list(read)) == 11


@pytest.mark.parametrize("ndim", [2, 3])
def test_all_strokes_on_an_image_weigh_as_much_as_those_on_another(ndim):
    spec = replace(SPEC, ndim=ndim)
    shape = (3, 64, 64) if ndim == 2 else (3, 4, 64, 64)
    notes = Annotations(shape)
    for number in range(shape[0]):
        plane = (number, 1)[: len(shape) - 2]
        notes.accept(plane, (slice(9), slice(30)), np.zeros((9, 30), np.uint8))
    axes = "ZYX" if ndim == 2 else "TZYX"
    stack = Image.from_array(np.zeros(shape, np.uint8), axes, name="stack")
    pairs = training_pairs([PaintedImage(image=stack, strokes=notes)], spec, CONFIG)
    assert [pair.weight for pair in pairs] == [pytest.approx(1 / 3)] * 3
    (pair,) = pairs_of(painted((10, 10, 0), (40, 10, 1)))
    assert pair.weight == 1


def test_of_many_strokes_only_changed_blocks_are_read_again(many, monkeypatch):
    image, notes = grey((512, 512)), many.copy()
    cache = FeatureCache(image, Normalisation.measure(image), FeatureExtractor())
    computed, features = [], cache.features

    def counting(index, row, column):
        computed.append((row, column))
        return features(index, row, column)

    monkeypatch.setattr(cache, "features", counting)
    blocks = LabelledBlocks(cache)
    first = blocks.take(notes)
    assert sorted(computed) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert sum(len(block.labels) for block in first) <= notes.count()
    computed.clear()
    notes.accept((), (slice(300, 302), slice(10, 20)), np.zeros((2, 10), np.uint8))
    blocks.take(notes)
    assert computed == [(1, 0)]


@pytest.mark.parametrize("corner", [0, 66])
def test_strokes_that_all_lie_in_one_place_are_trained_on(corner):
    data = painted(*((corner + 10 * label, corner, label) for label in range(3)))
    (pair,) = pairs_of(data)
    check_pairs([pair], SPEC)
    assert np.count_nonzero(pair.target != IGNORE) == 810
    assert min(pair.target.shape) >= CONFIG.crop
    result = fine_tune(start_checkpoint(SPEC), [data], CONFIG)
    assert np.isfinite(result.after.loss)


def test_a_class_on_one_image_only_is_learned_from_all_together():
    one = painted((10, 10, 0), (40, 10, 1), name="one")
    other = painted((10, 10, 0), (40, 10, 2), name="other")
    pairs = pairs_of(one, other)
    assert [set(np.unique(p.target)) - {IGNORE} for p in pairs] == [{0, 1}, {0, 2}]
    check_pairs(pairs, SPEC)
    result = fine_tune(start_checkpoint(SPEC), [one, other], CONFIG)
    assert np.isfinite(result.after.loss)


def test_images_of_one_class_each_are_learned_from_together():
    pairs = pairs_of(painted((10, 10, 0)), painted((10, 10, 1)))
    check_pairs(pairs, SPEC)
    with pytest.raises(DataError, match="all labelled pixels are class 0"):
        check_pairs(pairs[:1], SPEC)


def test_classes_that_were_painted_on_one_image_only_are_classes_of_all(tmp_path):
    saved = []
    for name, names, value in (
        ("one", ("background", "cell"), 1),
        ("other", ("background", "cell", "wall"), 2),
    ):
        image = painted((10, 10, 0), (40, 10, value), name=name)
        image.strokes.name_classes(names)
        saved.append(
            SavedStrokes(image=image.image, strokes=image.strokes, folder=tmp_path)
        )
    classes = painted_classes(saved)
    assert classes == ("background", "cell", "wall")
    values = [one.in_classes(classes).strokes.classes() for one in saved]
    assert values == [{0: 270, 1: 270}, {0: 270, 2: 270}]


@pytest.mark.slow
def test_a_class_too_small_to_be_held_out_is_trained_on():
    data = painted((5, 10, 0), (20, 50, 0), (60, 10, 1), (80, 50, 1))
    data.strokes.set(([45], [45]), 2)
    (pair,) = pairs_of(data)
    assert np.count_nonzero(pair.target == 2) == 1
    result = fine_tune(start_checkpoint(SPEC), [data], CONFIG)
    assert np.isfinite(result.after.loss)
    assert result.checkpoint.spec.classes == SPEC.classes


def test_without_the_only_image_of_a_class_the_others_are_still_refused_clearly():
    gone = replace(painted((10, 10, 1)), image=_Gone(grey()), optional=True)
    notes = []
    pairs = list(
        training_pairs([painted((10, 10, 0)), gone], SPEC, CONFIG, notes.append)
    )
    assert notes == ["without the strokes on image: it was removed"]
    with pytest.raises(DataError, match="paint at least one stroke of two classes"):
        check_pairs(pairs, SPEC)


class _Gone:
    """An image whose file was removed."""

    def __init__(self, image):
        self._image = image

    def __getattr__(self, name):
        return getattr(self._image, name)

    def read(self, index, region):
        raise DataError("it was removed")

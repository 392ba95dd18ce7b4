"""Tests of the instant learner."""

from __future__ import annotations

import numpy as np
import pytest

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner, PixelClassifier
from unet_engine.labels import IGNORE
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.models.starting import start_checkpoint
from unet_engine.pixel_classification.classifier_runner import ClassifierRunner
from unet_engine.pixel_classification.feature_cache import BLOCK, FeatureCache
from unet_engine.pixel_classification.features import (
    FeatureExtractor,
)

TINY = ModelSpec(depth=2, width=4)


def trained(spec: ModelSpec = TINY) -> Checkpoint:
    """Return random weights that count as trained."""
    fresh = start_checkpoint(spec)
    return Checkpoint(fresh.spec, fresh.weights, ({"name": "tiny"},))


def stripes(height: int = 300, width: int = 330) -> np.ndarray:
    """Return an image whose right half is striped, with noise."""
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, (height, width))
    image[::4, width // 2 :] += 60
    image[1::4, width // 2 :] += 60
    return image.clip(0, 255).astype(np.uint8)


def live_image(
    pixels: np.ndarray, extractor: FeatureExtractor | None = None
) -> LabelledBlocks:
    axes = "ZYX"[-pixels.ndim :]
    image = Image.from_array(pixels, axes, name="stripes")
    normalisation = Normalisation.measure(image)
    cache = FeatureCache(image, normalisation, extractor or FeatureExtractor())
    return LabelledBlocks(cache)


def painted(shape: tuple[int, ...], at: dict[int, tuple[slice, ...]]) -> Annotations:
    annotations = Annotations(shape)
    for label, part in at.items():
        where = np.nonzero(mask(shape, part))
        annotations.set(where, label)
    return annotations


def mask(shape: tuple[int, ...], part: tuple[slice, ...]) -> np.ndarray:
    chosen = np.zeros(shape, dtype=bool)
    chosen[part] = True
    return chosen


FIRST = (slice(0, BLOCK), slice(0, BLOCK))
TWO = {0: np.s_[40:60, 20:90], 1: np.s_[40:60, 230:300]}


class TestClassifier:
    def test_more_pixels_than_it_learns_from_are_drawn_evenly(self):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(40_000, 5)).astype(np.float32)
        labels = (features[:, 0] > 0).astype(np.uint8) * 2
        classifier = PixelClassifier(fine=3)
        classifier.fit(features, labels)
        assert classifier.classes.tolist() == [0, 2]
        found = classifier.probabilities(features)
        assert found.shape == (40_000, 2)
        assert np.mean((found[:, 1] > 0.5) == (labels == 2)) > 0.97

    def test_one_feature_beyond_all_strokes_does_not_decide(self):
        rng = np.random.default_rng(0)
        labels = np.repeat(np.array([0, 1], np.uint8), 1000)
        features = rng.normal(size=(2000, 6)).astype(np.float32) + 2 * labels[:, None]
        classifier = PixelClassifier(fine=6)
        classifier.fit(features, labels)
        # A plain one of the first class, but for a glare in its last feature.
        glaring = np.array([[0, 0, 0, 0, 0, 1000]], np.float32)
        assert classifier.probabilities(glaring)[0, 0] > 0.5

    @pytest.mark.parametrize("seed", range(3))
    def test_strokes_on_mistakes_alone_do_not_stand_for_the_rest(self, seed: int):
        rng = np.random.default_rng(seed)

        def pixels(count: int, *shift: float) -> tuple[np.ndarray, np.ndarray]:
            labels = np.repeat(np.array([0, 1], np.uint8), count)
            noise = rng.normal(size=(2 * count, 8))
            signed = 2.0 * labels[:, None] - 1
            return (noise + signed * np.repeat(shift, 4)).astype(np.float32), labels

        # What is painted looks otherwise than most of the image, in half of all it is.
        touched, labels = pixels(200, 0.8, -0.4)
        rest, truth = pixels(2000, 1.0, 1.0)

        def right(*others: np.ndarray) -> float:
            classifier = PixelClassifier(8)
            classifier.fit(touched, labels, *others)
            return float(np.mean(classifier.probabilities(rest).argmax(1) == truth))

        known = right(rest[::2])
        assert right() + 0.02 < known
        assert known > 0.9

    @pytest.mark.parametrize("others", [False, True])
    def test_a_short_stroke_beside_many_long_ones_counts(self, others: bool):
        rng = np.random.default_rng(0)

        def pixels(count: int, label: int) -> np.ndarray:
            return rng.normal(1.2 * label, size=(count, 8)).astype(np.float32)

        touched = np.concatenate([pixels(3000, 0), pixels(40, 1)])
        labels = np.repeat(np.array([0, 1], np.uint8), [3000, 40])
        rest = np.concatenate([pixels(1500, 0), pixels(500, 1)]) if others else None
        classifier = PixelClassifier(8)
        classifier.fit(touched, labels, rest)

        def found(label: int) -> float:
            predicted = classifier.probabilities(pixels(1000, label)).argmax(axis=1)
            return float(np.mean(predicted == label))

        assert found(1) > 0.4
        assert found(0) > 0.98

    def test_one_class_is_refused(self):
        with pytest.raises(DataError, match="all strokes are of one class"):
            PixelClassifier(1).fit(np.zeros((9, 1), np.float32), np.ones(9, np.uint8))


class TestLearner:
    def test_two_strokes_separate_the_halves(self):
        source = live_image(stripes())
        learner = InstantLearner(2)
        strokes = painted((300, 330), TWO)
        assert learner.learn([(source, strokes)]) == 2800
        found = np.full((300, 330), IGNORE, np.uint8)
        for tile in learner.iter_predict(source.cache, (), (slice(None),) * 2):
            found[tile.inner] = tile.labels
        truth = np.zeros_like(found)
        truth[:, 165:] = 1
        assert np.mean(found == truth) > 0.85

    @pytest.mark.slow
    def test_strokes_where_the_image_has_no_data_are_left_out(self):
        pixels = stripes().astype(np.float32)
        pixels[200:] = np.nan
        source = live_image(pixels)
        on_data = painted((300, 330), TWO)
        both = painted((300, 330), TWO)
        both.set(np.nonzero(mask((300, 330), np.s_[190:220, 230:260])), 1)
        inside = painted((300, 330), TWO)
        inside.set(np.nonzero(mask((300, 330), np.s_[190:200, 230:260])), 1)
        learner, plain = InstantLearner(2), InstantLearner(2)
        assert learner.learn([(source, both)]) == 2800 + 300
        assert learner.note.startswith("600 labelled pixels without data")
        plain.learn([(live_image(pixels), inside)])
        assert not plain.note
        for other in learner, plain:
            assert other.probabilities(source.cache, (), FIRST)[0, 210:].min() == 1
        assert learner.learn([(source, on_data)]) == 2800
        assert not learner.note, "the strokes there are gone"

    @pytest.mark.slow
    def test_a_padded_border_adds_nothing_to_a_background_stroke_on_it(self):
        inner = stripes(200, 330)
        padded = np.pad(inner, ((40, 40), (0, 0)))
        at = {label: (slice(80, 100), part[1]) for label, part in TWO.items()}
        strokes = painted(padded.shape, at)
        plain = InstantLearner(2)
        plain.learn([(source := live_image(padded), strokes)])
        expected = plain.probabilities(source.cache, (), FIRST)
        strokes.set(np.nonzero(mask(padded.shape, np.s_[5:30, 20:300])), 1)
        learner = InstantLearner(2)
        learner.learn([(source := live_image(padded), strokes)])
        assert "border" in learner.note
        found = learner.probabilities(source.cache, (), FIRST)
        assert (found.argmax(0) == expected.argmax(0)).mean() > 0.98

    def test_strokes_without_data_only_are_refused_in_one_line(self):
        pixels = stripes().astype(np.float32)
        pixels[100:] = np.nan
        lost = painted((300, 330), {1: np.s_[150:160, 20:90]})
        with pytest.raises(DataError, match="paint where the image has data"):
            InstantLearner(2).learn([(live_image(pixels), lost)])
        lost.set(np.nonzero(mask((300, 330), TWO[0])), 0)
        with pytest.raises(
            DataError, match=r"700 labelled pixels.*another class where"
        ):
            InstantLearner(2).learn([(live_image(pixels), lost)])

    def test_the_newest_stroke_wins(self):
        source = live_image(stripes())
        learner = InstantLearner(2)
        strokes = painted((300, 330), TWO)
        learner.learn([(source, strokes)])
        before = learner.probabilities(source.cache, (), FIRST)
        swapped = painted((300, 330), {1: TWO[0], 0: TWO[1]})
        learner.learn([(source, swapped)])
        after = learner.probabilities(source.cache, (), FIRST)
        assert before[0, 50, 50] > 0.9
        assert after[1, 50, 50] > 0.9

    def test_the_block_in_view_comes_first_and_stop_takes_effect(self):
        source = live_image(stripes(600, 600))
        learner = InstantLearner(2)
        learner.learn([(source, painted((600, 600), TWO))])
        everything = (slice(None),) * 2
        run = learner.iter_predict(source.cache, (), everything, near=(580, 580))
        first = next(run)
        assert first.inner == (slice(512, 600), slice(512, 600))
        assert first.total == 25
        stopped = learner.iter_predict(source.cache, (), everything, stop=lambda: True)
        with pytest.raises(StopIteration) as end:
            next(stopped)
        assert end.value.value is False

    def test_features_are_computed_once_and_the_oldest_forgotten(self):
        calls = []

        class Counting(FeatureExtractor):
            def __call__(self, block):
                calls.append(block.shape)
                return super().__call__(block)

        extractor = Counting()
        source = live_image(stripes(BLOCK, 3 * BLOCK), extractor)
        for _ in range(2):
            source.cache.features((), 0, 0)
        assert len(calls) == 1
        size = source.cache.features((), 0, 0).size * 2
        measured = Normalisation.measure(source.cache.image)
        small = FeatureCache(source.cache.image, measured, extractor, cache_bytes=size)
        for column in (0, 1, 0):
            small.features((), 0, column)
        assert len(calls) == 4

    def test_strokes_on_slices_of_a_stack_suffice_for_all_slices(self):
        stack = np.stack([stripes(), stripes(), stripes()[::-1]])
        source = live_image(stack)
        learner = InstantLearner(3)
        strokes = Annotations(stack.shape)
        for label, part in TWO.items():
            rows, columns = np.nonzero(mask((300, 330), part))
            strokes.set((np.zeros_like(rows), rows, columns), label)
        learner.learn([(source, strokes)])
        found = learner.probabilities(source.cache, (2,), FIRST)
        assert found.shape == (3, 256, 256)
        assert not found[2].any()
        assert found[1, 100, 200] > 0.8

    @pytest.mark.slow
    def test_a_part_of_a_block_is_predicted_as_in_the_whole(self):
        source = live_image(stripes(), FeatureExtractor(trained()))
        learner = InstantLearner(2)
        learner.learn([(source, painted((300, 330), TWO))])
        part = np.s_[128:256, 0:128]
        np.testing.assert_allclose(
            learner.probabilities(source.cache, (), part),
            learner.probabilities(source.cache, (), FIRST)[:, *part],
            atol=1e-6,
        )

    def test_tiles_of_a_block_follow_each_other(self):
        source = live_image(stripes(600, 600))
        tiles = source.cache.tiles(np.s_[100:500, 100:500], near=(300, 300))
        blocks = [(rows.start // BLOCK, cols.start // BLOCK) for rows, cols in tiles]
        runs = [b for i, b in enumerate(blocks) if i == 0 or b != blocks[i - 1]]
        assert len(runs) == len(set(blocks)) == 4
        assert tiles[0] == (slice(256, 384), slice(256, 384))
        seen = np.zeros((600, 600), int)
        for tile in tiles:
            seen[tile] += 1
        assert (seen[100:500, 100:500] == 1).all()

    def test_an_accepted_view_does_not_drown_the_strokes(self):
        source = live_image(stripes())
        accepted = painted((300, 330), {0: np.s_[:256, :150]})
        (touched,) = source.take(accepted)
        assert len(touched.labels) == len(touched.features) == 8192
        assert len(touched.sample) == 512

    def test_only_blocks_with_strokes_are_looked_at(self):
        source = live_image(stripes(2 * BLOCK, 2 * BLOCK))
        polled = []
        strokes = painted((2 * BLOCK, 2 * BLOCK), TWO)
        target = strokes.target
        strokes.target = lambda *place: polled.append(place) or target(*place)
        source.take(strokes)
        assert [place[1][0].start for place in polled] == [0, 0]

    def test_learning_stops_and_goes_on_where_it_was(self):
        source = live_image(stripes())
        strokes = painted((300, 330), TWO)
        learner, polled = InstantLearner(2), []

        def second() -> bool:
            polled.append(True)
            return len(polled) == 2

        with pytest.raises(Cancelled):
            learner.learn([(source, strokes)], second)
        assert learner.learn([(source, strokes)]) == 2800

    def test_strokes_of_an_image_of_another_size_are_refused(self):
        strokes = painted((300, 331), TWO)
        with pytest.raises(DataError, match="was it replaced"):
            InstantLearner(2).learn([(live_image(stripes()), strokes)])

    def test_a_stroke_of_a_class_that_is_gone_is_no_accident(self):
        source = live_image(stripes())
        learner = InstantLearner(2)
        learner.learn([(source, painted((300, 330), {0: TWO[0], 4: TWO[1]}))])
        assert learner.probabilities(source.cache, (), FIRST).shape[0] == 5

    def test_memory_of_blocks_is_given_back_but_not_what_was_learned(self):
        source = live_image(stripes())
        strokes = painted((300, 330), TWO)
        learner = InstantLearner(2)
        learner.learn([(source, strokes)])
        source.cache.forget_blocks()
        source.cache.features = None
        assert learner.learn([(source, strokes)]) == 2800

    def test_without_a_stroke_the_error_names_what_to_do(self):
        learner = InstantLearner(2)
        with pytest.raises(DataError, match="nothing is painted yet"):
            learner.learn([(live_image(stripes()), Annotations((300, 330)))])

    @pytest.mark.slow
    def test_it_uses_what_a_network_sees(self):
        source = live_image(stripes(), FeatureExtractor(trained()))
        learner = InstantLearner(2)
        learner.learn([(source, painted((300, 330), TWO))])
        assert learner.probabilities(source.cache, (), FIRST)[0, 50, 50] > 0.8


class TestTunedModel:
    @pytest.mark.slow
    def test_probabilities_of_a_tuned_model_count_half(self):
        base, tuned = trained(), trained()
        source = live_image(stripes(), FeatureExtractor(base, tuned=tuned))
        region = np.s_[0:128, 0:128]
        learner = InstantLearner(2)
        learner.learn([(source, painted((300, 330), TWO))])
        assert source.cache.n_tuned_channels == 2
        rows = source.cache.features((), 0, 0)[region].reshape(128 * 128, -1)
        own = ClassifierRunner(learner.part, 2)(rows[:, :-2])
        expected = (own + rows[:, -2:].astype(np.float32)) / 2
        found = learner.probabilities(source.cache, (), region)
        np.testing.assert_allclose(found.reshape(2, -1).T, expected, atol=1e-3)

    def test_a_network_that_does_not_take_the_blocks_is_left_out(self):
        deep = trained(ModelSpec(depth=5, width=2))
        assert FeatureExtractor(deep).channels == 0
        volumes = trained(ModelSpec(depth=1, width=2, ndim=3))
        assert FeatureExtractor(tuned=volumes).n_tuned_channels == 0

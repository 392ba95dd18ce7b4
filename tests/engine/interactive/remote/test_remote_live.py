"""Live by another process shows what Live here shows, and sends everything once."""

from itertools import starmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_processes import threads_of

from unet_engine.annotations.annotations import Annotations
from unet_engine.errors import Cancelled, DataError
from unet_engine.images import Image, Normalisation
from unet_engine.interactive.labelled_blocks import LabelledBlocks
from unet_engine.interactive.learner import InstantLearner
from unet_engine.interactive.live_model import live_model
from unet_engine.interactive.remote.chunks import (
    ChunkedArray,
    ChunkSender,
    chunk_boxes,
)
from unet_engine.interactive.remote.learner import RemoteLearner
from unet_engine.interactive.remote.session import RemoteLive
from unet_engine.models.checkpoint import Checkpoint
from unet_engine.models.spec import ModelSpec
from unet_engine.pixel_classification.feature_cache import FeatureCache
from unet_engine.pixel_classification.features import FeatureExtractor
from unet_engine.prediction.remote.pixels import MissingPixelsError, box_of
from unet_engine.remote import connection as connections
from unet_engine.remote.connection import LineLostError

DEVICE = "local:1"


@pytest.fixture(autouse=True)
def as_many_threads():
    """As many as the process has: their number decides the last bits."""
    with threads_of(1):
        yield


def _stripes(height=400, width=430):
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, (height, width))
    image[::4, width // 2 :] += 60
    image[1::4, width // 2 :] += 60
    return image.clip(0, 255).astype(np.uint8)


def _blocks(extractor, pixels=None):
    pixels = _stripes() if pixels is None else pixels
    image = Image.from_array(pixels, "ZYX"[-pixels.ndim :], name="stripes")
    cache = FeatureCache(image, Normalisation.measure(image), extractor)
    return LabelledBlocks(cache)


def _painted(shape=(400, 430)):
    strokes = Annotations(shape)
    _stroke(strokes, np.s_[40:60, 20:90], 0)
    _stroke(strokes, np.s_[40:60, 300:380], 1)
    return strokes


def _stroke(strokes, where, label):
    chosen = np.zeros(strokes.shape, bool)
    chosen[where] = True
    strokes.set(np.nonzero(chosen), label)


@pytest.fixture(scope="module")
def extractor(make_checkpoint):
    model = make_checkpoint(ModelSpec(depth=2, width=4))
    trained = Checkpoint(model.spec, model.weights, ({"name": "tiny"},))
    return FeatureExtractor(trained, tuned=trained)


def _tiles(learner, cache, **rest):
    run = learner.iter_predict(cache, (), (slice(0, 400), slice(0, 430)), **rest)
    return {tuple(side.start for side in done.inner): done for done in run}


@given(
    st.tuples(st.integers(0, 299), st.integers(1, 300)),
    st.tuples(st.integers(0, 199), st.integers(1, 200)),
    st.integers(0, 2),
)
def test_squares_put_together_are_the_image(rows, columns, plane):
    data = np.arange(3 * 300 * 200 * 2, dtype=np.uint32).reshape(3, 300, 200, 2)
    image = Image.from_array(data, "ZYXC")
    row, column = (
        slice(a, min(a + n, m)) for (a, n), m in ((rows, 300), (columns, 200))
    )
    key = image.key((plane, row, column))
    array = ChunkedArray(data.shape, data.dtype, image.axes)
    sender = ChunkSender(image)
    box = box_of(key, data.shape)
    with pytest.raises(MissingPixelsError):
        array[key]
    for sent in sender.cut(box):
        array.hold(sent)

    np.testing.assert_array_equal(array[key], data[key])
    assert sender.cut(box) == ()


def test_squares_cover_each_pixel_once():
    shape = (2, 300, 200)
    covered = np.zeros(shape, int)
    for box in chunk_boxes(tuple((0, n) for n in shape), "TYX", shape):
        covered[tuple(starmap(slice, box))] += 1

    assert (covered == 1).all()


@pytest.mark.slow
def test_what_is_shown_is_what_live_shows_here(extractor):
    here, strokes = _blocks(extractor), _painted()
    near = InstantLearner(2)
    near.learn([(here, strokes)])
    there = _blocks(extractor)
    far = RemoteLearner(RemoteLive(DEVICE, extractor), 2, network_share=0.5)
    pixels = far.learn([(there, strokes)])
    expected, found = _tiles(near, here.cache), _tiles(far, there.cache)

    assert pixels == strokes.count()
    assert set(found) == set(expected)
    for place, tile in expected.items():
        np.testing.assert_array_equal(found[place].labels, tile.labels)
        np.testing.assert_allclose(
            found[place].probabilities, tile.probabilities, atol=1e-6
        )
    # Nothing was computed here.
    assert there.cache.kept(((), 0, 0)) is None


@pytest.mark.slow
def test_what_was_learned_there_is_saved_as_a_model(extractor):
    blocks, strokes = _blocks(extractor), _painted()
    near = InstantLearner(2)
    near.learn([(_blocks(extractor), strokes)])
    far = RemoteLearner(RemoteLive(DEVICE, extractor), 2, network_share=0.5)
    with pytest.raises(DataError, match="paint a stroke"):
        _ = far.part
    far.learn([(blocks, strokes)])
    names = ("background", "stripes")
    spec = ModelSpec(depth=2, width=4)

    found, expected = (live_model(one, names, spec) for one in (far, near))

    for mine, other in zip(
        found.classifier.members, expected.classifier.members, strict=True
    ):
        np.testing.assert_array_equal(mine.forest.thresholds, other.forest.thresholds)


@pytest.mark.slow
def test_a_stroke_sends_what_is_new_alone(extractor, monkeypatch):
    blocks, strokes = _blocks(extractor), _painted()
    live = RemoteLive(DEVICE, extractor)
    RemoteLearner(live, 2, network_share=0.5).learn([(blocks, strokes)])
    sent = []
    ask = connections.Connection.ask

    def watching(self, name, *arguments, **rest):
        if name.startswith("live."):
            sent.extend(arguments[2])
        return ask(self, name, *arguments, **rest)

    monkeypatch.setattr(connections.Connection, "ask", watching)
    _stroke(strokes, np.s_[45:50, 100:110], 1)
    RemoteLearner(live, 2, network_share=0.5).learn([(blocks, strokes)])

    assert [len(parcel.pixels) for parcel in sent] == [0]
    assert [len(parcel.strokes) for parcel in sent] == [1]
    assert sent[0].header is None


def test_strokes_that_are_taken_back_are_forgotten_there(extractor):
    blocks, strokes = _blocks(extractor), _painted()
    live = RemoteLive(DEVICE, extractor)
    learner = RemoteLearner(live, 2, network_share=0.5)
    learner.learn([(blocks, strokes)])
    chosen = np.zeros(strokes.shape, bool)
    chosen[40:60, 300:380] = True
    strokes.clear(np.nonzero(chosen))

    with pytest.raises(DataError, match="class"):
        RemoteLearner(live, 2, network_share=0.5).learn([(blocks, strokes)])


@pytest.mark.slow
def test_a_worker_that_forgot_gets_all_of_it_again(extractor):
    blocks, strokes = _blocks(extractor), _painted()
    live = RemoteLive(DEVICE, extractor)
    learner = RemoteLearner(live, 2, network_share=0.5)
    learner.learn([(blocks, strokes)])
    live._session = "another"

    with pytest.raises(LineLostError):
        _tiles(learner, blocks.cache)
    again = RemoteLearner(live, 2, network_share=0.5)

    assert again.learn([(blocks, strokes)]) == strokes.count()
    assert _tiles(again, blocks.cache)


def test_an_order_that_is_no_longer_wanted_ends(extractor):
    blocks, strokes = _blocks(extractor), _painted()
    live = RemoteLive(DEVICE, extractor)
    learner = RemoteLearner(live, 2, network_share=0.5)

    with pytest.raises(Cancelled):
        learner.learn([(blocks, strokes)], stop=lambda: True)
    learner.learn([(blocks, strokes)])

    assert not _tiles(learner, blocks.cache, stop=lambda: True)
    assert _tiles(learner, blocks.cache)


@pytest.mark.slow
def test_planes_of_a_stack_are_kept_apart(extractor):
    pixels = np.stack([_stripes(), _stripes()[::-1]])
    near_blocks, far_blocks = (_blocks(extractor, pixels) for _ in range(2))
    strokes = Annotations(pixels.shape)
    _stroke(strokes, np.s_[0, 40:60, 20:90], 0)
    _stroke(strokes, np.s_[1, 40:60, 300:380], 1)
    near = InstantLearner(2)
    near.learn([(near_blocks, strokes)])
    far = RemoteLearner(RemoteLive(DEVICE, extractor), 2, network_share=0.5)
    far.learn([(far_blocks, strokes)])

    for index in ((0,), (1,)):
        part = (slice(0, 128), slice(256, 384))
        (one,) = near.iter_tiles(near_blocks.cache, index, [part])
        (other,) = far.iter_tiles(far_blocks.cache, index, [part])
        np.testing.assert_array_equal(other.labels, one.labels)
        assert other.probabilities is None

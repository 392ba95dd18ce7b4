"""Tiles that two threads predict, as beside a GPU."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from unet_engine.compute.runner import Runner
from unet_engine.errors import OutOfMemoryError
from unet_engine.images import Image
from unet_engine.images.resampled import resampled_image
from unet_engine.models.spec import ModelSpec
from unet_engine.prediction import tile_predictor
from unet_engine.prediction.config import PredictConfig
from unet_engine.prediction.segmentation import predict
from unet_engine.prediction.tile_predictor import TilePredictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from unet_engine.models.checkpoint import Checkpoint

pytestmark = pytest.mark.cpu

CONFIG = PredictConfig(device="cpu", tile=64, probabilities=True, object_size="off")
IMAGE = Image.from_array(
    np.random.default_rng(0).integers(0, 255, (200, 170), dtype=np.uint8), "YX"
)


@pytest.fixture
def model(make_checkpoint: Callable[[ModelSpec], Checkpoint]) -> Checkpoint:
    return make_checkpoint(ModelSpec(depth=2, width=4, object_size_px=20))


@pytest.fixture
def in_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let two threads predict from then on."""
    return lambda: monkeypatch.setattr(TilePredictor, "threads", 2)


@pytest.mark.parametrize("size", ["off", 31.0])
def test_the_result_is_that_of_one_thread(
    model: Checkpoint, in_threads: Callable[[], None], size: float | str
):
    config = dataclasses.replace(CONFIG, object_size=size)
    expected = predict(IMAGE, model, config)
    in_threads()
    found = predict(IMAGE, model, config)
    assert found.complete
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_one_thread_at_a_time_computes(
    model: Checkpoint,
    in_threads: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
):
    genuine, inside, met = Runner.__call__, threading.Semaphore(1), threading.Event()
    names: set[str] = set()

    def call(self: Runner, *args: Any) -> np.ndarray:
        names.add(threading.current_thread().name)
        if not inside.acquire(blocking=False):
            met.set()
            inside.acquire()
        try:
            # Long enough for the other thread to arrive, if nothing keeps it out.
            met.wait(0.05)
            return genuine(self, *args)
        finally:
            inside.release()

    in_threads()
    monkeypatch.setattr(Runner, "__call__", call)
    assert predict(IMAGE, model, CONFIG).complete
    assert not met.is_set()
    assert len(names) == 2


def test_two_threads_without_memory_halve_the_tiles_once(
    model: Checkpoint,
    in_threads: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
):
    config = dataclasses.replace(CONFIG, tile=128)
    expected = predict(IMAGE, model, config)
    genuine, read, both = Runner.__call__, tile_predictor.read_tile, [True, True]
    begun = threading.Barrier(2)

    def read_both(*args: Any) -> np.ndarray:
        if both:
            both.pop()
            begun.wait(timeout=60)
        return read(*args)

    def call(self: Runner, block: np.ndarray, *wanted: Any) -> np.ndarray:
        if max(block.shape) > 120:
            raise OutOfMemoryError("not enough GPU memory")
        return genuine(self, block, *wanted)

    in_threads()
    monkeypatch.setattr(tile_predictor, "read_tile", read_both)
    monkeypatch.setattr(Runner, "__call__", call)
    found = predict(IMAGE, model, config)
    assert [note for note in found.notes if "halved" in note] == [
        "cpu had too little memory for the tiles; they were halved."
    ]
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_a_plane_that_is_kept_is_not_dropped_while_it_is_read():
    plane = Image.from_array(np.random.default_rng(0).random((8, 8), np.float32), "YX")
    scaled = resampled_image(plane, {"Y": 0.5, "X": 0.5})
    one, other = slice(0, 2), slice(2, 4)
    expected = scaled.read((), (one, one)).copy()
    found, dropped = threading.Event(), threading.Event()

    class Planes(OrderedDict[Any, Any]):
        def move_to_end(self, key: Any, last: bool = True) -> None:
            found.set()
            # Long enough for the other thread, if nothing keeps it out.
            dropped.wait(0.2)
            super().move_to_end(key, last)

    def read_another() -> None:
        found.wait(timeout=60)
        scaled.read((), (other, other))
        dropped.set()

    scaled.data._planes = Planes(scaled.data._planes)
    thread = threading.Thread(target=read_another)
    thread.start()
    again = scaled.read((), (one, one))
    thread.join()
    np.testing.assert_array_equal(again, expected)

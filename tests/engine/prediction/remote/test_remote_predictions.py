"""Predictions by other processes give what this process gives."""

from contextlib import closing
from threading import Timer

import numpy as np
import pytest
from local_processes import end_scheduler_of, threads_of, workers_of

from unet_engine import Image, ModelSpec, PredictConfig, denoise, predict
from unet_engine.errors import EngineError
from unet_engine.generators import drain
from unet_engine.objects.class_mask import quantised
from unet_engine.prediction.denoising import iter_denoise
from unet_engine.prediction.disk_output import DiskOutput
from unet_engine.prediction.events import TileDone
from unet_engine.prediction.outputs import ArrayOutput
from unet_engine.prediction.segmentation import iter_predict
from unet_engine.remote import connection as connections
from unet_engine.remote.seeking import Reconnecting
from unet_engine.stopping import never

DEVICE = "local:2"


@pytest.fixture(scope="module")
def image():
    pixels = np.random.default_rng(0).integers(0, 255, (2, 150, 170), np.uint8)
    return Image.from_array(pixels, "ZYX", name="noise")


@pytest.fixture(scope="module")
def model(make_checkpoint):
    spec = ModelSpec(depth=2, width=4, classes=("background", "cell", "edge"))
    return make_checkpoint(spec)


@pytest.fixture(autouse=True)
def as_many_threads():
    """As many as each of the processes has: their number decides the last bits."""
    with threads_of(2):
        yield


def _config(**settings):
    return PredictConfig(tile=64, probabilities=True, **settings)


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(image, model):
    here = predict(image, model, _config(device="cpu"))
    there = predict(image, model, _config(device=DEVICE))

    np.testing.assert_array_equal(there.labels, here.labels)
    np.testing.assert_array_equal(there.probabilities, here.probabilities)
    assert there.complete
    assert there.device == "cpu"


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"average_flips": "on"},
        {"object_size": "pixel-size", "pixel_size": 0.5},
        {"directions": "three"},
    ],
    ids=str,
)
def test_what_a_tile_needs_beyond_its_halo_is_sent_too(
    image, settings, make_checkpoint
):
    spec = ModelSpec(depth=2, width=4, classes=("a", "b"), pixel_size_um=0.7)
    model = make_checkpoint(spec)
    here = predict(image, model, _config(device="cpu", **settings))
    there = predict(image, model, _config(device=DEVICE, **settings))

    np.testing.assert_array_equal(there.probabilities, here.probabilities)


@pytest.mark.slow
def test_files_are_the_same(image, model, tmp_path):
    for device in ("cpu", DEVICE):
        output = DiskOutput(tmp_path / f"{device[:3]}.zarr")
        predict(image, model, PredictConfig(tile=64, device=device), into=output)

    first, second = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name != ".zattrs"
        }
        for folder in (tmp_path / "cpu.zarr", tmp_path / "loc.zarr")
    )
    assert first == second


class _Maps(ArrayOutput):
    """Keeps object maps as uint8."""

    quantises_object_maps = True

    def __init__(self, shape):
        super().__init__(np.zeros(shape, np.uint8))
        self.maps = np.zeros((2, *shape), np.uint8)
        self.came = set()

    def write(self, index, tile, labels, probabilities, object_maps=None):
        self.came.add(object_maps.dtype.str)
        self.maps[(slice(None), *index, *tile.inner_slices)] = quantised(object_maps)


@pytest.mark.slow
def test_object_maps_travel_as_uint8_where_they_are_kept_so(image, make_checkpoint):
    spec = ModelSpec(depth=2, width=4, object_maps=("distance", "boundary"))
    model, config = make_checkpoint(spec), {"tile": 64, "object_maps": True}
    shape = image.data.shape
    here, there = _Maps(shape), _Maps(shape)
    predict(image, model, PredictConfig(device="cpu", **config), into=here)
    predict(image, model, PredictConfig(device=DEVICE, **config), into=there)

    np.testing.assert_array_equal(there.maps, here.maps)
    assert here.maps.any()
    assert there.came == {"|u1"}
    # Arrays of floats get floats.
    floats = predict(image, model, PredictConfig(device=DEVICE, **config))
    assert floats.object_maps.dtype == np.float32
    np.testing.assert_array_equal(quantised(floats.object_maps), here.maps)


@pytest.mark.slow
def test_images_are_restored_there(image, make_checkpoint):
    model = make_checkpoint(ModelSpec(depth=2, width=4, classes=()))
    here = denoise(image, model, PredictConfig(tile=64, device="cpu"))
    there = denoise(image, model, PredictConfig(tile=64, device=DEVICE))

    np.testing.assert_array_equal(there.image, here.image)


def test_a_run_that_is_stopped_ends_and_leaves_the_workers_free(image, model):
    seen = []
    run = iter_predict(
        image, model, _config(device=DEVICE), stop=lambda: len(seen) >= 2
    )
    with closing(run):
        while True:
            try:
                seen.append(next(run))
            except StopIteration as end:
                result = end.value
                break

    assert not result.complete
    assert predict(image, model, _config(device=DEVICE)).complete


def test_a_worker_that_is_killed_changes_nothing(image, model):
    here = predict(image, model, _config(device="cpu"))
    run = iter_predict(image, model, _config(device=DEVICE))
    next(run)
    workers_of(2)[0].kill()
    there = drain(run)

    np.testing.assert_array_equal(there.probabilities, here.probabilities)


@pytest.mark.slow
def test_a_worker_that_is_slow_changes_nothing(image, model):
    here = predict(image, model, _config(device="cpu"))
    run = iter_predict(image, model, _config(device=DEVICE))
    next(run)
    slow = workers_of(2)[0]
    slow.suspend()
    # As when another program takes all of its processors for a while.
    resuming = Timer(2.0, slow.resume)
    resuming.start()
    there = drain(run)
    resuming.join()

    np.testing.assert_array_equal(there.probabilities, here.probabilities)


@pytest.mark.slow
def test_when_the_scheduler_is_gone_this_machine_goes_on(image, model, monkeypatch):
    monkeypatch.setattr("unet_engine.prediction.remote.predictor.FIND_AGAIN_S", 0.0)
    here = predict(image, model, _config(device="cpu"))
    run = iter_predict(image, model, _config(device=DEVICE))
    next(run)
    end_scheduler_of(2)
    while True:
        try:
            next(run)
        except StopIteration as end:
            there = end.value
            break

    assert there.complete
    assert "this machine finished" in " ".join(there.notes)
    np.testing.assert_array_equal(there.labels, here.labels)


@pytest.mark.slow
def test_a_line_that_breaks_before_the_first_tile_is_no_error(
    image, model, monkeypatch
):
    monkeypatch.setattr("unet_engine.prediction.remote.predictor.FIND_AGAIN_S", 0.0)

    _break_line(monkeypatch, "ask", "prediction.begin", times=1)
    here = predict(image, model, _config(device="cpu"))
    there = predict(image, model, _config(device=DEVICE))

    assert "this machine finished" in " ".join(there.notes)
    np.testing.assert_array_equal(there.labels, here.labels)


@pytest.mark.slow
def test_a_line_that_is_tried_again_is_told_before_the_first_tile(
    image, model, monkeypatch
):
    _break_line(monkeypatch, "ask", "prediction.begin", times=1)
    events = list(iter_predict(image, model, _config(device=DEVICE)))

    assert isinstance(events[0], Reconnecting)
    assert (events[0].device, events[0].done) == (DEVICE, 0)
    assert all(isinstance(event, TileDone) for event in events[1:])
    assert events[0].total == len(events) - 1


@pytest.mark.slow
def test_a_line_that_is_tried_again_between_tiles_is_told_and_changes_nothing(
    image, model, monkeypatch
):
    here = predict(image, model, _config(device="cpu"))
    run = iter_predict(image, model, _config(device=DEVICE))
    next(run)
    _break_line(monkeypatch, "submit", "prediction.predict_tile", times=1)
    events = []
    there = drain(run, events.append)

    told = [event for event in events if isinstance(event, Reconnecting)]
    assert told
    assert told[0].done >= 1
    assert told[0].total == events[-1].total
    assert len(events) - len(told) == events[-1].total - 1
    np.testing.assert_array_equal(there.labels, here.labels)
    assert not there.notes


def test_a_line_that_breaks_at_each_tile_is_given_up(image, model, monkeypatch):
    here = predict(image, model, _config(device="cpu"))
    _break_line(monkeypatch, "submit", "prediction.predict_tile", times=10)
    there = predict(image, model, _config(device=DEVICE))

    np.testing.assert_array_equal(there.labels, here.labels)
    assert "this machine finished" in " ".join(there.notes)


@pytest.mark.slow
def test_a_line_that_is_tried_again_is_told_of_images_that_are_restored(
    image, make_checkpoint, monkeypatch
):
    model = make_checkpoint(ModelSpec(depth=2, width=4, classes=()))
    run = iter_denoise(image, model, PredictConfig(tile=64, device=DEVICE))
    first = next(run)
    _break_line(monkeypatch, "submit", "prediction.predict_tile", times=1)

    told = [event for event in run if isinstance(event, Reconnecting)]
    assert told
    assert told[0].total == first.total


def _break_line(monkeypatch, method, name, *, times):
    """Have the line break when something is ordered for the first times."""
    genuine = getattr(connections.Connection, method)
    left = [times]

    def breaking(self, ordered, *arguments, **rest):
        if ordered == name and left[0]:
            left[0] -= 1
            raise self.lost()
        return genuine(self, ordered, *arguments, **rest)

    monkeypatch.setattr(connections.Connection, method, breaking)


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(connections, "VERSION", "0.0.1")

    with pytest.raises(EngineError, match="install the same version"):
        connections.connect(DEVICE, never)


def test_what_a_worker_cannot_read_is_said_here(image, model):
    broken = Image.from_array(_Broken(image.data), "ZYX", name="broken")

    with pytest.raises(EngineError, match=r"tile \[.*disk gone"):
        predict(broken, model, PredictConfig(tile=64, device=DEVICE))


class _Broken:
    def __init__(self, data):
        self._data, self._reads = data, 0
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key):
        self._reads += 1
        if self._reads > 6:
            raise OSError("disk gone")
        return self._data[key]


def test_more_processes_than_processors_are_refused(image, model):
    with pytest.raises(EngineError, match="or fewer"):
        predict(image, model, PredictConfig(device="local:999"))
